"""Scores of focuses against the truth: are the right products found at the right times?

Pure functions over spans; anything with product_id, start_s and end_s is a span.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

TICK_S = 0.1
"""The timeline is compared every so many seconds for `frame_acc`."""


class Span(Protocol):
    """A product over a half-open span of seconds."""

    @property
    def product_id(self) -> str: ...  # noqa: D102

    @property
    def start_s(self) -> float: ...  # noqa: D102

    @property
    def end_s(self) -> float: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Video:
    """The truth and the prediction of one video, with its length in seconds."""

    truth: Sequence[Span]
    predicted: Sequence[Span]
    duration_s: float


@dataclass(frozen=True, slots=True)
class FocusScores:
    """How well focuses fit, over several videos together.

    f1_50, precision, recall: a prediction is right when a truth span of its product, not taken by another prediction,
    overlaps it by a temporal IoU of at least 0.5. frame_acc: share of the timeline on which the product, or 'none', is
    right. shown: share of the truth spans that some prediction of their product touches. false_h: predictions that
    touch no truth span of their product, an hour. start_ms: median error of the start of the right predictions.
    """

    f1_50: float
    precision: float
    recall: float
    frame_acc: float
    shown: float
    false_h: float
    start_ms: float | None
    truth: int
    predicted: int


def temporal_iou(a: Span, b: Span) -> float:
    """Return the intersection of two spans over their union, in [0, 1]."""
    both = max(0.0, min(a.end_s, b.end_s) - max(a.start_s, b.start_s))
    either = max(a.end_s, b.end_s) - min(a.start_s, b.start_s)
    return both / either if either > 0 else 0.0


def pair_up(video: Video, least_iou: float = 0.5) -> list[tuple[int, int]]:
    """Return (truth, prediction) pairs of the same product with enough overlap, best first, each used once."""
    candidates = [
        (temporal_iou(t, p), i, j)
        for i, t in enumerate(video.truth)
        for j, p in enumerate(video.predicted)
        if t.product_id == p.product_id
    ]
    pairs: list[tuple[int, int]] = []
    for overlap, i, j in sorted(candidates, reverse=True):
        if overlap >= least_iou and all(i != a and j != b for a, b in pairs):
            pairs.append((i, j))
    return pairs


def score_focuses(videos: Sequence[Video]) -> FocusScores:
    """Score predictions over all videos together."""
    right = touched = false = agreed = ticks = 0
    start_errors_ms: list[float] = []
    for video in videos:
        pairs = pair_up(video)
        right += len(pairs)
        start_errors_ms += [abs(video.truth[i].start_s - video.predicted[j].start_s) * 1000 for i, j in pairs]
        false += sum(not _touches(p, video.truth) for p in video.predicted)
        touched += sum(_touches(t, video.predicted) for t in video.truth)
        steps = int(video.duration_s / TICK_S)
        agreed += sum(
            a == b for a, b in zip(_timeline(video.truth, steps), _timeline(video.predicted, steps), strict=True)
        )
        ticks += steps
    truth, predicted = sum(len(v.truth) for v in videos), sum(len(v.predicted) for v in videos)
    hours = sum(v.duration_s for v in videos) / 3600
    precision, recall = right / max(predicted, 1), right / max(truth, 1)
    return FocusScores(
        f1_50=2 * precision * recall / max(precision + recall, 1e-9),
        precision=precision,
        recall=recall,
        frame_acc=agreed / max(ticks, 1),
        shown=touched / max(truth, 1),
        false_h=false / max(hours, 1e-9),
        start_ms=statistics.median(start_errors_ms) if start_errors_ms else None,
        truth=truth,
        predicted=predicted,
    )


def _touches(span: Span, others: Sequence[Span]) -> bool:
    return any(span.product_id == other.product_id and temporal_iou(span, other) > 0 for other in others)


def _timeline(spans: Sequence[Span], steps: int) -> list[str | None]:
    """Return the product shown at each tick, None where none is; where spans overlap, the later one counts."""
    line: list[str | None] = [None] * steps
    for span in sorted(spans, key=lambda s: s.start_s):
        first = next((k for k in range(max(0, int(span.start_s / TICK_S)), steps) if k * TICK_S >= span.start_s), steps)
        for k in range(first, steps):
            if k * TICK_S >= span.end_s:
                break
            line[k] = span.product_id
    return line
