"""R_pick, R_duplication and R_optimal against counts made by hand and by a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopcue.errors import ScoreError
from shopcue.metrics.picks import TrueViews, curve, score_picks
from shopcue.records import Pick


def truth(time_s: float, *things: tuple[int, int, bool]) -> TrueViews:
    """(thing, cell, optimal): cells are places that do not overlap."""
    left = np.array([100 * cell for _, cell, _ in things], np.float32)
    boxes = np.stack([left, 0 * left, left + 50, 0 * left + 50], axis=-1)
    return TrueViews(
        time_s, boxes, np.array([t for t, _, _ in things], np.int64), np.array([o for _, _, o in things], np.bool_)
    )


def picked(time_s: float, cell: float, quality: float = 0.8) -> Pick:
    box = np.array([100 * cell, 0, 100 * cell + 50, 50], np.float32)
    return Pick(time_s, box, 5, 0.9, np.array([quality, 1, 1], np.float32), np.ones(2, np.float32))


def test_counts_made_by_hand() -> None:
    first = [truth(0.0, (1, 0, True), (2, 1, False)), truth(1.0, (1, 3, False), (3, 4, True), (4, 5, True))]
    made = [
        picked(0.0, 0, 0.6),  # thing 1, optimal
        picked(1.0, 3, 0.9),  # thing 1 again, not optimal, and it claims to be better
        picked(0.0, 1),  # thing 2, not optimal
        picked(1.0, 4.1),  # thing 3, optimal; IoU 40 / 60
        picked(1.0, 8),  # nothing
    ]
    scores = score_picks([(made, first), ([picked(0.0, 0)], [truth(0.0, (1, 0, True))])])
    assert (scores.things, scores.picks, scores.stray) == (5, 6, 1)
    assert scores.picked == pytest.approx(4 / 5)
    assert scores.duplication == pytest.approx(1 / 4)
    assert scores.optimal == pytest.approx(2 / 4)


def test_an_overlap_below_a_half_is_no_pick() -> None:
    scores = score_picks([([picked(0.0, 0.2)], [truth(0.0, (1, 0, True))])])  # IoU 30 / 70
    assert (scores.picked, scores.stray, scores.optimal) == (0, 1, 0)


def test_a_pick_without_truth_is_refused_in_words() -> None:
    with pytest.raises(ScoreError, match=r"a pick is at 3.0 s, where there is no truth"):
        score_picks([([picked(3.0, 0)], [truth(0.0, (1, 0, True))])])


def test_the_curve_has_a_point_for_each_interval() -> None:
    views = [truth(float(k), (k, 0, True)) for k in range(4)]

    def pick_at(interval_s: float) -> list[list[Pick]]:
        return [[picked(float(k), 0) for k in range(0, 4, int(interval_s))]]

    points = curve([1, 2, 4], pick_at, [views])
    assert [(T, scores.picked) for T, scores in points] == [(1, 1.0), (2, 0.5), (4, 0.25)]


cell = st.integers(0, 3)
moments = st.lists(st.lists(st.tuples(st.integers(0, 3), cell, st.booleans()), max_size=3, unique_by=lambda t: t[1]))


@given(moments=moments.filter(bool), data=st.data())
def test_ratios_equal_a_plain_loop(moments: list[list[tuple[int, int, bool]]], data: st.DataObject) -> None:
    views = [truth(float(k), *things) for k, things in enumerate(moments)]
    made = data.draw(
        st.lists(st.tuples(st.integers(0, len(moments) - 1), cell, st.sampled_from([0.5, 0.7])), max_size=6)
    )
    scores = score_picks([([picked(float(k), c, q) for k, c, q in made], views)])

    things = {thing for things in moments for thing, _, _ in things}
    hits: dict[int, list[tuple[float, bool]]] = {}
    for k, c, q in made:
        for thing, place, optimal in moments[k]:
            if place == c:
                hits.setdefault(thing, []).append((q, optimal))
    assert scores.picked == pytest.approx(len(hits) / max(len(things), 1))
    if hits:
        twice = sum(1 for views_of in hits.values() if len(views_of) >= 2)
        top = 0
        for views_of in hits.values():
            best = max(q for q, _ in views_of)
            top += all(optimal for q, optimal in views_of if q == best)
        assert scores.duplication == pytest.approx(twice / len(hits))
        assert scores.optimal == pytest.approx(top / len(hits))
