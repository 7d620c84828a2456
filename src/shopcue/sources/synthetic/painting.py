"""Vector painting on RGB arrays: smooth shapes with gradients, and lettering set in the font that Pillow carries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from shopcue.records import Floats, Image

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]
_SUBPIXEL_BITS = 4


def rgb(text: str) -> Colour:
    """Return the colour that a `#rrggbb` text names."""
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Return the colour that lies `share` of the way from `a` to `b`."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def light(colour: Colour, share: float = 0.35) -> Colour:
    """Return `colour` mixed with white."""
    return mix(colour, (255, 255, 255), share)


def dark(colour: Colour, share: float = 0.35) -> Colour:
    """Return `colour` mixed with black."""
    return mix(colour, (0, 0, 0), share)


def luminance(colour: Colour) -> float:
    """Return how bright a colour looks, in [0, 1] (Rec. 709 weights)."""
    return (0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]) / 255


@dataclass(frozen=True, slots=True)
class Gradient:
    """Two colours across a shape's bounding box: downwards, or outwards from a light at its upper left."""

    start: Colour
    end: Colour
    radial: bool = False


Paint = Colour | Gradient


@dataclass(frozen=True, slots=True)
class Lettering:
    """How a line of text is set: stroke weight and slant as shares of the letter height, and how wide it is drawn."""

    weight: float = 0.0
    slant: float = 0.0
    stretch: float = 1.0
    tracking: float = 0.0
    capitals: bool = False


@lru_cache(maxsize=128)
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)


def text_mask(text: str, height_px: float, style: Lettering) -> Image:
    """Return the coverage of one line of text, uint8 (h, w), cut to its ink; height_px is the font's size."""
    text = text.upper() if style.capitals else text
    size = max(6, round(height_px))
    font, stroke = _font(size), style.weight * size
    # a heavy stroke grows into its neighbours: give the letters the room that it takes
    step = (style.tracking + (1.3 * style.weight if style.weight > 0.04 else 0)) * size
    pieces = list(text) if step else [text]
    width = sum(font.getlength(piece) + step for piece in pieces) + 4 * stroke + size
    sheet = Picture.new("L", (math.ceil(width), 2 * size))
    draw, x = ImageDraw.Draw(sheet), size / 3
    for piece in pieces:
        draw.text((x, size / 3), piece, 255, font=font, stroke_width=round(stroke))
        x += font.getlength(piece) + step
    mask = np.asarray(sheet)
    if style.slant or style.stretch != 1:
        lean = np.array([[style.stretch, -style.slant, style.slant * size * 1.4], [0, 1, 0]], np.float32)
        wide = math.ceil(mask.shape[1] * style.stretch + abs(style.slant) * 2 * size)
        mask = np.asarray(cv2.warpAffine(mask, lean, (wide, mask.shape[0]), flags=cv2.INTER_AREA), np.uint8)
    x, y, wide, high = cv2.boundingRect(mask)
    return np.ascontiguousarray(mask[y : y + max(high, 1), x : x + max(wide, 1)])


def spline(points: Points, steps: int = 8) -> Floats:
    """Return a closed Catmull-Rom curve through `points` as float32 (n, 2)."""
    knots = np.asarray(points, np.float32)
    before, after, beyond = np.roll(knots, 1, 0), np.roll(knots, -1, 0), np.roll(knots, -2, 0)
    t = np.linspace(0, 1, steps, endpoint=False, dtype=np.float32)[None, :, None]
    k0, k1, k2, k3 = (k[:, None] for k in (before, knots, after, beyond))
    curve = k1 + 0.5 * t * (k2 - k0 + t * (2 * k0 - 5 * k1 + 4 * k2 - k3 + t * (3 * (k1 - k2) + k3 - k0)))
    return np.asarray(curve.reshape(-1, 2), np.float32)


class Canvas:
    """An RGB picture that is painted on; coordinates are pixels, or a `Brush`'s own."""

    def __init__(self, width: int, height: int, paint: Paint = (255, 255, 255)) -> None:
        self.pixels: Image = np.zeros((height, width, 3), np.uint8)
        self.polygon([(0, 0), (width, 0), (width, height), (0, height)], paint)

    @property
    def width(self) -> int:
        """How wide the picture is, in pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """How high the picture is, in pixels."""
        return int(self.pixels.shape[0])

    def at(self, x: float, y: float, size: float, angle: float = 0.0) -> Brush:
        """Return a brush whose square [-1, 1] x [-1, 1] is `size` pixels from centre to edge, turned by degrees."""
        return Brush(self, x, y, size, math.radians(angle))

    def polygon(self, points: Points | Floats, paint: Paint, opacity: float = 1.0) -> None:
        """Fill a polygon with smooth edges."""
        outline = np.asarray(points, np.float32)
        x0, y0 = np.maximum(np.floor(outline.min(0)).astype(int) - 1, 0)
        x1, y1 = np.minimum(np.ceil(outline.max(0)).astype(int) + 2, (self.width, self.height))
        if x1 <= x0 or y1 <= y0:
            return
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        scaled = np.round((outline - (x0, y0)) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(mask, [scaled], (255,), cv2.LINE_AA, _SUBPIXEL_BITS)
        self._cover(mask, int(x0), int(y0), paint, opacity)

    def stroke(self, points: Points | Floats, width_px: float, paint: Colour, closed: bool = False) -> None:
        """Draw a line through `points`."""
        scaled = np.round(np.asarray(points, np.float32) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        thick = max(1, round(width_px))
        cv2.polylines(self.pixels, [scaled], closed, paint, thick, cv2.LINE_AA, _SUBPIXEL_BITS)

    def text(
        self,
        text: str,
        centre: tuple[float, float],
        height_px: float,
        paint: Paint,
        style: Lettering | None = None,
        fit_px: float | None = None,
        align: float = 0.5,
        angle: float = 0.0,
    ) -> float:
        """Set one line of text around `centre`, shrunk to `fit_px`; `align` 0 starts there. Returns its width."""
        mask = text_mask(text, height_px, style or Lettering())
        if fit_px is not None and mask.shape[1] > fit_px:
            share = fit_px / mask.shape[1]
            small = (max(1, round(fit_px)), max(1, round(mask.shape[0] * share)))
            mask = np.asarray(cv2.resize(mask, small, interpolation=cv2.INTER_AREA), np.uint8)
        if angle:
            mask = _turned(mask, angle)
        left, top = round(centre[0] - align * mask.shape[1]), round(centre[1] - mask.shape[0] / 2)
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + mask.shape[1], self.width), min(top + mask.shape[0], self.height)
        if x1 > x0 and y1 > y0:
            self._cover(mask[y0 - top : y1 - top, x0 - left : x1 - left], x0, y0, paint, 1.0)
        return float(mask.shape[1])

    def _cover(self, mask: Image, x: int, y: int, paint: Paint, opacity: float) -> None:
        height, width = mask.shape
        part = self.pixels[y : y + height, x : x + width]
        share = (mask.astype(np.float32) * (opacity / 255))[..., None]
        colour = _painted(paint, width, height)
        part[:] = np.round(part + (colour - part) * share).astype(np.uint8)


def _turned(mask: Image, angle: float) -> Image:
    height, width = mask.shape
    side = math.ceil(math.hypot(height, width))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1)
    turn[:, 2] += (side - width) / 2, (side - height) / 2
    return np.asarray(cv2.warpAffine(mask, turn, (side, side), flags=cv2.INTER_LINEAR), np.uint8)


def _painted(paint: Paint, width: int, height: int) -> NDArray[np.float32]:
    if not isinstance(paint, Gradient):
        return np.array(paint, np.float32)
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    share = np.broadcast_to(down, (height, width))
    if paint.radial:
        across = np.linspace(0, 1, width, dtype=np.float32)[None]
        share = np.clip(np.hypot(down - 0.33, across - 0.33) / 0.85, 0, 1)
    start, end = np.array(paint.start, np.float32), np.array(paint.end, np.float32)
    return np.asarray(start + (end - start) * share[..., None], np.float32)


class Brush:
    """Paints in a square of its own, [-1, 1] both ways with y down, placed and turned on a canvas."""

    def __init__(self, canvas: Canvas, x: float, y: float, size: float, angle: float) -> None:
        self._canvas, self._size = canvas, size
        self._turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]) * size
        self._move = np.array([x, y])
        self._angle = math.degrees(angle)

    def _placed(self, points: Points | Floats) -> Floats:
        return np.asarray(np.asarray(points) @ self._turn + self._move, np.float32)

    def at(self, x: float, y: float, size: float, angle: float = 0.0) -> Brush:
        """Return a brush inside this one."""
        centre = self._placed([(x, y)])[0]
        return self._canvas.at(float(centre[0]), float(centre[1]), size * self._size, angle + self._angle)

    def polygon(self, points: Points, paint: Paint, opacity: float = 1.0) -> None:
        """Fill a polygon."""
        self._canvas.polygon(self._placed(points), paint, opacity)

    def blob(self, points: Points, paint: Paint, opacity: float = 1.0) -> None:
        """Fill the smooth closed curve through `points`."""
        self._canvas.polygon(self._placed(spline(points)), paint, opacity)

    def ellipse(self, x: float, y: float, rx: float, ry: float, paint: Paint, opacity: float = 1.0) -> None:
        """Fill an ellipse."""
        t = np.linspace(0, 2 * np.pi, 56, endpoint=False)
        self._canvas.polygon(self._placed(np.stack([x + rx * np.cos(t), y + ry * np.sin(t)], 1)), paint, opacity)

    def line(self, points: Points, width: float, paint: Colour, closed: bool = False) -> None:
        """Draw a line; `width` is a share of the brush's size."""
        self._canvas.stroke(self._placed(points), width * self._size, paint, closed)
