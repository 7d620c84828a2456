"""Scores of detections against true boxes: recall of the first k, average precision as COCO has it, confusion tables.

Pure functions over one `Detections` and one `TrueBoxes` an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shopcue.errors import ScoreError
from shopcue.geometry import iou
from shopcue.records import Detections, Floats, Indices

COCO_OVERLAPS = tuple(0.5 + 0.05 * step for step in range(10))
"""The overlaps (IoU) over which COCO's mean average precision is a mean."""

_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True)
class TrueBoxes:
    """What one image really shows.

    boxes: float32 (M, 4), xyxy pixels. classes: int64 (M,). ignored: bool (M,), things that need not be found, but may.
    """

    boxes: Floats
    classes: Indices
    ignored: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if not len(self.boxes) == len(self.classes) == len(self.ignored):
            raise ScoreError(
                f"{len(self.boxes)} true boxes came with {len(self.classes)} classes and {len(self.ignored)} flags; "
                "expected one of each"
            )


@dataclass(frozen=True, slots=True)
class BoxScores:
    """Average precision: by class (only of classes that the truth has), and its means at some overlaps (IoU)."""

    ap: dict[int, float]
    map: float
    map_50: float
    map_75: float


def recall_at(detections: Sequence[Detections], truth: Sequence[TrueBoxes], k: int, least_iou: float = 0.5) -> float:
    """Return the share of true boxes that one of the k surest detections of their image overlaps, of whatever class.

    Ignored boxes do not count. 0 where there is no true box.
    """
    found = total = 0
    for seen, true in zip(detections, truth, strict=True):
        first = np.argsort(-seen.scores, kind="stable")[:k]
        wanted = true.boxes[~true.ignored]
        found += int((iou(wanted, seen.boxes[first]) >= least_iou).any(axis=1).sum())
        total += len(wanted)
    return found / total if total else 0.0


def pair_up(boxes: Floats, scores: Floats, true: Floats, ignored: NDArray[np.bool_], least_iou: float = 0.5) -> Indices:
    """Return which true box each detection finds, int64 (N,), -1 for none; the surest choose first, each box once.

    As COCO: a detection takes the free box that it overlaps most; an ignored one only where no other is left, and
    ignored ones can be taken again and again.
    """
    overlap = iou(boxes, true)
    taken = np.full(len(boxes), -1, np.int64)
    free = np.ones(len(true), bool)
    for n in np.argsort(-scores, kind="stable"):
        reach = free & (overlap[n] >= least_iou)
        choice = reach & ~ignored if (reach & ~ignored).any() else reach
        if choice.any():
            # Of equal overlaps the last, as COCO's own loop does.
            best = np.flatnonzero(choice & (overlap[n] == overlap[n][choice].max()))[-1]
            taken[n] = best
            free[best] = ignored[best]
    return taken


def average_precision(
    detections: Sequence[Detections], truth: Sequence[TrueBoxes], coarse_class: int, least_iou: float = 0.5
) -> float:
    """Return the average precision of one class: precision at 101 recalls, each the best at that recall or beyond it.

    As COCO (Lin et al., ECCV 2014), of all detections and all sizes. NaN where the truth has no box of the class.
    """
    scores: list[Floats] = []
    right: list[NDArray[np.bool_]] = []
    wanted = 0
    for seen, true in zip(detections, truth, strict=True):
        mine, theirs = seen.classes == coarse_class, true.classes == coarse_class
        ignored = true.ignored[theirs]
        found = pair_up(seen.boxes[mine], seen.scores[mine], true.boxes[theirs], ignored, least_iou)
        counts = (found < 0) | ~np.append(ignored, False)[found]
        scores.append(seen.scores[mine][counts])
        right.append(found[counts] >= 0)
        wanted += int((~ignored).sum())
    if not wanted:
        return float("nan")
    return _area_under(np.concatenate(scores), np.concatenate(right), wanted)


def score_boxes(detections: Sequence[Detections], truth: Sequence[TrueBoxes]) -> BoxScores:
    """Return average precision by class over `COCO_OVERLAPS`, its mean over the classes, and that at .5 and at .75."""
    classes = np.unique(np.concatenate([true.classes[~true.ignored] for true in truth])) if truth else np.zeros(0, int)
    table = np.array(
        [[average_precision(detections, truth, int(c), overlap) for overlap in COCO_OVERLAPS] for c in classes]
    )
    if not len(table):
        return BoxScores({}, 0.0, 0.0, 0.0)
    at_50, at_75 = table[:, 0].mean(), table[:, 5].mean()
    ap = {int(c): float(row.mean()) for c, row in zip(classes, table, strict=True)}
    return BoxScores(ap, float(table.mean()), float(at_50), float(at_75))


def confusion(truth: Indices, predicted: Indices, classes: int) -> Indices:
    """Return how often each true class (row) was taken for each class (column). (N,) each -> (classes, classes)."""
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (truth, predicted), 1)
    return table


def balanced_accuracy(table: Indices) -> float:
    """Return the mean over the classes that occur of the share that was told right; chance is one over their number."""
    total = table.sum(axis=1)
    occurs = total > 0
    return float((table.diagonal()[occurs] / total[occurs]).mean()) if occurs.any() else 0.0


def _area_under(scores: Floats, right: NDArray[np.bool_], wanted: int) -> float:
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    precision = hits / np.arange(1, len(hits) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    first = np.searchsorted(hits / wanted, _RECALLS, side="left")
    return float(np.mean(np.append(best_from_here, 0.0)[first]))
