"""The room of the show, out of focus: a wall with shelves of goods and lights, the host, and the table in front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from shopcue.records import Floats, Image
from shopcue.sources.synthetic.designs import Design
from shopcue.sources.synthetic.hands import skin_colour, sleeve_colour
from shopcue.sources.synthetic.motifs import leaf
from shopcue.sources.synthetic.packages import build, premultiplied, render, tall
from shopcue.sources.synthetic.painting import Canvas, Colour, Gradient, dark, light, mix

_SPARE = 0.06
_WALLS: tuple[Colour, ...] = ((196, 170, 148), (142, 164, 168), (174, 150, 166), (150, 168, 142), (92, 104, 124))


@dataclass(frozen=True, slots=True)
class Layer:
    """A picture that is larger than the frame by a margin, to be seen through a moving window.

    picture: RGB, or premultiplied RGBA. travel: how far it moves, as a share of the camera's own way.
    """

    picture: Image
    travel: float


def layers(size: tuple[int, int], goods: Sequence[Design], seed: int) -> tuple[Layer, ...]:
    """Return the studio from back to front. size: width and height of the frame in pixels."""
    rng = np.random.default_rng((seed, 4))
    wide, high = (round(side * (1 + 2 * _SPARE)) for side in size)
    return (
        Layer(_wall(wide, high, goods, rng), 0.35),
        Layer(_host(wide, high, seed), 0.7),
        Layer(_table(wide, high, rng), 1.0),
    )


def window(layer: Layer, size: tuple[int, int], camera: tuple[float, float]) -> Image:
    """Return the part of a layer that the camera sees. camera: in [-1, 1] both ways, of the spare margin."""
    x = _SPARE * size[0] * (1 + layer.travel * camera[0])
    y = _SPARE * size[1] * (1 + layer.travel * camera[1])
    move = np.array([[1, 0, -x], [0, 1, -y]], np.float32)
    return np.asarray(cv2.warpAffine(layer.picture, move, size, flags=cv2.INTER_LINEAR), np.uint8)


def lay(frame: Image, layer: Image) -> Image:
    """Return `frame` with a premultiplied RGBA picture of the same size over it."""
    keep = cv2.cvtColor(cv2.bitwise_not(layer[..., 3]), cv2.COLOR_GRAY2RGB)
    below = cv2.multiply(frame, keep, scale=1 / 255)
    return np.asarray(cv2.add(below, cv2.cvtColor(layer, cv2.COLOR_RGBA2RGB)), np.uint8)


def _wall(wide: int, high: int, goods: Sequence[Design], rng: np.random.Generator) -> Image:
    tone = _WALLS[int(rng.integers(len(_WALLS)))]
    canvas = Canvas(wide, high, Gradient(light(tone, 0.18), dark(tone, 0.32)))
    for i in range(9):
        canvas.stroke([(wide * i / 8, 0), (wide * i / 8, high)], max(1, high / 270), dark(tone, 0.14))
    order = [goods[i] for i in rng.permutation(len(goods))] if goods else []
    for level, (left, right) in enumerate(((0.0, 0.3), (0.0, 0.3), (0.7, 1.0), (0.7, 1.0))):
        floor = high * (0.34 + 0.34 * (level % 2))
        _shelf(canvas, order[level::4], (left * wide, right * wide), floor, rng)
    _plant(canvas, 0.66 * wide, 0.5 * high, 0.2 * high)
    soft = cv2.GaussianBlur(canvas.pixels, (0, 0), high / 130)
    return _bokeh(np.asarray(soft, np.uint8), rng)


def _shelf(
    canvas: Canvas, goods: Sequence[Design], span: tuple[float, float], floor: float, rng: np.random.Generator
) -> None:
    wood: Colour = (126, 88, 58)
    high, (left, right) = canvas.height, span
    x = left + 0.02 * canvas.width
    for design in goods:
        picture = premultiplied(render(build(design), round(0.24 * high * tall(design)), float(rng.uniform(-0.4, 0.4))))
        if x + picture.shape[1] > right:
            break
        # the picture's own margin hangs below the board
        _stand(canvas.pixels, picture, round(x), round(floor + 0.035 * picture.shape[0]))
        x += picture.shape[1] * 0.95 + 0.012 * canvas.width
    for top, thick, tone in ((floor, 0.022, wood), (floor + 0.022 * high, 0.03, dark(wood, 0.6))):
        edge = [(left, top), (right, top), (right, top + thick * high), (left, top + thick * high)]
        canvas.polygon(edge, Gradient(light(tone, 0.15), dark(tone, 0.25)), 1.0 if tone == wood else 0.4)


def _stand(wall: Image, picture: Image, x: int, floor: int) -> None:
    height, width = picture.shape[:2]
    top, cut = max(floor - height, 0), max(height - floor, 0)
    part = wall[top:floor, x : x + width]
    part[:] = lay(part, np.ascontiguousarray(picture[cut : cut + part.shape[0], : part.shape[1]]))


def _plant(canvas: Canvas, x: float, y: float, size: float) -> None:
    for i in range(9):
        angle = -100 + 25 * i
        t = math.radians(angle - 90)
        green = mix((52, 104, 58), (128, 158, 84), (i * 0.37) % 1)
        leaf(
            canvas.at(x + 0.6 * size * math.cos(t), y + 0.6 * size * math.sin(t), 0.62 * size, angle + 90 + 180), green
        )
    pot = [
        (x - 0.3 * size, y),
        (x + 0.3 * size, y),
        (x + 0.22 * size, y + 0.62 * size),
        (x - 0.22 * size, y + 0.62 * size),
    ]
    canvas.polygon(pot, Gradient((222, 214, 204), (150, 138, 128)))


def _bokeh(wall: Image, rng: np.random.Generator) -> Image:
    """Return the wall with a string of lights that the lens turns into discs."""
    high, wide = wall.shape[:2]
    glow: Floats = np.zeros(wall.shape, np.float32)
    for i in range(26):
        x = wide * (i + rng.uniform(0.1, 0.9)) / 26
        y = high * (0.1 + 0.08 * math.sin(2.4 * math.pi * i / 26) + rng.uniform(-0.05, 0.05))
        radius = high * rng.uniform(0.016, 0.036)
        colour = np.array(mix((255, 196, 112), (255, 236, 206), rng.uniform()), float) * rng.uniform(0.15, 0.45)
        disc = np.zeros(wall.shape, np.float32)
        cv2.circle(disc, (round(x), round(y)), max(2, round(radius)), colour.tolist(), -1, cv2.LINE_AA)
        cv2.circle(disc, (round(x), round(y)), max(2, round(radius)), (colour * 1.35).tolist(), 1, cv2.LINE_AA)
        glow += disc
    lamp = cv2.GaussianBlur(glow, (0, 0), high / 14) * 1.2
    return np.clip(wall * 0.96 + cv2.GaussianBlur(glow, (0, 0), high / 500) + lamp, 0, 255).astype(np.uint8)


def _host(wide: int, high: int, look: int) -> Image:
    """Return the host from the chin down, as premultiplied RGBA."""
    cloth, skin = sleeve_colour(look), skin_colour(look)
    body, cover = Canvas(wide, high, dark(cloth, 0.2)), Canvas(wide, high, (0, 0, 0))
    chest = [(-0.52, 1.7), (-0.6, 0.9), (-0.56, 0.36), (-0.36, 0.05), (-0.13, -0.08), (0.13, -0.08), (0.36, 0.05)]
    chest = [*chest, (0.56, 0.36), (0.6, 0.9), (0.52, 1.7)]
    neck = [(-0.12, -0.55), (0.12, -0.55), (0.15, -0.02), (0.04, 0.12), (-0.04, 0.12), (-0.15, -0.02)]
    jaw = [(-0.2, -0.9), (0.2, -0.9), (0.19, -0.5), (0.1, -0.34), (-0.1, -0.34), (-0.19, -0.5)]
    for canvas in (body, cover):
        brush, solid = canvas.at(0.5 * wide, 0.27 * high, 0.62 * high), canvas is cover
        white: Colour = (255, 255, 255)
        for side in (-1, 1):
            hair = [(side * 0.1, -0.9), (side * 0.3, -0.9), (side * 0.3, -0.3), (side * 0.2, 0.02), (side * 0.12, -0.3)]
            brush.blob(hair, white if solid else (58, 40, 32))
        brush.polygon(neck, white if solid else Gradient(dark(skin, 0.42), dark(skin, 0.12)))
        brush.blob(jaw, white if solid else Gradient(skin, dark(skin, 0.1)))
        brush.blob(chest, white if solid else Gradient(light(cloth, 0.1), dark(cloth, 0.45)))
        if not solid:
            _clothes(canvas, wide, high, cloth)
            brush.blob(
                [(-0.11, -0.1), (0.11, -0.1), (0.07, 0.06), (0, 0.11), (-0.07, 0.06)], Gradient(dark(skin, 0.2), skin)
            )
    soft = [cv2.GaussianBlur(canvas.pixels, (0, 0), high / 170) for canvas in (body, cover)]
    return premultiplied(np.dstack([soft[0], soft[1][..., 0]]).astype(np.uint8))


def _clothes(canvas: Canvas, wide: int, high: int, cloth: Colour) -> None:
    brush = canvas.at(0.5 * wide, 0.27 * high, 0.62 * high)
    for side in (-1, 1):
        brush.blob(
            [(side * 0.42, 0.5), (side * 0.36, 0.9), (side * 0.4, 1.5), (side * 0.34, 1.5), (side * 0.3, 0.9)],
            dark(cloth, 0.4),
            0.5,
        )
        brush.blob(
            [(side * 0.2, 0.2), (side * 0.05, 0.5), (side * 0.1, 1.2), (side * 0.2, 0.7)], light(cloth, 0.12), 0.14
        )
    brush.blob([(-0.16, -0.1), (0.16, -0.1), (0.11, 0.1), (0, 0.17), (-0.11, 0.1)], dark(cloth, 0.25))


def _table(wide: int, high: int, rng: np.random.Generator) -> Image:
    """Return the table's edge, as premultiplied RGBA: wood with grain and a soft shine."""
    top = round(0.86 * high)
    wood = mix((168, 122, 84), (108, 78, 60), float(rng.uniform()))
    canvas = Canvas(wide, high, Gradient(wood, dark(wood, 0.3)))
    rows = np.arange(high - top, dtype=np.float32)[:, None]
    x = np.arange(wide, dtype=np.float32)[None] / high
    grain = np.sin(rows * 0.55 * 540 / high + 1.4 * np.sin(2.1 * x) + 0.7 * np.sin(5.3 * x + 0.05 * rows))
    shine = 26 * np.exp(-(((x - 0.95) / 0.5) ** 2)) * np.exp(-rows / (0.06 * high))
    plank = canvas.pixels[top:] + (5 * grain + shine)[..., None]
    picture = np.zeros((high, wide, 4), np.uint8)
    picture[top:, :, :3], picture[top:, :, 3] = np.clip(plank, 0, 255), 255
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), high / 300), np.uint8)
