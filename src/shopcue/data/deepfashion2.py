"""DeepFashion2 (Ge, Zhang, Wang, Tang, Luo, CVPR 2019; non-commercial research only, its archives are locked).

    <root>/
      {train,validation}/image/000001.jpg
      {train,validation}/annos/000001.json   {"source": "shop" | "user", "pair_id": int, "item1": {...}, "item2": ...}

191,961 pictures for training, 32,153 for validation. An item: `category_id` 1-13, `style` (0: no pair), `bounding_box`
[x1, y1, x2, y2], `landmarks` [x, y, v, ...] with v 2 visible, 1 hidden, 0 not labelled and then x = y = 0, `scale`,
`occlusion` (slight, medium, heavy), `zoom_in` 1-3 and `viewpoint` (not worn, frontal, side or back).

Items come in any order and their numbers may have gaps. A picture may have none. Some styles have a single item.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shopcue.errors import MediaError
from shopcue.records import COARSE_CLASSES, Floats, Indices

SPLITS = ("train", "validation")
SOURCES = ("shop", "user")
UNKNOWN = -1
"""A level or an instance that is not known."""

_MOST_BYTES = 4 << 20  # of one annotation; the largest real ones have some ten thousand
_ITEM = re.compile(r"item([1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True)
class Category:
    """A kind of garment: its name, how many landmarks it has, and its index in `COARSE_CLASSES`."""

    name: str
    landmarks: int
    coarse_class: int


_UPPER, _LOWER, _FULL = (COARSE_CLASSES.index(name) for name in ("upper", "lower", "full"))
CATEGORIES = (
    Category("short sleeve top", 25, _UPPER),
    Category("long sleeve top", 33, _UPPER),
    Category("short sleeve outwear", 31, _UPPER),
    Category("long sleeve outwear", 39, _UPPER),
    Category("vest", 15, _UPPER),
    Category("sling", 15, _UPPER),
    Category("shorts", 10, _LOWER),
    Category("trousers", 14, _LOWER),
    Category("skirt", 8, _LOWER),
    Category("short sleeve dress", 29, _FULL),
    Category("long sleeve dress", 37, _FULL),
    Category("vest dress", 19, _FULL),
    Category("sling dress", 19, _FULL),
)
"""By `category_id` - 1; 294 landmarks in all."""

_VIEWPOINT_LEVELS = {1: 1, 2: 0, 3: 2}  # frontal is the best view (DPRNet 1); a garment not worn still shows its front
_HALF = 0.5
_FARTHEST_PX = 1e6


@dataclass(frozen=True, slots=True)
class StreetGarment:
    """A garment in a picture, as it is annotated.

    number: of the item. category: into `CATEGORIES`. box: xyxy pixels, which may reach out of the picture. landmarks:
    int64 (L, 3), x, y and v, L as its category has them, or (0, 3) where the annotation is damaged.
    """

    number: int
    category: int
    style: int
    box: tuple[float, float, float, float]
    landmarks: Indices
    occlusion: int
    viewpoint: int
    zoom_in: int
    scale: int

    @property
    def coarse_class(self) -> int:
        """The index in `COARSE_CLASSES`."""
        return CATEGORIES[self.category].coarse_class

    @property
    def quality(self) -> tuple[int, int, int]:
        """Viewpoint, occlusion and crop, each 0 good, 1 middling, 2 bad, or `UNKNOWN`: see `crop_level`."""
        return _VIEWPOINT_LEVELS[self.viewpoint], self.occlusion - 1, crop_level(self.landmarks)


@dataclass(frozen=True, slots=True)
class StreetPicture:
    """A picture of a shop or of a user, and its garments in the order of their numbers."""

    picture_id: str
    path: Path
    source: str
    pair_id: int
    garments: tuple[StreetGarment, ...]

    def instance(self, garment: StreetGarment) -> tuple[int, int] | None:
        """Return what names the very garment, (pair_id, style), or None where its style says that it has no pair."""
        return (self.pair_id, garment.style) if garment.style > 0 else None


def crop_level(landmarks: Indices) -> int:
    """Return how much of a garment the picture cuts off: 0 nothing, 1 less than half, 2 half or more, or `UNKNOWN`.

    DPRNet (4.1) derives it from whether the key landmarks are labelled, and says no more: here every landmark of the
    category is a key one, and the level is the share of them that is not labelled. A landmark that something hides is
    labelled (v = 1), one outside the picture is not (v = 0). landmarks: int64 (L, 3).
    """
    if not len(landmarks):
        return UNKNOWN
    absent = float(np.mean(landmarks[:, 2] == 0))
    return 0 if absent == 0 else 1 if absent < _HALF else 2


def read_deepfashion2(root: Path, split: str, skipped: Callable[[str], None]) -> Iterator[StreetPicture]:
    """Yield the pictures of a split that have an annotation, in the order of their names, one file at a time.

    skipped: told in one line what is left out and why: a picture without annotation or the other way round, a damaged
    annotation, an item with a value out of its range. Landmarks of a wrong number leave the item in, its crop unknown.
    Raises MediaError where the split is not there.
    """
    pictures, annotations = root / split / "image", root / split / "annos"
    if split not in SPLITS or not pictures.is_dir() or not annotations.is_dir():
        raise MediaError(
            f"{root / split} is no split of DeepFashion2; expected {' or '.join(SPLITS)} with the folders image and "
            "annos, unpacked"
        )
    have = {path.stem for path in annotations.glob("*.json")}
    for path in sorted(pictures.glob("*.jpg")):
        if path.stem not in have:
            skipped(f"{path} has no annotation")
            continue
        have.discard(path.stem)
        annotation = annotations / f"{path.stem}.json"
        try:
            picture = _read_picture(path, annotation, skipped)
        except (OSError, ValueError, KeyError, RecursionError) as error:
            skipped(f"{annotation} is damaged ({_reason(error)})")
            continue
        yield picture
    for stem in sorted(have):
        skipped(f"{annotations / stem}.json has no picture")


def visible_boxes(picture: StreetPicture, width: int, height: int) -> tuple[Floats, Indices]:
    """Return the boxes cut at the borders of a picture of that size, and whose they are: (N, 4), (N,) into `garments`.

    A box that lies outside, or of which less than a pixel is left, is not among them.
    """
    boxes = np.array([garment.box for garment in picture.garments], np.float32).reshape(-1, 4)
    boxes = np.clip(boxes, 0, np.array([width, height] * 2, np.float32))
    kept = np.flatnonzero((boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= 1)
    return boxes[kept], kept


def instance_classes(pictures: Iterable[StreetPicture]) -> dict[tuple[int, int], int]:
    """Return a class for each garment that has a pair, 0 up: what DPRNet's instance branch tells apart."""
    names = {name for picture in pictures for each in picture.garments if (name := picture.instance(each)) is not None}
    return {name: index for index, name in enumerate(sorted(names))}


# ---- retrieval ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PairedGarment:
    """A garment of the retrieval protocol. instance: the same for the same article, `UNKNOWN` where it has no pair."""

    picture_id: str
    path: Path
    number: int
    box: tuple[float, float, float, float]
    instance: int


@dataclass(frozen=True, slots=True)
class StreetToShop:
    """The retrieval protocol: users' garments ask, all garments of shops answer, those without a pair too.

    A hit is a shop's garment of the query's instance. unanswered: how many garments of users have a style but no shop
    picture of it; they are no queries.
    """

    queries: tuple[PairedGarment, ...]
    gallery: tuple[PairedGarment, ...]
    unanswered: int


def street_to_shop(pictures: Iterable[StreetPicture]) -> StreetToShop:
    """Return who asks and who answers among the garments of a split."""
    pictures = tuple(pictures)
    classes = instance_classes(pictures)
    sides: dict[str, list[PairedGarment]] = {source: [] for source in SOURCES}
    for picture in pictures:
        for garment in picture.garments:
            name = picture.instance(garment)
            instance = UNKNOWN if name is None else classes[name]
            paired = PairedGarment(picture.picture_id, picture.path, garment.number, garment.box, instance)
            sides[picture.source].append(paired)
    sold = Counter(each.instance for each in sides["shop"])
    asked = [each for each in sides["user"] if each.instance != UNKNOWN]
    queries = tuple(each for each in asked if sold[each.instance])
    return StreetToShop(queries, tuple(sides["shop"]), len(asked) - len(queries))


# ---- one annotation ------------------------------------------------------------------------------------------------


def _read_picture(path: Path, annotation: Path, skipped: Callable[[str], None]) -> StreetPicture:
    with annotation.open("rb") as file:
        payload = file.read(_MOST_BYTES + 1)
    if len(payload) > _MOST_BYTES:
        raise ValueError(f"more than {_MOST_BYTES} bytes")
    document = json.loads(payload)
    if not isinstance(document, dict) or document.get("source") not in SOURCES:
        raise ValueError(f"its source is none of {', '.join(SOURCES)}")
    pair_id = _whole(document, "pair_id", 0, 1 << 53)
    numbers = sorted(int(found[1]) for name in document if (found := _ITEM.fullmatch(name)))
    garments = []
    for number in numbers:
        where = f"item{number} of {annotation}"
        try:
            garments.append(_read_garment(number, document[f"item{number}"], where, skipped))
        except (ValueError, KeyError, TypeError) as error:
            skipped(f"{where} is left out ({_reason(error)})")
    return StreetPicture(path.stem, path, document["source"], pair_id, tuple(garments))


def _read_garment(number: int, item: dict[str, Any], where: str, skipped: Callable[[str], None]) -> StreetGarment:
    category = _whole(item, "category_id", 1, len(CATEGORIES)) - 1
    landmarks = np.zeros((0, 3), np.int64)
    try:
        landmarks = _read_landmarks(item["landmarks"], CATEGORIES[category].landmarks)
    except (ValueError, KeyError) as error:
        skipped(f"{where} keeps no landmarks ({_reason(error)})")
    return StreetGarment(
        number,
        category,
        _whole(item, "style", 0, 1 << 53),
        _read_box(item["bounding_box"]),
        landmarks,
        *(_whole(item, name, 1, 3) for name in ("occlusion", "viewpoint", "zoom_in", "scale")),
    )


def _read_box(values: Any) -> tuple[float, float, float, float]:
    if not isinstance(values, list) or len(values) != 4 or not all(_is_number(value) for value in values):
        raise ValueError("its bounding_box is not four numbers")
    x0, y0, x1, y1 = map(float, values)
    if x1 <= x0 or y1 <= y0:
        raise ValueError(f"its bounding_box {values} is empty")
    return x0, y0, x1, y1


def _read_landmarks(values: Any, count: int) -> Indices:
    if not isinstance(values, list) or len(values) != 3 * count or not all(_is_number(value) for value in values):
        held = len(values) if isinstance(values, list) else type(values).__name__
        raise ValueError(f"{held} values, expected {3 * count} numbers")
    landmarks = np.array(values, np.float64).round().astype(np.int64).reshape(count, 3)
    if not np.isin(landmarks[:, 2], (0, 1, 2)).all():
        raise ValueError("a landmark's third value is none of 0, 1, 2")
    return landmarks


def _whole(item: dict[str, Any], name: str, low: int, high: int) -> int:
    value = item[name]
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"its {name} is {str(value)[:40]}, expected {low} to {high}")
    return value


def _is_number(value: Any) -> bool:
    """Whether a value can be a place in a picture; what is not a number (nan) cannot."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _FARTHEST_PX


def _reason(error: Exception) -> str:
    """Return an error in a few words on one line."""
    text = f"{error} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
    return " ".join(text.split())[:200]
