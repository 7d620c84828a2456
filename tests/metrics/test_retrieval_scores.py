"""Recall@k against a plain sort with the worst order among equals."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shopcue.metrics.retrieval import first_hit_ranks, recall_at


@given(seed=st.integers(0, 500))
def test_ranks_equal_a_pessimistic_sort(seed: int) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.integers(0, 4, (5, 9)).astype(np.float32)  # few values: many ties
    positives = [set(rng.choice(9, rng.integers(0, 4), replace=False).tolist()) for _ in range(5)]
    for row, right, rank in zip(similarity, positives, first_hit_ranks(similarity, positives), strict=True):
        order = sorted(range(9), key=lambda g: (-row[g], g in right))
        # positives do not push one another down: the rank counts wrong answers before the first right one
        expected = next((1 + sum(q not in right for q in order[:i]) for i, g in enumerate(order) if g in right), 10)
        assert rank == expected


def test_misses_count_and_nan_ranks_last() -> None:
    similarity = np.array([[0.9, 0.1], [np.nan, 0.2], [0.3, 0.3]], np.float32)
    ranks = first_hit_ranks(similarity, [[], [0], [1]])
    assert ranks.tolist() == [3, 2, 2]
    assert recall_at(ranks, 1) == 0
    assert recall_at(ranks, 2) == 2 / 3
