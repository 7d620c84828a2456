"""Pairs for the image encoder: two pictures of the same product, a batch at a time, each a function of seed and step.

Goods: a photo taken in a shop and the shop's picture, or the picture twice, once laid into a photo of something else.
Garments: two views of the only photo there is, always with what is around the garment: cutting garments out and
pasting them makes an encoder WORSE on people who wear them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from shopcue.data.views import (
    Rng,
    camera_view,
    crop_random,
    cut_out,
    degraded,
    edited,
    exposed,
    jpeg,
    placed,
    recoloured,
    shop_view,
)
from shopcue.errors import MediaError
from shopcue.models.image import Fit, fit_square, trim_margins
from shopcue.records import Image, Indices

KEPT_SIDE_PX = 288  # pictures are kept in memory at this size: larger than any crop that the net sees


@dataclass(frozen=True, slots=True)
class Goods:
    """One product with its shop picture (margins trimmed), the mask of the product in it, and photos, maybe none."""

    picture: Image
    mask: Image
    photos: tuple[Image, ...]


@dataclass(frozen=True, slots=True)
class PairBatch:
    """pixels: uint8 (N, S, S, 3) queries (as a camera sees) and keys (as a shop shows); products: int64 (N,)."""

    queries: NDArray[np.uint8]
    keys: NDArray[np.uint8]
    products: Indices


@dataclass(frozen=True, slots=True)
class PairRecipe:
    """How a batch is made up: numbers of pairs, and shares of the goods pairs.

    sisters: pairs of packs whose print is changed, two of each pack. composed: the picture laid into a scene in place
    of a photo. twins: a hue that does not exist. in_clutter: photos made small in a scene. fit: squashed crops vary
    the aspect, which served the letterboxed pictures of inference better than letterboxed crops did.
    """

    garments: int = 24
    goods: int = 14
    sisters: int = 0
    side_px: int = 160
    fit: Fit = "squash"
    composed: float = 0.5
    twins: float = 0.4
    in_clutter: float = 0.25
    seed: int = 0


class PairBatches:
    """Makes batch `step` of a training run; random access, so that worker processes need no common state.

    goods: products with photos come first in importance: three in four goods pairs are of them. garments: one photo
    each. grounds: photos of other things, for backgrounds.
    """

    def __init__(
        self, goods: Sequence[Goods], garments: Sequence[Image], grounds: Sequence[Image], recipe: PairRecipe
    ) -> None:
        self._photographed = [index for index, product in enumerate(goods) if product.photos]
        self._pictured = [index for index, product in enumerate(goods) if not product.photos]
        self._goods, self._garments, self._grounds, self._recipe = goods, garments, grounds, recipe

    def __call__(self, step: int) -> PairBatch:
        """Return batch `step`: goods first, then garments."""
        recipe = self._recipe
        rng = np.random.default_rng((recipe.seed, step))
        queries: list[Image] = []
        keys: list[Image] = []
        products: list[int] = []
        for product in self._draw_goods(rng):
            query, key = self._goods_pair(self._goods[product], rng)
            twin = rng.random() < recipe.twins
            if twin:
                query, key = recoloured((query, key), float(rng.uniform(40, 320)))
            queries.append(query)
            keys.append(key)
            # A twin is a product of its own: it must be told from the product that it was made of.
            products.append(-1 - len(products) if twin else product)
        for query, key in self._sister_pairs(rng):
            queries.append(query)
            keys.append(key)
            products.append(-1 - len(products))
        for garment in rng.choice(len(self._garments), recipe.garments, replace=False):
            query, key = self._garment_pair(self._garments[garment], rng)
            queries.append(query)
            keys.append(key)
            products.append(len(self._goods) + int(garment))
        side = recipe.side_px
        return PairBatch(
            np.stack([fit_square(query, side, recipe.fit) for query in queries]),
            np.stack([fit_square(key, side, recipe.fit) for key in keys]),
            np.array(products, np.int64),
        )

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
            scene = placed(goods.picture, goods.mask, self._ground(rng), rng)
            return degraded(crop_random(scene, rng, 0.85), rng), key
        photo = goods.photos[rng.integers(len(goods.photos))]
        if rng.random() < self._recipe.in_clutter:
            part = crop_random(photo, rng, 0.7)
            scene = placed(part, np.full(part.shape[:2], 255, np.uint8), self._ground(rng), rng)
            return degraded(scene, rng), key
        return camera_view(photo, rng, 0.6), key

    def _sister_pairs(self, rng: Rng) -> Iterator[tuple[Image, Image]]:
        """Yield pairs of products that do not exist, two sisters of each pack: the nearest of wrong answers."""
        for base in rng.permutation(self._photographed)[: self._recipe.sisters // 2]:
            goods = self._goods[base]
            for _ in range(2):
                picture = edited(goods.picture, goods.mask, self._ground(rng), rng)
                scene = placed(picture, goods.mask, self._ground(rng), rng)
                yield degraded(crop_random(scene, rng, 0.85), rng), shop_view(picture, rng)

    def _garment_pair(self, photo: Image, rng: Rng) -> tuple[Image, Image]:
        """Return two views of one photo: a harsh one and a mild one, either turned left for right."""
        query = camera_view(photo, rng, 0.45)
        key = jpeg(exposed(crop_random(photo, rng, 0.75), rng, 0.15), rng, 50)
        return (query[:, ::-1] if rng.random() < 0.3 else query), key

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


def make_goods(picture: Path, photos: Sequence[Path]) -> Goods:
    """Return one product read from its files."""
    tight = np.ascontiguousarray(trim_margins(read_picture(picture)))
    return Goods(tight, cut_out(tight), tuple(read_picture(path) for path in photos))
