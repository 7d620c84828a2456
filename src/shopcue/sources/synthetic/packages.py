"""Packages: what each shape of carton, bottle, pouch or tin is made of, and its picture at a pose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from shopcue.records import Floats, Image
from shopcue.sources.synthetic.designs import Design
from shopcue.sources.synthetic.labels import front, side
from shopcue.sources.synthetic.painting import Canvas, Colour, Gradient, dark, light, mix
from shopcue.sources.synthetic.solids import Face, Loft, render_faces, render_loft

_TEXTURE_PX = 760
Profile = tuple[tuple[float, float], ...]
Solid = tuple[Face, ...] | Loft


@dataclass(frozen=True, slots=True)
class Shape:
    """How a package is built, and how tall it is next to the others (1 = a litre carton)."""

    build: Callable[[Design], Solid]
    tall: float


def build(design: Design) -> Solid:
    """Return the package as a solid with its printed faces; this takes longer than a picture of it."""
    return SHAPES[design.shape].build(design)


def render(solid: Solid, height_px: int, yaw: float = 0.0, pitch: float = 0.16, oversample: int = 1) -> Image:
    """Return the package at a pose, RGBA (height_px, W, 4); `oversample` draws it larger first, for finer print."""
    large_px = oversample * height_px
    if isinstance(solid, Loft):
        large = render_loft(solid, large_px, yaw, pitch)
    else:
        large = render_faces(solid, large_px, yaw, pitch)
    if oversample == 1:
        return large
    weighted = large.astype(np.float32)
    weighted[..., :3] *= weighted[..., 3:] / 255
    shrunk = (large.shape[1] // oversample, height_px)
    small: Floats = np.asarray(cv2.resize(weighted, shrunk, interpolation=cv2.INTER_AREA), np.float32)
    small[..., :3] *= 255 / np.maximum(small[..., 3:], 1)
    return np.asarray(np.clip(small, 0, 255), np.uint8)


def premultiplied(picture: Image) -> Image:
    """Return an RGBA picture whose colours are weighted by its alpha, ready to be laid over another."""
    red, green, blue, alpha = cv2.split(picture)
    weighted = [cv2.multiply(channel, alpha, scale=1 / 255) for channel in (red, green, blue)]
    return np.asarray(cv2.merge([*weighted, alpha]), np.uint8)


# ---- boxes ------------------------------------------------------------------------------------------------------


def _plain(colour: Colour, width: int = 32, height: int = 32) -> Image:
    return Canvas(width, height, Gradient(light(colour, 0.06), dark(colour, 0.06))).pixels


def _cuboid(design: Design, width: float, height: float, depth: float, top: Image | None = None) -> tuple[Face, ...]:
    w, h, d = width / 2, height / 2, depth / 2
    rows = _TEXTURE_PX
    columns = max(32, round(rows * width / height)), max(32, round(rows * depth / height))
    face, small = front(design, columns[0], rows), side(design, columns[1], rows)
    lid = top if top is not None else _lid(design, columns[0], columns[1])
    return (
        Face(((-w, h, d), (w, h, d), (w, -h, d), (-w, -h, d)), face),
        Face(((w, h, d), (w, h, -d), (w, -h, -d), (w, -h, d)), small),
        Face(((-w, h, -d), (-w, h, d), (-w, -h, d), (-w, -h, -d)), small),
        Face(((-w, h, -d), (w, h, -d), (w, h, d), (-w, h, d)), lid),
    )


def _lid(design: Design, width: int, height: int) -> Image:
    canvas = Canvas(width, height, mix(design.paper, design.accent, 0.15))
    canvas.text(design.brand, (width / 2, height / 2), 0.5 * height, design.ink, design.wordmark, fit_px=0.7 * width)
    return canvas.pixels


def _gable(design: Design) -> Solid:
    """A milk carton: body, sloped roof with a screw cap, and the fin on top."""
    w, d, shoulder, ridge, fin = 0.19, 0.19, 0.25, 0.42, 0.49
    body = _cuboid(design, 2 * w, shoulder + 0.5, 2 * d)
    low = (shoulder - 0.5) / 2
    lower = tuple(Face(tuple((x, y + low, z) for x, y, z in f.corners), f.texture) for f in body[:3])
    slope = Canvas(380, 300, Gradient(light(design.paper, 0.2), mix(design.paper, design.accent, 0.2)))
    slope.text(design.brand, (190, 230), 60, design.ink, design.wordmark, fit_px=240)
    slope.at(190, 110, 74).ellipse(0.06, 0.1, 1, 0.9, dark(design.paper, 0.3), 0.5)
    slope.at(190, 104, 70).ellipse(0, 0, 1, 0.9, Gradient(light(design.accent, 0.3), dark(design.accent, 0.3)))
    slope.at(190, 96, 54).ellipse(0, 0, 1, 0.86, Gradient(light(design.accent, 0.5), design.accent, radial=True))
    flap = _plain(mix(design.paper, design.ink, 0.12))
    fold = 0.06
    roof = (
        Face(((-w, ridge, 0), (w, ridge, 0), (w, shoulder, d), (-w, shoulder, d)), slope.pixels),
        Face(((w - fold, ridge, 0.01), (w - fold, ridge, -0.01), (w, shoulder, -d), (w, shoulder, d)), flap),
        Face(((-w + fold, ridge, -0.01), (-w + fold, ridge, 0.01), (-w, shoulder, d), (-w, shoulder, -d)), flap),
        Face(((-w, fin, 0.008), (w, fin, 0.008), (w, ridge - 0.01, 0.008), (-w, ridge - 0.01, 0.008)), _fin(design)),
    )
    return (*lower, *roof)


def _fin(design: Design) -> Image:
    canvas = Canvas(380, 70, Gradient(light(design.ink, 0.15), dark(design.ink, 0.1)))
    for x in range(6, 380, 8):
        canvas.stroke([(x, 6), (x, 40)], 2, dark(design.ink, 0.25))
    return canvas.pixels


def _box(width: float, depth: float, height: float = 0.96) -> Callable[[Design], Solid]:
    return lambda design: _cuboid(design, width, height, depth)


def _brick(design: Design) -> Solid:
    """A lunch-box carton with the straw's foil dot on its lid."""
    lid = Canvas(300, 210, mix(design.paper, (255, 255, 255), 0.3))
    lid.at(220, 100, 26).ellipse(0, 0, 1, 1, Gradient((232, 234, 238), (140, 146, 156), radial=True))
    return _cuboid(design, 0.56, 0.96, 0.38, lid.pixels)


def _shoebox(design: Design) -> Solid:
    """A low box whose lid overlaps its body, with the print on the long face."""
    w, h, d, lip = 0.9, 0.3, 0.36, 0.13
    top = Face(((-w, h, -d), (w, h, -d), (w, h, d), (-w, h, d)), _lid(design, 900, 360))
    face = front(design, 1140, 380)
    body = _cuboid(design, 2 * w * 0.985, 2 * h, 2 * d * 0.985)[1:3]
    cover = face.copy()
    rows = round(cover.shape[0] * lip / (2 * h))
    cover[rows : rows + 5] = (cover[rows : rows + 5] * 0.55).astype(np.uint8)
    return (Face(((-w, h, d), (w, h, d), (w, -h, d), (-w, -h, d)), cover), *body, top)


# ---- lofts ------------------------------------------------------------------------------------------------------


def _profile(points: Profile, smooth: int = 96) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return heights and half widths along `points` (height, half width), with the corners rounded."""
    heights = np.linspace(0, 1, smooth)
    knots = np.array(points)
    widths = np.interp(heights, knots[:, 0], knots[:, 1])
    kernel = np.array([1, 2, 3, 2, 1]) / 9
    rounded = np.convolve(np.pad(widths, 2, mode="edge"), kernel, mode="valid")
    return tuple(heights.tolist()), tuple(rounded.tolist())


def _wrap(design: Design, base: Canvas, low: float, high: float, radius: float, share: float = 0.4) -> Image:
    """Print the front (and the side behind it) around a body between two heights; `share` of the turn is front."""
    rows, columns = base.height, base.width
    top, bottom = round((1 - high) * rows), round((1 - low) * rows)
    wide = round(share * columns)
    # the texture runs once around: stretch the label so that it looks undistorted from the front
    true_width = max(64, round(2 * np.pi * radius * share * rows))
    label = cv2.resize(front(design, true_width, bottom - top), (wide, bottom - top), interpolation=cv2.INTER_AREA)
    rest = cv2.resize(
        side(design, max(64, round(true_width * 0.7)), bottom - top),
        (columns - wide, bottom - top),
        interpolation=cv2.INTER_AREA,
    )
    start = (columns - wide) // 2
    base.pixels[top:bottom] = np.roll(np.hstack([label, rest]), start, axis=1)
    return base.pixels


def _texture(colour: Colour) -> Canvas:
    return Canvas(1100, _TEXTURE_PX, Gradient(light(colour, 0.12), dark(colour, 0.12)))


def _ribbed(base: Canvas, low: float, high: float, colour: Colour, ribs: int = 60) -> None:
    """Paint a ribbed cap between two heights."""
    top, bottom = (1 - high) * base.height, (1 - low) * base.height
    base.polygon(
        [(0, top), (base.width, top), (base.width, bottom), (0, bottom)],
        Gradient(light(colour, 0.2), dark(colour, 0.2)),
    )
    for i in range(ribs):
        x = base.width * i / ribs
        base.stroke([(x, top + 3), (x, bottom - 3)], 3, dark(colour, 0.3))
    base.stroke([(0, bottom), (base.width, bottom)], 4, dark(colour, 0.5))


@dataclass(frozen=True, slots=True)
class _Vessel:
    """A round vessel: its outline, what it is filled with, where its label is and where its cap begins."""

    outline: Profile
    label: tuple[float, float]
    cap_from: float
    body: Callable[[Design], Colour]
    cap: Callable[[Design], Colour]
    gloss: float = 0.45
    ribs: int = 60
    share: float = 0.4

    def __call__(self, design: Design) -> Solid:
        heights, widths = _profile(self.outline)
        base = _texture(self.body(design))
        if self.cap_from < 1:
            _ribbed(base, self.cap_from, 1, self.cap(design), self.ribs)
        middle = sum(self.label) / 2
        radius = float(np.interp(middle, heights, widths))
        texture = _wrap(design, base, *self.label, radius, self.share)
        cover = self.cap(design)
        return Loft(heights, widths, widths, texture, cover=cover, gloss=self.gloss)


def _can(outline: Profile, label: tuple[float, float]) -> Callable[[Design], Solid]:
    metal: Colour = (206, 210, 216)
    return _Vessel(outline, label, 1, lambda _: metal, lambda _: metal, gloss=0.5)


def _tube(design: Design) -> Solid:
    """A tube that stands on its cap, flat and crimped at the top."""
    heights, widths = _profile(((0, 0.12), (0.15, 0.125), (0.16, 0.155), (0.2, 0.17), (1, 0.215)))
    depths = tuple(0.15 * (1 - h) + 0.012 for h in heights)
    wide = round(2 * max(widths) * _TEXTURE_PX)
    base = Canvas(wide, _TEXTURE_PX, design.paper)
    body = front(design, round(0.82 * wide), round(0.73 * _TEXTURE_PX))
    top, left = round(0.08 * _TEXTURE_PX), (wide - body.shape[1]) // 2
    beside = (left, wide - left - body.shape[1])
    base.pixels[top : top + body.shape[0]] = cv2.copyMakeBorder(body, 0, 0, *beside, cv2.BORDER_REPLICATE)
    crimp = dark(design.paper, 0.12)
    base.polygon([(0, 0), (wide, 0), (wide, top), (0, top)], Gradient(light(crimp, 0.3), crimp))
    for x in range(0, wide, 7):
        base.stroke([(x, 3), (x, top - 5)], 2, dark(crimp, 0.18))
    _ribbed(base, 0, 0.155, design.accent if design.accent != (255, 255, 255) else design.ink, 26)
    return Loft(heights, widths, depths, base.pixels, wrapped=False, gloss=0.4)


def _bag(width: float, puff: float, wrinkles: float, crimped_foot: bool) -> Callable[[Design], Solid]:
    """A pouch: a pillow of film with a crimped seam on top, and at the foot unless it stands."""

    def build(design: Design) -> Solid:
        half = width / 2
        waist = ((0, half * 0.96), (0.06, half), (0.3, half * 0.965), (0.6, half * 0.95), (0.9, half * 0.97), (1, half))
        heights, widths = _profile(waist)
        depths = tuple(puff * max(1 - abs(2 * h - 0.9) ** 3, 0.05) for h in heights)
        wide = round(width * _TEXTURE_PX)
        base = Canvas(wide, _TEXTURE_PX, design.paper)
        seam = 0.055 * _TEXTURE_PX
        printed = round(_TEXTURE_PX - seam * (1 + crimped_foot))
        base.pixels[round(seam) : round(seam) + printed] = front(design, wide, printed)
        for top in (0.0, _TEXTURE_PX - seam) if crimped_foot else (0.0,):
            base.polygon([(0, top), (wide, top), (wide, top + seam), (0, top + seam)], dark(design.paper, 0.25), 0.6)
            for y in np.arange(top + 5, top + seam - 3, 6):
                base.stroke([(0, y), (wide, y)], 2, light(design.paper, 0.35))
        return Loft(heights, widths, depths, base.pixels, wrapped=False, gloss=0.3, squareness=2.6, wrinkles=wrinkles)

    return build


def _paper(design: Design) -> Colour:
    return design.paper


def _accent(design: Design) -> Colour:
    return design.accent


def _ink(design: Design) -> Colour:
    return design.ink


def _fruit(design: Design) -> Colour:
    return dark(design.fruit, 0.25)


_JAR: Profile = ((0, 0.33), (0.04, 0.37), (0.7, 0.37), (0.8, 0.33), (0.805, 0.35), (1, 0.35))
_OIL: Profile = ((0, 0.125), (0.02, 0.135), (0.6, 0.135), (0.74, 0.06), (0.86, 0.045), (0.865, 0.055), (1, 0.055))
_PASSATA: Profile = ((0, 0.15), (0.02, 0.165), (0.66, 0.165), (0.82, 0.085), (0.86, 0.08), (0.865, 0.095), (1, 0.095))
_PUMP: Profile = ((0, 0.17), (0.02, 0.185), (0.62, 0.185), (0.7, 0.08), (0.71, 0.075), (0.8, 0.075), (0.81, 0.025),
                  (0.91, 0.025), (0.92, 0.1), (1, 0.1))  # fmt: skip
_SOAP: Profile = (
    (0, 0.18),
    (0.03, 0.195),
    (0.3, 0.17),
    (0.55, 0.19),
    (0.76, 0.1),
    (0.8, 0.07),
    (0.81, 0.085),
    (1, 0.05),
)
_WATER: Profile = ((0, 0.12), (0.03, 0.135), (0.28, 0.135), (0.31, 0.128), (0.34, 0.135), (0.66, 0.135), (0.86, 0.055),
                   (0.9, 0.05), (0.905, 0.062), (1, 0.062))  # fmt: skip
_SODA: Profile = ((0, 0.2), (0.05, 0.262), (0.9, 0.262), (0.97, 0.21), (0.985, 0.225), (1, 0.225))
_FOOD: Profile = ((0, 0.34), (0.02, 0.36), (0.05, 0.345), (0.95, 0.345), (0.98, 0.36), (1, 0.35))
_CREAM: Profile = ((0, 0.44), (0.05, 0.52), (0.6, 0.52), (0.61, 0.54), (0.97, 0.54), (1, 0.52))
_TIN: Profile = ((0, 0.6), (0.03, 0.64), (0.06, 0.62), (0.94, 0.62), (0.97, 0.64), (1, 0.62))

SHAPES: dict[str, Shape] = {
    "gable": Shape(_gable, 1.0),
    "box": Shape(_box(0.62, 0.22), 0.98),
    "brick": Shape(_brick, 0.62),
    "teabox": Shape(_box(1.25, 0.62, 0.82), 0.62),
    "bar": Shape(_box(0.62, 0.07), 0.8),
    "shoebox": Shape(_shoebox, 0.86),
    "oil": Shape(_Vessel(_OIL, (0.12, 0.56), 0.865, _fruit, _ink), 1.15),
    "passata": Shape(_Vessel(_PASSATA, (0.12, 0.58), 0.865, _fruit, _accent), 1.05),
    "jar": Shape(_Vessel(_JAR, (0.12, 0.66), 0.805, _fruit, _accent), 0.66),
    "honey": Shape(_Vessel(_JAR, (0.12, 0.66), 0.805, _accent, _ink), 0.7),
    "cream": Shape(_Vessel(_CREAM, (0.06, 0.58), 0.61, _paper, _accent, gloss=0.3, ribs=0, share=0.3), 0.5),
    "pump": Shape(_Vessel(_PUMP, (0.06, 0.58), 0.7, _paper, _accent, ribs=0, gloss=0.4), 1.0),
    "soap": Shape(_Vessel(_SOAP, (0.08, 0.62), 0.81, _paper, _ink, gloss=0.5), 0.98),
    "water": Shape(_Vessel(_WATER, (0.3, 0.62), 0.905, _paper, _accent, gloss=0.55), 1.05),
    "can": Shape(_can(_SODA, (0.06, 0.9)), 0.72),
    "can2": Shape(_can(_FOOD, (0.06, 0.94)), 0.62),
    "tin": Shape(_can(_TIN, (0.06, 0.94)), 0.5),
    "tube": Shape(_tube, 0.92),
    "pouch": Shape(_bag(0.64, 0.13, 0.08, crimped_foot=False), 0.95),
    "bag": Shape(_bag(0.72, 0.16, 0.14, crimped_foot=True), 0.95),
}  # fmt: skip


def tall(design: Design) -> float:
    """Return how tall the package is next to a litre carton."""
    return SHAPES[design.shape].tall


def breadth(solid: Solid) -> float:
    """Return how wide the package is, as a share of its height."""
    if isinstance(solid, Loft):
        return 2 * max(solid.widths)
    return 2 * max(abs(x) for face in solid for x, _, _ in face.corners)
