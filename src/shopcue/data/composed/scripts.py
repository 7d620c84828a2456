"""Who does what in a sequence: something is held up, things stand about, someone wears them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from shopcue.data.composed.actors import Actor, Grip, Passing, Player
from shopcue.data.composed.figures import Figure, Worn, draw_body, hung
from shopcue.data.composed.layers import Pose
from shopcue.data.composed.motion import Rng, draw_stay, draw_sway
from shopcue.data.composed.stock import Item, Stock
from shopcue.records import COARSE_CLASSES

GOODS = COARSE_CLASSES.index("goods")
_GRIP_OF_GOODS, _GRIP_OF_GARMENTS = (0.24, 0.42), (0.1, 0.18)  # a palm's length, in heights of what it holds
_YAW_BOUNDS_DEG = ((0, 24), (26, 49), (51, 68))
_YAW_SHARES = (0.56, 0.27, 0.17)
_REAL = 0.6  # of goods, those of photos rather than drawn, where there are both


@dataclass(frozen=True, slots=True)
class Take:
    """What a script is written for: the stock, the frame's size (width, height), seconds, and its generator."""

    stock: Stock
    size: tuple[int, int]
    duration_s: float
    rng: Rng


def held_up(take: Take) -> list[Player]:
    """Return one large article near the middle, mostly in a hand, now and then with small ones beside it."""
    rng = take.rng
    beside = [standing(take, (0.15, 0.35)) for _ in range(int(rng.choice(3, p=(0.6, 0.3, 0.1))))]
    players: list[Player] = [*beside, presented(take, (0.4, 0.95))]
    if rng.random() < 0.12:
        players.append(passing(take))
    return numbered(players)


def several(take: Take) -> list[Player]:
    """Return one to five articles of any size and place, farther ones first."""
    largest = take.rng.uniform(0.3, 0.8)
    count = int(take.rng.integers(1, 6))
    players: list[Player] = [standing(take, (0.15, max(0.2, largest))) for _ in range(count)]
    if take.rng.random() < 0.12:
        players.append(passing(take))
    return numbered(sorted(players, key=lambda player: player.reach_px))


def dressed(take: Take) -> list[Player]:
    """Return someone in clothes, whole or from the waist up, half of the time with an article held up."""
    figures: list[Player] = [figure(take) for _ in range(int(take.rng.choice((1, 2), p=(0.8, 0.2))))]
    figures.sort(key=lambda player: player.reach_px)
    if take.rng.random() < 0.5:
        figures.append(presented(take, (0.25, 0.6)))
    return numbered(figures)


def passing_by(take: Take) -> list[Player]:
    """Return nothing that is sold: an empty hand, or nobody."""
    return [passing(take)] if take.rng.random() < 0.6 else []


def numbered(players: Sequence[Player]) -> list[Player]:
    """Return the players with tracks from 0 on, one for each article."""
    track, renumbered = 0, []
    for player in players:
        new: Player = player
        if isinstance(player, Actor):
            new, track = replace(player, track=track), track + 1
        elif isinstance(player, Figure):
            worn = tuple(replace(each, track=track + offset) for offset, each in enumerate(player.worn))
            new, track = replace(player, worn=worn), track + len(worn)
        renumbered.append(new)
    return renumbered


# ---- players -----------------------------------------------------------------------------------------------------


def presented(take: Take, shares: tuple[float, float]) -> Actor:
    """Return an article that is shown to the camera. shares: of the frame's height that it may take."""
    rng, (width, height) = take.rng, take.size
    item = draw_item(take.stock, rng, goods=0.65)
    pose = Pose(
        width * (0.5 + rng.normal(0, 0.1)),
        height * (0.5 + rng.normal(0, 0.07)),
        fitting(item, rng.uniform(*shares) * height, 1.05 * width),
        _yaw(rng),
        rng.normal(0, 7),
        rng.normal(0, 12),
    )
    grip = _grip(take.stock, item, rng) if rng.random() < 0.75 else None
    return replace(_actor(take, item, pose, lively=1.0), grip=grip)


def standing(take: Take, shares: tuple[float, float]) -> Actor:
    """Return an article anywhere, upright or not, that hardly moves or moves as if it were held."""
    rng, (width, height) = take.rng, take.size
    item = draw_item(take.stock, rng, goods=0.55)
    pose = Pose(
        rng.uniform(-0.02, 1.02) * width,
        rng.uniform(0.08, 1.0) * height,
        fitting(item, rng.uniform(*shares) * height, rng.uniform(0.5, 0.9) * width),
        _yaw(rng),
        rng.normal(0, 6),
        rng.normal(0, 3 if rng.random() < 0.6 else 25),
    )
    return _actor(take, item, pose, lively=float(rng.choice([0.1, 1.0], p=(0.6, 0.4))))


def figure(take: Take, *, clothed: bool = False) -> Figure:
    """Return a person who wears garments of the stock; clothed: over plain clothes."""
    rng, (width, height) = take.rng, take.size
    whole = rng.random() < 0.4
    tall = height * (rng.uniform(0.75, 0.98) if whole else rng.uniform(1.1, 2.4))
    y = height * rng.uniform(0.01, 0.06) if whole else -tall * rng.uniform(-0.04, 0.12)
    bones, head = draw_body(rng, clothed=clothed)
    sway = draw_sway(rng, (0.06 * width, 0.015 * height, 0.03, 14))
    x = width * (0.5 + rng.normal(0, 0.16))
    return Figure(x, y, tall, float(rng.normal(0, 12)), bones, head, _outfit(take), sway, _light(rng))


def passing(take: Take) -> Passing:
    """Return an empty hand somewhere in the frame."""
    rng, (width, height) = take.rng, take.size
    hand = take.stock.palms[int(rng.integers(len(take.stock.palms)))]
    sway = draw_sway(rng, (0.25 * width, 0.2 * height, 25), 0.1, 0.6)
    x, y = width * rng.uniform(0.1, 0.9), height * rng.uniform(0.3, 1.1)
    return Passing(hand, x, y, height * rng.uniform(0.1, 0.24), sway)


def draw_item(stock: Stock, rng: Rng, goods: float) -> Item:
    """Return an article: goods at the share `goods` if there are any, else a garment, each coarse class alike."""
    garments = sorted({item.coarse_class for item in stock.items} - {GOODS})
    packs = [item for item in stock.items if item.coarse_class == GOODS]
    if packs and (not garments or rng.random() < goods):
        flat = [item for item in packs if len(item.views) == 1]  # known by one picture: not drawn
        drawn = [item for item in packs if len(item.views) > 1]
        packs = (flat if rng.random() < _REAL else drawn) or packs
        return packs[int(rng.integers(len(packs)))]
    return draw_of_class(stock, rng, int(rng.choice(garments)))


def draw_of_class(stock: Stock, rng: Rng, coarse_class: int) -> Item:
    """Return an article of a coarse class that the stock has."""
    fitting_items = [item for item in stock.items if item.coarse_class == coarse_class]
    return fitting_items[int(rng.integers(len(fitting_items)))]


def fitting(item: Item, height_px: float, width_px: float) -> float:
    """Return the height at which an article is neither higher nor wider than asked."""
    return min(height_px, width_px / item.aspect)


def _outfit(take: Take) -> tuple[Worn, ...]:
    """Return what a person wears, from the skin outwards, of the classes that the stock has."""
    rng = take.rng
    has = {COARSE_CLASSES[item.coarse_class] for item in take.stock.items}
    kinds = ["footwear"] if rng.random() < 0.8 else []
    kinds += ["full"] if "full" in has and rng.random() < 0.25 else ["lower", "upper"]
    if kinds[-1] == "upper" and rng.random() < 0.25:  # tucked in
        kinds[-2:] = ["upper", "lower"]
    kinds += ["headwear"] if rng.random() < 0.25 else []
    classes = [COARSE_CLASSES.index(kind) for kind in kinds if kind in has]
    return tuple(hung(draw_of_class(take.stock, rng, each), 0, rng) for each in classes)


def _actor(take: Take, item: Item, pose: Pose, lively: float) -> Actor:
    rng, (width, height) = take.rng, take.size
    turn = float(rng.choice([8, 30, 55], p=(0.5, 0.3, 0.2)))
    reach = (0.07 * width, 0.05 * height, 0.12, turn, 7.0)
    sway = draw_sway(rng, tuple(lively * most for most in reach))
    shadow = float(rng.uniform(0.1, 0.45)) if rng.random() < 0.5 else 0.0
    return Actor(item, 0, pose, sway, draw_stay(rng, take.size, take.duration_s), _light(rng), shadow)


def _light(rng: Rng) -> tuple[float, float, float]:
    red, green, blue = (np.exp(rng.normal(0, 0.1)) * np.exp(rng.normal(0, 0.03, 3))).tolist()
    return red, green, blue


def _yaw(rng: Rng) -> float:
    low, high = _YAW_BOUNDS_DEG[int(rng.choice(3, p=_YAW_SHARES))]
    return float(rng.uniform(low, high) * rng.choice([-1, 1]))


def _grip(stock: Stock, item: Item, rng: Rng) -> Grip:
    number = int(rng.integers(len(stock.grips)))
    side = -1 if number % 2 else 1  # the hands stand in pairs: right, left
    goods = item.coarse_class == GOODS
    palm = float(rng.uniform(*(_GRIP_OF_GOODS if goods else _GRIP_OF_GARMENTS)))
    along = float(rng.uniform(0.3, 0.85) if goods else rng.uniform(0.05, 0.3))
    return Grip(stock.grips[number], side, along, palm, bool(rng.random() < 0.35), float(rng.normal(0, 14)))
