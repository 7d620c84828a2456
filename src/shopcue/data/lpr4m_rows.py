"""The ids and rows of LPR4M, read by grammars of their own: what comes from strangers is matched, never evaluated.

A clip is called `<live_id>-<start_ms>-<end_ms>`, a frame of it `<live_id>-<start_ms>-<end_ms>-<number>`; a live's id is
a uuid, which holds dashes itself. A shop image is called by a uuid, or by the uuid of its product and a number, which
is 0 for the main image.

A row of training is tab-separated, in one of two layouts, told apart by their number of columns:
 11 video_id, frame ids, boxes, image_id, title, category id, category, speech, scale, visible duration, products
 10 video_id, frame paths, boxes, image_id, image path, title, category id, category, spu id, speech (LPR750K)
Frames and boxes are written as lists of strings and of lists of numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from shopcue.data.annotations import path_inside
from shopcue.data.clip_pairs import Box, Clip, ClipPair, FrameRef, ShopImage, even_frames

SUBSETS = ("scale", "duration", "products")
"""What the clips are grouped by, in the order of the columns: SGMN, Table 4."""

FULL_COLUMNS, SAMPLED_COLUMNS = 11, 10
LONGEST_LABEL = 40

_ID = re.compile(r"(?=.{1,200}\Z)[0-9A-Za-z_]+(?:-[0-9A-Za-z_]+){0,9}")  # short enough for the name of a file
_CLIP = re.compile(r"(?P<live>.+)-(?P<start>[0-9]{1,16})-(?P<end>[0-9]{1,16})")
_NUMBER = re.compile(r"[0-9]{1,9}")
_STRING = r"""(?:'[^'"\\\x00-\x1f\x7f]*'|"[^'"\\\x00-\x1f\x7f]*")"""
_STRINGS = re.compile(rf"\[ *(?:{_STRING}(?: *, *{_STRING})* *)?\]")
_ONE_STRING = re.compile(_STRING)
_NUMBERS = re.compile(r"[][0-9eE+., -]*")
_UUID_FIELDS = 5
_NO_TEXT = frozenset({"", "null", "none", "nan", "\\n"})
_NO_PRODUCT = frozenset({"0", "-1"})
_FARTHEST_PX = 1e6


@dataclass(frozen=True, slots=True)
class ClipName:
    """Where a clip is from: its live, and from when to when of it, in milliseconds."""

    live_id: str
    start_ms: int
    end_ms: int

    @property
    def duration_s(self) -> float:
        """How long the clip is, in seconds."""
        return (self.end_ms - self.start_ms) / 1000


def is_id(text: str) -> bool:
    """Whether a text has the form that all ids have, which can do no harm in a path."""
    return _ID.fullmatch(text) is not None


def read_clip_id(clip_id: str) -> ClipName:
    """Return what a clip's id says, read from the right; raises ValueError for what is none."""
    found = _CLIP.fullmatch(clip_id) if is_id(clip_id) else None
    if found is None or int(found["start"]) >= int(found["end"]):
        raise ValueError(f"{clip_id[:120]!r} is no clip; expected <live_id>-<start_ms>-<end_ms>")
    return ClipName(found["live"], int(found["start"]), int(found["end"]))


def clip_of_frame(frame_id: str) -> str:
    """Return the id of a frame's clip; raises ValueError for what is no frame's id."""
    clip_id, _, number = frame_id.rpartition("-")
    if not _NUMBER.fullmatch(number):
        raise ValueError(f"{frame_id[:120]!r} is no frame; expected <live_id>-<start_ms>-<end_ms>-<number>")
    read_clip_id(clip_id)
    return clip_id


def read_image_id(text: str) -> str:
    """Return the id of a shop image; raises ValueError for what is none."""
    if not is_id(text):
        raise ValueError(f"{text[:120]!r} is no shop image; expected a uuid, or a uuid and a number")
    return text


def product_of_image(image_id: str) -> str:
    """Return the uuid that the images of one product share, or the id itself where it holds no number."""
    product, number = _numbered(image_id)
    return image_id if number is None else product


def is_main_image(image_id: str) -> bool:
    """Whether an image is not a further one of its product: it has no number, or 0."""
    return not _numbered(image_id)[1]


def _numbered(image_id: str) -> tuple[str, int | None]:
    """Return the uuid and the number of an id that has both."""
    product, _, number = image_id.rpartition("-")
    if product.count("-") == _UUID_FIELDS - 1 and _NUMBER.fullmatch(number):
        return product, int(number)
    return product, None


def read_strings(text: str) -> list[str]:
    """Return the strings of a list such as "['a', 'b']"; raises ValueError for all else.

    Quoted either way, with no quote, backslash or control character inside: that is all that ids and paths need.
    """
    if not _STRINGS.fullmatch(text):
        raise ValueError(f"expected a list of plain strings, came {text[:60]!r}")
    return [string[1:-1] for string in _ONE_STRING.findall(text)]


def read_boxes(text: str) -> list[Any]:
    """Return the entries of a list such as "[[0.1, 0.2, 0.5, 0.6], []]", each to be read by `boxes_of`.

    Raises ValueError for what is no list of numbers and lists.
    """
    try:
        entries = json.loads(text) if _NUMBERS.fullmatch(text) else None
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, list):
        raise ValueError(f"expected a list of boxes, came {text[:60]!r}")
    return entries


def boxes_of(entry: Any) -> list[Box]:
    """Return the boxes of an annotation of one frame: a box, a list of boxes, or nothing; empty boxes are left out.

    Raises ValueError for all else.
    """
    if not isinstance(entry, list):
        raise ValueError(f"expected a box or a list of boxes, came {type(entry).__name__}")
    rows = [entry] if entry and not isinstance(entry[0], list) else entry
    boxes = [_box(row) for row in rows]
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in boxes if 0 <= x1 < x2 and 0 <= y1 < y2]


def box_area(box: Box) -> float:
    """Return the area of a box, in the square of its own unit."""
    return (box[2] - box[0]) * (box[3] - box[1])


def read_text(text: str) -> str:
    """Return what is said or written, '' where a column says in its own way that there is nothing."""
    text = text.strip()
    return "" if text.casefold() in _NO_TEXT else text


def largest_box(entry: Any) -> Box | None:
    """Return the largest of the boxes of an annotation, None where there is none; raises as `boxes_of` does."""
    return max(boxes_of(entry), key=box_area, default=None)


def read_row(root: Path, count: int, row: bytes) -> ClipPair:
    """Return the pair of a row of training, with `count` even frames of its clip.

    Boxes that are not as many as the frames are left out. Raises ValueError for a row that cannot be read.
    """
    cells = row.decode("utf-8", errors="replace").rstrip("\r\n").split("\t")
    if len(cells) == FULL_COLUMNS:
        clip_id, names, boxes, image, title, _, _, speech, *labels = cells
        subsets, product = _labels(labels), ""
        place, find = f"training_image/{read_image_id(image)}.jpg", partial(frame_path, root / "training_video")
    elif len(cells) == SAMPLED_COLUMNS:
        clip_id, names, boxes, image, place, title, _, _, product, speech = cells
        subsets, product = (), "" if product in _NO_PRODUCT else product
        find = partial(path_inside, root)
    else:
        raise ValueError(f"{len(cells)} columns came, expected {FULL_COLUMNS} (LPR4M) or {SAMPLED_COLUMNS} (LPR750K)")
    live_id, image_id = read_clip_id(clip_id).live_id, read_image_id(image)
    return ClipPair(
        Clip(clip_id, _frames(names, boxes, count, find), read_text(speech), (image_id,), live_id, subsets),
        ShopImage(
            image_id, path_inside(root, place), read_text(title), read_text(product) or product_of_image(image_id)
        ),
    )


def _frames(names: str, boxes: str, count: int, find: Callable[[str], Path]) -> tuple[FrameRef, ...]:
    """Return even frames; what they are chosen from is split, and only they are looked at: a clip may last an hour."""
    every, boxed = read_strings(names), read_boxes(boxes)
    if not every:
        raise ValueError("its clip has no frames")
    if len(boxed) != len(every):
        return tuple(FrameRef(find(name)) for name in even_frames(every, count))
    chosen = even_frames(range(len(every)), count)
    return tuple(FrameRef(find(every[number]), box=largest_box(boxed[number])) for number in chosen)


def frame_path(folder: Path, frame_id: str) -> Path:
    """Return where a frame lies in a folder of clips; raises ValueError for what is no frame's id."""
    return folder / f"{clip_of_frame(frame_id)}/{frame_id}.jpg"


def _box(row: Any) -> Box:
    if not isinstance(row, list) or len(row) != 4 or not all(_is_number(value) for value in row):
        raise ValueError("expected boxes of four numbers")
    x1, y1, x2, y2 = map(float, row)
    return x1, y1, x2, y2


def _is_number(value: Any) -> bool:
    """Whether a value can be a place in a picture; what is not a number (nan) cannot."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _FARTHEST_PX


def _labels(cells: list[str]) -> tuple[tuple[str, str], ...]:
    labels = [read_text(cell) for cell in cells]
    if any(len(label) > LONGEST_LABEL for label in labels):
        raise ValueError("its last three columns are no words for scale, duration and number of products")
    return tuple((name, label) for name, label in zip(SUBSETS, labels, strict=True) if label)
