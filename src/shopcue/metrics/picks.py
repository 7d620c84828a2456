"""Scores of picks: was each thing picked, once, and by a view that shows it well? (DPRNet eq. 9-11)

Pure functions over picks and true views of the same video.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shopcue.errors import ScoreError
from shopcue.geometry import iou
from shopcue.picking import view_quality
from shopcue.records import Floats, Indices, Pick

_SAME_TIME_S = 1e-3


@dataclass(frozen=True, slots=True)
class TrueViews:
    """What a moment of a video really shows.

    boxes: float32 (M, 4), xyxy pixels. instances: int64 (M,), which thing. optimal: bool (M,), whether it is seen from
    the front, whole, and at most slightly hidden.
    """

    time_s: float
    boxes: Floats
    instances: Indices
    optimal: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PickScores:
    """The three ratios of DPRNet, and what they were counted on.

    picked: share of the things that were picked (R_pick, eq. 9). duplication: share of those that were picked more than
    once (eq. 10). optimal: share of those whose pick is an optimal view (eq. 11); of several picks of a thing, that of
    the best predicted quality counts. things: how many there are. picks: how many were made. stray: picks of nothing.
    """

    picked: float
    duplication: float
    optimal: float
    things: int
    picks: int
    stray: int


def score_picks(videos: Sequence[tuple[Sequence[Pick], Sequence[TrueViews]]], least_iou: float = 0.5) -> PickScores:
    """Return the scores over all videos together; things of different videos are different things.

    A pick is of the thing whose box at its time it overlaps most, by an IoU of at least least_iou. Raises ScoreError
    where a pick is of a time without truth.
    """
    things = picks = stray = picked = duplicated = optimal = 0
    for made, truth in videos:
        by_thing: dict[int, list[tuple[float, bool]]] = defaultdict(list)
        for one in made:
            thing, is_optimal = _shown(one, truth, least_iou)
            if thing is None:
                stray += 1
            else:
                by_thing[thing].append((float(view_quality(one.quality)), is_optimal))
        things += len({int(thing) for views in truth for thing in views.instances})
        picks += len(made)
        picked += len(by_thing)
        duplicated += sum(len(views) > 1 for views in by_thing.values())
        # Equal qualities: the worse view counts, so that a tie never helps.
        optimal += sum(max(views, key=lambda view: (view[0], not view[1]))[1] for views in by_thing.values())
    among = max(picked, 1)
    return PickScores(picked / max(things, 1), duplicated / among, optimal / among, things, picks, stray)


def curve(
    intervals_s: Sequence[float],
    pick_at: Callable[[float], Sequence[Sequence[Pick]]],
    truth: Sequence[Sequence[TrueViews]],
) -> list[tuple[float, PickScores]]:
    """Return the scores at each interval T of key frames (DPRNet figure 6); pick_at(T): the picks of each video."""
    return [(T, score_picks(list(zip(pick_at(T), truth, strict=True)))) for T in intervals_s]


def _shown(one: Pick, truth: Sequence[TrueViews], least_iou: float) -> tuple[int | None, bool]:
    """Return which thing a pick shows, None for none, and whether that view of it is optimal."""
    now = min(truth, key=lambda views: abs(views.time_s - one.time_s), default=None)
    if now is None or abs(now.time_s - one.time_s) > _SAME_TIME_S:
        raise ScoreError(f"a pick is at {one.time_s} s, where there is no truth; expected the time of a true view")
    overlap = iou(one.box[None], now.boxes)[0]
    if not len(overlap) or overlap.max() < least_iou:
        return None, False
    best = int(np.argmax(overlap))
    return int(now.instances[best]), bool(now.optimal[best])
