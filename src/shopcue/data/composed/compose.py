"""Scenes and sequences out of a stock, each a function of the stock and a seed alone: workers need no common state."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from shopcue.data import views
from shopcue.data.composed.layers import Label, Layer, Marked, Pose, assemble, item_layer, projected
from shopcue.data.composed.scenes import UNKNOWN, Scene, Sequence
from shopcue.data.composed.scripts import GOODS, Actor, Rng, Sway, fitting, held_up, several
from shopcue.data.composed.stock import Ground, Stock
from shopcue.records import Image

SIZES = ((320, 180), (180, 320), (320, 240), (320, 320))
"""Width and height of what is composed: landscape, portrait, an old camera, square."""

_SIZE_SHARES = (0.34, 0.34, 0.16, 0.16)
_PALM_PX = 56


@dataclass(frozen=True, slots=True)
class _Stage:
    """What the things stand before: a picture, the part of it that is seen, and how the camera sways.

    scale: pixels of the frame a pixel of the ground. x, y: where the ground's upper left lies in the frame.
    """

    ground: Ground
    behind: Image
    scale: float
    x: float
    y: float
    sway: Sway


def compose_scene(stock: Stock, seed: int, size: tuple[int, int] | None = None) -> Scene:
    """Return one picture with exact labels. size: width and height, drawn from `SIZES` where None."""
    return compose_sequence(stock, seed, frames=1, size=size).scenes[0]


def compose_sequence(
    stock: Stock, seed: int, frames: int = 12, interval_s: float = 0.5, size: tuple[int, int] | None = None
) -> Sequence:
    """Return `frames` pictures, `interval_s` seconds apart, of things in smooth motion, with exact labels."""
    rng = np.random.default_rng((seed, 7919))
    width, height = size if size is not None else SIZES[int(rng.choice(len(SIZES), p=_SIZE_SHARES))]
    duration_s = (frames - 1) * interval_s
    kinds = ("held", "several", "photo", "empty")
    shares = np.array([0.38, 0.28, 0.28 if stock.photos else 0.0, 0.06])
    kind = kinds[int(rng.choice(len(kinds), p=shares / shares.sum()))]
    actors: list[Actor] = []
    if kind == "photo":
        stage = _photo_stage(stock, (width, height), rng)
    else:
        script: dict[str, Callable[..., list[Actor]]] = {"held": held_up, "several": several}
        actors = script[kind](stock, (width, height), duration_s, rng) if kind in script else []
        largest = max((actor.pose.height_px for actor in actors), default=height / 2)
        shelved = kind == "held" and rng.random() < 0.35
        stage = _scenery_stage(stock, (width, height), rng, 0.55 * largest if shelved else None)
    looks = int(rng.integers(1 << 31))
    times = np.arange(frames) * interval_s
    scenes = tuple(_scene(stage, actors, (width, height), float(time_s), looks) for time_s in times)
    return Sequence(times.astype(np.float64), scenes)


def _scene(stage: _Stage, actors: list[Actor], size: tuple[int, int], time_s: float, looks: int) -> Scene:
    image, marked = _backdrop(stage, size, time_s)
    layers: list[Layer] = []
    for actor in actors:
        layers += _actor_layers(actor, time_s, size)
    scene = assemble(image, layers, marked)
    seen = _filmed(scene.image, looks, time_s)
    return Scene(
        seen,
        scene.boxes,
        scene.classes,
        scene.viewpoint,
        scene.occlusion,
        scene.crop,
        scene.instance,
        scene.track,
        scene.ignored,
    )


# ---- things ------------------------------------------------------------------------------------------------------


def _actor_layers(actor: Actor, time_s: float, size: tuple[int, int]) -> list[Layer]:
    """Return an article with its shadow and the hand that holds it, from back to front."""
    pose = actor.pose_at(time_s)
    thing = item_layer(actor.item, pose, actor.track)
    if not (-thing.pixels.shape[1] < thing.x < size[0] and -thing.pixels.shape[0] < thing.y < size[1]):
        return []
    lit = Layer(_gained(thing.pixels, actor.gain), thing.x, thing.y, thing.label)
    layers = [_shadow(thing, actor.shadow)] if actor.shadow else []
    if actor.grip is None:
        return [*layers, lit]
    grip = actor.grip
    picture = actor.item.views[len(actor.item.views) // 2].pictures[0]
    wide = picture.shape[1] / picture.shape[0] / 2
    edge = projected(np.array([(grip.side * wide * 0.94, 0.5 - grip.along, 0.0)]), pose)[0]
    scale, angle = grip.palm * pose.height_px / _PALM_PX, pose.roll_deg + grip.tilt_deg
    behind = _hand_layer(grip.hand.behind, grip.hand.origin, (float(edge[0]), float(edge[1])), scale, angle)
    if grip.before:
        return [*layers, lit, behind]
    before = _hand_layer(grip.hand.before, grip.hand.origin, (float(edge[0]), float(edge[1])), scale, angle)
    return [*layers, behind, lit, before]


def _hand_layer(
    picture: Image, origin: tuple[float, float], at: tuple[float, float], scale: float, angle_deg: float
) -> Layer:
    """Return a hand whose `origin` lies at a pixel of the frame, `scale` times as large, turned clockwise."""
    height, width = picture.shape[:2]
    cosine, sine = scale * math.cos(math.radians(angle_deg)), scale * math.sin(math.radians(angle_deg))
    linear = np.array([[cosine, -sine], [sine, cosine]])
    corners = (np.array([(0, 0), (width, 0), (width, height), (0, height)]) - origin) @ linear.T + at
    low = np.floor(corners.min(axis=0)).astype(int)
    size = np.ceil(corners.max(axis=0)).astype(int) - low + 1
    matrix = np.column_stack([linear, np.array(at) - linear @ np.array(origin) - low])
    pixels = cv2.warpAffine(picture, matrix, (int(size[0]), int(size[1])), flags=cv2.INTER_LINEAR)
    return Layer(np.asarray(pixels, np.uint8), int(low[0]), int(low[1]))


def _shadow(thing: Layer, strength: float) -> Layer:
    """Return the soft shadow that a thing throws on what is behind it; too faint to count as a cover."""
    height, width = thing.pixels.shape[:2]
    border = max(2, height // 12)
    alpha = cv2.copyMakeBorder(thing.pixels[..., 3], *(border,) * 4, cv2.BORDER_CONSTANT, value=0)
    small = cv2.resize(alpha, (max(1, width // 4), max(1, height // 4)), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), max(0.8, border / 8))
    pixels = np.zeros((*alpha.shape, 4), np.uint8)
    pixels[..., 3] = cv2.resize(soft, (alpha.shape[1], alpha.shape[0])) * strength
    return Layer(pixels, thing.x - border // 2, thing.y - border // 3)


def _gained(pixels: Image, gain: tuple[float, float, float]) -> Image:
    """Return a picture weighted by alpha in another light."""
    return np.asarray(cv2.multiply(pixels, np.array((*gain, 1.0))), np.uint8)


# ---- what they stand before --------------------------------------------------------------------------------------


def _scenery_stage(stock: Stock, size: tuple[int, int], rng: Rng, shelf_px: float | None) -> _Stage:
    """Return scenery that fills the frame; with articles on shelves of at most `shelf_px` where given."""
    ground = stock.scenery[int(rng.integers(len(stock.scenery)))]
    height, width = ground.image.shape[:2]
    scale = max(size[0] / width, size[1] / height) * rng.uniform(1.04, 1.8)
    x = -rng.uniform(0.01, 0.99) * (scale * width - size[0])
    y = -rng.uniform(0.01, 0.99) * (scale * height - size[1])
    if shelf_px is not None:
        ground = _shelf(stock, size, shelf_px, rng)
        scale, x, y = 1.0, -10.0, -10.0
    return _Stage(ground, ground.image, scale, x, y, _camera_sway(rng, min(-x, -y, 8.0)))


def _photo_stage(stock: Stock, size: tuple[int, int], rng: Rng) -> _Stage:
    """Return a whole photo of an article, so that the article is large, small or cut by the frame."""
    ground = stock.photos[int(rng.integers(len(stock.photos)))]
    behind = stock.scenery[int(rng.integers(len(stock.scenery)))].image
    height, width = ground.image.shape[:2]
    x0, y0, x1, y1 = (float(value) for value in ground.boxes[0])
    scale = rng.uniform(0.35, 1.2) * min(size[0] / (x1 - x0), size[1] / (y1 - y0))
    if rng.random() < 0.7:  # the photo fills the frame
        scale = max(scale, size[0] / width, size[1] / height)
    x = size[0] * (0.5 + rng.normal(0, 0.12)) - scale * (x0 + x1) / 2
    y = size[1] * (0.5 + rng.normal(0, 0.12)) - scale * (y0 + y1) / 2
    if scale * width >= size[0]:
        x = float(np.clip(x, size[0] - scale * width, 0))
    if scale * height >= size[1]:
        y = float(np.clip(y, size[1] - scale * height, 0))
    return _Stage(ground, behind, scale, x, y, _camera_sway(rng, 6.0))


def _camera_sway(rng: Rng, reach_px: float) -> Sway:
    return Sway(
        np.full(2, max(reach_px, 0.0)) * rng.uniform(0, 1), rng.uniform(0.1, 0.8, (2, 2)), rng.uniform(0, 1, (2, 2))
    )


def _backdrop(stage: _Stage, size: tuple[int, int], time_s: float) -> tuple[Image, list[Marked]]:
    """Return the ground as the camera sees it, and the articles in it."""
    dx, dy = stage.sway(time_s)
    x, y = stage.x + float(dx), stage.y + float(dy)
    height, width = stage.ground.image.shape[:2]
    if stage.scale * width + x < size[0] or stage.scale * height + y < size[1] or x > 0 or y > 0:
        canvas = np.asarray(cv2.resize(stage.behind, size, interpolation=cv2.INTER_AREA), np.uint8)
    else:
        canvas = np.empty((size[1], size[0], 3), np.uint8)
    matrix = np.array([[stage.scale, 0, x], [0, stage.scale, y]])
    source = stage.ground.image
    if stage.scale < 0.6:
        source = np.asarray(cv2.blur(source, (2, 2)), np.uint8)
    image = cv2.warpAffine(source, matrix, size, dst=canvas, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT)
    marked = []
    for number, box in enumerate(stage.ground.boxes * stage.scale + (x, y, x, y)):
        coarse_class, instance = int(stage.ground.classes[number]), int(stage.ground.instances[number])
        viewpoint = 0 if coarse_class not in (GOODS, 3) else UNKNOWN
        label = Label(coarse_class, viewpoint, instance, 1000 + number) if coarse_class >= 0 else None
        marked.append(Marked((float(box[0]), float(box[1]), float(box[2]), float(box[3])), label))
    return np.asarray(image, np.uint8), marked


def _shelf(stock: Stock, size: tuple[int, int], tallest_px: float, rng: Rng) -> Ground:
    """Return shelves with rows of equal packs, out of focus and not labelled: what is sold stands before them."""
    width, height = size[0] + 20, size[1] + 20
    base = float(rng.uniform(30, 190))
    image = np.full((height, width, 3), base, np.uint8)
    goods = [item for item in stock.items if item.coarse_class == GOODS]
    row_px = tallest_px * rng.uniform(0.6, 1)
    board = max(3, int(row_px * rng.uniform(0.08, 0.2)))
    foot = row_px * rng.uniform(0.4, 1.1)
    layers: list[Layer] = []
    while foot < height + row_px:
        x = -row_px * rng.uniform(0, 0.5)
        while x < width and goods:
            item = goods[int(rng.integers(len(goods)))]
            tall = fitting(item, row_px * rng.uniform(0.75, 0.95), width)
            picture = item.views[len(item.views) // 2].pictures[0]
            step = tall * picture.shape[1] / picture.shape[0] * rng.uniform(1.0, 1.15)
            for _ in range(int(rng.integers(2, 5))):
                turn = float(rng.normal(0, 8))
                layer = item_layer(item, Pose(x + step / 2, foot - tall / 2, tall, turn))
                layers.append(Layer(layer.pixels, layer.x, layer.y))
                x += step
        strip = np.full((board, width, 4), 255, np.uint8)
        strip[..., :3] = rng.uniform(60, 240)
        layers.append(Layer(strip, 0, int(foot)))
        foot += row_px + board
    shelf = assemble(image, layers).image
    dim = np.clip(shelf * rng.uniform(0.55, 1.0), 0, 255).astype(np.uint8)
    blur = rng.uniform(0.3, 1.6)
    empty = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.int64)
    return Ground(np.asarray(cv2.GaussianBlur(dim, (0, 0), blur), np.uint8), *empty)


# ---- the camera --------------------------------------------------------------------------------------------------


def _filmed(image: Image, looks: int, time_s: float) -> Image:
    """Return the picture as a phone or a stream shows it: one light and one encoder a sequence, a shake a frame."""
    always = np.random.default_rng(looks)
    now = np.random.default_rng((looks, round(time_s * 1000)))
    view = views.exposed(image, always, 0.3)
    if always.random() < 0.35:
        view = views.tinted(view, always)
    if now.random() < 0.22:
        view = views.blurred(view, now)
    if always.random() < 0.15:
        view = views.coarse(view, always)
    return views.jpeg(view, always, 35)
