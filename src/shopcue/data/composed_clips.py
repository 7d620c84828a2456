"""A composed set of clips, as `shopcue.data.composed.clip_sets` writes it: training pairs by index, and test clips.

    <root>/
      composed-clips.json      schema, plan, counts, fingerprint
      images.jsonl             {"image_id", "product_id", "live_id", "split", "title", "path", ...} a line
      lives.jsonl              {"live_id", "split", "language", "image_ids"} a line
      train.jsonl test.jsonl   {"clip_id", "live_id", "image_id", "product_id", "title", "image_path", "speech",
                               "subsets", "frames", "boxes", ...} a line

A clip searches the products of its own live. Its frames are files of their own; its boxes are exact, null where the
product is not to be seen. Besides the subsets of Table 4 of SGMN there are `spoken_of` (yes, no) and `speech` (named,
misheard, missing, other): how the product fares in what is said.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from shopcue.data.annotations import path_inside, read_object, text_lines
from shopcue.data.clip_pairs import Box, Clip, ClipBench, ClipPair, FrameRef, ShopImage, even_frames
from shopcue.data.pair_index import PairIndex
from shopcue.errors import MediaError

SCHEMA = "shopcue.composed-clips/1"

_HEAD, _IMAGES, _LIVES = "composed-clips.json", "images.jsonl", "lives.jsonl"

T = TypeVar("T")
Skipped = Callable[[str], None]
Split = Literal["train", "test"]


def read_composed_pairs(root: Path, skipped: Skipped, frames: int = 10, split: Split = "train") -> PairIndex:
    """Return the training pairs, with `frames` even frames of each clip, each read when it is asked for.

    skipped: told in one line of each row that cannot be read. Raises MediaError where the folder is no composed set, or
    holds no clip of the split.
    """
    read_composed_head(root)
    path = root / f"{split}.jsonl"
    pairs = PairIndex.of([path], partial(_read_pair, root, frames), skipped)
    if not len(pairs):
        raise MediaError(f"{path} holds no clip that can be read; compose a set with clips to {split} on")
    return pairs


def read_composed_bench(root: Path, skipped: Skipped, frames: int = 10, split: Split = "test") -> ClipBench:
    """Return the clips of a split, each with `frames` even frames, and the galleries of its lives.

    skipped: as in `read_composed_pairs`. Raises MediaError where the folder is no composed set, or holds no clip of the
    split.
    """
    read_composed_head(root)
    images = {image.image_id: image for image in _rows(root / _IMAGES, partial(_shop_image, root), skipped)}
    galleries = dict(_rows(root / _LIVES, _gallery, skipped))
    clips = tuple(pair.clip for pair in _rows(root / f"{split}.jsonl", partial(_pair, root, frames), skipped))
    if not clips:
        raise MediaError(f"{root / split}.jsonl holds no clip that can be read; compose a set with clips to {split} on")
    own = {clip.live_id: galleries.get(clip.live_id, ()) for clip in clips}
    shown = {image_id: images[image_id] for gallery in own.values() for image_id in gallery if image_id in images}
    return ClipBench(f"composed clips, {split}", clips, shown, own)


def read_composed_head(root: Path) -> dict[str, Any]:
    """Return what `composed-clips.json` says of the set; raises MediaError where it is of another kind."""
    head = read_object(root / _HEAD)
    if head.get("schema") != SCHEMA:
        raise MediaError(
            f"{root / _HEAD} is of schema {str(head.get('schema'))[:40]!r}; expected {SCHEMA}: compose anew"
        )
    return head


def _rows(path: Path, read: Callable[[dict[str, Any]], T], skipped: Skipped) -> Iterator[T]:
    for number, line in text_lines(path):
        try:
            yield read(_object(line))
        except ValueError as error:
            skipped(f"{path}, line {number}: {error}")


def _read_pair(root: Path, frames: int, row: bytes) -> ClipPair:
    """Return the pair of a row, or raise ValueError."""
    return _pair(root, frames, _object(row))


def _object(row: bytes | str) -> dict[str, Any]:
    try:
        values = json.loads(row)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(values, dict):
        raise ValueError(f"a {type(values).__name__}, expected an object")
    return values


def _pair(root: Path, frames: int, row: dict[str, Any]) -> ClipPair:
    image_id = _text(row, "image_id")
    names, boxes = _list(row, "frames"), _list(row, "boxes")
    if len(names) != len(boxes):
        raise ValueError(f"{len(names)} frames and {len(boxes)} boxes")
    refs = [FrameRef(_path(root, name), None, _box(box)) for name, box in zip(names, boxes, strict=True)]
    subsets = row.get("subsets", {})
    if not isinstance(subsets, dict) or not all(isinstance(value, str) for value in subsets.values()):
        raise ValueError("subsets are no object of texts")
    clip = Clip(
        _text(row, "clip_id"),
        even_frames(refs, frames),
        _text(row, "speech"),
        (image_id,),
        _text(row, "live_id"),
        tuple(subsets.items()),
    )
    picture = _path(root, _text(row, "image_path"))
    return ClipPair(clip, ShopImage(image_id, picture, _text(row, "title"), _text(row, "product_id")))


def _shop_image(root: Path, row: dict[str, Any]) -> ShopImage:
    path = _path(root, _text(row, "path"))
    return ShopImage(_text(row, "image_id"), path, _text(row, "title"), _text(row, "product_id"))


def _gallery(row: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    image_ids = _list(row, "image_ids")
    if not all(isinstance(image_id, str) for image_id in image_ids):
        raise ValueError("image_ids are no texts")
    return _text(row, "live_id"), tuple(image_ids)


def _text(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise ValueError(f"{key} is no text")
    return value


def _list(row: dict[str, Any], key: str) -> list[Any]:
    value = row.get(key)
    if not isinstance(value, list):
        raise ValueError(f"{key} is no list")
    return value


def _path(root: Path, name: object) -> Path:
    if not isinstance(name, str):
        raise ValueError("a path is no text")
    return path_inside(root, name)


def _box(box: object) -> Box | None:
    """Return a box in pixels; raises ValueError for what is neither that nor null."""
    if box is None:
        return None
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(side, int | float) for side in box):
        raise ValueError("a box is neither null nor four numbers")
    x0, y0, x1, y1 = (float(side) for side in box)
    if not (0 <= x0 < x1 < 1e6 and 0 <= y0 < y1 < 1e6):
        raise ValueError(f"box {x0, y0, x1, y1} is empty or outside of any frame")
    return x0, y0, x1, y1
