"""Who does what in a sequence: things that are held up, stand about, come and go; each a function of time alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shopcue.data.composed.layers import Pose
from shopcue.data.composed.stock import Item, Stock
from shopcue.records import COARSE_CLASSES
from shopcue.sources.synthetic.hands import Hand

Rng = np.random.Generator

GOODS = COARSE_CLASSES.index("goods")
_CROSSING_S = 0.8  # what it takes to bring a thing into the picture
_GRIP_OF_GOODS, _GRIP_OF_GARMENTS = (0.24, 0.42), (0.1, 0.18)  # a palm's length, in heights of what it holds
_YAW_BOUNDS_DEG = ((0, 24), (26, 49), (51, 68))


@dataclass(frozen=True, slots=True)
class Sway:
    """A smooth motion: two sines a channel. amplitude: (C,). rate_hz, phase: (C, 2)."""

    amplitude: NDArray[np.float64]
    rate_hz: NDArray[np.float64]
    phase: NDArray[np.float64]

    def __call__(self, time_s: float) -> NDArray[np.float64]:
        """Return the channels at a time, each within its amplitude."""
        waves = np.sin(2 * np.pi * (self.rate_hz * time_s + self.phase))
        return np.asarray(self.amplitude * (0.75 * waves[:, 0] + 0.25 * waves[:, 1]))


@dataclass(frozen=True, slots=True)
class Grip:
    """A hand on an article. side: -1 its left edge, 1 its right edge; along: where on it, 0 the top, 1 the foot.

    palm: the palm's length in heights of the article. before: the whole hand lies before the article, not its thumb
    alone. tilt_deg: how the forearm leans.
    """

    hand: Hand
    side: int
    along: float
    palm: float
    before: bool
    tilt_deg: float


@dataclass(frozen=True, slots=True)
class Actor:
    """An article in a sequence. sway moves x, y (pixels), log height, yaw and roll (degrees) about `pose`.

    enters_s, leaves_s: when it is in place, and when it starts to go. door: the direction, in pixels, from which it
    comes and to which it goes. gain: of its red, green and blue.
    """

    item: Item
    track: int
    pose: Pose
    sway: Sway
    enters_s: float
    leaves_s: float
    door: tuple[float, float]
    gain: tuple[float, float, float]
    shadow: float
    grip: Grip | None = None

    def pose_at(self, time_s: float) -> Pose:
        """Return where the article is at a time."""
        x, y, grown, yaw, roll = self.sway(time_s)
        away = _eased((self.enters_s - time_s) / _CROSSING_S) + _eased((time_s - self.leaves_s) / _CROSSING_S)
        return replace(
            self.pose,
            x=self.pose.x + x + away * self.door[0],
            y=self.pose.y + y + away * self.door[1],
            height_px=self.pose.height_px * float(np.exp(grown)),
            yaw_deg=float(np.clip(self.pose.yaw_deg + yaw, -70, 70)),
            roll_deg=self.pose.roll_deg + roll,
        )


def held_up(stock: Stock, size: tuple[int, int], duration_s: float, rng: Rng) -> list[Actor]:
    """Return one large article near the middle, mostly in a hand, and now and then small ones beside it."""
    width, height = size
    item = draw_item(stock, rng, goods=0.65)
    share = rng.uniform(0.4, 0.95)
    pose = Pose(
        width * (0.5 + rng.normal(0, 0.1)),
        height * (0.5 + rng.normal(0, 0.07)),
        fitting(item, share * height, 1.05 * width),
        _yaw(rng),
        rng.normal(0, 7),
        rng.normal(0, 12),
    )
    beside = [
        _standing(stock, size, duration_s, rng, (0.15, 0.35)) for _ in range(int(rng.choice(3, p=(0.6, 0.3, 0.1))))
    ]
    grip = _grip(stock, item, rng) if rng.random() < 0.75 else None
    actor = _actor(item, pose, size, duration_s, rng, lively=1.0)
    return numbered([*beside, replace(actor, grip=grip)])


def several(stock: Stock, size: tuple[int, int], duration_s: float, rng: Rng) -> list[Actor]:
    """Return one to five articles of any size and place, farther ones first."""
    count = int(rng.integers(1, 6))
    largest = rng.uniform(0.3, 0.8)
    actors = [_standing(stock, size, duration_s, rng, (0.15, max(0.2, largest))) for _ in range(count)]
    return numbered(sorted(actors, key=lambda actor: actor.pose.height_px))


def numbered(actors: Sequence[Actor]) -> list[Actor]:
    """Return the actors with tracks from 0 on."""
    return [replace(actor, track=track) for track, actor in enumerate(actors)]


def draw_item(stock: Stock, rng: Rng, goods: float) -> Item:
    """Return an article: goods at the share `goods` if there are any, else a garment, each coarse class alike."""
    classes = {item.coarse_class for item in stock.items}
    garments = sorted(classes - {GOODS})
    wanted = GOODS if GOODS in classes and (not garments or rng.random() < goods) else int(rng.choice(garments))
    # Drawing until the class fits needs no index and no state; every class fills a fair share of the stock.
    fitting_items = [item for item in stock.items if item.coarse_class == wanted]
    return fitting_items[int(rng.integers(len(fitting_items)))]


def fitting(item: Item, height_px: float, width_px: float) -> float:
    """Return the height at which an article is neither higher nor wider than asked."""
    picture = item.views[len(item.views) // 2].pictures[0]
    return min(height_px, width_px * float(picture.shape[0] / picture.shape[1]))


def _standing(stock: Stock, size: tuple[int, int], duration_s: float, rng: Rng, shares: tuple[float, float]) -> Actor:
    width, height = size
    item = draw_item(stock, rng, goods=0.55)
    tall = fitting(item, rng.uniform(*shares) * height, rng.uniform(0.5, 0.9) * width)
    upright = rng.random() < 0.6
    pose = Pose(
        rng.uniform(-0.02, 1.02) * width,
        rng.uniform(0.08, 1.0) * height,
        tall,
        _yaw(rng),
        rng.normal(0, 6),
        rng.normal(0, 3 if upright else 25),
    )
    return _actor(item, pose, size, duration_s, rng, lively=float(rng.choice([0.1, 1.0], p=(0.6, 0.4))))


def _actor(item: Item, pose: Pose, size: tuple[int, int], duration_s: float, rng: Rng, lively: float) -> Actor:
    reach = np.array([0.07 * size[0], 0.05 * size[1], 0.12, rng.choice([8, 30, 55], p=(0.6, 0.25, 0.15)), 7])
    sway = Sway(lively * reach * rng.uniform(0.3, 1, 5), rng.uniform(0.05, 0.5, (5, 2)), rng.uniform(0, 1, (5, 2)))
    enters_s = rng.uniform(-_CROSSING_S, 0.6 * duration_s) if rng.random() < 0.25 else -np.inf
    leaves_s = max(enters_s, 0) + rng.uniform(0.2, 1) * duration_s if rng.random() < 0.25 else np.inf
    angle = rng.uniform(0, 2 * np.pi)
    door = (1.3 * size[0] * float(np.cos(angle)), 1.3 * size[1] * float(np.sin(angle)))
    light = np.exp(rng.normal(0, 0.1)) * np.exp(rng.normal(0, 0.03, 3))
    gain = (float(light[0]), float(light[1]), float(light[2]))
    shadow = float(rng.uniform(0.1, 0.45)) if rng.random() < 0.5 else 0.0
    return Actor(item, 0, pose, sway, float(enters_s), float(leaves_s), door, gain, shadow)


def _yaw(rng: Rng) -> float:
    low, high = _YAW_BOUNDS_DEG[int(rng.choice(3, p=(0.56, 0.27, 0.17)))]
    return float(rng.uniform(low, high) * rng.choice([-1, 1]))


def _grip(stock: Stock, item: Item, rng: Rng) -> Grip:
    number = int(rng.integers(len(stock.grips)))
    side = -1 if number % 2 else 1  # the hands stand in pairs: right, left
    palm = rng.uniform(*(_GRIP_OF_GOODS if item.coarse_class == GOODS else _GRIP_OF_GARMENTS))
    return Grip(
        stock.grips[number],
        side,
        float(rng.uniform(0.3, 0.85) if item.coarse_class == GOODS else rng.uniform(0.05, 0.3)),
        float(palm),
        bool(rng.random() < 0.35),
        float(rng.normal(0, 14)),
    )


def _eased(share: float) -> float:
    """Return 0 up to 0, 1 from 1 on, and a smooth way between."""
    bounded = min(max(share, 0.0), 1.0)
    return bounded * bounded * (3 - 2 * bounded)
