"""Scores of tracks: does an id stay with its thing, and nothing else with the id?

MOTA counts mistakes frame by frame (CLEAR MOT, Bernardin and Stiefelhagen, EURASIP JIVP 2008); IDF1 asks how long the
right id was on the right thing (Ristani et al., ECCV workshops 2016).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from shopcue.geometry import iou
from shopcue.records import Floats, Indices


@dataclass(frozen=True, slots=True)
class TrackedFrame:
    """One frame: the true boxes, float32 (M, 4), with their things, int64 (M,), and the tracked ones, (N, 4), (N,)."""

    true_boxes: Floats
    true_ids: Indices
    boxes: Floats
    ids: Indices


@dataclass(frozen=True, slots=True)
class TrackScores:
    """MOTA, IDF1, and the counts under them, over all frames.

    missed: true boxes that no track covers. false: tracked boxes that cover none. switches: how often the id on a thing
    changed. true: how many true boxes there are.
    """

    mota: float
    idf1: float
    missed: int
    false: int
    switches: int
    true: int


def score_tracks(frames: Sequence[TrackedFrame], least_iou: float = 0.5) -> TrackScores:
    """Return how well tracks follow things, where a box covers another from an IoU of least_iou on."""
    last: dict[int, int] = {}  # thing -> the track that was on it last
    together: Counter[tuple[int, int]] = Counter()
    matched = switches = 0
    for frame in frames:
        covers = iou(frame.true_boxes, frame.boxes)
        covers[covers < least_iou] = 0
        for m, n in zip(*np.nonzero(covers), strict=True):
            together[int(frame.true_ids[m]), int(frame.ids[n])] += 1
        for m, n in _correspond(frame, covers, last):
            thing, track = int(frame.true_ids[m]), int(frame.ids[n])
            switches += last.get(thing, track) != track
            last[thing] = track
            matched += 1
    true, tracked = sum(len(f.true_ids) for f in frames), sum(len(f.ids) for f in frames)
    missed, false = true - matched, tracked - matched
    return TrackScores(
        mota=1 - (missed + false + switches) / max(true, 1),
        idf1=2 * _most_together(together) / max(true + tracked, 1),
        missed=missed,
        false=false,
        switches=switches,
        true=true,
    )


def _correspond(frame: TrackedFrame, covers: Floats, last: dict[int, int]) -> list[tuple[int, int]]:
    """Return the pairs of a frame: those that were pairs before stay so, the others get the most and best overlaps."""
    free = {int(track): n for n, track in enumerate(frame.ids)}
    pairs = []
    for m, thing in enumerate(frame.true_ids):
        track = last.get(int(thing))
        if track in free and covers[m, free[track]] > 0:
            pairs.append((m, free.pop(track)))
    rest = covers.copy()
    rest[[m for m, _ in pairs], :] = 0
    rest[:, [n for _, n in pairs]] = 0
    # One pair more always counts more than any overlap.
    rows, columns = linear_sum_assignment(np.where(rest > 0, rest + min(rest.shape, default=0), 0), maximize=True)
    return pairs + [(int(m), int(n)) for m, n in zip(rows, columns, strict=True) if rest[m, n] > 0]


def _most_together(together: Counter[tuple[int, int]]) -> int:
    """Return in how many boxes thing and track agree, when each thing has one track and each track one thing."""
    things = {thing: row for row, thing in enumerate({thing for thing, _ in together})}
    tracks = {track: column for column, track in enumerate({track for _, track in together})}
    table = np.zeros((len(things), len(tracks)), np.int64)
    for (thing, track), boxes in together.items():
        table[things[thing], tracks[track]] = boxes
    return int(table[linear_sum_assignment(table, maximize=True)].sum())
