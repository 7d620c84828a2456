"""Clips as a live stream has them: a product is shown, among others of the same shop that may be as large as it.

A clip is one or two shots. In each the product that is meant is held up, worn, lies among others, or is filmed as it
was photographed; where another one is as large, only what is said tells which is meant. All follows from the seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from shopcue.data.composed.actors import Actor, Player
from shopcue.data.composed.articles import CARTON, Article
from shopcue.data.composed.camera import filmed, graphics
from shopcue.data.composed.cloth import Clad, Draped, draw_cloth
from shopcue.data.composed.figures import Figure, draw_body, hung
from shopcue.data.composed.grounds import GROUND_PX, Ground, read_small
from shopcue.data.composed.handheld import film
from shopcue.data.composed.layers import Label, Layer, Marked, assemble
from shopcue.data.composed.motion import Rng, Stay, draw_sway
from shopcue.data.composed.scenes import UNKNOWN, Scene
from shopcue.data.composed.scripts import GOODS, Take, figure, passing, presented, standing
from shopcue.data.composed.stages import scenery
from shopcue.data.composed.stock import CLASS_OF_KIND, Item, Stock, carton, drawn_hands, flat
from shopcue.records import COARSE_CLASSES, Floats, Image
from shopcue.sources.synthetic.hands import Hand

_SHAPES = ((9, 16), (3, 4), (16, 9), (1, 1))  # width to height
_SHAPE_SHARES = (0.45, 0.25, 0.15, 0.15)
_PLOTS: Mapping[str, Mapping[str, float]] = {
    "garment": {"photographed": 0.2, "shown": 0.25, "two": 0.2, "among": 0.15, "worn": 0.2},
    "grocery": {"photographed": 0.45, "shown": 0.2, "two": 0.2, "among": 0.15},
}
_SECOND_SHOT = 0.25
_RELATED = 0.65  # of other products in view, those that look alike
_HOST, _HAND, _BEFORE, _GRAPHICS = 0.4, 0.2, 0.12, 0.3
_COMES_OR_GOES = 0.15
_SMALL = (0.14, 0.32)  # shares of the frame's height
_TRIES = 12


@dataclass(frozen=True, slots=True)
class Ware:
    """An article and its cut-out. family: those that look alike share it."""

    article: Article
    item: Item
    family: int


@dataclass(frozen=True, slots=True)
class Set:
    """Where a live is filmed: places, and hands that hold an edge or are open, a right one and a left one by turns."""

    scenery: tuple[Ground, ...]
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


def dress_set(places: Sequence[Ground]) -> Set:
    """Return a set with the hands that the package draws."""
    return Set(tuple(places), *drawn_hands())


def compose_clip(
    gallery: Sequence[Ware],
    meant: int,
    place: Set,
    seed: tuple[int, ...],
    *,
    frames: int = 10,
    side_px: int = 224,
    duration_s: float = 10.0,
) -> ComposedClip:
    """Return a clip of `frames` pictures, evenly spread over its seconds, that shows product `meant` of a gallery.

    side_px: the longer side of a frame. Raises MediaError where a photo cannot be read.
    """
    for attempt in range(_TRIES):
        rng = np.random.default_rng((*seed, attempt))
        size = _size(side_px, rng)
        take = Take(
            Stock(tuple(ware.item for ware in gallery), place.scenery, (), place.grips, place.palms),
            size,
            duration_s,
            rng,
        )
        casting = Casting(gallery, gallery[meant], take)
        scenes = _filmed(casting, frames)
        boxes = np.array([_box_of(scene, meant) for scene in scenes], np.float32)
        if np.isfinite(boxes[:, 0]).mean() >= 0.4:
            break
    seen = {int(instance) for scene in scenes for instance in scene.instance} - {meant}
    return ComposedClip(tuple(scene.image for scene in scenes), boxes, tuple(sorted(seen)))


@dataclass(frozen=True, slots=True)
class Casting:
    """Who may appear: the product that is meant, and the others of its gallery; in which take."""

    gallery: Sequence[Ware]
    meant: Ware
    take: Take

    def other(self, garment: bool = False) -> Ware | None:
        """Return another product, more often one that looks alike; None where there is none. garment: no groceries."""
        rng = self.take.rng
        others = [ware for ware in self.gallery if ware is not self.meant and (not garment or ware.article.is_garment)]
        related = [ware for ware in others if ware.family == self.meant.family]
        pool = related if related and not garment and rng.random() < _RELATED else others
        return pool[int(rng.integers(len(pool)))] if pool else None

    def others(self, most: int) -> list[Ware]:
        """Return up to `most` other products, none twice."""
        drawn = [self.other() for _ in range(int(self.take.rng.integers(most + 1)))]
        return list({ware.item.instance: ware for ware in drawn if ware is not None}.values())

    def only(self, item: Item) -> Take:
        """Return a take in which only one article can appear."""
        return replace(self.take, stock=replace(self.take.stock, items=(item,)))


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
    shares = dict(_PLOTS["garment" if article.is_garment else "grocery"])
    if not article.photos:
        del shares["photographed"]
    weights = np.array(list(shares.values()))
    plot = list(shares)[int(rng.choice(len(shares), p=weights / weights.sum()))]
    stage: Stage = _photo(casting) if plot == "photographed" else scenery(take)
    players = _SCRIPTS[plot](casting)
    if rng.random() < _HAND:
        players.append(passing(take))
    signs = graphics(take.size, rng) if rng.random() < _GRAPHICS else []
    return Shot(stage, tuple(players), tuple(signs), looks)


# ---- scripts -----------------------------------------------------------------------------------------------------


def _photographed(casting: Casting) -> list[Player]:
    """Return what lies before a photo of the product: mostly nothing, now and then others, one of them large."""
    rng = casting.take.rng
    if rng.random() < 0.45:
        return []
    players = [_beside(casting, ware) for ware in casting.others(2)]
    rival = casting.other()
    if rival is not None and rng.random() < 0.3:
        players.append(_at_side(casting, _held(casting, rival, (0.35, 0.6)), int(rng.choice((-1, 1)))))
    return players


def _shown(casting: Casting) -> list[Player]:
    """Return the product held up, large, others small beside it, maybe a host behind it."""
    players = _background(casting, 3)
    shown = _soft(_staying(casting, _held(casting, casting.meant, (0.4, 0.95))), casting.take.rng, 1.0)
    return _with_cover(casting, [*players, shown])


def _two(casting: Casting) -> list[Player]:
    """Return the product beside another one that is as large."""
    rng, rival = casting.take.rng, casting.other()
    if rival is None:
        return _shown(casting)
    shares = (0.38, 0.62)
    side = int(rng.choice((-1, 1)))
    pair = [
        _at_side(casting, _staying(casting, _held(casting, casting.meant, shares)), side),
        _at_side(casting, _held(casting, rival, shares), -side),
    ]
    if rng.random() < 0.5:
        pair.reverse()
    return _with_cover(casting, [*_background(casting, 2), *pair])


def _among(casting: Casting) -> list[Player]:
    """Return the product small among others of its size: on a table, on a rack."""
    rng = casting.take.rng
    wares = [*casting.others(5), casting.meant]
    share = rng.uniform(0.24, 0.42)
    order = rng.permutation(len(wares)).tolist()
    return [_in_row(casting, wares[index], number, len(wares), share) for number, index in enumerate(order)]


def _worn(casting: Casting) -> list[Player]:
    """Return someone who wears the garment, with other garments of the shop, maybe things beside them."""
    take, rng, meant = casting.take, casting.take.rng, casting.meant
    players = [_beside(casting, ware) for ware in casting.others(2)]
    host = figure(casting.take)
    covered = {"full": ("upper", "lower", "full")}.get(COARSE_CLASSES[meant.item.coarse_class])
    hidden = covered or (COARSE_CLASSES[meant.item.coarse_class], "full")
    kept = [worn for worn in host.worn if COARSE_CLASSES[worn.item.coarse_class] not in hidden]
    kept = [worn for worn in kept if worn.item.instance != meant.item.instance and worn.item.coarse_class != GOODS]
    bones, head = draw_body(rng)
    width, height = take.size
    # Near enough that the garment is what the shot is about.
    worn = hung(meant.item, 0, rng)
    tall = height * min(rng.uniform(0.35, 0.8) / worn.tall, 3.2)
    middle = height * (0.5 + rng.normal(0, 0.07))
    sway = draw_sway(rng, (0.09 * width, 0.03 * height, 0.08, 22))
    dressed = Figure(
        width * (0.5 + rng.normal(0, 0.1)),
        middle - worn.down * tall,
        tall,
        float(rng.normal(0, 16)),
        bones,
        head,
        (*kept, worn),
        sway,
        host.gain,
    )
    players.append(_clad(dressed, rng))
    return _with_cover(casting, players)


_SCRIPTS = {"photographed": _photographed, "shown": _shown, "two": _two, "among": _among, "worn": _worn}


# ---- players -----------------------------------------------------------------------------------------------------


def _background(casting: Casting, most: int) -> list[Player]:
    """Return small things, and maybe a host who wears what the shop sells."""
    players: list[Player] = []
    garments = tuple(ware.item for ware in casting.gallery if ware.article.is_garment and ware is not casting.meant)
    if garments and casting.take.rng.random() < _HOST:
        take = replace(casting.take, stock=replace(casting.take.stock, items=garments))
        players.append(_clad(figure(take), casting.take.rng))
    return [*players, *(_beside(casting, ware) for ware in casting.others(most))]


def _with_cover(casting: Casting, players: list[Player]) -> list[Player]:
    """Return the players, now and then with a small product before them all."""
    other = casting.other()
    if other is not None and casting.take.rng.random() < _BEFORE:
        return [*players, _beside(casting, other)]
    return players


def _held(casting: Casting, ware: Ware, shares: tuple[float, float]) -> Actor:
    """Return a product that is shown to the camera. shares: of the frame's height that it may take."""
    actor = presented(casting.only(ware.item), shares)
    if ware.item.depth:
        return actor
    return replace(actor, pose=replace(actor.pose, yaw_deg=0.6 * actor.pose.yaw_deg))  # flat things are not turned far


def _beside(casting: Casting, ware: Ware) -> Player:
    return _soft(standing(casting.only(ware.item), _SMALL), casting.take.rng, 0.6)


def _at_side(casting: Casting, actor: Actor, side: int) -> Player:
    """Return an actor moved to the left or the right; in a narrow frame, also up or down."""
    width, height = casting.take.size
    narrow = height > 1.5 * width
    x = actor.pose.x + side * width * (0.16 if narrow else 0.24)
    y = actor.pose.y + (side * height * 0.17 if narrow else 0.0)
    return _soft(replace(actor, pose=replace(actor.pose, x=x, y=y)), casting.take.rng, 1.0)


def _in_row(casting: Casting, ware: Ware, number: int, count: int, share: float) -> Player:
    """Return a product in its place among `count`, in one row or two."""
    rng, (width, height) = casting.take.rng, casting.take.size
    actor = standing(casting.only(ware.item), (share, share * 1.1))
    rows = 1 if count <= 3 else 2
    columns = -(-count // rows)
    row, column = divmod(number, columns)
    x = width * ((column + 0.5) / columns + rng.normal(0, 0.04))
    y = height * ((row + 0.7) / (rows + 0.4) + rng.normal(0, 0.04))
    stay = Stay() if ware is casting.meant else actor.stay
    return _soft(replace(actor, pose=replace(actor.pose, x=x, y=y), stay=stay), rng, 0.6)


def _staying(casting: Casting, actor: Actor) -> Actor:
    """Return an actor that is there for most of the shot."""
    rng, duration_s = casting.take.rng, casting.take.duration_s
    stay = replace(actor.stay, enters_s=-np.inf, leaves_s=np.inf)
    if rng.random() < _COMES_OR_GOES:
        stay = replace(stay, enters_s=duration_s * rng.uniform(0.05, 0.4))
    elif rng.random() < _COMES_OR_GOES:
        stay = replace(stay, leaves_s=duration_s * rng.uniform(0.6, 0.95))
    return replace(actor, stay=stay)


def _soft(actor: Actor, rng: Rng, strength: float) -> Player:
    """Return an actor whose article hangs and folds if it is a garment."""
    return actor if actor.item.coarse_class == GOODS else Draped(actor, draw_cloth(rng, strength))


def _clad(dressed: Figure, rng: Rng) -> Clad:
    return Clad(dressed, tuple(draw_cloth(rng, 0.7) for _ in dressed.worn))


# ---- the ground --------------------------------------------------------------------------------------------------


def _photo(casting: Casting) -> Stage:
    """Return one of the photos of the product, filmed by hand."""
    rng, meant = casting.take.rng, casting.meant
    photo = meant.article.photos[int(rng.integers(len(meant.article.photos)))]
    image = read_small(photo.path, GROUND_PX)
    outline = photo.outline
    if meant.article.is_garment and rng.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
        outline = np.abs(np.array([1, 0], np.float32) - outline)
    label = Label(meant.item.coarse_class, UNKNOWN, meant.item.instance, 0)
    return film(image, outline, label, casting.take.size, float(rng.uniform(0.45, 1.15)), rng)


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
