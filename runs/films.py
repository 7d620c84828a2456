"""Short films with cuts, composed of held-out articles, and what a detector sees of them: material of runs/picking.py.

A film is a few composed sequences, one after another, of a small cast, so that things return after a cut. No thing is
in a frame twice, so an article is a thing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count, islice

import numpy as np
from numpy.typing import NDArray

from shopcue.data.composed import SIZES, Scene, Stock, compose_sequence
from shopcue.geometry import crop, iou, widened
from shopcue.metrics.picks import TrueViews
from shopcue.metrics.tracks import TrackedFrame
from shopcue.models.image import ImageEncoder
from shopcue.records import COARSE_CLASSES, Detections, Floats, Frame, Image, Indices, Tracklet
from shopcue.tracking.assembly import Assembler
from shopcue.tracking.tracker import UNTRACKED, Tracker

PARTS, FRAMES, INTERVAL_S, CAST = 5, 16, 0.5, 6
BORDER = 0.05  # around a box when its picture is embedded
COVERS = 0.5

Detect = Callable[["Film", int], list[Detections]]
"""Says what a detector sees of a film; the number is a seed for those that guess."""


@dataclass(frozen=True, slots=True)
class Film:
    """times_s: seconds, one a scene. scenes: all of one size; what `Scene.instance` says is a thing."""

    times_s: list[float]
    scenes: list[Scene]

    def truth(self) -> list[TrueViews]:
        """Return what each moment really shows."""
        return [
            TrueViews(time_s, scene.boxes, scene.instance, optimal(scene))
            for time_s, scene in zip(self.times_s, self.scenes, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Watched:
    """A film as it was seen and followed.

    embeddings: of the tracklets' sights by the encoder that made the gallery, each float32 (T, D). things: what each
    tracklet shows most of the time, -1 where that is nothing.
    """

    truth: list[TrueViews]
    detections: list[Detections]
    tracked: list[TrackedFrame]
    tracklets: list[Tracklet]
    embeddings: list[Floats]
    things: list[int]


def optimal(scene: Scene) -> NDArray[np.bool_]:
    """From the front, whole, and at most slightly covered: bool (N,)."""
    return np.asarray((scene.viewpoint == 0) & (scene.crop_class == 0) & (scene.occlusion_class <= 1))


def compose_film(stock: Stock, seed: int) -> Film:
    """Return a film of `PARTS` sequences, of a cast drawn from the stock; no whole photos, whose poses nobody knows."""
    rng = np.random.default_rng((seed, 104729))
    goods = [item for item in stock.items if COARSE_CLASSES[item.coarse_class] == "goods"]
    garments = [item for item in stock.items if COARSE_CLASSES[item.coarse_class] != "goods"]
    half = min(CAST // 2, len(goods))
    cast = [goods[i] for i in rng.choice(len(goods), half, replace=False)]
    cast += [garments[i] for i in rng.choice(len(garments), min(CAST - half, len(garments)), replace=False)]
    troupe = replace(stock, items=tuple(cast), photos=())
    size = SIZES[int(rng.integers(len(SIZES)))]
    candidates = (compose_sequence(troupe, seed * 1000 + n, FRAMES, INTERVAL_S, size) for n in count())
    parts = islice((part for part in candidates if _clear(part.scenes)), PARTS)
    scenes = [scene for part in parts for scene in part.scenes]
    return Film([n * INTERVAL_S for n in range(len(scenes))], scenes)


def _clear(scenes: tuple[Scene, ...]) -> bool:
    """Whether there is something to see, and no article twice."""
    return any(len(scene) for scene in scenes) and all(len(set(s.instance.tolist())) == len(s) for s in scenes)


def shop_pictures(stock: Stock) -> list[Image]:
    """Return the picture of every article from the front on white, which its views in films are made of."""
    fronts = [min(item.views, key=lambda view: abs(view.yaw_deg)).pictures[0] for item in stock.items]
    return [np.ascontiguousarray(front[..., :3] + (255 - front[..., 3:])) for front in fronts]


def simulated(film: Film, encoder: ImageEncoder, seed: int) -> list[Detections]:
    """Return what a fair detector might see: true boxes that shake, some missed, some false, and doubtful qualities."""
    rng = np.random.default_rng((seed, 15485863))
    return [_simulated(scene, t, encoder, rng) for t, scene in zip(film.times_s, film.scenes, strict=True)]


def _simulated(scene: Scene, time_s: float, encoder: ImageEncoder, rng: np.random.Generator) -> Detections:
    height, width = scene.image.shape[:2]
    seen = rng.random(len(scene)) < 0.95 - 0.25 * scene.occlusion
    corner = rng.uniform(0, 0.7, (rng.poisson(0.3), 2))
    false = np.hstack([corner, corner + rng.uniform(0.1, 0.3, corner.shape)]) * [width, height, width, height]
    side = np.sqrt(np.prod(scene.boxes[seen, 2:] - scene.boxes[seen, :2], axis=1, keepdims=True))
    boxes = np.vstack([scene.boxes[seen] + rng.normal(size=(int(seen.sum()), 4)) * 0.04 * side, false])
    boxes = boxes.clip(0, [width, height, width, height]).astype(np.float32)
    levels = np.stack([scene.viewpoint, scene.occlusion_class, scene.crop_class], axis=1)[seen]
    levels = np.vstack([levels, rng.integers(0, 3, (len(false), 3))])
    good, bad = np.array([5.0, 3.0, 2.0])[levels], np.array([2.0, 3.0, 5.0])[levels]
    scores = np.concatenate([rng.normal(0.8, 0.1, int(seen.sum())), rng.uniform(0.1, 0.55, len(false))])
    guess = rng.integers(len(COARSE_CLASSES), size=len(boxes))
    classes = np.concatenate([scene.classes[seen], guess[: len(false)]])
    return Detections(
        time_s,
        boxes,
        scores.clip(0, 1).astype(np.float32),
        np.where(rng.random(len(boxes)) < 0.04, guess, classes),
        rng.beta(good, bad).astype(np.float32).reshape(-1, 3),
        embed([crop(scene.image, widened(box, BORDER)) for box in boxes], encoder),
    )


def embed(pictures: list[Image], encoder: ImageEncoder) -> Floats:
    return encoder.encode(pictures) if pictures else np.zeros((0, encoder.dim), np.float32)


def frames_of(film: Film) -> list[Frame]:
    return [Frame(time_s, scene.image) for time_s, scene in zip(film.times_s, film.scenes, strict=True)]


def watch(film: Film, detections: list[Detections], encoder: ImageEncoder, tracker: Tracker) -> Watched:
    """Follow what was seen, and embed every sight of every tracklet."""
    assembler = Assembler(piece_s=float("inf"), max_sights=100_000)
    tracked, tracklets = [], []
    for scene, seen in zip(film.scenes, detections, strict=True):
        ids = tracker.update(seen)
        tracked.append(_tracked(scene, seen, ids))
        tracklets += assembler.update(seen, ids, tracker.states)
    tracklets += assembler.finish()
    at = dict(zip(film.times_s, film.scenes, strict=True))
    embeddings = [
        embed(
            [crop(at[t].image, widened(b, BORDER)) for t, b in zip(each.times_s.tolist(), each.boxes, strict=True)],
            encoder,
        )
        for each in tracklets
    ]
    things = [_thing(each, at) for each in tracklets]
    return Watched(film.truth(), detections, tracked, tracklets, embeddings, things)


def _tracked(scene: Scene, seen: Detections, ids: Indices) -> TrackedFrame:
    """Return the frame as the scores of tracks want it, without what lies on a box to be ignored."""
    counts = (ids != UNTRACKED) & ~(iou(seen.boxes, scene.ignored) >= COVERS).any(axis=1)
    counts |= (ids != UNTRACKED) & (iou(seen.boxes, scene.boxes) >= COVERS).any(axis=1)
    return TrackedFrame(scene.boxes, scene.instance, seen.boxes[counts], ids[counts])


def _thing(tracklet: Tracklet, at: dict[float, Scene]) -> int:
    votes: list[int] = []
    for time_s, box in zip(tracklet.times_s.tolist(), tracklet.boxes, strict=True):
        overlap = iou(box[None], at[time_s].boxes)[0]
        votes.append(int(at[time_s].instance[overlap.argmax()]) if overlap.max(initial=0) >= COVERS else -1)
    return max(sorted(set(votes)), key=votes.count)


def without(detections: Detections, branches: tuple[int, ...]) -> Detections:
    """Return the detections as if some branches of quality said nothing."""
    quality = detections.quality.copy()
    quality[:, list(branches)] = 1
    return replace(detections, quality=quality)
