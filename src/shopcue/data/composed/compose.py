"""Scenes and sequences out of a stock, each a function of the stock and a seed alone: workers need no common state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from shopcue.data.composed.actors import Player
from shopcue.data.composed.camera import filmed, graphics
from shopcue.data.composed.layers import Layer, assemble
from shopcue.data.composed.motion import Rng
from shopcue.data.composed.scenes import Scene, Sequence
from shopcue.data.composed.scripts import Take, dressed, held_up, passing_by, several
from shopcue.data.composed.stages import Stage, scenery, shelves, whole_photo
from shopcue.data.composed.stock import Stock

SIZES = ((320, 180), (180, 320), (320, 240), (320, 320))
"""Width and height of what is composed: landscape, portrait, an old camera, square."""

_SIZE_SHARES = (0.34, 0.34, 0.16, 0.16)
_SCRIPTS: Mapping[str, Callable[[Take], list[Player]]] = {
    "held": held_up,
    "several": several,
    "dressed": dressed,
    "empty": passing_by,
}
_SHARES = {"held": 0.33, "several": 0.22, "photo": 0.28, "dressed": 0.12, "empty": 0.05}
_ON_PHOTO, _ON_SHELVES, _GRAPHICS = 0.25, 0.35, 0.15
_BEFORE_SHELVES = 0.55  # of the height of what is shown: packs behind it are smaller, or they would be shown too


def compose_scene(stock: Stock, seed: int, size: tuple[int, int] | None = None) -> Scene:
    """Return one picture with exact labels. size: width and height, drawn from `SIZES` where None."""
    return compose_sequence(stock, seed, frames=1, size=size).scenes[0]


def compose_sequence(
    stock: Stock, seed: int, frames: int = 12, interval_s: float = 0.5, size: tuple[int, int] | None = None
) -> Sequence:
    """Return `frames` pictures, `interval_s` seconds apart, of things in smooth motion, with exact labels.

    size: width and height, drawn from `SIZES` where None.
    """
    rng = np.random.default_rng((seed, 7919))
    size = size if size is not None else SIZES[int(rng.choice(len(SIZES), p=_SIZE_SHARES))]
    take = Take(stock, size, (frames - 1) * interval_s, rng)
    stage, players = _staged(take, _kind(stock, rng))
    signs = graphics(size, rng) if rng.random() < _GRAPHICS else []
    looks = int(rng.integers(1 << 31))
    times = np.arange(frames) * interval_s
    scenes = []
    for frame, time_s in enumerate(times.tolist()):
        ground, marked = stage.seen(time_s, size)
        layers: list[Layer] = [layer for player in players for layer in player.layers(time_s, size)]
        scene = assemble(ground, [*layers, *signs], marked)
        scenes.append(replace(scene, image=filmed(scene.image, looks, frame)))
    return Sequence(times.astype(np.float64), tuple(scenes))


def _kind(stock: Stock, rng: Rng) -> str:
    """Return what a sequence is of, among what the stock allows."""
    shares = dict(_SHARES)
    if not stock.photos:
        del shares["photo"]
    if all(item.depth or len(item.views) > 1 for item in stock.items):  # no garments
        del shares["dressed"]
    weights = np.array(list(shares.values()))
    return list(shares)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def _staged(take: Take, kind: str) -> tuple[Stage, list[Player]]:
    """Return what the things stand before, and the things."""
    if kind == "photo":
        script = _SCRIPTS[str(take.rng.choice(("held", "several")))]
        return whole_photo(take), script(take) if take.rng.random() < _ON_PHOTO else []
    players = _SCRIPTS[kind](take)
    if kind == "held" and take.rng.random() < _ON_SHELVES:
        return shelves(take, _BEFORE_SHELVES * max(player.reach_px for player in players)), players
    return scenery(take), players
