"""Goods that nobody sells: drawn packs in families of sisters that differ in one thing, as real shelves are full of.

The few real goods of a small data set are soon known by heart; drawn ones are as many as one likes. All is a function
of the seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from shopcue.data.views import Rng
from shopcue.records import Image
from shopcue.sources.synthetic.designs import Design
from shopcue.sources.synthetic.labels import LAYOUTS
from shopcue.sources.synthetic.motifs import MOTIFS
from shopcue.sources.synthetic.packages import SHAPES, Solid, build, render
from shopcue.sources.synthetic.painting import Colour, Lettering

_CARTONS = ("gable", "box", "brick")
_CARTON_SHARE = 0.5
_PITCH = 0.18  # of a shop's picture, radians
_STARTS = ("Al", "Ber", "Cor", "Do", "El", "Fa", "Gri", "Ha", "In", "Jo", "Kal", "Lo", "Mor", "Ny", "Ol", "Pri", "Ro")
_MIDDLES = ("", "", "la", "ri", "no", "ve", "ta", "mi", "go", "du")
_ENDS = ("na", "va", "lo", "ra", "gen", "ly", "pro", "za", "li", "dor", "to", "sk", "ix", "berg")
_WORDS = (
    "Apple", "Orange", "Berry", "Vanilla", "Natural", "Mild", "Fresh", "Light", "Whole", "Organic", "Ginger",
    "Lemon", "Mango", "Peach", "Cocoa", "Oat", "Soy", "Rice", "Almond", "Classic", "Original", "Sour", "Sweet",
    "Salted", "Dark", "Creamy", "Smooth", "Extra", "Lactose-free", "Summer", "Mountain", "Garden",
)  # fmt: skip
_KINDS = (
    "Juice", "Milk", "Yoghurt", "Cream", "Drink", "Tea", "Coffee", "Soap", "Shampoo", "Sauce", "Spread", "Muesli",
    "Biscuits", "Soup",
)  # fmt: skip
_SIZES = ("1 l", "500 ml", "330 ml", "250 g", "500 g", "1.5 l", "75 ml")


@dataclass(frozen=True, slots=True)
class DrawnGoods:
    """One drawn product: its shop picture on white (H, W, 3) and views of it from elsewhere (H, W, 4), A its mask."""

    picture: Image
    views: tuple[Image, ...]


def draw_families(
    count: int, sisters: int, seed: int, side_px: int, views: int = 3
) -> Iterator[tuple[DrawnGoods, ...]]:
    """Yield `count` families of `sisters` products each; pictures and views are `side_px` tall. About 0.1 s a product.

    Sisters share brand, shape, layout, paper and lettering, as they do in shops; name, illustration and accents differ.
    """
    rng = np.random.default_rng((seed, count, sisters))
    for _ in range(count):
        first = _design(rng)
        family = [first, *(_sister(first, rng) for _ in range(sisters - 1))]
        yield tuple(_draw(design, side_px, views, rng) for design in family)


def _design(rng: Rng) -> Design:
    shapes = _CARTONS if rng.random() < _CARTON_SHARE else tuple(SHAPES)
    paper = _colour(rng, 0.45 if rng.random() < 0.6 else 1.0)
    brand = "".join(_pick(rng, part) for part in (_STARTS, _MIDDLES, _ENDS))
    kind = _pick(rng, _KINDS)
    return Design(
        brand=brand,
        name=f"{_pick(rng, _WORDS)} {kind}",
        size=_pick(rng, _SIZES),
        price="1.00 EUR",
        category=kind,
        description=" ".join(_pick(rng, _WORDS) for _ in range(8)),
        shape=_pick(rng, shapes),
        layout=_pick(rng, tuple(LAYOUTS)),
        motif=_pick(rng, tuple(MOTIFS)),
        paper=paper,
        ink=_ink(paper, rng),
        accent=_colour(rng, 1.0),
        fruit=_colour(rng, 1.0),
        wordmark=_lettering(rng),
    )


def _sister(design: Design, rng: Rng) -> Design:
    """Return another of the same brand; what differs is what differs in shops: the sort, hence word, fruit, colour."""
    sister = replace(design, name=f"{_pick(rng, _WORDS)} {design.name.split()[-1]}")
    if rng.random() < 0.7:
        sister = replace(sister, motif=_pick(rng, tuple(MOTIFS)), fruit=_colour(rng, 1.0))
    if rng.random() < 0.6:
        sister = replace(sister, accent=_colour(rng, 1.0))
    if rng.random() < 0.15:
        paper = _colour(rng, 1.0)
        sister = replace(sister, paper=paper, ink=_ink(paper, rng))
    return sister


def _draw(design: Design, side_px: int, views: int, rng: Rng) -> DrawnGoods:
    solid = build(design)
    shown = render(solid, side_px, float(rng.uniform(-0.35, 0.1)), _PITCH, oversample=2)
    cover = shown[..., 3:] / np.float32(255)
    picture = np.asarray(shown[..., :3] * cover + 255 * (1 - cover), np.uint8)
    return DrawnGoods(_cut(picture, shown), tuple(_view(solid, side_px, rng) for _ in range(views)))


def _view(solid: Solid, side_px: int, rng: Rng) -> Image:
    view = render(solid, side_px, float(rng.uniform(-0.75, 0.75)), float(rng.uniform(-0.15, 0.5)), oversample=2)
    return _cut(view, view)


def _cut(picture: Image, view: Image) -> Image:
    """Return the part of `picture` where `view`, RGBA, is not see-through."""
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(view[..., 3]))
    return np.ascontiguousarray(picture[y : y + height, x : x + width])


def _lettering(rng: Rng) -> Lettering:
    return Lettering(
        weight=float(rng.uniform(0, 0.08)),
        slant=float(rng.choice([0.0, 0.0, 0.2, 0.3])),
        stretch=float(rng.uniform(0.7, 1.15)),
        tracking=float(rng.uniform(0, 0.2)),
        capitals=bool(rng.random() < 0.5),
    )


def _colour(rng: Rng, strength: float) -> Colour:
    """Return a colour; strength 0 gives pale ones, 1 any."""
    hsv = np.array([[[rng.integers(180), 255 * strength * rng.beta(1.5, 1.2), 255 * rng.beta(4, 1.3)]]], np.uint8)
    red, green, blue = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].tolist()
    return red, green, blue


def _ink(paper: Colour, rng: Rng) -> Colour:
    """Return a colour that can be read on `paper`."""
    dark = np.dot(paper, (0.3, 0.6, 0.1)) > 120
    red, green, blue = (float(value) * (0.4 if dark else 0.25) + (0 if dark else 190) for value in _colour(rng, 1.0))
    return round(red), round(green), round(blue)


def _pick(rng: Rng, choices: tuple[str, ...]) -> str:
    return choices[int(rng.integers(len(choices)))]
