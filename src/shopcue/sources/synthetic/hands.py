"""A hand with a sleeve, modelled as rounded limbs: their height over the picture plane gives the light on the skin.

Hand coordinates: x right, y down, one unit is about the length of a palm. The gripping hand comes from the lower
right and holds an edge at the origin; a left hand is its mirror image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from shopcue.records import Floats, Image
from shopcue.sources.synthetic.painting import Colour, dark, light, mix

Limb = Sequence[tuple[float, float, float]]
_X0, _Y0, _X1, _Y1 = -0.95, -1.65, 2.6, 4.2
_SKIN: tuple[Colour, ...] = ((236, 188, 160), (214, 160, 126), (176, 122, 90), (122, 82, 60), (244, 206, 184))
_CLOTH: tuple[Colour, ...] = ((70, 96, 122), (150, 74, 66), (92, 118, 92), (214, 200, 178), (62, 58, 72))


@dataclass(frozen=True, slots=True)
class Hand:
    """Two RGBA pictures of one hand, behind and before what it holds; `origin` is the grip's pixel in both."""

    behind: Image
    before: Image
    origin: tuple[float, float]


_FOREARM: Limb = ((0.52, 0.46, 0.31), (0.86, 0.96, 0.25), (1.2, 1.5, 0.27))
_SLEEVE: Limb = ((0.88, 1.02, 0.35), (1.5, 2.2, 0.47), (2.1, 3.6, 0.62), (2.4, 4.4, 0.7))
_GRIP_FINGERS: tuple[Limb, ...] = tuple(
    ((0.62 + 0.02 * i, -0.3 + 0.215 * i, 0.125), (0.3, -0.44 + 0.215 * i, 0.12), (-0.4, -0.42 + 0.2 * i, 0.1))
    for i in range(4)
)
_GRIP_PALM: tuple[Limb, ...] = (((0.58, -0.12, 0.24), (0.62, 0.3, 0.34), (0.5, 0.5, 0.3)), _FOREARM)
_THUMB: Limb = (
    (0.62, 0.56, 0.21),
    (0.34, 0.26, 0.165),
    (0.04, 0.03, 0.128),
    (-0.2, -0.09, 0.108),
    (-0.27, -0.115, 0.098),
)
_OPEN_FINGERS: tuple[Limb, ...] = (
    ((-0.2, 0.02, 0.14), (-0.36, -0.5, 0.122), (-0.43, -0.95, 0.1)),
    ((0.03, -0.06, 0.14), (-0.03, -0.66, 0.125), (-0.05, -1.16, 0.102)),
    ((0.26, -0.02, 0.14), (0.29, -0.6, 0.122), (0.33, -1.08, 0.1)),
    ((0.46, 0.1, 0.125), (0.58, -0.36, 0.105), (0.68, -0.74, 0.088)),
)
_OPEN_PALM: tuple[Limb, ...] = (
    ((-0.02, 0.2, 0.32), (0.26, 0.2, 0.33), (0.2, 0.56, 0.33), (0.36, 0.8, 0.27), (0.74, 1.0, 0.24), (1.2, 1.5, 0.27)),
    ((0.1, 0.6, 0.26), (-0.36, 0.3, 0.16), (-0.6, -0.06, 0.118), (-0.66, -0.16, 0.1)),
)


def gripping(unit_px: float, look: int, left: bool) -> Hand:
    """Return a hand around an edge: palm and fingers behind the thing held, the thumb before it."""
    skin, cloth = _SKIN[look % len(_SKIN)], _CLOTH[look % len(_CLOTH)]
    grid = _grid(unit_px)
    behind = _skin(grid, (*_GRIP_PALM, *_GRIP_FINGERS, _THUMB), skin)
    behind = _over(behind, _sleeve(grid, cloth))
    before = _skin(grid, (_THUMB,), skin)
    # the base of the thumb belongs to the palm: it is the same in both pictures, so let it fade there
    fade = np.clip((0.42 - grid[0]) / 0.2, 0, 1)
    before[..., 3] = (before[..., 3] * fade).astype(np.uint8)
    _nail(before, unit_px, (-0.225, -0.115), 24, skin)
    return _placed(behind, before, unit_px, left, grip=-0.1)


def opened(unit_px: float, look: int, left: bool) -> Hand:
    """Return an empty, open hand, as of a host who talks."""
    skin, cloth = _SKIN[look % len(_SKIN)], _CLOTH[look % len(_CLOTH)]
    grid = _grid(unit_px)
    behind = _over(_skin(grid, (*_OPEN_PALM, *_OPEN_FINGERS), skin), _sleeve(grid, cloth))
    return _placed(behind, np.zeros_like(behind), unit_px, left)


def sleeve_colour(look: int) -> Colour:
    """Return what the host wears."""
    return _CLOTH[look % len(_CLOTH)]


def skin_colour(look: int) -> Colour:
    """Return the host's skin."""
    return _SKIN[look % len(_SKIN)]


def _placed(behind: Image, before: Image, unit_px: float, left: bool, grip: float = 0.0) -> Hand:
    x = (grip - _X0) * unit_px
    if left:
        behind, before = np.ascontiguousarray(behind[:, ::-1]), np.ascontiguousarray(before[:, ::-1])
        x = behind.shape[1] - 1 - x
    return Hand(behind, before, (x, -_Y0 * unit_px))


def _grid(unit_px: float) -> tuple[Floats, Floats]:
    columns, rows = round((_X1 - _X0) * unit_px), round((_Y1 - _Y0) * unit_px)
    x = _X0 + (np.arange(columns, dtype=np.float32) + 0.5) / unit_px
    y = _Y0 + (np.arange(rows, dtype=np.float32) + 0.5) / unit_px
    return x[None], y[:, None]


def _limb_height(grid: tuple[Floats, Floats], limb: Limb) -> tuple[Floats, Floats]:
    """Return how far inside a limb each point lies, and the height of its rounded surface."""
    x, y = grid
    inside = np.full((y.shape[0], x.shape[1]), -9, np.float32)
    height = np.zeros_like(inside)
    for (ax, ay, ar), (bx, by, br) in pairwise(limb):
        dx, dy = bx - ax, by - ay
        along = np.clip(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy), 0, 1)
        radius = ar + (br - ar) * along
        distance = np.hypot(x - ax - along * dx, y - ay - along * dy)
        inside = np.maximum(inside, radius - distance)
        height = np.maximum(height, np.sqrt(np.maximum(radius**2 - distance**2, 0)))
    return inside, height


def _lit(height: Floats, soften: float) -> tuple[Floats, Floats]:
    """Return brightness and highlight of a height field in pixels."""
    smooth = cv2.GaussianBlur(height, (0, 0), soften)
    nx, ny = -cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=0.125), -cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=0.125)
    length = np.sqrt(nx**2 + ny**2 + 1)
    lambert = np.clip((-0.42 * nx - 0.5 * ny + 0.76) / length, 0, 1)
    half = np.clip((-0.22 * nx - 0.27 * ny + 0.94) / length, 0, 1)
    return np.asarray(lambert, np.float32), np.asarray(half**24, np.float32)


def _skin(grid: tuple[Floats, Floats], limbs: Sequence[Limb], skin: Colour) -> Image:
    unit = 1 / float(grid[0][0, 1] - grid[0][0, 0])
    inside = np.full((grid[1].shape[0], grid[0].shape[1]), -9, np.float32)
    height, seam = np.zeros_like(inside), np.zeros_like(inside)
    for limb in limbs:
        within, bump = _limb_height(grid, limb)
        # where one limb lies on another, the lower one is in its shade
        near = np.exp(-np.abs(within) * 26) * (inside > 0.015)
        seam = np.maximum(seam * (within < 0.03), near)
        inside, height = np.maximum(inside, within), np.maximum(height, bump)
    lambert, gleam = _lit(height * unit, 0.03 * unit)
    shade = (0.3 + 0.78 * lambert - 0.2 * cv2.GaussianBlur(seam, (0, 0), 0.012 * unit))[..., None]
    base = np.array(skin, np.float32)
    flush = np.array(mix(dark(skin, 0.25), (206, 70, 50), 0.35), np.float32)
    colour = flush + (base - flush) * np.clip(shade * 1.25 - 0.1, 0, 1)
    mottled = _mottle(inside.shape, unit)
    lit = colour * (0.45 + 0.6 * shade) * (1 + 0.035 * mottled[..., None]) + 34 * gleam[..., None]
    alpha = np.clip(inside * unit + 0.5, 0, 1)
    return np.dstack([np.clip(lit, 0, 255), alpha * 255]).astype(np.uint8)


def _mottle(shape: tuple[int, ...], unit: float) -> Floats:
    noise = np.random.default_rng(5).standard_normal(shape).astype(np.float32)
    spread = cv2.GaussianBlur(noise, (0, 0), 0.05 * unit)
    return np.asarray(spread / (float(spread.std()) + 1e-6), np.float32)


def _sleeve(grid: tuple[Floats, Floats], cloth: Colour) -> Image:
    """Return a knitted sleeve with folds and a ribbed cuff."""
    unit = 1 / float(grid[0][0, 1] - grid[0][0, 0])
    x, y = grid
    inside, height = _limb_height(grid, _SLEEVE)
    along, across = 0.45 * x + 0.9 * y, 0.9 * x - 0.45 * y
    folds = 0.045 * np.sin(7 * along + 2.2 * np.sin(3 * across + along)) + 0.02 * np.sin(17 * along - 9 * across)
    knit = 0.006 * np.sin(95 * across) * np.sin(70 * along)
    cuff = along < 1.86
    relief = np.where(cuff, 0.02 * np.sin(58 * across) + 0.03, folds + knit)
    lambert, _ = _lit((height + relief * (height > 0)).astype(np.float32) * unit, 0.014 * unit)
    edge = 1 - 0.35 * np.exp(-(((along - 1.88) / 0.025) ** 2))
    lit = np.array(cloth, np.float32) * ((0.42 + 0.72 * lambert) * edge)[..., None]
    hem = along - 1.56 + 0.1 * across**2
    alpha = np.clip(np.minimum(inside, hem) * unit + 0.5, 0, 1)
    return np.dstack([np.clip(lit, 0, 255), alpha * 255]).astype(np.uint8)


def _nail(picture: Image, unit: float, centre: tuple[float, float], angle: float, skin: Colour) -> None:
    middle = (round((centre[0] - _X0) * unit), round((centre[1] - _Y0) * unit))
    nail = picture[..., :3].copy()
    axes = (max(2, round(0.085 * unit)), max(1, round(0.06 * unit)))
    cv2.ellipse(nail, middle, axes, angle, 0, 360, mix(light(skin, 0.3), (240, 150, 150), 0.35), -1, cv2.LINE_AA)
    shine = (round(middle[0] - 0.02 * unit), round(middle[1] - 0.02 * unit))
    small = (max(1, round(0.04 * unit)), max(1, round(0.015 * unit)))
    cv2.ellipse(nail, shine, small, angle, 0, 360, (252, 236, 232), -1, cv2.LINE_AA)
    picture[..., :3] = cv2.GaussianBlur(nail, (0, 0), max(0.4, 0.008 * unit))


def _over(below: Image, above: Image) -> Image:
    """Lay one RGBA picture over another, both with straight alpha."""
    share = above[..., 3:].astype(np.float32) / 255
    colour = below[..., :3] * (1 - share) + above[..., :3] * share
    return np.dstack([colour, np.maximum(below[..., 3], above[..., 3])]).astype(np.uint8)
