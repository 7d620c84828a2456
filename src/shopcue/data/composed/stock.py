"""What scenes are composed of: cut-outs of articles, grounds, photos that show an article, and hands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from shopcue.data.clothing import Garment, read_garments
from shopcue.data.composed.grounds import (
    GROUND_PX,
    Ground,
    Locate,
    drawn_ground,
    emptied,
    frames,
    fruit_photos,
    held_photos,
    marked,
    read_small,
)
from shopcue.data.cutouts import cut_garment, cut_plain
from shopcue.data.grocery import read_classes
from shopcue.models.image import trim_margins
from shopcue.records import COARSE_CLASSES, Floats, Image
from shopcue.sources.synthetic.designs import DESIGNS, Design
from shopcue.sources.synthetic.hands import Hand, gripping, opened
from shopcue.sources.synthetic.packages import build, premultiplied, render
from shopcue.sources.synthetic.solids import Loft

CLASS_OF_KIND: Mapping[str, str] = {
    "dress": "full",
    "hat": "headwear",
    "longsleeve": "upper",
    "outwear": "upper",
    "pants": "lower",
    "shirt": "upper",
    "shoes": "footwear",
    "shorts": "lower",
    "skirt": "lower",
    "t-shirt": "upper",
}
"""The coarse class of each class of the clothing data set."""

PALM_PX = 56
"""The length of a palm in the pictures of hands."""

_SIDE_PX = 256  # of cut-outs
_SMALLEST_PX = 48
_LOOKS = 5
_DRAWN_YAWS_DEG = (-64.0, -38.0, -18.0, 0.0, 18.0, 38.0, 64.0)
_DRAWN_PITCH = 0.12
_CARTON_DEPTH = 0.85  # of its width
_SIDE_LIGHT = 0.8  # a side is darker than the front
_DRAWN_GROUNDS = 48
_EMPTIED_OF_TEN = 1  # of ten garment photos, those whose place serves as scenery


@dataclass(frozen=True, slots=True)
class View:
    """An article from one side. pictures: RGBA uint8, weighted by alpha, tight, each half as high as the one before.

    yaw_deg: how far it is turned. sides: RGB pictures of its left and its right face. hull: float32 (n, 2), the convex
    outline in pixels of the largest picture.
    """

    yaw_deg: float
    pictures: tuple[Image, ...]
    sides: tuple[Image, Image]
    hull: Floats


@dataclass(frozen=True, slots=True)
class Item:
    """An article. instance: its number in the stock. depth: as a share of its width, 0 where a picture is all."""

    name: str
    instance: int
    coarse_class: int
    views: tuple[View, ...]
    depth: float = 0.0

    @property
    def aspect(self) -> float:
        """Its width as a share of its height, seen from the front."""
        front = min(self.views, key=lambda view: abs(view.yaw_deg)).pictures[0]
        return float(front.shape[1] / front.shape[0])


@dataclass(frozen=True, slots=True)
class Stock:
    """All that scenes are made of; a plain value that worker processes can be given.

    items: instance i stands at position i. scenery: grounds that show no article but what is marked. photos: grounds
    that show one, large. grips, palms: hands that hold an edge, and that are open, a right one and a left one by turns.
    """

    items: tuple[Item, ...]
    scenery: tuple[Ground, ...]
    photos: tuple[Ground, ...]
    grips: tuple[Hand, ...]
    palms: tuple[Hand, ...]


def read_stock(
    data: Path,
    products: Sequence[int] | None = None,
    garments: str = "train",
    *,
    per_kind: int = 120,
    designs: Sequence[Design] = DESIGNS,
    twins: bool = True,
    locate: Locate | None = None,
) -> Stock:
    """Return a stock of the public data sets below `data`: grocery/, clothing/ and, if there, video/.

    products: class ids of the packaged goods that may be shown, all where None. garments: a split of the clothing; of
    "train", the photos of places are others than of the other splits. per_kind: how many garments of each class at
    most. designs: packs that are drawn. twins: each pack also appears in another hue, as an article of its own. locate:
    finds the box of the product in a hand-held photo, given its path and its pixels (as read here, longer side 320 px);
    such photos are used only where it is given. Raises MediaError where a data set is missing.
    """
    items: list[Item] = []
    photos: list[Ground] = []
    scenery: list[Ground] = []
    for name, picture, class_id in _packs(data / "grocery", products):
        if locate is not None:
            photos += held_photos(data / "grocery", class_id, len(items), locate)
        items.append(carton(name, len(items), picture))
    items += drawn_items(designs, len(items))
    if twins:
        items += [twin_of(item, len(items) + number) for number, item in enumerate(tuple(items))]
    for garment, photo, mask in _cut(_some_of_each_kind(read_garments(data / "clothing", garments), per_kind)):
        coarse_class = COARSE_CLASSES.index(CLASS_OF_KIND[garment.kind])
        photos.append(marked(photo, _box_of(mask), coarse_class, len(items)))
        if len(items) % 10 < _EMPTIED_OF_TEN:
            scenery.append(emptied(photo, mask))
        items.append(flat(f"{garment.kind}/{garment.garment_id}", len(items), coarse_class, photo, mask))
    scenery += fruit_photos(data / "grocery", 0 if garments == "train" else 8, locate)
    scenery += frames(data / "video")
    scenery += _drawn_scenery(_DRAWN_GROUNDS, 0 if garments == "train" else 1)
    return Stock(tuple(items), tuple(scenery), tuple(photos), *drawn_hands())


def drawn_stock(count: int = 12, seed: int = 0) -> Stock:
    """Return a stock that needs no data: `count` packs and their grounds, all drawn by the package itself."""
    return Stock(tuple(drawn_items(DESIGNS[:count], 0)), tuple(_drawn_scenery(8, seed)), (), *drawn_hands())


# ---- articles ----------------------------------------------------------------------------------------------------


def carton(name: str, instance: int, picture: Image) -> Item:
    """Return a pack by its shop picture, RGB on plain ground."""
    view = view_of(picture, cut_plain(picture))
    return Item(name, instance, COARSE_CLASSES.index("goods"), (view,), _CARTON_DEPTH)


def flat(name: str, instance: int, coarse_class: int, photo: Image, mask: Image) -> Item:
    """Return a garment by its photo and its mask."""
    return Item(name, instance, coarse_class, (view_of(photo, mask),))


def drawn_items(designs: Sequence[Design], first: int) -> list[Item]:
    """Return packs of the drawn shop, from all sides, numbered from `first`."""
    goods = COARSE_CLASSES.index("goods")
    return [
        Item(design.product_id, first + number, goods, _drawn_views(design)) for number, design in enumerate(designs)
    ]


def twin_of(item: Item, instance: int) -> Item:
    """Return the article in a hue that it does not exist in: what a net must tell from it."""
    degrees = 60.0 + 47.0 * (instance % 6)
    views = tuple(
        replace(
            view,
            pictures=tuple(_hue_turned(picture, degrees) for picture in view.pictures),
            sides=(_hue_turned(view.sides[0], degrees), _hue_turned(view.sides[1], degrees)),
        )
        for view in item.views
    )
    return Item(f"{item.name}/twin", instance, item.coarse_class, views, item.depth)


def view_of(picture: Image, mask: Image, yaw_deg: float = 0.0) -> View:
    """Return what a picture, RGB, shows under its mask (uint8, 255 inside) as a view."""
    x, y, width, height = cv2.boundingRect(mask)
    alpha = cv2.GaussianBlur(cv2.erode(mask, np.ones((3, 3), np.uint8)), (3, 3), 0)
    whole = np.dstack([picture, alpha])[y : y + height, x : x + width]
    return _view(premultiplied(np.ascontiguousarray(whole)), yaw_deg)


def _view(picture: Image, yaw_deg: float) -> View:
    scale = _SIDE_PX / max(picture.shape[:2])
    if scale < 1:
        picture = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    pictures = [picture]
    while min(pictures[-1].shape[:2]) >= _SMALLEST_PX and pictures[-1].shape[0] >= 2 * _SMALLEST_PX:
        half = (pictures[-1].shape[1] // 2, pictures[-1].shape[0] // 2)
        pictures.append(np.asarray(cv2.resize(pictures[-1], half, interpolation=cv2.INTER_AREA), np.uint8))
    outline = cv2.convexHull(cv2.findNonZero((picture[..., 3] > 127).astype(np.uint8)))
    shaped = np.asarray(cv2.approxPolyDP(outline, 1.0, True)[:, 0], np.float32)
    return View(yaw_deg, tuple(pictures), (_side(picture, right=False), _side(picture, right=True)), shaped)


def _side(picture: Image, *, right: bool) -> Image:
    """Return what the side of a pack may look like: the colours of the nearest edge of its front, darker."""
    strip = max(2, picture.shape[1] // 6)
    part = picture[:, -strip:] if right else picture[:, :strip]
    weight = part[..., 3:].astype(np.float32)
    rows = part[..., :3].astype(np.float32).sum(axis=1) * 255 / np.maximum(weight.sum(axis=1), 1)
    solid = np.flatnonzero(weight[:, :, 0].mean(axis=1) > 100)
    if len(solid):
        rows[: solid[0]], rows[solid[-1] + 1 :] = rows[solid[0]], rows[solid[-1]]
    smooth = cv2.GaussianBlur(rows[:, None], (1, 9), 0) * _SIDE_LIGHT
    return _printed(np.asarray(np.repeat(np.clip(smooth, 0, 255), 4 * strip, axis=1), np.uint8))


def _printed(side: Image) -> Image:
    """Return the side of a pack with lines as of small print."""
    height, width = side.shape[:2]
    ink = float(40 if side.mean() > 110 else 215)
    for y in range(round(0.4 * height), round(0.8 * height), max(3, height // 40)):
        # Lines of unequal length, the same for the same pack: no generator is needed.
        end = round(width * (0.6 + 0.25 * math.sin(y * y)))
        cv2.line(side, (round(0.15 * width), y), (end, y), (ink,) * 3, 1)
    return np.asarray(cv2.GaussianBlur(side, (0, 0), 0.7), np.uint8)


def _drawn_views(design: Design) -> tuple[View, ...]:
    solid = build(design)
    yaws = _DRAWN_YAWS_DEG[1:-1] if isinstance(solid, Loft) else _DRAWN_YAWS_DEG
    views = []
    for yaw in yaws:
        picture = premultiplied(render(solid, 2 * _SIDE_PX, np.deg2rad(yaw), _DRAWN_PITCH))
        x, y, width, height = cv2.boundingRect(np.ascontiguousarray(picture[..., 3]))
        views.append(_view(picture[y : y + height, x : x + width], yaw))
    return tuple(views)


def _hue_turned(picture: Image, degrees: float) -> Image:
    """Return an RGB or RGBA picture with its hues turned; weighting by alpha changes no hue."""
    hsv = cv2.cvtColor(np.ascontiguousarray(picture[..., :3]), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(np.int16) + round(degrees / 2)) % 180
    return np.concatenate([cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), picture[..., 3:]], axis=-1).astype(np.uint8)


# ---- reading -----------------------------------------------------------------------------------------------------


def drawn_hands() -> tuple[tuple[Hand, ...], tuple[Hand, ...]]:
    """Return hands of all looks, right and left by turns: those that grip, and those that are open."""
    kinds = [(look, left) for look in range(_LOOKS) for left in (False, True)]
    grips = (gripping(PALM_PX, look, left) for look, left in kinds)
    palms = (opened(PALM_PX, look, left) for look, left in kinds)
    return tuple(_weighted(hand) for hand in grips), tuple(_weighted(hand) for hand in palms)


def _weighted(hand: Hand) -> Hand:
    return Hand(premultiplied(hand.behind), premultiplied(hand.before), hand.origin)


def _packs(root: Path, products: Sequence[int] | None) -> Iterator[tuple[str, Image, int]]:
    for each in read_classes(root):
        if each.packaged and (products is None or each.class_id in products):
            yield each.name, np.ascontiguousarray(trim_margins(read_small(each.picture, 512))), each.class_id


def _some_of_each_kind(garments: Iterable[Garment], per_kind: int) -> Iterator[Garment]:
    taken: dict[str, int] = {}
    for garment in garments:
        taken[garment.kind] = taken.get(garment.kind, 0) + 1
        if taken[garment.kind] <= per_kind:
            yield garment


def _cut(garments: Iterable[Garment]) -> Iterator[tuple[Garment, Image, Image]]:
    """Yield garments with their photo and mask, those that can be cut out."""
    for garment in garments:
        photo = read_small(garment.path, GROUND_PX)
        mask = cut_garment(photo)
        if mask is not None:
            yield garment, photo, mask


def _box_of(mask: Image) -> Floats:
    x, y, width, height = cv2.boundingRect(mask)
    return np.array([x, y, x + width, y + height], np.float32)


def _drawn_scenery(count: int, seed: int) -> list[Ground]:
    rng = np.random.default_rng(seed)
    return [drawn_ground(rng) for _ in range(count)]
