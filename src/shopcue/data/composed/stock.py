"""What scenes are composed of: cut-outs of articles, grounds, photos that show an article, and hands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from shopcue.data.clothing import Garment, read_garments
from shopcue.data.cutouts import cut_garment, cut_plain
from shopcue.data.grocery import read_classes, read_photos
from shopcue.errors import MediaError
from shopcue.models.image import trim_margins
from shopcue.records import COARSE_CLASSES, Floats, Image, Indices
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
_GROUND_PX = 320
_SMALLEST_PX = 48
_LOOKS = 5
_DRAWN_YAWS_DEG = (-64.0, -38.0, -18.0, 0.0, 18.0, 38.0, 64.0)
_DRAWN_PITCH = 0.12
_CARTON_DEPTH = 0.85  # of its width
_PEOPLE = ("person", "aisle", "cups", "coffee")

Locate = Callable[[Path, Image], Floats | None]


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
class Ground:
    """A picture to lay things on. image: RGB. boxes: float32 (K, 4), what it shows itself, xyxy pixels; classes: int64
    (K,), into `COARSE_CLASSES`, -1 where detections are to be ignored; instances: int64 (K,)."""

    image: Image
    boxes: Floats
    classes: Indices
    instances: Indices


@dataclass(frozen=True, slots=True)
class Stock:
    """All that scenes are made of. items: instance i stands at position i. scenery: grounds that show no article but
    what is marked. photos: grounds that show one, large. hands: that grip an edge, and that are open."""

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
    drawn: int = len(DESIGNS),
    locate: Locate | None = None,
) -> Stock:
    """Return a stock of the public data sets below `data`: grocery/, clothing/ and, if there, video/.

    products: class ids of the packaged goods that may be shown, all where None. garments: a split of the clothing;
    per_kind: how many of each of its classes at most. drawn: how many drawn packs are added. locate: finds the box of
    the product in a hand-held photo, given its path and its pixels (as read here, longer side 320 px); such photos are
    used only where it is given. Raises MediaError where a data set is missing.
    """
    items: list[Item] = []
    photos: list[Ground] = []
    for name, picture, class_id in _packs(data / "grocery", products):
        instance = len(items)
        items.append(carton(name, instance, picture))
        if locate is not None:
            photos += _held(data / "grocery", class_id, instance, locate)
    for garment in _some_of_each_kind(read_garments(data / "clothing", garments), per_kind):
        photo = read_small(garment.path, _GROUND_PX)
        mask = cut_garment(photo)
        if mask is None:
            continue
        coarse_class = COARSE_CLASSES.index(CLASS_OF_KIND[garment.kind])
        items.append(flat(f"{garment.kind}/{garment.garment_id}", len(items), coarse_class, photo, mask))
        photos.append(_shown(photo, mask, coarse_class, len(items) - 1))
    items += drawn_items(drawn, len(items))
    scenery = [unmarked(image) for image in _fruit_photos(data / "grocery")]
    scenery += [unmarked(image) for image in _frames(data / "video")]
    return Stock(tuple(items), tuple(scenery), tuple(photos), *drawn_hands())


def drawn_stock(count: int = 12, seed: int = 0) -> Stock:
    """Return a stock that needs no data: `count` packs and plain grounds, both drawn by the package itself."""
    rng = np.random.default_rng(seed)
    scenery = tuple(unmarked(_drawn_ground(rng)) for _ in range(8))
    return Stock(tuple(drawn_items(count, 0)), scenery, (), *drawn_hands())


# ---- articles ----------------------------------------------------------------------------------------------------


def carton(name: str, instance: int, picture: Image) -> Item:
    """Return a pack by its shop picture, RGB on plain ground."""
    view = view_of(picture, cut_plain(picture))
    return Item(name, instance, COARSE_CLASSES.index("goods"), (view,), _CARTON_DEPTH)


def flat(name: str, instance: int, coarse_class: int, photo: Image, mask: Image) -> Item:
    """Return a garment by its photo and its mask."""
    return Item(name, instance, coarse_class, (view_of(photo, mask),))


def drawn_items(count: int, first: int) -> list[Item]:
    """Return `count` packs of the drawn shop, from all sides, numbered from `first`."""
    goods = COARSE_CLASSES.index("goods")
    return [
        Item(design.product_id, first + number, goods, _drawn_views(design))
        for number, design in enumerate(DESIGNS[:count])
    ]


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
    while min(pictures[-1].shape[:2]) // 2 >= _SMALLEST_PX // 2 and pictures[-1].shape[0] // 2 >= _SMALLEST_PX:
        half = (pictures[-1].shape[1] // 2, pictures[-1].shape[0] // 2)
        pictures.append(np.asarray(cv2.resize(pictures[-1], half, interpolation=cv2.INTER_AREA), np.uint8))
    outline = cv2.convexHull(cv2.findNonZero((picture[..., 3] > 127).astype(np.uint8)))[:, 0]
    shaped = np.asarray(cv2.approxPolyDP(outline[:, None], 1.0, True)[:, 0], np.float32)
    return View(yaw_deg, tuple(pictures), (_side(picture, 0), _side(picture, 1)), shaped)


def _side(picture: Image, which: int) -> Image:
    """Return what the side of a pack may look like: the colours of the nearest edge of its front, darker.

    which: 0 left, 1 right.
    """
    strip = max(2, picture.shape[1] // 6)
    part = picture[:, -strip:] if which else picture[:, :strip]
    weight = part[..., 3:].astype(np.float32)
    rows = part[..., :3].astype(np.float32).sum(axis=1) * 255 / np.maximum(weight.sum(axis=1), 1)
    solid = np.flatnonzero(weight[:, :, 0].mean(axis=1) > 100)
    if len(solid):
        rows[: solid[0]], rows[solid[-1] + 1 :] = rows[solid[0]], rows[solid[-1]]
    smooth = cv2.GaussianBlur(rows[:, None], (1, 9), 0)
    return np.asarray(np.repeat(np.clip(smooth * 0.8, 0, 255), strip, axis=1), np.uint8)


def _drawn_views(design: Design) -> tuple[View, ...]:
    solid = build(design)
    yaws = _DRAWN_YAWS_DEG if not isinstance(solid, Loft) else _DRAWN_YAWS_DEG[1:-1]
    views = []
    for yaw in yaws:
        picture = premultiplied(render(solid, 2 * _SIDE_PX, np.deg2rad(yaw), _DRAWN_PITCH))
        x, y, width, height = cv2.boundingRect(np.ascontiguousarray(picture[..., 3]))
        views.append(_view(picture[y : y + height, x : x + width], yaw))
    return tuple(views)


def drawn_hands() -> tuple[tuple[Hand, ...], tuple[Hand, ...]]:
    """Return hands of all looks, left and right: those that grip, and those that are open."""
    kinds = [(look, left) for look in range(_LOOKS) for left in (False, True)]
    grips = (gripping(PALM_PX, look, left) for look, left in kinds)
    palms = (opened(PALM_PX, look, left) for look, left in kinds)
    return tuple(_weighted(hand) for hand in grips), tuple(_weighted(hand) for hand in palms)


def _weighted(hand: Hand) -> Hand:
    return Hand(premultiplied(hand.behind), premultiplied(hand.before), hand.origin)


# ---- grounds -----------------------------------------------------------------------------------------------------


def read_small(path: Path, side_px: int) -> Image:
    """Return a picture file as RGB, its longer side shrunk to `side_px`; raises MediaError where it cannot be read."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise MediaError(f"{path} is no picture that can be read; check the data set")
    return _shrunk(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8), side_px)


def _shrunk(image: Image, side_px: int) -> Image:
    scale = side_px / max(image.shape[:2])
    if scale >= 1:
        return image
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def _packs(root: Path, products: Sequence[int] | None) -> Iterator[tuple[str, Image, int]]:
    for each in read_classes(root):
        if each.packaged and (products is None or each.class_id in products):
            yield each.name, np.ascontiguousarray(trim_margins(read_small(each.picture, 512))), each.class_id


def _held(root: Path, class_id: int, instance: int, locate: Locate) -> Iterator[Ground]:
    goods = COARSE_CLASSES.index("goods")
    for photo in read_photos(root):
        if photo.class_id != class_id:
            continue
        image = read_small(photo.path, _GROUND_PX)
        box = locate(photo.path, image)
        if box is not None:
            yield Ground(image, box.reshape(1, 4).astype(np.float32), np.array([goods]), np.array([instance]))


def _shown(photo: Image, mask: Image, coarse_class: int, instance: int) -> Ground:
    x, y, width, height = cv2.boundingRect(mask)
    box = np.array([[x, y, x + width, y + height]], np.float32)
    return Ground(photo, box, np.array([coarse_class]), np.array([instance]))


def unmarked(image: Image) -> Ground:
    """Return a ground that shows no article."""
    return Ground(image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.int64))


def _some_of_each_kind(garments: Iterable[Garment], per_kind: int) -> Iterator[Garment]:
    taken: dict[str, int] = {}
    for garment in garments:
        taken[garment.kind] = taken.get(garment.kind, 0) + 1
        if taken[garment.kind] <= per_kind:
            yield garment


def _fruit_photos(root: Path, each: int = 8) -> Iterator[Image]:
    """Yield photos of loose fruit and vegetables on shop shelves, `each` of a class."""
    packaged = {known.class_id for known in read_classes(root) if known.packaged}
    taken: dict[int, int] = {}
    for photo in read_photos(root, ("train",)):
        taken[photo.class_id] = taken.get(photo.class_id, 0) + 1
        if photo.class_id not in packaged and taken[photo.class_id] <= each:
            yield read_small(photo.path, _GROUND_PX)


def _frames(root: Path, each: int = 16) -> Iterator[Image]:
    """Yield `each` frames of every video that shows no article: bottles and people would have to be labelled."""
    for path in sorted(root.glob("*/*.mp4")):
        if any(word in path.name for word in (*_PEOPLE, "bottle")):
            continue
        video = cv2.VideoCapture(str(path))
        step = max(1, int(video.get(cv2.CAP_PROP_FRAME_COUNT)) // each)
        for number in islice(range(0, 1 << 20, step), each):
            video.set(cv2.CAP_PROP_POS_FRAMES, number)
            found, pixels = video.read()
            if found:
                yield _shrunk(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8), _GROUND_PX)
        video.release()


def _drawn_ground(rng: np.random.Generator) -> Image:
    """Return a wall over a table top, in soft light."""
    side = _GROUND_PX
    colours = rng.uniform(40, 230, (2, 3)).astype(np.float32)
    edge = int(rng.uniform(0.45, 0.8) * side)
    picture = np.empty((side, side, 3), np.float32)
    picture[:edge], picture[edge:] = colours[0], colours[1]
    relief = cv2.resize(rng.normal(0, 14, (12, 12)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    light = np.linspace(rng.uniform(-30, 30), rng.uniform(-30, 30), side, dtype=np.float32)
    return np.asarray(np.clip(picture + relief[..., None] + light[None, :, None], 0, 255), np.uint8)
