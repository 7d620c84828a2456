"""The annotations of MovingFashion: which product is shown in which videos, in which picture, and where in a frame.

See `movingfashion` for the folder, its counts and its traps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from shopcue.data.annotations import one_line, path_inside, read_object
from shopcue.data.clip_pairs import Box
from shopcue.data.lpr4m_rows import largest_box
from shopcue.errors import MediaError

SPLITS = ("train", "test")
SOURCES = ("hard", "regular")
"""Of social media (0 in the annotations), and of shops (1)."""

_MOST_DIGITS = 9

Skipped = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class FashionVideo:
    """A video of a product: its path in the annotations, and boxes by the number of a frame."""

    video: str
    boxes: dict[int, Box]


@dataclass(frozen=True, slots=True)
class FashionProduct:
    """A product: its shop picture, as the annotations name it, of which of `SOURCES` it is, and its videos."""

    product_id: str
    image: str
    source: str
    videos: tuple[FashionVideo, ...]


def read_movingfashion(root: Path, split: str, skipped: Skipped) -> list[FashionProduct]:
    """Return the products of a split in the order of the file; videos and pictures may be missing.

    skipped: told in one line of each product that cannot be read, and of boxes that cannot. Raises MediaError where
    the split is not there.
    """
    if split not in SPLITS:
        raise MediaError(f"MovingFashion has no split {split!r}; expected {' or '.join(SPLITS)}")
    products = []
    for product_id, entry in read_object(root / f"{split}.json").items():
        try:
            products.append(_product(root, product_id, entry, skipped))
        except (ValueError, KeyError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else error
            skipped(one_line(f"product {product_id} of {split}.json is left out: {reason}"))
    if not products:
        raise MediaError(f"{root / f'{split}.json'} holds no product that can be read; give the published file")
    return products


def joined_products(products: Sequence[FashionProduct]) -> dict[str, str]:
    """Return for each product the first of those that it shares videos or pictures with, by whatever many steps."""
    media: dict[str, int] = {}
    edges = [
        (number, len(products) + media.setdefault(name, len(media)))
        for number, product in enumerate(products)
        for name in (product.image, *(video.video for video in product.videos))
    ]
    rows, columns = np.array(edges).T
    size = len(products) + len(media)
    _, labels = connected_components(coo_matrix((np.ones(len(edges)), (rows, columns)), (size, size)), directed=False)
    first: dict[int, str] = {}
    return {
        product.product_id: first.setdefault(int(label), product.product_id)
        for product, label in zip(products, labels, strict=False)
    }


def _product(root: Path, product_id: str, entry: Any, skipped: Skipped) -> FashionProduct:
    if not isinstance(entry, dict):
        raise ValueError(f"a {type(entry).__name__} came, expected video_paths, img_path and source")
    videos, image, source = entry["video_paths"], entry["img_path"], entry["source"]
    if isinstance(source, (bool, float)) or source not in (0, 1):
        raise ValueError(f"its source is {str(source)[:40]}, expected 0 or 1")
    if not isinstance(videos, list) or not all(isinstance(name, str) for name in (image, *videos)):
        raise ValueError("its video_paths and img_path are no paths")
    for name in (image, *videos):
        path_inside(root, name)
    tracklets = entry.get("tracklets") or [{}] * len(videos)
    if not isinstance(tracklets, list) or len(tracklets) != len(videos):
        skipped(one_line(f"product {product_id} keeps no boxes: its tracklets are not as many as its videos"))
        tracklets = [{}] * len(videos)
    boxes = [_boxes(tracklet, product_id, skipped) for tracklet in tracklets]
    found = {name: FashionVideo(name, each) for name, each in zip(videos, boxes, strict=True)}
    return FashionProduct(product_id, image, SOURCES[source], tuple(found.values()))


def _boxes(tracklet: Any, product_id: str, skipped: Skipped) -> dict[int, Box]:
    """Return the boxes of a tracklet by frame; skipped is told once how many cannot be read."""
    found: dict[int, Box] = {}
    entries = tracklet if isinstance(tracklet, dict) else {"": tracklet}
    for number, entry in entries.items():
        try:
            box = largest_box(entry)
        except ValueError:
            continue
        if box is not None and number.isascii() and number.isdecimal() and len(number) <= _MOST_DIGITS:
            found[int(number)] = box
    if len(found) < len(entries) and tracklet is not None:
        lost = len(entries) - len(found)
        skipped(one_line(f"{lost} of {len(entries)} boxes of a tracklet of product {product_id} cannot be read"))
    return found
