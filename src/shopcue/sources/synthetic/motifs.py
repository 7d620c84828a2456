"""What labels show: fruit, leaves, grain and other things, each a few shapes with gradients in a square brush."""

from __future__ import annotations

import math
from collections.abc import Callable

from shopcue.sources.synthetic.painting import Brush, Colour, Gradient, Points, dark, light, mix

Motif = Callable[[Brush, Colour], None]
_WHITE: Colour = (255, 255, 255)
_LEAF: Colour = (74, 138, 62)
_STEM: Colour = (92, 66, 40)


def _ball(colour: Colour) -> Gradient:
    return Gradient(light(colour, 0.32), dark(colour, 0.3), radial=True)


def _ring(count: int, radius: float, phase: float = 0.0) -> list[tuple[float, float, float]]:
    turns = [phase + 2 * math.pi * i / count for i in range(count)]
    return [(radius * math.cos(t), radius * math.sin(t), math.degrees(t)) for t in turns]


def leaf(brush: Brush, colour: Colour = _LEAF) -> None:
    """Paint one pointed leaf with veins."""
    edge: Points = [(-1, 0), (-0.5, -0.36), (0.2, -0.4), (1, 0), (0.2, 0.4), (-0.5, 0.36)]
    brush.blob(edge, Gradient(light(colour, 0.3), dark(colour, 0.25)))
    brush.line([(-1, 0), (0.85, 0)], 0.035, light(colour, 0.5))
    for x in (-0.5, -0.1, 0.3):
        brush.line([(x, 0), (x + 0.3, -0.25)], 0.02, light(colour, 0.45))
        brush.line([(x, 0), (x + 0.3, 0.25)], 0.02, light(colour, 0.45))


def citrus(brush: Brush, colour: Colour) -> None:
    """Paint a whole citrus fruit behind a cut half."""
    brush.ellipse(0.38, -0.22, 0.6, 0.58, _ball(colour))
    leaf(brush.at(0.62, -0.82, 0.32, -24))
    leaf(brush.at(0.2, -0.86, 0.26, 205))
    brush.ellipse(-0.3, 0.22, 0.66, 0.66, Gradient(colour, dark(colour, 0.22)))
    brush.ellipse(-0.3, 0.22, 0.6, 0.6, light(colour, 0.86))
    for i in range(9):
        a, b = 2 * math.pi * (i + 0.06) / 9, 2 * math.pi * (i + 0.94) / 9
        wedge = [(-0.3 + r * math.cos(t), 0.22 + r * math.sin(t)) for r, t in ((0.06, a), (0.54, a), (0.54, b))]
        middle = (a + b) / 2
        wedge.insert(2, (-0.3 + 0.57 * math.cos(middle), 0.22 + 0.57 * math.sin(middle)))
        brush.polygon(wedge, Gradient(light(colour, 0.25), colour))
    brush.ellipse(0.16, -0.5, 0.13, 0.07, _WHITE, 0.5)


def apple(brush: Brush, colour: Colour) -> None:
    """Paint an apple."""
    edge: Points = [(0, -0.5), (0.5, -0.66), (0.86, -0.2), (0.66, 0.55), (0.22, 0.86)]
    edge = [*edge, (0, 0.78), (-0.22, 0.86), (-0.66, 0.55), (-0.86, -0.2), (-0.5, -0.66)]
    brush.blob(edge, _ball(colour))
    brush.line([(0, -0.48), (0.05, -0.75), (0.14, -0.95)], 0.09, _STEM)
    leaf(brush.at(0.46, -0.82, 0.36, 18))
    brush.blob([(-0.6, -0.25), (-0.42, -0.45), (-0.36, -0.2), (-0.52, 0.12)], _WHITE, 0.42)


def strawberry(brush: Brush, colour: Colour) -> None:
    """Paint a strawberry with its seeds."""
    edge: Points = [(0, -0.5), (0.5, -0.6), (0.78, -0.2), (0.48, 0.5), (0, 0.96), (-0.48, 0.5), (-0.78, -0.2)]
    brush.blob([*edge, (-0.5, -0.6)], _ball(colour))
    for row in range(6):
        half = 0.62 - 0.1 * row if row else 0.5
        for i in range(5 - row // 2):
            x = -half + 2 * half * (i + 0.5 * (row % 2) + 0.25) / (5 - row // 2)
            brush.ellipse(x, -0.32 + 0.19 * row, 0.035, 0.055, (250, 222, 140))
    for angle in (-160, -125, -90, -55, -20):
        t = math.radians(angle)
        leaf(brush.at(0.3 * math.cos(t), -0.58 + 0.18 * math.sin(t), 0.34, -angle))


def berries(brush: Brush, colour: Colour) -> None:
    """Paint a heap of round berries with leaves."""
    leaf(brush.at(0.66, -0.52, 0.42, 32))
    leaf(brush.at(-0.7, -0.42, 0.38, 150))
    spots = [(-0.34, -0.3), (0.3, -0.34), (0, -0.05), (-0.58, 0.28), (0.58, 0.24), (-0.12, 0.5), (0.36, 0.58)]
    for i, (x, y) in enumerate(spots):
        tone = mix(colour, dark(colour, 0.4), (i * 0.37) % 1)
        brush.ellipse(x, y, 0.36, 0.36, _ball(tone))
        brush.ellipse(x + 0.02, y - 0.06, 0.1, 0.085, dark(tone, 0.45))
        brush.ellipse(x - 0.13, y - 0.17, 0.07, 0.045, _WHITE, 0.55)


def grain(brush: Brush, colour: Colour) -> None:
    """Paint three ears of grain."""
    for sway, angle in ((-0.34, 14), (0.34, -14), (0, 0)):
        ear = brush.at(sway, 0, 1, angle)
        ear.line([(0, 1), (0, -0.6)], 0.04, dark(colour, 0.2))
        for i in range(6):
            y = -0.62 + 0.2 * i
            for side in (-1, 1):
                kernel: Points = [(0, y + 0.14), (side * 0.17, y), (side * 0.19, y - 0.17), (side * 0.05, y - 0.08)]
                ear.blob(kernel, Gradient(light(colour, 0.4), dark(colour, 0.12)))
        ear.blob([(-0.07, -0.7), (0, -0.95), (0.07, -0.7), (0, -0.6)], Gradient(light(colour, 0.4), colour))


def beans(brush: Brush, colour: Colour) -> None:
    """Paint roasted coffee beans."""
    for x, y, angle, size in (
        (-0.42, -0.4, 35, 0.5),
        (0.45, -0.3, -50, 0.46),
        (0, 0.38, 5, 0.56),
        (0.72, 0.55, 60, 0.3),
    ):
        bean = brush.at(x, y, size, angle)
        bean.ellipse(0, 0, 0.68, 1, _ball(colour))
        crease: Points = [(0.02, -0.95), (0.16, -0.5), (-0.06, 0), (-0.18, 0.45), (0.02, 0.95)]
        bean.line(crease, 0.11, dark(colour, 0.6))
        bean.ellipse(-0.34, -0.35, 0.1, 0.28, _WHITE, 0.28)


def cocoa(brush: Brush, colour: Colour) -> None:
    """Paint squares of chocolate, one broken off."""
    for row in range(3):
        for column in range(3 - (row == 0)):
            piece = brush.at(-0.6 + 0.6 * column, -0.6 + 0.6 * row, 0.29, 0)
            piece.polygon([(-1, -1), (1, -1), (1, 1), (-1, 1)], Gradient(light(colour, 0.2), dark(colour, 0.3)))
            piece.polygon([(-0.7, -0.7), (0.7, -0.7), (0.7, 0.7), (-0.7, 0.7)], Gradient(colour, light(colour, 0.12)))
            piece.line([(-0.7, 0.7), (-0.7, -0.7), (0.7, -0.7)], 0.09, light(colour, 0.35))
    brush.at(0.72, -0.78, 0.27, 24).polygon([(-1, -1), (1, -0.8), (0.9, 1), (-1, 0.9)], Gradient(light(colour), colour))


def tomato(brush: Brush, colour: Colour) -> None:
    """Paint two tomatoes on their vine."""
    for x, y, size in ((-0.36, 0.14, 0.66), (0.44, 0.28, 0.52)):
        fruit = brush.at(x, y, size)
        fruit.ellipse(0, 0, 1, 0.9, _ball(colour))
        for _, _, angle in _ring(5, 1):
            leaf(
                fruit.at(0.22 * math.cos(math.radians(angle)), -0.66 - 0.1 * math.sin(math.radians(angle)), 0.3, angle)
            )
        fruit.ellipse(-0.48, -0.3, 0.16, 0.11, _WHITE, 0.5)
    brush.line([(-0.36, -0.35), (-0.1, -0.85), (0.3, -0.75), (0.44, -0.1)], 0.06, dark(_LEAF, 0.15))


def olives(brush: Brush, colour: Colour) -> None:
    """Paint a twig with olives."""
    brush.line([(-0.95, 0.6), (-0.3, 0.05), (0.3, -0.3), (0.95, -0.5)], 0.06, _STEM)
    for x, y, angle in ((-0.5, -0.12, 62), (0, -0.5, 70), (0.5, -0.72, 52), (0.1, 0.22, -40), (0.66, -0.06, -32)):
        leaf(brush.at(x, y, 0.4, angle), (118, 140, 84))
    for x, y in ((-0.5, 0.62), (0, 0.56), (0.48, 0.34)):
        brush.ellipse(x, y, 0.22, 0.3, _ball(colour))
        brush.ellipse(x - 0.08, y - 0.12, 0.045, 0.08, _WHITE, 0.5)


def fish(brush: Brush, colour: Colour) -> None:
    """Paint a fish with scales."""
    brush.polygon([(0.55, 0), (1, -0.42), (0.9, 0), (1, 0.42)], Gradient(colour, dark(colour, 0.35)))
    brush.blob([(0, -0.32), (0.16, -0.56), (0.42, -0.3)], dark(colour, 0.3))
    body: Points = [
        (-0.95, 0.02),
        (-0.55, -0.3),
        (0.05, -0.38),
        (0.72, -0.05),
        (0.72, 0.07),
        (0.05, 0.36),
        (-0.55, 0.28),
    ]
    brush.blob(body, Gradient(dark(colour, 0.25), light(colour, 0.75)))
    for i in range(5):
        for j in range(3 - (i > 3)):
            x, y = -0.32 + 0.19 * i, -0.16 + 0.16 * j + 0.05 * (i % 2)
            brush.line([(x, y - 0.08), (x + 0.07, y), (x, y + 0.08)], 0.022, dark(colour, 0.15))
    brush.line([(-0.52, -0.25), (-0.44, 0), (-0.52, 0.24)], 0.035, dark(colour, 0.35))
    brush.ellipse(-0.7, -0.06, 0.075, 0.075, _WHITE)
    brush.ellipse(-0.71, -0.06, 0.042, 0.042, (20, 24, 30))


def flower(brush: Brush, colour: Colour) -> None:
    """Paint one open flower with leaves."""
    for x, y, angle in _ring(3, 0.78, phase=0.5):
        leaf(brush.at(x, y, 0.34, angle))
    for radius, size, tone in ((0.42, 0.46, colour), (0.27, 0.34, light(colour, 0.3))):
        for x, y, angle in _ring(7, radius, phase=radius):
            petal = brush.at(x, y, size, angle)
            petal.blob([(-0.9, 0), (0, -0.52), (0.85, -0.3), (0.85, 0.3), (0, 0.52)], Gradient(light(tone, 0.4), tone))
    brush.ellipse(0, 0, 0.2, 0.2, Gradient((255, 226, 120), (214, 150, 40), radial=True))


def sprig(brush: Brush, colour: Colour) -> None:
    """Paint a sprig of leaves."""
    brush.line([(0, 1), (0.04, 0.2), (0, -0.7)], 0.05, dark(colour, 0.2))
    for i in range(4):
        y, size = 0.66 - 0.4 * i, 0.48 - 0.06 * i
        leaf(brush.at(0.42 - 0.05 * i, y - 0.1, size, 32), colour)
        leaf(brush.at(-0.42 + 0.05 * i, y - 0.1, size, 148), colour)
    leaf(brush.at(0, -0.78, 0.26, 90), light(colour, 0.15))


def honeycomb(brush: Brush, colour: Colour) -> None:
    """Paint cells of a honeycomb and a bee."""
    cells = [(0.0, 0.0), *((x, y) for x, y, _ in _ring(6, 0.56, math.pi / 6))]
    for i, (x, y) in enumerate(cells):
        hexagon = [(x + px, y + py) for px, py, _ in _ring(6, 0.295)]
        tone = mix(light(colour, 0.4), dark(colour, 0.1), (i * 0.41) % 1)
        brush.polygon(hexagon, Gradient(light(tone, 0.3), tone))
        brush.line(hexagon, 0.04, dark(colour, 0.3), closed=True)
    bee = brush.at(0.3, -0.26, 0.4, 24)
    for x in (-0.1, 0.36):
        bee.ellipse(x, -0.56, 0.24, 0.44, (235, 244, 250), 0.85)
    bee.ellipse(0, 0, 0.82, 0.46, Gradient((255, 214, 70), (226, 150, 20)))
    for x in (-0.36, 0, 0.36):
        bee.polygon([(x - 0.1, -0.42), (x + 0.08, -0.42), (x + 0.08, 0.42), (x - 0.1, 0.42)], (44, 32, 24))
    bee.ellipse(-0.8, -0.04, 0.27, 0.27, (44, 32, 24))


def drop(brush: Brush, colour: Colour) -> None:
    """Paint a drop and its splash."""
    for x, y, r in ((-0.7, 0.3, 0.12), (0.72, 0.16, 0.14), (0.5, -0.5, 0.09), (-0.55, -0.36, 0.08)):
        brush.ellipse(x, y, r, r, _ball(colour))
    brush.blob(
        [(0, -0.95), (0.3, -0.3), (0.52, 0.3), (0.3, 0.78), (0, 0.9), (-0.3, 0.78), (-0.52, 0.3), (-0.3, -0.3)],
        _ball(colour),
    )
    brush.blob([(-0.3, 0.2), (-0.2, -0.1), (-0.16, 0.2), (-0.18, 0.5)], _WHITE, 0.6)


def mountain(brush: Brush, colour: Colour) -> None:
    """Paint snowy mountains under a sun."""
    brush.ellipse(0.42, -0.5, 0.26, 0.26, Gradient((255, 226, 150), (250, 168, 92)))
    for x, y, size, tone in ((0.42, 0.08, 0.62, light(colour, 0.35)), (-0.28, 0, 0.8, colour)):
        peak = brush.at(x, y, size)
        peak.polygon([(-0.9, 0.85), (0, -0.8), (0.9, 0.85)], Gradient(light(tone, 0.2), dark(tone, 0.2)))
        peak.polygon([(0, -0.8), (0.9, 0.85), (0.15, 0.85), (-0.08, 0.1)], dark(tone, 0.35), 0.4)
        peak.polygon(
            [(0, -0.8), (0.26, -0.32), (0.1, -0.22), (0, -0.38), (-0.12, -0.2), (-0.26, -0.32)], (250, 252, 255)
        )
    brush.blob([(-1, 0.7), (-0.4, 0.56), (0.3, 0.68), (1, 0.58), (1, 0.85), (0, 0.92), (-1, 0.85)], dark(colour, 0.45))


def crisps(brush: Brush, colour: Colour) -> None:
    """Paint curved, seasoned crisps."""
    for x, y, angle, size in ((-0.36, 0.34, 18, 0.56), (0.42, 0.36, -30, 0.54), (0.02, -0.28, 8, 0.66)):
        crisp = brush.at(x, y, size, angle)
        edge: Points = [(-0.95, 0.1), (-0.5, -0.56), (0.3, -0.7), (0.95, -0.15), (0.6, 0.5), (-0.3, 0.62)]
        crisp.blob(edge, Gradient(light(colour, 0.5), dark(colour, 0.12)))
        crisp.blob([(-0.6, 0.1), (-0.2, -0.32), (0.5, -0.3), (0.6, 0.1), (0, 0.32)], light(colour, 0.55), 0.6)
        for i in range(9):
            crisp.ellipse(
                -0.5 + 0.13 * i, 0.3 * math.sin(2.4 * i), 0.04, 0.025, dark(_LEAF, 0.2) if i % 3 else (170, 60, 30)
            )


def shoe(brush: Brush, colour: Colour) -> None:
    """Paint a running shoe from the side."""
    upper: Points = [
        (-0.9, 0.2),
        (-0.86, -0.46),
        (-0.5, -0.5),
        (-0.34, -0.2),
        (0.1, -0.1),
        (0.5, 0.1),
        (0.92, 0.26),
        (0.9, 0.4),
        (-0.88, 0.4),
    ]
    brush.blob(upper, Gradient(light(colour, 0.3), dark(colour, 0.2)))
    brush.blob(
        [(-0.98, 0.34), (0.2, 0.32), (0.98, 0.3), (1, 0.5), (0.7, 0.6), (-0.6, 0.6), (-0.98, 0.54)], (246, 246, 242)
    )
    brush.line([(-0.95, 0.54), (0.8, 0.56)], 0.07, dark(colour, 0.4))
    brush.blob([(-0.55, 0.28), (-0.1, 0.02), (0.45, 0.12), (0.1, 0.16), (-0.2, 0.22)], _WHITE)
    for i in range(4):
        brush.line([(-0.3 + 0.15 * i, -0.2 + 0.07 * i), (-0.18 + 0.15 * i, -0.02 + 0.05 * i)], 0.05, _WHITE)


def cat(brush: Brush, colour: Colour) -> None:
    """Paint a cat's face."""
    for side in (-1, 1):
        brush.polygon(
            [(side * 0.78, -0.95), (side * 0.2, -0.5), (side * 0.74, -0.05)], Gradient(light(colour, 0.2), colour)
        )
        brush.polygon([(side * 0.7, -0.76), (side * 0.36, -0.48), (side * 0.68, -0.24)], (236, 168, 160))
    brush.blob(
        [(0, -0.62), (0.6, -0.42), (0.84, 0.16), (0.5, 0.7), (0, 0.84), (-0.5, 0.7), (-0.84, 0.16), (-0.6, -0.42)],
        _ball(colour),
    )
    brush.ellipse(0, 0.42, 0.42, 0.32, light(colour, 0.75))
    for side in (-1, 1):
        brush.ellipse(side * 0.36, -0.02, 0.17, 0.2, (232, 208, 92))
        brush.ellipse(side * 0.34, -0.01, 0.075, 0.17, (24, 24, 24))
        brush.ellipse(side * 0.34 - 0.03, -0.08, 0.035, 0.04, _WHITE)
        for y in (0.34, 0.46):
            brush.line([(side * 0.3, 0.42), (side * 0.95, y - 0.06)], 0.02, light(colour, 0.85))
    brush.polygon([(-0.1, 0.24), (0.1, 0.24), (0, 0.36)], (214, 110, 110))
    brush.line([(-0.16, 0.5), (0, 0.42), (0, 0.36), (0, 0.42), (0.16, 0.5)], 0.035, dark(colour, 0.6))


def waves(brush: Brush, colour: Colour) -> None:
    """Paint rolling waves."""
    for i in range(5):
        y = -0.6 + 0.34 * i
        crest = [(-1 + 0.1 * k, y + 0.13 * math.sin(0.62 * k + 1.7 * i)) for k in range(21)]
        brush.polygon([*crest, (1, y + 0.36), (-1, y + 0.36)], mix(light(colour, 0.55), dark(colour, 0.2), i / 4))


def sunburst(brush: Brush, colour: Colour) -> None:
    """Paint a sun with rays."""
    for x, y, angle in _ring(14, 0.72):
        ray = brush.at(x, y, 0.24, angle)
        ray.polygon([(-1, -0.34), (1, 0), (-1, 0.34)], Gradient(light(colour, 0.2), colour))
    brush.ellipse(0, 0, 0.46, 0.46, _ball(colour))


MOTIFS: dict[str, Motif] = {
    motif.__name__: motif
    for motif in (
        leaf, citrus, apple, strawberry, berries, grain, beans, cocoa, tomato, olives, fish, flower, sprig, honeycomb,
        drop, mountain, crisps, shoe, cat, waves, sunburst,
    )
}  # fmt: skip
