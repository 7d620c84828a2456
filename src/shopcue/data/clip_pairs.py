"""Clips and the shop pictures that they show: what every set of clip-to-image retrieval is read as.

A reader names pictures, videos, boxes and texts; it opens no media. A file that is named may be missing: whoever reads
the pixels says so, and a clip of which nothing is left is still a query, answered by nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from shopcue.errors import RecordError

Box = tuple[float, float, float, float]

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class FrameRef:
    """A picture file, or the frame of a video file that is shown as number `index`, counted from 0.

    box: of the product, xyxy, in pixels of the frame, or in shares of its sides where no corner is above 1: `box_px`.
    """

    path: Path
    index: int | None = None
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class Clip:
    """A query: some frames in which a product is shown, and what is said meanwhile.

    image_ids: every shop image of the product. live_id: whose gallery the clip searches, '' for the one gallery there
    is. subsets: (name, value), such as ('scale', 'small'), for figures of their own.
    """

    clip_id: str
    frames: tuple[FrameRef, ...]
    speech: str = ""
    image_ids: tuple[str, ...] = ()
    live_id: str = ""
    subsets: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ShopImage:
    """A picture of a product in a shop; path None: the set names none, or none that may be opened."""

    image_id: str
    path: Path | None
    title: str = ""
    product_id: str = ""


@dataclass(frozen=True, slots=True)
class ClipPair:
    """A pair to train with: a clip and one shop image of its product."""

    clip: Clip
    image: ShopImage

    def __post_init__(self) -> None:
        if self.clip.image_ids != (self.image.image_id,):
            raise RecordError(
                f"clip {self.clip.clip_id!r} shows {self.clip.image_ids}, paired with {self.image.image_id!r}; "
                "expected a pair to hold the clip's one image"
            )


@dataclass(frozen=True, slots=True)
class ClipBench:
    """What a model is judged on: clips, shop images by id, and galleries by live id ('' where there is only one)."""

    name: str
    clips: tuple[Clip, ...]
    images: dict[str, ShopImage]
    galleries: dict[str, tuple[str, ...]]


def labels_of(pair: ClipPair) -> tuple[str, str]:
    """Return what tells products apart, the image where the product has no id, and the live that a pair is from."""
    return pair.image.product_id or pair.image.image_id, pair.clip.live_id


def even_frames(frames: Sequence[_Item], count: int) -> tuple[_Item, ...]:
    """Return `count` frames at even steps from the first on, or all where there are no more.

    As RICE samples its queries: numpy.linspace(0, len(frames), count, endpoint=False), rounded down.
    """
    if len(frames) <= count:
        return tuple(frames)
    return tuple(frames[int(step)] for step in np.linspace(0, len(frames), count, endpoint=False))


def box_px(box: Box, width_px: int, height_px: int) -> Box:
    """Return the box of a `FrameRef` in pixels of a frame of that size."""
    if max(box) > 1:
        return box
    x1, y1, x2, y2 = box
    return x1 * width_px, y1 * height_px, x2 * width_px, y2 * height_px
