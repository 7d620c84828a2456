"""Clips as a live stream has them: a product is shown, among others of the same shop that may be as large as it.

A clip is one or two shots. In each the product that is meant is held up, worn, lies among others, or is filmed as it
was photographed; where another one is as large, only what is said tells which is meant. All follows from the seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from shopcue.data.composed.actors import Player
from shopcue.data.composed.articles import CARTON, Article
from shopcue.data.composed.camera import filmed, graphics
from shopcue.data.composed.clip_scripts import PLOTS, Casting, Ware, play
from shopcue.data.composed.grounds import GROUND_PX, Ground, read_small
from shopcue.data.composed.handheld import film
from shopcue.data.composed.layers import Label, Layer, Marked, assemble
from shopcue.data.composed.motion import Rng
from shopcue.data.composed.scenes import UNKNOWN, Scene
from shopcue.data.composed.scripts import Take
from shopcue.data.composed.stages import scenery
from shopcue.data.composed.stock import CLASS_OF_KIND, Stock, carton, drawn_hands, flat
from shopcue.records import COARSE_CLASSES, Floats, Image
from shopcue.sources.synthetic.hands import Hand

_SHAPES = ((9, 16), (3, 4), (16, 9), (1, 1))  # width to height
_SHAPE_SHARES = (0.45, 0.25, 0.15, 0.15)
_SECOND_SHOT, _GRAPHICS = 0.25, 0.3
_AT_MARKET = 0.75  # of groceries; garments are shown in rooms
_LEAST_SEEN = 0.2  # of the frames
_TRIES = 12


@dataclass(frozen=True, slots=True)
class Places:
    """Where a live is filmed: rooms, and markets; with hands that hold an edge or are open, right and left by turns."""

    rooms: tuple[Ground, ...]
    markets: tuple[Ground, ...]
    grips: tuple[Hand, ...]
    palms: tuple[Hand, ...]


@dataclass(frozen=True, slots=True)
class ComposedClip:
    """The L frames of a clip, and the truth about them.

    images: RGB uint8 (H, W, 3) of one size. boxes: float32 (L, 4), of the product that is meant, xyxy pixels, NaN where
    it is not to be seen. others: the places in the gallery of the other products that are.
    """

    images: tuple[Image, ...]
    boxes: Floats
    others: tuple[int, ...]


class Stage(Protocol):
    """What things stand before."""

    def seen(self, time_s: float, size: tuple[int, int]) -> tuple[Image, list[Marked]]:
        """Return it at a time, RGB of a size (width, height), and the products that it shows itself."""


@dataclass(frozen=True, slots=True)
class Shot:
    """What one camera sees: players before a stage, from back to front, below the graphics of the stream."""

    stage: Stage
    players: tuple[Player, ...]
    signs: tuple[Layer, ...]
    looks: int

    def scene(self, time_s: float, size: tuple[int, int], frame: int) -> Scene:
        """Return what is seen at a time."""
        ground, marked = self.stage.seen(time_s, size)
        layers = [layer for player in self.players for layer in player.layers(time_s, size)]
        scene = assemble(ground, [*layers, *self.signs], marked)
        return replace(scene, image=filmed(scene.image, self.looks, frame))


def read_ware(article: Article, place: int, family: int) -> Ware:
    """Return an article with its cut-out, as number `place` of its gallery; raises MediaError."""
    picture, mask = article.read()
    if article.kind == CARTON:
        return Ware(article, carton(article.key, place, picture), family)
    kind = CLASS_OF_KIND[article.kind] if article.is_garment else "goods"
    return Ware(article, flat(article.key, place, COARSE_CLASSES.index(kind), picture, mask), family)


def furnish(rooms: Sequence[Ground], markets: Sequence[Ground]) -> Places:
    """Return places with the hands that the package draws."""
    return Places(tuple(rooms), tuple(markets), *drawn_hands())


def compose_clip(
    gallery: Sequence[Ware],
    meant: int,
    places: Places,
    seed: tuple[int, ...],
    *,
    frames: int = 10,
    side_px: int = 224,
    duration_s: float = 10.0,
) -> ComposedClip:
    """Return a clip of `frames` pictures, evenly spread over its seconds, that shows product `meant` of a gallery.

    side_px: the longer side of a frame. Raises MediaError where a photo cannot be read.
    """
    for attempt in range(_TRIES):  # what comes late and is covered may never be seen
        rng = np.random.default_rng((*seed, attempt))
        scenes = _filmed(_cast(gallery, meant, places, _size(side_px, rng), duration_s, rng), frames)
        boxes = np.array([_box_of(scene, meant) for scene in scenes], np.float32)
        if np.isfinite(boxes[:, 0]).mean() >= _LEAST_SEEN:
            break
    seen = {int(instance) for scene in scenes for instance in scene.instance if instance >= 0} - {meant}
    return ComposedClip(tuple(scene.image for scene in scenes), boxes, tuple(sorted(seen)))


def _cast(
    gallery: Sequence[Ware], meant: int, places: Places, size: tuple[int, int], duration_s: float, rng: Rng
) -> Casting:
    market = places.markets and not gallery[meant].article.is_garment and rng.random() < _AT_MARKET
    scenes = places.markets if market else places.rooms
    stock = Stock(tuple(ware.item for ware in gallery), scenes, (), places.grips, places.palms)
    return Casting(gallery, gallery[meant], Take(stock, size, duration_s, rng))


def _filmed(casting: Casting, frames: int) -> list[Scene]:
    """Return the frames of one shot, or of two with a cut between them."""
    take, rng = casting.take, casting.take.rng
    cut = int(rng.integers(2, frames - 1)) if frames > 4 and rng.random() < _SECOND_SHOT else frames
    looks = int(rng.integers(1 << 31))
    shots = [_shot(casting, looks + number) for number in range(1 if cut == frames else 2)]
    times = (np.arange(frames) + 0.5) / frames * take.duration_s
    return [shots[int(frame >= cut)].scene(time_s, take.size, frame) for frame, time_s in enumerate(times.tolist())]


def _shot(casting: Casting, looks: int) -> Shot:
    take, rng, article = casting.take, casting.take.rng, casting.meant.article
    shares = dict(PLOTS["garment" if article.is_garment else "grocery"])
    if not article.photos:
        del shares["photographed"]
    weights = np.array(list(shares.values()))
    plot = list(shares)[int(rng.choice(len(shares), p=weights / weights.sum()))]
    stage: Stage = _photo(casting) if plot == "photographed" else scenery(take)
    players = play(casting, plot)
    signs = graphics(take.size, rng) if rng.random() < _GRAPHICS else []
    return Shot(stage, tuple(players), tuple(signs), looks)


def _photo(casting: Casting) -> Stage:
    """Return one of the photos of the product, filmed by hand."""
    rng, meant = casting.take.rng, casting.meant
    photo = meant.article.photos[int(rng.integers(len(meant.article.photos)))]
    image, outline = read_small(photo.path, GROUND_PX), photo.outline
    if meant.article.is_garment and rng.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
        outline = np.abs(np.array([1, 0], np.float32) - outline)
    label = Label(meant.item.coarse_class, UNKNOWN, meant.item.instance, 0)
    return film(image, outline, label, casting.take.size, float(rng.uniform(0.45, 1.1)), rng)


def _size(side_px: int, rng: Rng) -> tuple[int, int]:
    """Return a width and a height, even, the longer one `side_px`."""
    width, height = _SHAPES[int(rng.choice(len(_SHAPES), p=_SHAPE_SHARES))]
    longer = max(width, height)
    return 2 * round(side_px * width / longer / 2), 2 * round(side_px * height / longer / 2)


def _box_of(scene: Scene, instance: int) -> Sequence[float]:
    """Return the box of a product in a scene, NaN where it is not to be seen."""
    rows = np.flatnonzero(scene.instance == instance)
    if not len(rows):
        return (np.nan,) * 4
    box: list[float] = scene.boxes[int(rows[-1])].tolist()
    return box
