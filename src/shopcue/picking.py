"""Many views of things -> the one of each that is worth a search (DPRNet 3.2).

A net that compares pictures is led astray by views from the side, hidden or cut off; one good view finds more than the
mean of all. `pick` chooses among all detections of a video, `best_views` among those of one tracklet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from shopcue.errors import RecordError, SettingsError
from shopcue.records import QUALITIES, Detections, Floats, Indices, Pick, Tracklet
from shopcue.tracking.association import canonical_order

Linkage = Literal["single", "complete", "average"]

_GRID_SLACK = 1e-6  # times that are multiples of the interval, but for rounding, open a new stretch
_LARGEST_POOL = 8192  # a pool of N views takes 12 N² bytes


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What each of `QUALITIES` must exceed for a view to be good enough; a negative one lets everything pass."""

    viewpoint: float = 0.5
    occlusion: float = 0.5
    crop: float = 0.5

    def __post_init__(self) -> None:
        if not all(math.isfinite(getattr(self, name)) for name in QUALITIES):
            raise SettingsError(f"a threshold of {self} is no number, expected numbers below 1")


def passes(quality: Floats, thresholds: Thresholds) -> NDArray[np.bool_]:
    """Return which views are above all three thresholds. quality: (N, 3) -> bool (N,)."""
    least = np.array([getattr(thresholds, name) for name in QUALITIES], np.float32)
    return np.asarray((quality > least).all(axis=-1))


def view_quality(quality: Floats) -> Floats:
    """Return how good views are in one number: the chance that all three qualities are good, were they independent.

    quality: float32 (N, 3) -> float32 (N,), the product.
    """
    return np.asarray(np.prod(quality, axis=-1), np.float32)


def key_frames(times_s: NDArray[np.float64], interval_s: float) -> NDArray[np.bool_]:
    """Return which frames are the first of their stretch of `interval_s` seconds, counted from 0; all where it is 0.

    times_s: float64 (N,), in any order -> bool (N,). Frames at the same time are key frames together.
    """
    _, stretch = np.unique(_stretches(times_s, interval_s), return_inverse=True)
    first_s = np.full(len(times_s), np.inf)
    np.minimum.at(first_s, stretch, times_s)
    return np.asarray(times_s == first_s[stretch])


def dissimilarity(vectors: Floats) -> Floats:
    """Return one minus the cosine of every pair of rows (DPRNet eq. 4). (N, D) -> (N, N), in [0, 2], 0 with itself."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    distance = np.clip(1 - unit @ unit.T, 0, 2)
    np.fill_diagonal(distance, 0)
    return np.asarray((distance + distance.T) / 2, np.float32)


def cluster(distance: Floats, max_distance: float, method: Linkage = "average") -> Indices:
    """Return which views are of one thing, int64 (N,), numbered from 0: agglomerative hierarchical clustering.

    distance: float32 (N, N), symmetric. The two nearest clusters become one as long as they are at most max_distance
    apart; `method` says how far apart clusters are: by their nearest, farthest, or average pair.
    """
    if len(distance) < 2:
        return np.zeros(len(distance), np.int64)
    tree = linkage(squareform(distance, checks=False), method)
    labels = fcluster(tree, max_distance, criterion="distance")
    return np.asarray(np.unique(labels, return_inverse=True)[1], np.int64)


def pick(
    detections: Sequence[Detections],
    *,
    interval_s: float = 1.0,
    thresholds: Thresholds | None = None,
    max_distance: float = 0.4,
    method: Linkage = "average",
) -> list[Pick]:
    """Return the best view of each thing of a video, things without a good view left out, in order of time.

    Key frames every interval_s seconds (T); views that pass the thresholds; one pool a coarse class; clusters of
    vectors at most max_distance apart; of each the view of the best quality. The order of the frames, and of the
    detections in them, makes no difference. Raises RecordError where a pool is too large for its matrix.
    """
    keys = key_frames(np.array([frame.time_s for frame in detections], np.float64), interval_s)
    frames = [frame for frame, key in zip(detections, keys, strict=True) if key and len(frame)]
    if not frames:
        return []
    views = _Views.of_frames(frames)
    views = views.take(np.flatnonzero(passes(views.quality, thresholds or Thresholds())))
    picks: list[Pick] = []
    for coarse_class in np.unique(views.classes):
        pool = views.take(np.flatnonzero(views.classes == coarse_class))
        if len(pool.scores) > _LARGEST_POOL:
            raise RecordError(
                f"{len(pool.scores)} good views of one class came, expected at most {_LARGEST_POOL}; take a longer "
                "interval_s or higher thresholds"
            )
        labels = cluster(dissimilarity(pool.vectors), max_distance, method)
        picks += [pool.best(np.flatnonzero(labels == label)) for label in range(labels.max() + 1)]
    return sorted(picks, key=lambda p: (p.time_s, p.box.tolist(), p.coarse_class))


def best_views(tracklet: Tracklet, *, interval_s: float = 2.0, thresholds: Thresholds | None = None) -> list[Pick]:
    """Return the best view of each stretch of `interval_s` seconds of one thing, in order of time.

    Stretches are counted from 0 of the stream; infinite: one for all. Where none of a stretch passes the thresholds,
    the best of the others stands in: `passes` tells them apart.
    """
    views = _Views.of_tracklet(tracklet)
    stretch = _stretches(views.times_s, interval_s)
    good = passes(views.quality, thresholds or Thresholds())
    picks = []
    for number in np.unique(stretch):
        here = stretch == number
        picks.append(views.best(np.flatnonzero(here & good if (here & good).any() else here), int(here.sum())))
    return picks


def _stretches(times_s: NDArray[np.float64], interval_s: float) -> NDArray[np.float64]:
    """Return the number of the stretch of `interval_s` that each time lies in; with 0 each time has its own."""
    if not interval_s >= 0:
        raise SettingsError(f"interval_s is {interval_s}, expected seconds from 0 upwards")
    return np.floor(times_s / interval_s + _GRID_SLACK) if interval_s else times_s


@dataclass(frozen=True, slots=True)
class _Views:
    """The views to choose from, each field with one row a view, in canonical order."""

    times_s: NDArray[np.float64]
    boxes: Floats
    classes: Indices
    scores: Floats
    quality: Floats
    vectors: Floats

    @classmethod
    def of_frames(cls, frames: Sequence[Detections]) -> _Views:
        views = cls(
            times_s=np.repeat([frame.time_s for frame in frames], [len(frame) for frame in frames]),
            boxes=np.concatenate([frame.boxes for frame in frames]),
            classes=np.concatenate([frame.classes for frame in frames]),
            scores=np.concatenate([frame.scores for frame in frames]),
            quality=np.concatenate([frame.quality for frame in frames]),
            vectors=np.concatenate([frame.vectors for frame in frames]),
        )
        # Ties between distances and between qualities fall by the order of the views, so that order must be theirs.
        columns = (views.times_s, views.boxes, views.classes, views.scores, views.quality, views.vectors)
        return views.take(canonical_order(*columns))

    @classmethod
    def of_tracklet(cls, tracklet: Tracklet) -> _Views:
        return cls(
            times_s=tracklet.times_s,
            boxes=tracklet.boxes,
            classes=np.full(len(tracklet.times_s), tracklet.coarse_class),
            scores=tracklet.scores,
            quality=tracklet.quality,
            vectors=tracklet.vectors,
        )

    def take(self, rows: Indices) -> _Views:
        return _Views(
            self.times_s[rows],
            self.boxes[rows],
            self.classes[rows],
            self.scores[rows],
            self.quality[rows],
            self.vectors[rows],
        )

    def best(self, rows: Indices, seen: int | None = None) -> Pick:
        """Return the best of the rows: of equal quality the surer one, of equally sure ones the first."""
        n = rows[np.lexsort((rows, -self.scores[rows], -view_quality(self.quality[rows])))[0]]
        return Pick(
            time_s=float(self.times_s[n]),
            box=self.boxes[n],
            coarse_class=int(self.classes[n]),
            score=float(self.scores[n]),
            quality=self.quality[n],
            vector=self.vectors[n],
            seen=len(rows) if seen is None else seen,
        )
