"""Pairs for the image encoder: two pictures of the same product, a batch at a time, each a function of seed and step.

Goods: a photo taken in a shop and the shop's picture, or the picture twice, once laid into a photo of something else.
Garments: two views of the only photo there is, always with what is around the garment: cutting garments out and
pasting them makes an encoder WORSE on people who wear them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from shopcue.data.cutouts import cut_plain
from shopcue.data.views import (
    Rng,
    camera_view,
    crop_around,
    crop_random,
    degraded,
    exposed,
    inks,
    jpeg,
    placed,
    shop_view,
    tilted,
)
from shopcue.errors import MediaError
from shopcue.models.image import Fit, fit_square, trim_margins
from shopcue.records import Floats, Image, Indices
from shopcue.training.drawn import DrawnGoods

KEPT_SIDE_PX = 288  # pictures are kept in memory at this size: larger than any crop that the net sees
PHOTO_SIDE_PX = 384  # photos are: what they show is a part of them

Pair = tuple[Image, Image, int]  # what a camera sees, what the shop shows, and of which product
FindBox = Callable[[Path, Image], Floats | None]


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo and the box of the product in it, float32 (4,), xyxy pixels; without box where that is not known."""

    pixels: Image
    box: Floats | None = None


@dataclass(frozen=True, slots=True)
class Goods:
    """One product with its shop picture (margins trimmed), the mask of the product in it, and photos, maybe none."""

    picture: Image
    mask: Image
    photos: tuple[Photo, ...]


@dataclass(frozen=True, slots=True)
class PairBatch:
    """pixels: uint8 (N, S, S, 3) queries (as a camera sees) and keys (as a shop shows); products: int64 (N,)."""

    queries: NDArray[np.uint8]
    keys: NDArray[np.uint8]
    products: Indices


@dataclass(frozen=True, slots=True)
class PairRecipe:
    """How a batch is made up: numbers of pairs, and shares.

    drawn: pairs of drawn packs, whole families at a time. composed: goods whose picture is laid into a scene in place
    of a photo. twins: halves of the goods in inks that do not exist. loose: crops of photos that keep what is around
    the product, in place of a detector's. in_clutter: of those, photos made small in a scene. letterboxed: pairs that
    become squares as at inference; the others are squashed, which varies the aspect.
    """

    garments: int = 16
    goods: int = 16
    drawn: int = 12
    side_px: int = 160
    composed: float = 0.4
    twins: float = 0.7
    loose: float = 0.3
    in_clutter: float = 0.4
    letterboxed: float = 0.6
    seed: int = 0


class PairBatches:
    """Makes batch `step` of a training run; random access, so that worker processes need no common state.

    goods: products with photos come first in importance: three in four goods pairs are of them. families: drawn goods.
    garments: one photo each. grounds: photos of other things, for backgrounds.
    """

    def __init__(
        self,
        goods: Sequence[Goods],
        families: Sequence[tuple[DrawnGoods, ...]],
        garments: Sequence[Image],
        grounds: Sequence[Image],
        recipe: PairRecipe,
    ) -> None:
        self._photographed = [index for index, product in enumerate(goods) if product.photos]
        self._pictured = [index for index, product in enumerate(goods) if not product.photos]
        self.goods, self.families, self._garments, self._grounds = goods, families, garments, grounds
        self._recipe = recipe

    def __call__(self, step: int) -> PairBatch:
        """Return batch `step`: goods first, then drawn goods, then garments."""
        recipe = self._recipe
        rng = np.random.default_rng((recipe.seed, step))
        pairs = [*self._goods_pairs(rng), *self._drawn_pairs(rng), *self._garment_pairs(rng)]
        queries, keys = [], []
        for query, key, _ in pairs:
            fit: Fit = "letterbox" if rng.random() < recipe.letterboxed else "squash"
            queries.append(fit_square(query, recipe.side_px, fit))
            keys.append(fit_square(key, recipe.side_px, fit))
        products = np.array([product for _, _, product in pairs], np.int64)
        return PairBatch(np.stack(queries), np.stack(keys), products)

    def _goods_pairs(self, rng: Rng) -> Iterator[Pair]:
        """Yield goods in two halves, each in inks of its own: real ones, or others that make twins of all of them.

        A product in other inks is one of its own. The goods of a half share their inks, so that sisters stay as near
        to each other as they are, while none of them can be learnt by heart.
        """
        drawn = self._draw_goods(rng)
        half = -(-len(drawn) // 2)
        for part, first in enumerate(range(0, len(drawn), half)):
            paint = inks(rng) if rng.random() < self._recipe.twins else None
            for product in drawn[first : first + half]:
                query, key = self._goods_pair(self.goods[product], rng)
                if paint is None:
                    yield query, key, product
                else:
                    yield paint(query), paint(key), -1 - product - part * len(self.goods)

    def _draw_goods(self, rng: Rng) -> list[int]:
        """Return the goods of a batch: three quarters photographed, each at most once more than the others."""
        wanted = self._recipe.goods
        pictured = min(wanted // 4, len(self._pictured))
        rounds = -(-(wanted - pictured) // len(self._photographed))
        photographed = np.concatenate([rng.permutation(self._photographed) for _ in range(rounds)])
        others = rng.permutation(self._pictured)[:pictured]
        return [int(index) for index in (*photographed[: wanted - pictured], *others)]

    def _goods_pair(self, goods: Goods, rng: Rng) -> tuple[Image, Image]:
        """Return (what a camera sees, what the shop shows) of one product."""
        key = shop_view(goods.picture, rng)
        if not goods.photos or rng.random() < self._recipe.composed:
            return self._composed(goods.picture, goods.mask, rng), key
        photo = goods.photos[rng.integers(len(goods.photos))]
        if photo.box is not None and rng.random() >= self._recipe.loose:
            view = crop_around(photo.pixels, photo.box, rng)
            return degraded(tilted(view, rng, 0.05) if rng.random() < 0.5 else view, rng), key
        if rng.random() < self._recipe.in_clutter:
            part = crop_random(photo.pixels, rng, 0.7)
            scene, _ = placed(part, np.full(part.shape[:2], 255, np.uint8), self._ground(rng), rng)
            return degraded(scene, rng), key
        return camera_view(photo.pixels, rng, 0.6), key

    def _composed(self, picture: Image, mask: Image, rng: Rng) -> Image:
        """Return the picture, cut out by `mask`, in a scene that a detector or nobody has cut."""
        scene, box = placed(picture, mask, self._ground(rng), rng)
        loose = rng.random() < self._recipe.loose
        return degraded(crop_random(scene, rng, 0.85) if loose else crop_around(scene, box, rng), rng)

    def _drawn_pairs(self, rng: Rng) -> Iterator[Pair]:
        """Yield pairs of families that are drawn at random, until there are enough."""
        first = len(self.goods) + len(self._garments)
        wanted = self._recipe.drawn
        for family in rng.permutation(len(self.families)):
            sisters = self.families[family]
            for at, goods in enumerate(sisters[:wanted]):
                view = goods.views[rng.integers(len(goods.views))]
                query = self._composed(np.ascontiguousarray(view[..., :3]), np.ascontiguousarray(view[..., 3]), rng)
                yield query, shop_view(goods.picture, rng), first + int(family) * len(sisters) + at
            wanted -= len(sisters)
            if wanted <= 0:
                return

    def _garment_pairs(self, rng: Rng) -> Iterator[Pair]:
        """Yield two views of one photo: a harsh one and a mild one, either turned left for right."""
        for garment in rng.choice(len(self._garments), self._recipe.garments, replace=False):
            photo = self._garments[garment]
            query = camera_view(photo, rng, 0.45)
            key = jpeg(exposed(crop_random(photo, rng, 0.75), rng, 0.15), rng, 50)
            yield query[:, ::-1] if rng.random() < 0.3 else query, key, len(self.goods) + int(garment)

    def _ground(self, rng: Rng) -> Image:
        ground = crop_random(self._grounds[int(rng.integers(len(self._grounds)))], rng, 0.6)
        return np.asarray(cv2.resize(ground, (KEPT_SIDE_PX, KEPT_SIDE_PX), interpolation=cv2.INTER_AREA), np.uint8)


def read_picture(path: Path, side_px: int = KEPT_SIDE_PX) -> Image:
    """Return a picture file as RGB, its longer side shrunk to `side_px`; raises MediaError where it cannot be read."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise MediaError(f"{path} is no picture that can be read; check the data set")
    scale = side_px / max(pixels.shape[:2])
    if scale < 1:
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def make_goods(picture: Path, photos: Sequence[Path], find_box: FindBox | None = None) -> Goods:
    """Return one product read from its files. find_box: gives the product's box in a photo, or None."""
    tight = np.ascontiguousarray(trim_margins(read_picture(picture)))
    read = ((path, read_picture(path, PHOTO_SIDE_PX)) for path in photos)
    return Goods(
        tight, cut_plain(tight), tuple(Photo(pixels, find_box and find_box(path, pixels)) for path, pixels in read)
    )
