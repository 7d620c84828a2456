"""The pairing against all pairings there are, and the order that does not depend on the order."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shopcue.errors import SettingsError
from shopcue.records import Floats
from shopcue.tracking.association import Likeness, affinity, assign, canonical_order, demanded_cosine

tables = hnp.arrays(
    np.float32,
    st.tuples(st.integers(0, 4), st.integers(0, 4)),
    elements=st.one_of(st.just(0.0), st.floats(0.015625, 1, width=32)),
)


def best_sum(table: Floats) -> float:
    """Try every injection of the shorter side into the longer one; a pair of affinity 0 adds nothing."""
    if table.shape[0] > table.shape[1]:
        table = table.T
    rows, columns = table.shape
    return max(
        (sum(float(table[r, c]) for r, c in enumerate(way)) for way in permutations(range(columns), rows)), default=0.0
    )


@given(table=tables)
def test_no_pairing_is_better(table: Floats) -> None:
    pairs = assign(table)
    assert len({t for t, _ in pairs}) == len({n for _, n in pairs}) == len(pairs)
    assert all(table[t, n] > 0 for t, n in pairs)
    assert sum(float(table[t, n]) for t, n in pairs) == pytest.approx(best_sum(table), abs=1e-6)


def test_what_is_asked_for_falls_with_the_overlap() -> None:
    likeness = Likeness(apart=0.8, in_place=0.2)
    overlap = np.array([0, 0.25, 0.5, 1], np.float32)
    np.testing.assert_allclose(demanded_cosine(overlap, overlap >= 0, likeness), [0.8, 0.65, 0.5, 0.2], rtol=1e-6)
    other = Likeness(apart=0.8, in_place=0.2, other_class=0.1)
    np.testing.assert_allclose(demanded_cosine(overlap, overlap < 0.4, other), [0.8, 0.65, 0.6, 0.3], rtol=1e-6)


def test_only_what_looks_alike_enough_may_be_paired() -> None:
    overlap = np.array([[0.0, 0.0, 1.0, 1.0, 0.5]], np.float32)
    cosine = np.array([[0.9, 0.7, 0.3, 0.1, 0.9]], np.float32)
    same = np.array([[True, True, True, True, False]])
    found = affinity(overlap, cosine, same, Likeness(apart=0.8, in_place=0.2, other_class=0.3))
    np.testing.assert_allclose(found, [[0.1, 0, 0.1, 0, 0.1]], atol=1e-6)
    never = affinity(overlap, np.ones_like(cosine), ~same, Likeness(in_place=-1, apart=-1, other_class=2))
    np.testing.assert_array_equal(never, [[0, 0, 0, 0, 2]])


def test_likeness_says_what_it_wants() -> None:
    with pytest.raises(SettingsError, match="in_place <= apart"):
        Likeness(apart=0.2, in_place=0.5)
    with pytest.raises(SettingsError, match="other_class from 0 upwards"):
        Likeness(other_class=-1)


rows = hnp.arrays(np.float32, st.tuples(st.integers(0, 6), st.just(3)), elements=st.sampled_from([0, 1, 2.5, -1]))


@given(table=rows, data=st.data())
def test_the_order_depends_on_the_rows_alone(table: Floats, data: st.DataObject) -> None:
    way = np.array(data.draw(st.permutations(range(len(table)))), np.int64)
    one, other = table[canonical_order(table)], table[way][canonical_order(table[way])]
    np.testing.assert_array_equal(one, other)
    assert one.tolist() == sorted(table.tolist())


def test_rows_that_are_not_finite_are_left_out() -> None:
    table = np.array([[2, 0], [np.nan, 1], [1, np.inf], [1, 1]], np.float32)
    assert canonical_order(table, np.arange(4)).tolist() == [3, 0]
