"""Matching against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import logsumexp

from shopcue.matching import CohortNorm, Sight, candidates, fit_logit, look_features, see, thing_features


@given(seed=st.integers(0, 1000), products=st.integers(1, 7))
def test_features_equal_a_plain_loop(seed: int, products: int) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.normal(0, 2, products).astype(np.float32)
    inliers = rng.integers(0, 40, products).astype(np.float32)
    closeup = rng.normal(0, 2, products).astype(np.float32)
    features = look_features(similarity, inliers, closeup)
    found = [np.log1p(max(float(n) - 3, 0)) for n in inliers]

    def margin(values: list[float], p: int) -> float:
        others = [v for q, v in enumerate(values) if q != p]
        return min(max(values[p] - max(others), -3), 3) if others else 0.0

    for p in range(products):
        expected = [1, similarity[p], margin(similarity.tolist(), p), found[p], margin(found, p)]
        expected.append(margin(closeup.tolist(), p))
        np.testing.assert_allclose(features[p], expected, rtol=1e-5, atol=1e-5)


def test_a_thing_counts_by_its_size_and_its_place() -> None:
    look = np.arange(12, dtype=np.float32).reshape(2, 6)
    box = np.array([150.0, 50.0, 250.0, 100.0], np.float32)  # a sixteenth of the frame, its middle at (200, 75)
    features = thing_features(look, box, 400.0, 200.0)
    np.testing.assert_array_equal(features[:, :6], look)
    off = (((200 / 200 - 1) ** 2 + (75 / 100 - 1) ** 2) / 2) ** 0.5
    np.testing.assert_allclose(features[:, 6:], [[np.log(1 / 16) + 2, off]] * 2, rtol=1e-5)


def test_the_norm_takes_away_what_a_product_shares_with_everything() -> None:
    rng = np.random.default_rng(0)
    cohort = rng.normal([0.6, 0.1], [0.05, 0.2], (4000, 2)).astype(np.float32)
    norm = CohortNorm.of(cohort)
    sight = see(np.array([[0.6, 0.3], [0.7, -0.9], [0.1, 0.3]], np.float32), norm)
    np.testing.assert_allclose(sight.similarity, [1.0, 1.0], atol=0.06)
    assert sight.window.tolist() == [1, 0]
    alone = see(np.array([[0.65, 0.3]], np.float32), norm)
    np.testing.assert_allclose(alone.similarity, [1.0, 1.0], atol=0.06)


@given(seed=st.integers(0, 200), count=st.integers(0, 12))
def test_candidates_are_the_best_in_order(seed: int, count: int) -> None:
    similarity = np.random.default_rng(seed).normal(size=9).astype(np.float32)
    chosen = candidates(Sight(similarity, np.zeros(9, np.int64)), count)
    assert chosen == sorted(range(9), key=lambda p: -similarity[p])[: min(count, 9)]


def test_the_logit_is_fitted_as_a_general_optimiser_fits_it() -> None:
    rng = np.random.default_rng(5)
    features = rng.normal(0, 1, (80, 4, 3)).astype(np.float32)
    features[:, :, 0] = 1
    shown = rng.integers(-1, 4, 80)
    offset = rng.normal(0, 1, (80, 4)).astype(np.float32)

    def loss(weights: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        total = 0.0
        for x, known, right in zip(features.astype(np.float64), offset, shown, strict=True):
            logit = np.append(x @ weights + known, 0.0)  # 'none' is last, which is where -1 points
            total += float(logsumexp(logit) - logit[right])
        return total / 80 + 0.01 / 2 * float(weights @ weights)

    best = minimize(loss, np.zeros(3), method="BFGS")
    fitted = fit_logit(features, shown.astype(np.int64), offset, decay=0.01)
    np.testing.assert_allclose(fitted, best.x, atol=2e-3)
    assert loss(fitted.astype(np.float64)) == pytest.approx(best.fun, abs=1e-6)
