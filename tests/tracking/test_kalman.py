"""The filter against plain 8x8 matrices, made by the matrix exponential of the process that it describes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.linalg import expm

from shopcue.records import Floats
from shopcue.tracking.kalman import MEMORY_S, NOISE, SPEED, Motion, boxes_of, correct, predict, stack, start

Doubles = NDArray[np.float64]


class PlainFilter:
    """Values 0-3, velocities 4-7; transition and noise by Van Loan's method (IEEE TAC 23, 1978)."""

    def __init__(self, box: Floats) -> None:
        z, unit = measured(box)
        self.x = np.concatenate([z, np.zeros(4)])
        self.P = np.diag(np.concatenate([(NOISE * unit) ** 2, (SPEED * unit) ** 2]))

    def predict(self, dt: float) -> None:
        drift = np.zeros((8, 8))
        drift[:4, 4:] = np.eye(4)
        drift[4:, 4:] = -np.eye(4) / MEMORY_S
        side = np.exp(self.x[2] / 2)
        speed = SPEED * np.array([side, side, 1, 1])
        push = np.diag(np.concatenate([np.zeros(4), 2 * speed**2 / MEMORY_S]))
        big = expm(np.block([[-drift, push], [np.zeros((8, 8)), drift.T]]) * dt)
        F = big[8:, 8:].T
        self.x = F @ self.x
        self.P = F @ self.P @ F.T + F @ big[:8, 8:]

    def correct(self, box: Floats) -> None:
        z, unit = measured(box)
        H = np.hstack([np.eye(4), np.zeros((4, 4))])
        S = H @ self.P @ H.T + np.diag((NOISE * unit) ** 2)
        K = self.P @ H.T @ np.linalg.inv(S)
        self.x = self.x + K @ (z - H @ self.x)
        self.P = (np.eye(8) - K @ H) @ self.P


def measured(box: Floats) -> tuple[Doubles, Doubles]:
    x0, y0, x1, y1 = (float(v) for v in box)
    w, h = x1 - x0, y1 - y0
    side = np.sqrt(w * h)
    return np.array([(x0 + x1) / 2, (y0 + y1) / 2, np.log(w * h), np.log(w / h)]), np.array([side, side, 1, 1])


def flat(motion: Motion) -> Doubles:
    return np.concatenate([motion.mean[:, 0], motion.mean[:, 1]])


def wide(motion: Motion) -> Doubles:
    return np.block([[np.diag(motion.covariance[:, i, j]) for j in (0, 1)] for i in (0, 1)])


sides = st.floats(8, 400)
places = st.tuples(st.floats(-50, 1900), st.floats(-50, 1000), sides, sides).map(
    lambda b: np.array([b[0], b[1], b[0] + b[2], b[1] + b[3]], np.float32)
)
steps = st.lists(st.tuples(st.floats(0.03, 3.0), places), min_size=1, max_size=6)


@given(first=places, sights=steps)
def test_equals_plain_matrices(first: Floats, sights: list[tuple[float, Floats]]) -> None:
    plain, motion = PlainFilter(first), start(first)
    for dt, box in sights:
        plain.predict(dt)
        motion = predict(motion, dt)
        np.testing.assert_allclose(flat(motion), plain.x, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(wide(motion), plain.P, rtol=1e-6, atol=1e-6 * plain.P.max())
        plain.correct(box)
        motion = correct(motion, box)
        np.testing.assert_allclose(flat(motion), plain.x, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(wide(motion), plain.P, rtol=1e-6, atol=1e-6 * plain.P.max())


@given(first=places, second=places, dt=st.floats(0.1, 4.0), share=st.floats(0.1, 0.9))
def test_two_short_predictions_equal_a_long_one(first: Floats, second: Floats, dt: float, share: float) -> None:
    # Of one size: the noise is measured in sides of the box as it was at the start of a prediction.
    second = first + np.tile(second[:2] - first[:2], 2)
    motion = correct(predict(start(first), 0.5), second)
    once, twice = predict(motion, dt), predict(predict(motion, share * dt), (1 - share) * dt)
    np.testing.assert_allclose(twice.mean, once.mean, rtol=1e-3)
    np.testing.assert_allclose(twice.covariance, once.covariance, rtol=1e-3, atol=1e-9)


def test_a_box_comes_back_as_it_was() -> None:
    box = np.array([10, 20, 110, 60], np.float32)
    np.testing.assert_allclose(boxes_of(start(box)), box, rtol=1e-6)


def test_a_steady_move_is_foreseen_and_a_long_absence_is_not_a_long_way() -> None:
    def box(x: float) -> Floats:
        return np.array([x, 100, x + 100, 200], np.float32)

    motion = start(box(0))
    for k in range(1, 12):
        motion = correct(predict(motion, 0.25), box(30.0 * k))
    ahead = boxes_of(predict(motion, 0.25))[0] - 330
    assert 15 < ahead < 30, "it moves on, and slows down"
    assert boxes_of(predict(motion, 60.0))[0] < 330 + 120 * MEMORY_S + 1, "no farther than its velocity carries"


def test_many_boxes_at_once_equal_one_after_another() -> None:
    rng = np.random.default_rng(3)
    corner = rng.uniform(0, 500, (5, 2))
    boxes = np.hstack([corner, corner + rng.uniform(20, 200, (5, 2))]).astype(np.float32)
    moved = (boxes + rng.normal(size=(5, 4))).astype(np.float32)
    elapsed = rng.uniform(0.1, 2, 5)
    together = correct(predict(stack([start(b) for b in boxes]), elapsed), moved)
    for k in range(5):
        alone = correct(predict(start(boxes[k]), float(elapsed[k])), moved[k])
        np.testing.assert_allclose(together.mean[k], alone.mean)
        np.testing.assert_allclose(together.covariance[k], alone.covariance)


@pytest.mark.parametrize("box", [[5, 5, 5, 5], [9, 9, 3, 3], [0, 0, 1e6, 1]])
def test_an_odd_box_gives_numbers(box: list[float]) -> None:
    motion = correct(predict(start(np.array(box, np.float32)), 1e4), np.array([0, 0, 10, 10], np.float32))
    assert np.isfinite(motion.mean).all()
    assert np.isfinite(boxes_of(motion)).all()
