"""The scores of focuses against counts made by hand and by a plain loop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from shopcue.metrics.focuses import Video, score_focuses, temporal_iou


@dataclass(frozen=True)
class S:
    product_id: str
    start_s: float
    end_s: float


def test_counts_made_by_hand() -> None:
    truth = [S("a", 10, 20), S("b", 30, 40), S("a", 50, 60)]
    predicted = [
        S("a", 10.5, 20),  # right
        S("a", 12, 15),  # touches, but the span is taken
        S("b", 36, 50),  # 4 s of 20: too little
        S("c", 70, 80),  # false
    ]
    scores = score_focuses([Video(truth, predicted, 100.0)])
    assert (scores.precision, scores.recall) == (1 / 4, 1 / 3)
    assert scores.f1_50 == pytest.approx(2 / 7)
    assert scores.shown == pytest.approx(2 / 3)
    assert scores.false_h == pytest.approx(36.0)
    assert scores.start_ms == pytest.approx(500.0)
    # a: 9.5 of 10 s right (its later duplicate names the same product), b: 4 of 10, a again: 0; around them
    # 10 + 10 + 0 + 10 + 30 s of 'none' are right, and 50..60 is wrong.
    assert scores.frame_acc == pytest.approx((9.5 + 4 + 10 + 10 + 10 + 20) / 100, abs=0.002)


def test_a_perfect_answer_and_an_empty_one() -> None:
    truth = [S("a", 1, 9)]
    assert score_focuses([Video(truth, truth, 10.0)]).f1_50 == pytest.approx(1.0)
    nothing = score_focuses([Video(truth, [], 10.0)])
    assert (nothing.f1_50, nothing.false_h, nothing.start_ms) == (0, 0, None)
    assert nothing.frame_acc == pytest.approx(0.2)


spans = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 50), st.integers(1, 20)).map(
        lambda t: S(t[0], t[1] * 0.7, t[1] * 0.7 + t[2] * 0.7)
    ),
    max_size=5,
)


@given(truth=spans, predicted=spans)
def test_frame_accuracy_equals_a_plain_loop(truth: list[S], predicted: list[S]) -> None:
    def now(line: list[S], t: float) -> str | None:
        shown = None
        for span in sorted(line, key=lambda s: s.start_s):
            if span.start_s <= t < span.end_s:
                shown = span.product_id
        return shown

    ticks = [k * 0.1 for k in range(500)]
    right = sum(now(truth, t) == now(predicted, t) for t in ticks)
    assert score_focuses([Video(truth, predicted, 50.0)]).frame_acc == pytest.approx(right / 500)


@given(truth=spans, predicted=spans)
def test_the_pairing_is_near_the_largest_one(truth: list[S], predicted: list[S]) -> None:
    may = np.array([[t.product_id == p.product_id and temporal_iou(t, p) >= 0.5 for p in predicted] for t in truth])
    may = may.reshape(len(truth), len(predicted)).astype(float)
    largest = may[linear_sum_assignment(may, maximize=True)].sum()
    scores = score_focuses([Video(truth, predicted, 60.0)])
    assert largest / 2 <= round(scores.recall * len(truth)) <= largest


def test_our_scores_equal_the_shared_scorer(shared: object) -> None:
    import importlib.util
    import pathlib

    assert isinstance(shared, pathlib.Path)
    spec = importlib.util.spec_from_file_location("score_focuses", shared / "tools" / "score_focuses.py")
    assert spec is not None
    assert spec.loader is not None
    scorer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorer)
    truth = [S("a", 10.2, 20), S("b", 30, 40), S("a", 50, 60), S("c", 60, 66.6)]
    predicted = [S("a", 10.5, 21), S("b", 31, 39.5), S("c", 52, 60), S("c", 60.5, 67)]

    def raw(line: list[S]) -> dict[str, object]:
        return {"duration_s": 70.0, "focuses": [vars(s) for s in line]}

    theirs = scorer.score([(raw(truth), raw(predicted))])
    ours = score_focuses([Video(truth, predicted, 70.0)])
    for name in ("f1_50", "precision", "recall", "frame_acc", "shown"):
        assert getattr(ours, name) == pytest.approx(theirs[name], abs=6e-4)
    assert ours.start_ms == pytest.approx(theirs["start_ms"], abs=1)
