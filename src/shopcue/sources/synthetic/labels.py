"""Printed faces of packages: a front with brand, name and illustration, and a side with facts and a barcode."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable

import numpy as np

from shopcue.records import Image
from shopcue.sources.synthetic.designs import Design
from shopcue.sources.synthetic.motifs import MOTIFS, leaf
from shopcue.sources.synthetic.painting import Canvas, Colour, Gradient, Lettering, Points, dark, light, luminance, mix

_SMALL = Lettering(weight=0.02)
_CAPS = Lettering(weight=0.03, tracking=0.1, capitals=True)
_NAME = Lettering(weight=0.045)
Layout = Callable[[Canvas, Design], None]


def _legible(on: Colour, design: Design) -> Colour:
    """Return the colour of the palette that stands out best against `on`."""
    choice = (design.ink, design.paper, (255, 255, 255), dark(design.ink, 0.5))
    return max(choice[:2], key=lambda c: abs(luminance(c) - luminance(on))) if on != design.paper else design.ink


def _wordmark(canvas: Canvas, design: Design, x: float, y: float, height: float, paint: Colour, width: float) -> None:
    canvas.text(design.brand, (x, y), height, paint, design.wordmark, fit_px=width)


def _name(canvas: Canvas, design: Design, x: float, y: float, height: float, paint: Colour, width: float) -> float:
    """Set the product's name on as many lines as it needs; returns where the next line would stand."""
    lines: list[str] = []
    for word in design.name.split():
        if lines and len(lines[-1]) + len(word) < max(12, len(design.name) / 2 + 2):
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    for line in lines:
        canvas.text(line, (x, y), height, paint, _NAME, fit_px=width)
        y += 1.12 * height
    return y


def _footer(canvas: Canvas, design: Design, paint: Colour) -> None:
    w, h = canvas.width, canvas.height
    size = min(0.045 * h, 0.085 * w)
    canvas.text(design.size, (0.07 * w, h - 1.3 * size), size, paint, _NAME, align=0)
    canvas.text(design.category, (0.93 * w, h - 1.3 * size), 0.72 * size, paint, _CAPS, align=1, fit_px=0.5 * w)


def _illustrate(canvas: Canvas, design: Design, x: float, y: float, size: float, angle: float = 0.0) -> None:
    MOTIFS[design.motif](canvas.at(x, y, size, angle), design.fruit)


def bloom(canvas: Canvas, design: Design) -> None:
    """A large illustration grows out of a coloured hill."""
    w, h = canvas.width, canvas.height
    unit = min(w, 0.62 * h)
    hill = [(i * w / 20, h * (0.72 + 0.06 * math.cos(math.pi * i / 10))) for i in range(21)]
    canvas.polygon([*hill, (w, h), (0, h)], Gradient(design.accent, dark(design.accent, 0.35)))
    for i in range(3):
        leaf(canvas.at(w * (0.14 + 0.36 * i), h * 0.7, 0.12 * unit, -50 + 40 * i), mix(design.ink, design.accent, 0.3))
    _illustrate(canvas, design, 0.5 * w, 0.63 * h, 0.36 * unit)
    canvas.polygon([(0, 0), (w, 0), (w, 0.05 * h), (0, 0.05 * h)], design.ink)
    _wordmark(canvas, design, 0.5 * w, 0.16 * h, 0.2 * unit, design.ink, 0.86 * w)
    _name(canvas, design, 0.5 * w, 0.29 * h, 0.1 * unit, dark(design.accent, 0.25), 0.8 * w)
    _footer(canvas, design, _legible(design.accent, design))


def crest(canvas: Canvas, design: Design) -> None:
    """A framed emblem holds the illustration, with rules and small capitals around."""
    w, h = canvas.width, canvas.height
    unit = min(w, 0.62 * h)
    for inset, width in ((0.045, 0.012), (0.07, 0.005)):
        d = inset * unit
        canvas.stroke([(d, d), (w - d, d), (w - d, h - d), (d, h - d)], width * unit, design.accent, closed=True)
    emblem = canvas.at(0.5 * w, 0.6 * h, 0.36 * unit)
    emblem.ellipse(0, 0, 1, 1, design.accent)
    emblem.ellipse(0, 0, 0.93, 0.93, Gradient(light(design.paper, 0.16), design.paper))
    emblem.ellipse(0, 0, 0.86, 0.86, Gradient(light(design.accent, 0.75), light(design.accent, 0.5)))
    _illustrate(canvas, design, 0.5 * w, 0.6 * h, 0.24 * unit)
    _wordmark(canvas, design, 0.5 * w, 0.17 * h, 0.18 * unit, design.ink, 0.78 * w)
    canvas.polygon(
        [(0.2 * w, 0.235 * h), (0.8 * w, 0.235 * h), (0.8 * w, 0.24 * h), (0.2 * w, 0.24 * h)], design.accent
    )
    _name(canvas, design, 0.5 * w, 0.3 * h, 0.085 * unit, design.ink, 0.76 * w)
    canvas.text(
        f"{design.category} · {design.size}", (0.5 * w, 0.9 * h), 0.055 * unit, design.ink, _CAPS, fit_px=0.7 * w
    )


def type_only(canvas: Canvas, design: Design) -> None:
    """Huge letters fill the face; the illustration is a small stamp."""
    w, h = canvas.width, canvas.height
    unit = min(w, 0.62 * h)
    half = (len(design.brand) + 1) // 2
    for i, part in enumerate((design.brand[:half], design.brand[half:])):
        canvas.text(part, (0.5 * w, (0.16 + 0.16 * i) * h), 0.36 * unit, design.ink, design.wordmark, fit_px=0.88 * w)
    canvas.polygon([(0, 0.44 * h), (w, 0.4 * h), (w, 0.58 * h), (0, 0.62 * h)], design.accent)
    canvas.text(
        design.name, (0.5 * w, 0.51 * h), 0.13 * unit, _legible(design.accent, design), _NAME, 0.9 * w, angle=2.5
    )
    canvas.at(0.5 * w, 0.77 * h, 0.21 * unit).ellipse(0, 0, 1.12, 1.12, light(design.accent, 0.8))
    _illustrate(canvas, design, 0.5 * w, 0.77 * h, 0.19 * unit)
    _footer(canvas, design, design.ink)


def burst(canvas: Canvas, design: Design) -> None:
    """Rays burst from behind the illustration; the wordmark leans across."""
    w, h = canvas.width, canvas.height
    unit, reach = min(w, 0.62 * h), math.hypot(w, h)
    for i in range(0, 28, 2):
        a, b = 2 * math.pi * i / 28, 2 * math.pi * (i + 1) / 28
        rim = [(0.5 * w + reach * math.cos(t), 0.62 * h + reach * math.sin(t)) for t in (a, b)]
        canvas.polygon([(0.5 * w, 0.62 * h), *rim], mix(design.paper, design.accent, 0.28))
    canvas.at(0.5 * w, 0.7 * h, 0.36 * unit).ellipse(0, 0, 1, 0.9, Gradient(light(design.accent), design.accent, True))
    _illustrate(canvas, design, 0.5 * w, 0.7 * h, 0.3 * unit)
    banner: Points = [(0, 0.12 * h), (w, 0.06 * h), (w, 0.29 * h), (0, 0.35 * h)]
    canvas.polygon(banner, Gradient(dark(design.paper, 0.15), dark(design.paper, 0.4)))
    canvas.text(design.brand, (0.5 * w, 0.205 * h), 0.25 * unit, design.ink, design.wordmark, 0.88 * w, angle=4)
    _name(canvas, design, 0.5 * w, 0.375 * h, 0.085 * unit, design.ink, 0.84 * w)
    _footer(canvas, design, design.ink)


def arch(canvas: Canvas, design: Design) -> None:
    """An arched window shows the illustration, with ornaments in the corners."""
    w, h = canvas.width, canvas.height
    unit = min(w, 0.8 * h)
    cx, half, spring = 0.5 * w, 0.36 * unit, 0.5 * h
    turns = np.linspace(math.pi, 2 * math.pi, 30)
    for grow, paint in ((1.08, design.accent), (1.0, mix(design.paper, design.ink, 0.85))):
        arc = [(cx + grow * half * math.cos(t), spring + grow * half * math.sin(t)) for t in turns]
        floor = h * (0.83 + 0.01 * (grow > 1))
        canvas.polygon([*arc, (cx + grow * half, floor), (cx - grow * half, floor)], paint)
    _illustrate(canvas, design, cx, 0.6 * h, 0.27 * unit)
    for side in (-1, 1):
        for y in (0.24, 0.86):
            spray = canvas.at(cx + side * 0.44 * w, y * h, 0.1 * unit, 90 + side * 35)
            leaf(spray, mix(design.accent, design.ink, 0.3))
    _wordmark(canvas, design, cx, 0.1 * h, 0.12 * unit, design.ink, 0.86 * w)
    canvas.text(design.name, (cx, 0.91 * h), 0.075 * unit, design.ink, _NAME, 0.84 * w)


def minimal(canvas: Canvas, design: Design) -> None:
    """Much empty space, a thin rule, a small illustration."""
    w, h = canvas.width, canvas.height
    unit = min(w, 0.85 * h)
    _wordmark(canvas, design, 0.5 * w, 0.24 * h, 0.16 * unit, design.ink, 0.74 * w)
    canvas.polygon(
        [(0.3 * w, 0.325 * h), (0.7 * w, 0.325 * h), (0.7 * w, 0.332 * h), (0.3 * w, 0.332 * h)], design.accent
    )
    _illustrate(canvas, design, 0.5 * w, 0.51 * h, 0.17 * unit)
    y = _name(canvas, design, 0.5 * w, 0.72 * h, 0.08 * unit, design.ink, 0.74 * w)
    canvas.text(design.size, (0.5 * w, y + 0.02 * h), 0.05 * unit, design.accent, _CAPS)


def diagonal(canvas: Canvas, design: Design) -> None:
    """A slanting field divides the face."""
    w, h = canvas.width, canvas.height
    unit = min(w, 0.8 * h)
    canvas.polygon([(0, 0.62 * h), (w, 0.2 * h), (w, h), (0, h)], Gradient(design.accent, dark(design.accent, 0.3)))
    canvas.polygon([(0, 0.58 * h), (w, 0.16 * h), (w, 0.19 * h), (0, 0.61 * h)], design.ink)
    canvas.at(0.68 * w, 0.62 * h, 0.36 * unit).ellipse(0, 0, 1, 1, light(design.fruit, 0.75))
    _illustrate(canvas, design, 0.68 * w, 0.62 * h, 0.29 * unit, -8)
    canvas.text(design.brand, (0.06 * w, 0.16 * h), 0.17 * unit, design.ink, design.wordmark, 0.74 * w, align=0)
    text = _legible(design.accent, design)
    for i, word in enumerate(design.name.split()):
        canvas.text(word, (0.06 * w, (0.7 + 0.1 * i) * h), 0.085 * unit, text, _NAME, 0.36 * w, align=0)
    canvas.text(design.size, (0.93 * w, 0.93 * h), 0.06 * unit, text, _CAPS, align=1)


def oval(canvas: Canvas, design: Design) -> None:
    """A gingham border around a scalloped oval, as on home-made preserves."""
    w, h = canvas.width, canvas.height
    step = max(6, round(h / 22))
    check = light(design.accent, 0.3)
    for i in range(0, w, 2 * step):
        canvas.polygon([(i, 0), (i + step, 0), (i + step, h), (i, h)], check, 0.5)
    for j in range(0, h, 2 * step):
        canvas.polygon([(0, j), (w, j), (w, j + step), (0, j + step)], check, 0.5)
    rx, ry = 0.44 * w, 0.45 * h
    for grow, paint in ((1.0, design.ink), (0.97, design.paper)):
        t = np.linspace(0, 2 * math.pi, 240)
        r = grow * (1 + 0.025 * np.cos(28 * t))
        canvas.polygon(np.stack([0.5 * w + rx * r * np.cos(t), 0.5 * h + ry * r * np.sin(t)], 1), paint)
    unit = min(w, h)
    _illustrate(canvas, design, 0.5 * w, 0.62 * h, 0.21 * unit)
    _wordmark(canvas, design, 0.5 * w, 0.24 * h, 0.15 * unit, design.ink, 0.66 * w)
    canvas.text(design.name, (0.5 * w, 0.375 * h), 0.085 * unit, dark(design.accent, 0.2), _NAME, 0.68 * w)
    canvas.text(design.size, (0.5 * w, 0.88 * h), 0.05 * unit, design.ink, _CAPS)


def band(canvas: Canvas, design: Design) -> None:
    """A broad band carries the name; the illustration stands above it."""
    w, h = canvas.width, canvas.height
    unit = min(w, h)
    _wordmark(canvas, design, 0.5 * w, 0.15 * h, 0.2 * unit, design.ink, 0.84 * w)
    _illustrate(canvas, design, 0.5 * w, 0.475 * h, 0.2 * unit)
    canvas.polygon(
        [(0, 0.7 * h), (w, 0.7 * h), (w, 0.9 * h), (0, 0.9 * h)], Gradient(design.ink, dark(design.ink, 0.25))
    )
    for y in (0.685, 0.905):
        canvas.polygon([(0, y * h), (w, y * h), (w, (y + 0.012) * h), (0, (y + 0.012) * h)], design.accent)
    canvas.text(design.name, (0.5 * w, 0.775 * h), 0.09 * unit, design.paper, _NAME, 0.88 * w)
    canvas.text(f"{design.category} · {design.size}", (0.5 * w, 0.855 * h), 0.05 * unit, design.paper, _CAPS, 0.8 * w)


def stripes(canvas: Canvas, design: Design) -> None:
    """Upright stripes, a disc with the illustration and the wordmark across."""
    w, h = canvas.width, canvas.height
    unit = min(w, 0.7 * h)
    for i in range(0, 14, 2):
        shade = mix(design.paper, design.accent, 0.45)
        canvas.polygon([(i * w / 14, 0), ((i + 1) * w / 14, 0), ((i + 1) * w / 14, h), (i * w / 14, h)], shade)
    disc = canvas.at(0.5 * w, 0.69 * h, 0.31 * unit)
    disc.ellipse(0, 0, 1.06, 1.06, design.ink)
    disc.ellipse(0, 0, 0.98, 0.98, Gradient(light(design.paper, 0.7), light(design.paper, 0.4)))
    _illustrate(canvas, design, 0.5 * w, 0.69 * h, 0.23 * unit)
    plate = [(0.05 * w, 0.13 * h), (0.95 * w, 0.09 * h), (0.95 * w, 0.3 * h), (0.05 * w, 0.34 * h)]
    canvas.polygon(plate, Gradient(design.ink, dark(design.ink, 0.2)))
    canvas.text(design.brand, (0.5 * w, 0.215 * h), 0.2 * unit, design.paper, design.wordmark, 0.8 * w, angle=3)
    canvas.text(design.name, (0.5 * w, 0.4 * h), 0.085 * unit, design.ink, _NAME, 0.84 * w)
    _footer(canvas, design, design.ink)


def waves(canvas: Canvas, design: Design) -> None:
    """Waves roll across the lower half under the illustration."""
    w, h = canvas.width, canvas.height
    unit = min(w, 0.62 * h)
    for i in range(4):
        y = h * (0.56 + 0.12 * i)
        crest_line = [(k * w / 24, y + 0.035 * h * math.sin(0.5 * k + 1.9 * i)) for k in range(25)]
        tone = mix(light(design.accent, 0.45), design.ink, i / 3)
        canvas.polygon([*crest_line, (w, h), (0, h)], tone)
    _illustrate(canvas, design, 0.62 * w, 0.49 * h, 0.27 * unit)
    _wordmark(canvas, design, 0.5 * w, 0.14 * h, 0.21 * unit, design.ink, 0.86 * w)
    _name(canvas, design, 0.5 * w, 0.25 * h, 0.085 * unit, mix(design.ink, design.accent, 0.35), 0.84 * w)
    _footer(canvas, design, (255, 255, 255))


LAYOUTS: dict[str, Layout] = {
    "bloom": bloom, "crest": crest, "type": type_only, "burst": burst, "arch": arch, "minimal": minimal,
    "diagonal": diagonal, "oval": oval, "band": band, "stripes": stripes, "waves": waves,
}  # fmt: skip


def front(design: Design, width: int, height: int) -> Image:
    """Return the face that a shopper sees, RGB (height, width, 3)."""
    canvas = Canvas(width, height, Gradient(light(design.paper, 0.1), mix(design.paper, design.accent, 0.06)))
    LAYOUTS[design.layout](canvas, design)
    return canvas.pixels


def side(design: Design, width: int, height: int) -> Image:
    """Return the face with the small print: brand, description, a table of facts and a barcode."""
    canvas = Canvas(width, height, mix(design.paper, design.accent, 0.08))
    w, h = canvas.width, canvas.height
    size = min(0.07 * w, 0.032 * h)
    canvas.text(design.brand, (0.5 * w, 0.09 * h), min(0.22 * w, 0.1 * h), design.ink, design.wordmark, 0.84 * w)
    y = 0.19 * h
    words, line = design.description.split(), ""
    for i, word in enumerate(words):
        line = f"{line} {word}".strip()
        if len(line) > 17 or i == len(words) - 1:
            canvas.text(line, (0.08 * w, y), size, design.ink, _SMALL, 0.84 * w, align=0)
            y, line = y + 1.35 * size, ""
    _facts(canvas, design, max(y + 0.03 * h, 0.36 * h), size)
    _barcode(canvas, design, 0.79 * h, 0.14 * h)
    return canvas.pixels


def _facts(canvas: Canvas, design: Design, top: float, size: float) -> None:
    w, digits = canvas.width, np.random.default_rng(zlib.crc32(design.product_id.encode()))
    rows = ("Energy kJ", "Fat g", "Carbohydrate g", "Sugars g", "Protein g", "Salt g")
    bottom = top + (len(rows) + 0.4) * 1.45 * size
    canvas.polygon([(0.08 * w, top), (0.92 * w, top), (0.92 * w, bottom), (0.08 * w, bottom)], (252, 252, 250))
    canvas.stroke(
        [(0.08 * w, top), (0.92 * w, top), (0.92 * w, bottom), (0.08 * w, bottom)], 2, (40, 40, 40), closed=True
    )
    for i, row in enumerate(rows):
        y = top + (i + 0.75) * 1.45 * size
        canvas.text(row, (0.11 * w, y), 0.85 * size, (40, 40, 40), _SMALL, 0.5 * w, align=0)
        canvas.text(f"{digits.uniform(0.1, 60):.1f}", (0.89 * w, y), 0.85 * size, (40, 40, 40), _NAME, align=1)


def _barcode(canvas: Canvas, design: Design, top: float, height: float) -> None:
    w, bars = canvas.width, np.random.default_rng(zlib.crc32(design.title.encode()))
    canvas.polygon(
        [(0.14 * w, top), (0.86 * w, top), (0.86 * w, top + height), (0.14 * w, top + height)], (255, 255, 255)
    )
    x, unit = 0.19 * w, 0.62 * w / 95
    while x < 0.81 * w:
        wide = unit * int(bars.integers(1, 4))
        ends = min(x + wide, 0.81 * w)
        canvas.polygon(
            [(x, top + 4), (ends, top + 4), (ends, top + 0.78 * height), (x, top + 0.78 * height)], (16, 16, 16)
        )
        x += wide + unit * int(bars.integers(1, 4))
    digits = "".join(map(str, bars.integers(0, 10, 13)))
    canvas.text(digits, (0.5 * w, top + 0.89 * height), 0.13 * height, (16, 16, 16), _SMALL, 0.6 * w)
