"""Motion is bounded and smooth, and what stays is in its place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopcue.data.composed.motion import Stay, draw_stay, draw_sway, eased

TIMES = np.arange(0, 12, 0.05)


@given(st.integers(0, 9999))
def test_a_sway_stays_within_its_reach_and_does_not_jump(seed: int) -> None:
    reach = (20.0, 3.0, 0.1)
    sway = draw_sway(np.random.default_rng(seed), reach, fastest_hz=0.5)
    path = np.array([sway(time_s) for time_s in TIMES])
    assert np.all(np.abs(path) <= np.array(reach) + 1e-9)
    # A sine of rate f moves at most 2 pi f times its amplitude a second.
    assert np.all(np.abs(np.diff(path, axis=0)) <= 2 * np.pi * 0.5 * 0.05 * np.array(reach) + 1e-9)


def test_a_sway_is_two_sines() -> None:
    sway = draw_sway(np.random.default_rng(4), (2.0,))
    (fast, slow), (first, second) = sway.rate_hz[0], sway.phase[0]
    time_s = 1.7
    waves = 0.75 * np.sin(2 * np.pi * (fast * time_s + first)) + 0.25 * np.sin(2 * np.pi * (slow * time_s + second))
    assert sway(time_s) == pytest.approx([float(sway.amplitude[0]) * waves])


def test_a_stay_begins_and_ends_at_its_door() -> None:
    stay = Stay(enters_s=2.0, leaves_s=5.0, door=(300.0, -100.0), crossing_s=0.8)
    assert stay.offset(1.0) == (300, -100)
    assert stay.offset(2.0) == stay.offset(3.3) == stay.offset(5.0) == (0, 0)
    assert stay.offset(6.0) == (300, -100)
    assert stay.offset(1.6) == pytest.approx((150, -50))


def test_who_neither_comes_nor_goes_is_there() -> None:
    assert Stay().offset(-1e6) == Stay().offset(1e6) == (0, 0)


@given(st.integers(0, 9999), st.floats(0, 30))
def test_a_drawn_stay_is_in_its_place_at_some_time(seed: int, duration_s: float) -> None:
    stay = draw_stay(np.random.default_rng(seed), (320, 180), duration_s, share=1.0)
    assert stay.enters_s <= stay.leaves_s
    assert stay.offset(stay.enters_s) == (0, 0)
    assert np.hypot(*stay.door) > 320


@given(st.floats(-2, 3), st.floats(-2, 3))
def test_easing_rises_from_nought_to_one(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert 0 <= eased(low) <= eased(high) <= 1
    assert (eased(-0.1), eased(0.5), eased(1.1)) == (0, 0.5, 1)
