"""People in clothes, put together: bare limbs are drawn, garments are cut-outs hung where they are worn.

No one takes such a figure for a person. It shows what single garments cannot: which garment is worn where, beside
which others, below a head and behind a product that is held up. Lengths are shares of the figure's height, measured
from its axis and the top of its head.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from shopcue.data.composed.actors import in_light, touches
from shopcue.data.composed.layers import Layer, Pose, item_layer
from shopcue.data.composed.motion import Rng, Sway
from shopcue.data.composed.stock import Item
from shopcue.records import COARSE_CLASSES, Image
from shopcue.sources.synthetic.hands import skin_colour

_DRAWN_PX = 320  # the height at which limbs are drawn, once a figure
_HALF_WIDTH = 0.3
_CIRCLE = np.stack([np.cos(np.arange(24) * np.pi / 12), np.sin(np.arange(24) * np.pi / 12)], axis=-1)
_LOOKS = 5
_HAIR = ((38, 28, 24), (84, 56, 36), (150, 112, 66), (20, 20, 22), (120, 118, 116))
_PLAIN = ((236, 234, 228), (42, 42, 48), (120, 122, 128), (70, 82, 110), (188, 176, 156))  # what is worn below

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Worn:
    """A garment on a figure: how far its middle lies below the top of the head, and its height."""

    item: Item
    track: int
    down: float
    tall: float


@dataclass(frozen=True, slots=True)
class Figure:
    """A person. x, y: the pixel of the top of the head. height_px: from head to foot.

    bones: RGBA weighted by alpha, what is bare, behind the garments; head: what lies before them. worn: garments, from
    back to front; hats are worn over the head. sway moves x, y (pixels), log height and yaw (degrees).
    """

    x: float
    y: float
    height_px: float
    yaw_deg: float
    bones: Image
    head: Image
    worn: tuple[Worn, ...]
    sway: Sway
    gain: tuple[float, float, float]

    @property
    def reach_px(self) -> float:
        """How high it is in the frame, in pixels."""
        return self.height_px

    def layers(self, time_s: float, size: tuple[int, int]) -> list[Layer]:
        """Return limbs, garments and head, from back to front."""
        x, y, grown, yaw = self.sway(time_s)
        height_px = self.height_px * math.exp(grown)
        top = (self.x + x, self.y + y)
        shown = [self._limbs(self.bones, top, height_px)]
        hats: list[Layer] = []
        for worn in self.worn:
            pose = Pose(top[0], top[1] + worn.down * height_px, worn.tall * height_px, self.yaw_deg + yaw)
            thing = item_layer(worn.item, pose, worn.track)
            hat = worn.item.coarse_class == COARSE_CLASSES.index("headwear")
            (hats if hat else shown).append(
                Layer(in_light(thing.pixels, self.gain), thing.x, thing.y, thing.label),
            )
        whole = [*shown, self._limbs(self.head, top, height_px), *hats]
        return [layer for layer in whole if touches(layer, size)]

    def _limbs(self, picture: Image, top: Point, height_px: float) -> Layer:
        scale = height_px / _DRAWN_PX
        x, y = top[0] - scale * picture.shape[1] / 2, top[1]
        matrix = np.array([[scale, 0, x - math.floor(x)], [0, scale, y - math.floor(y)]])
        size = (math.ceil(scale * picture.shape[1]) + 1, math.ceil(scale * picture.shape[0]) + 1)
        pixels = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR)
        return Layer(in_light(np.asarray(pixels, np.uint8), self.gain), math.floor(x), math.floor(y))


def hung(item: Item, track: int, rng: Rng) -> Worn:
    """Return a garment at the place of a figure where its kind is worn."""
    kind = COARSE_CLASSES[item.coarse_class]
    if kind == "upper":
        tall = min(0.36, 0.5 / item.aspect) * rng.uniform(0.92, 1.08)
        return Worn(item, track, 0.16 + tall / 2, tall)
    if kind == "full":
        tall = float(np.clip(0.36 / item.aspect, 0.45, 0.78))
        return Worn(item, track, 0.16 + tall / 2, tall)
    if kind == "lower":
        tall = 0.51 if item.aspect < 0.62 else min(0.42, 0.25 / item.aspect)
        return Worn(item, track, 0.455 + tall / 2, tall)
    if kind == "footwear":
        tall = min(0.2, 0.19 / item.aspect)
        return Worn(item, track, 0.985 - tall / 2, tall)
    tall = min(0.16, 0.15 / item.aspect)
    return Worn(item, track, 0.075 - tall / 2, tall)


def draw_body(rng: Rng, *, clothed: bool = False) -> tuple[Image, Image]:
    """Return the limbs and the head of a person, each RGBA weighted by alpha; bare, or in plain clothes."""
    skin = skin_colour(int(rng.integers(_LOOKS)))
    hair = _HAIR[int(rng.integers(len(_HAIR)))]
    bones, head = _Drawing(), _Drawing()
    above, below = (_PLAIN[int(rng.integers(len(_PLAIN)))] for _ in range(2)) if clothed else (skin, skin)
    long = rng.uniform(0.12, 0.3) if rng.random() < 0.5 else 0.09
    bones.limb(((0, 0.06), (0, long)), 0.125, 0.15, hair)
    for side in (-1, 1):
        elbow = (side * rng.uniform(0.12, 0.17), rng.uniform(0.31, 0.36))
        hand = (side * rng.uniform(0.03, 0.2), rng.uniform(0.36, 0.48))
        bones.limb(((side * 0.1, 0.19), elbow), 0.05, 0.042, above)
        bones.limb((elbow, hand), 0.042, 0.034, skin)
        bones.limb((hand, (hand[0], hand[1] + 0.035)), 0.045, 0.035, skin)
        knee = (side * rng.uniform(0.045, 0.06), 0.73)
        bones.limb(((side * 0.05, 0.5), knee), 0.08, 0.062, below)
        bones.limb((knee, (side * rng.uniform(0.045, 0.06), 0.97)), 0.06, 0.042, below)
    bones.limb(((0, 0.22), (0, 0.44)), 0.2, 0.17, above)
    bones.limb(((0, 0.1), (0, 0.2)), 0.055, 0.06, skin)
    head.limb(((0, 0.055), (0, 0.1)), 0.1, 0.075, skin)
    head.limb(((-0.02, 0.035), (0.02, 0.035)), 0.07, 0.07, hair)
    for side in (-1, 1):
        head.limb(((side * 0.018, 0.075), (side * 0.026, 0.075)), 0.008, 0.008, (40, 30, 28))
    head.limb(((-0.012, 0.112), (0.012, 0.112)), 0.007, 0.007, (150, 70, 70))
    return bones.pixels(), head.pixels()


class _Drawing:
    """A sheet for limbs, as high as a figure."""

    def __init__(self) -> None:
        size = (_DRAWN_PX, round(2 * _HALF_WIDTH * _DRAWN_PX))
        self._colours = np.zeros((*size, 3), np.uint8)
        self._alpha = np.zeros(size, np.uint8)

    def limb(self, ends: tuple[Point, Point], first: float, last: float, colour: tuple[int, int, int]) -> None:
        """Draw a rounded limb, `first` and `last` wide at its ends, with the light from the upper left."""
        middles = np.add(ends, (_HALF_WIDTH, 0))
        for share, light in ((1.0, 0.72), (0.8, 0.88), (0.5, 1.0)):
            shade = [float(min(255, channel * light)) for channel in colour]
            radii = np.array((first, last)) / 2 * share
            towards_light = 0.12 * (1 - share) / share * radii[:, None]
            rounds = middles[:, None] - towards_light[:, None] + radii[:, None, None] * _CIRCLE
            outline = cv2.convexHull(np.round(rounds.reshape(-1, 2) * _DRAWN_PX * 16).astype(np.int32))
            cv2.fillConvexPoly(self._colours, outline, shade, cv2.LINE_AA, 4)
            cv2.fillConvexPoly(self._alpha, outline, 255, cv2.LINE_AA, 4)

    def pixels(self) -> Image:
        """Return what was drawn, RGBA weighted by alpha."""
        soft = cv2.GaussianBlur(self._colours, (0, 0), 1.2)
        weighted = cv2.multiply(soft, cv2.cvtColor(self._alpha, cv2.COLOR_GRAY2RGB), scale=1 / 255)
        return np.dstack([weighted, self._alpha])
