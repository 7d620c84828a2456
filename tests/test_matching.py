"""Matching against plain loops."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shopcue.matching import CohortNorm, Sight, candidates, see, visual_features


@given(seed=st.integers(0, 1000), products=st.integers(1, 7))
def test_features_equal_a_plain_loop(seed: int, products: int) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.normal(0, 2, products).astype(np.float32)
    inliers = rng.integers(0, 40, products).astype(np.float32)
    features = visual_features(Sight(similarity, np.zeros(products, np.int64)), inliers)
    found = [np.log1p(max(float(n) - 3, 0)) for n in inliers]

    def margin(values: list[float], p: int) -> float:
        others = [v for q, v in enumerate(values) if q != p]
        return min(max(values[p] - max(others), -3), 3) if others else 0.0

    for p in range(products):
        expected = [1, similarity[p], margin(similarity.tolist(), p), found[p], margin(found, p)]
        np.testing.assert_allclose(features[p], expected, rtol=1e-5, atol=1e-5)


def test_the_norm_takes_away_what_a_product_shares_with_everything() -> None:
    rng = np.random.default_rng(0)
    cohort = rng.normal([0.6, 0.1], [0.05, 0.2], (4000, 2)).astype(np.float32)
    norm = CohortNorm.of(cohort)
    sight = see(np.array([[0.6, 0.3], [0.65, 0.1]], np.float32), norm)
    np.testing.assert_allclose(sight.similarity, [1.0, 1.0], atol=0.06)
    assert sight.window.tolist() == [1, 0]


@given(seed=st.integers(0, 200), count=st.integers(0, 12))
def test_candidates_are_the_best_in_order(seed: int, count: int) -> None:
    similarity = np.random.default_rng(seed).normal(size=9).astype(np.float32)
    chosen = candidates(Sight(similarity, np.zeros(9, np.int64)), count)
    assert chosen == sorted(range(9), key=lambda p: -similarity[p])[: min(count, 9)]
