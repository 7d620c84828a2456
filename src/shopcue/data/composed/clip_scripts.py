"""How a product is shown in a shot: held up, beside one that is as large, among others, worn, or photographed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from shopcue.data.composed.actors import Actor, Passing, Player
from shopcue.data.composed.articles import Article
from shopcue.data.composed.cloth import Clad, Draped, draw_cloth
from shopcue.data.composed.figures import Figure, draw_body, hung
from shopcue.data.composed.layers import Layer
from shopcue.data.composed.motion import Rng, Stay, draw_sway
from shopcue.data.composed.scripts import GOODS, Take, figure, passing, presented, standing
from shopcue.data.composed.stock import Item
from shopcue.records import COARSE_CLASSES

PLOTS: Mapping[str, Mapping[str, float]] = {
    "garment": {"photographed": 0.2, "shown": 0.25, "two": 0.2, "among": 0.15, "worn": 0.2},
    "grocery": {"photographed": 0.45, "shown": 0.2, "two": 0.2, "among": 0.15},
}
"""How often each script is played."""

_RELATED = 0.65  # of other products in view, those that look alike
_HOST, _HAND, _BEFORE = 0.35, 0.15, 0.12
_COMES, _GOES = 0.25, 0.3
_SMALL = (0.16, 0.34)  # shares of the frame's height
_COVERS = {"full": ("upper", "lower", "full")}


@dataclass(frozen=True, slots=True)
class Ware:
    """An article and its cut-out. family: those that look alike share it."""

    article: Article
    item: Item
    family: int


@dataclass(frozen=True, slots=True)
class Casting:
    """Who may appear: the product that is meant, and the others of its gallery; in which take."""

    gallery: Sequence[Ware]
    meant: Ware
    take: Take

    def other(self, cloth: bool | None = None) -> Ware | None:
        """Return another product, more often one that looks alike. cloth: whether it must be a garment, or must not."""
        rng = self.take.rng
        others = [
            ware
            for ware in self.gallery
            if ware is not self.meant and (cloth is None or ware.article.is_garment == cloth)
        ]
        related = [ware for ware in others if ware.family == self.meant.family]
        pool = related if related and rng.random() < _RELATED else others
        return pool[int(rng.integers(len(pool)))] if pool else None

    def others(self, most: int, cloth: bool | None = None) -> list[Ware]:
        """Return up to `most` other products, none twice."""
        drawn = [self.other(cloth) for _ in range(int(self.take.rng.integers(most + 1)))]
        return list({ware.item.instance: ware for ware in drawn if ware is not None}.values())

    def only(self, item: Item) -> Take:
        """Return a take in which only one article can appear."""
        return replace(self.take, stock=replace(self.take.stock, items=(item,)))


@dataclass(frozen=True, slots=True)
class Furniture:
    """A rail or a board across the frame. y, thick_px: its upper edge and how thick it is; colour: RGB."""

    y: int
    thick_px: int
    colour: tuple[float, float, float]

    @property
    def reach_px(self) -> float:
        """How high it is in the frame, in pixels."""
        return float(self.thick_px)

    def layers(self, time_s: float, size: tuple[int, int]) -> list[Layer]:
        """Return it, lighter above than below."""
        light = np.linspace(1.0, 0.6, self.thick_px)[:, None, None]
        pixels = np.full((self.thick_px, size[0], 4), 255, np.uint8)
        pixels[..., :3] = np.clip(light * self.colour, 0, 255)
        return [Layer(pixels, 0, self.y)]


def play(casting: Casting, plot: str) -> list[Player]:
    """Return the players of a script, one of `PLOTS`, from back to front."""
    players = _SCRIPTS[plot](casting)
    return [*players, _hand(casting.take)] if casting.take.rng.random() < _HAND else players


# ---- scripts -----------------------------------------------------------------------------------------------------


def _photographed(casting: Casting) -> list[Player]:
    """Return what lies before a photo of the product: mostly nothing, now and then another one that is as large."""
    rng = casting.take.rng
    rival = casting.other()
    if rival is None or rng.random() < 0.65:
        return []
    return [_at_side(casting, _held(casting, rival, (0.35, 0.6)), int(rng.choice((-1, 1))))]


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
    shares, side = (0.38, 0.62), int(rng.choice((-1, 1)))
    pair = [
        _at_side(casting, _staying(casting, _held(casting, casting.meant, shares)), side),
        _at_side(casting, _held(casting, rival, shares), -side),
    ]
    if rng.random() < 0.5:
        pair.reverse()
    return _with_cover(casting, [*_background(casting, 2), *pair])


def _among(casting: Casting) -> list[Player]:
    """Return the product small among others of its size: garments on rails, goods on shelves."""
    rng, (width, height) = casting.take.rng, casting.take.size
    cloth = casting.meant.article.is_garment
    wares = [*casting.others(5, cloth), casting.meant]
    wares = [wares[index] for index in rng.permutation(len(wares)).tolist()]
    columns = len(wares) if len(wares) <= 2 else -(-len(wares) // 2)
    rows = -(-len(wares) // columns)
    share, first = rng.uniform(0.26, 0.42), rng.uniform(0.04, 0.12)
    places = [height * (first + 0.48 * row + (0.0 if cloth else 0.4)) for row in range(rows)]
    furniture = _furniture(rng, height, cloth)
    players: list[Player] = [replace(furniture, y=round(place)) for place in places]
    for number, ware in enumerate(wares):
        row, column = divmod(number, columns)
        x = width * ((column + 0.5) / columns + rng.normal(0, 0.03))
        actor = _resting(casting, ware, x, places[row], share)
        players.append(_soft(_staying(casting, actor) if ware is casting.meant else actor, rng, 0.6))
    return players


def _worn(casting: Casting) -> list[Player]:
    """Return someone who wears the garment with other garments of the shop, maybe things beside them."""
    take, rng, meant = casting.take, casting.take.rng, casting.meant
    width, height = take.size
    kind = COARSE_CLASSES[meant.item.coarse_class]
    host = figure(_of_cloth(casting, meant))
    covered = [COARSE_CLASSES.index(each) for each in _COVERS.get(kind, (kind, "full"))]
    kept = [worn for worn in host.worn if worn.item.coarse_class not in (*covered, GOODS)]
    worn = hung(meant.item, 0, rng)
    tall = height * min(rng.uniform(0.35, 0.8) / worn.tall, 3.2)  # near enough that the garment is what it is about
    bones, head = draw_body(rng, clothed=True)
    dressed = Figure(
        width * (0.5 + rng.normal(0, 0.1)),
        height * (0.5 + rng.normal(0, 0.07)) - worn.down * tall,
        tall,
        float(rng.normal(0, 16)),
        bones,
        head,
        (*kept, worn),
        draw_sway(rng, (0.09 * width, 0.03 * height, 0.08, 22)),
        host.gain,
    )
    return _with_cover(casting, [*_beside(casting, casting.others(2)), _clad(dressed, rng)])


_SCRIPTS: Mapping[str, Callable[[Casting], list[Player]]] = {
    "photographed": _photographed,
    "shown": _shown,
    "two": _two,
    "among": _among,
    "worn": _worn,
}


# ---- players -----------------------------------------------------------------------------------------------------


def _background(casting: Casting, most: int) -> list[Player]:
    """Return small things on rails and boards, and maybe a host who wears what the shop sells."""
    players = _beside(casting, casting.others(most))
    if casting.take.rng.random() < _HOST and any(ware.article.is_garment for ware in casting.gallery):
        take = _of_cloth(casting, casting.meant)
        players.append(_clad(figure(take, clothed=True), casting.take.rng))
    return players


def _beside(casting: Casting, wares: Sequence[Ware]) -> list[Player]:
    """Return small products: garments on a rail above, goods on a board below, rather at the sides."""
    rng, (width, height) = casting.take.rng, casting.take.size
    players: list[Player] = []
    for cloth, at in ((True, rng.uniform(0.03, 0.16)), (False, rng.uniform(0.8, 0.95))):
        shown = [ware for ware in wares if ware.article.is_garment == cloth]
        if shown:
            players.append(replace(_furniture(rng, height, cloth), y=round(at * height)))
        for ware in shown:
            x = width * float(rng.choice((rng.uniform(0.02, 0.3), rng.uniform(0.7, 0.98))))
            actor = _resting(casting, ware, x, at * height, float(rng.uniform(*_SMALL)))
            players.append(_soft(actor, rng, 0.6))
    return players


def _with_cover(casting: Casting, players: list[Player]) -> list[Player]:
    """Return the players, now and then with another product held before them all, small."""
    other = casting.other()
    if other is None or casting.take.rng.random() >= _BEFORE:
        return players
    return [*players, _soft(_held(casting, other, _SMALL), casting.take.rng, 0.8)]


def _held(casting: Casting, ware: Ware, shares: tuple[float, float]) -> Actor:
    """Return a product that is shown to the camera. shares: of the frame's height that it may take."""
    actor = presented(casting.only(ware.item), shares)
    if ware.item.depth:
        return actor
    return replace(actor, pose=replace(actor.pose, yaw_deg=0.6 * actor.pose.yaw_deg))  # flat things are not turned far


def _resting(casting: Casting, ware: Ware, x: float, y: float, share: float) -> Actor:
    """Return a product at `x` that hangs from a rail or stands on a board at `y`. share: of the frame's height."""
    rng, (width, _) = casting.take.rng, casting.take.size
    actor = standing(casting.only(ware.item), (share, share * 1.05))
    tall = actor.pose.height_px
    middle = y + 0.46 * tall if ware.article.is_garment else y - 0.47 * tall
    pose = replace(actor.pose, x=x, y=middle, roll_deg=float(rng.normal(0, 2)), pitch_deg=float(rng.normal(0, 3)))
    if not ware.item.depth:
        pose = replace(pose, yaw_deg=0.6 * pose.yaw_deg)
    sway = draw_sway(rng, (0.008 * width, 0.0, 0.01, 6.0, 1.5))
    return replace(actor, pose=pose, sway=sway, stay=Stay())


def _at_side(casting: Casting, actor: Actor, side: int) -> Player:
    """Return an actor moved to the left or the right; in a narrow frame, also up or down."""
    width, height = casting.take.size
    narrow = height > 1.5 * width
    x = actor.pose.x + side * width * (0.16 if narrow else 0.24)
    y = actor.pose.y + (side * height * 0.17 if narrow else 0.0)
    return _soft(replace(actor, pose=replace(actor.pose, x=x, y=y)), casting.take.rng, 1.0)


def _staying(casting: Casting, actor: Actor) -> Actor:
    """Return an actor that comes late or leaves early now and then, and is there for a good part of the shot."""
    rng, duration_s = casting.take.rng, casting.take.duration_s
    enters_s = duration_s * rng.uniform(0.05, 0.6) if rng.random() < _COMES else -np.inf
    leaves_s = duration_s * rng.uniform(0.3, 0.95) if enters_s < 0 and rng.random() < _GOES else np.inf
    return replace(actor, stay=replace(actor.stay, enters_s=enters_s, leaves_s=leaves_s, door=_door(casting.take)))


def _door(take: Take) -> tuple[float, float]:
    angle, far = take.rng.uniform(0, 2 * np.pi), 1.3 * max(take.size)
    return far * float(np.cos(angle)), far * float(np.sin(angle))


def _soft(actor: Actor, rng: Rng, strength: float) -> Player:
    """Return an actor whose article hangs and folds if it is a garment."""
    return actor if actor.item.coarse_class == GOODS else Draped(actor, draw_cloth(rng, strength))


def _clad(dressed: Figure, rng: Rng) -> Clad:
    return Clad(dressed, tuple(draw_cloth(rng, 0.7) for _ in dressed.worn))


def _of_cloth(casting: Casting, without: Ware) -> Take:
    """Return a take in which the garments of the gallery appear, all but one, or that one where there is no other."""
    garments = [ware.item for ware in casting.gallery if ware.article.is_garment and ware is not without]
    return replace(casting.take, stock=replace(casting.take.stock, items=tuple(garments or [without.item])))


def _hand(take: Take) -> Passing:
    """Return an empty hand whose arm reaches in from below."""
    hand, height = passing(take), take.size[1]
    return replace(hand, y=height * take.rng.uniform(0.6, 1.05), palm_px=height * take.rng.uniform(0.13, 0.22))


def _furniture(rng: Rng, height: int, cloth: bool) -> Furniture:
    """Return a rail for garments or a board for goods, of a plain colour."""
    grey = rng.uniform(60, 230)
    red, green, blue = (grey + rng.normal(0, 12, 3)).tolist()
    thick = 0.012 if cloth else rng.uniform(0.03, 0.2)
    return Furniture(0, max(2, round(thick * height)), (red, green, blue))
