"""Boxes against plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopcue.geometry import area, crop, iou, squares, windows

sides = st.integers(1, 4000)


def inked(box: list[int]) -> set[tuple[int, int]]:
    return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}


boxes = st.lists(st.integers(0, 9), min_size=4, max_size=4)


@given(a=boxes, b=boxes)
def test_area_and_iou_count_pixels(a: list[int], b: list[int]) -> None:
    one, other = inked(a), inked(b)
    assert area(np.array(a, np.float32)) == len(one)
    expected = len(one & other) / len(one | other) if one | other else 0.0
    both = iou(np.array([a], np.float32), np.array([b], np.float32))
    if one and other:
        assert both[0, 0] == pytest.approx(expected, abs=1e-6)
    else:
        assert both[0, 0] <= 1


@given(width=sides, height=sides)
def test_windows_lie_in_the_frame_and_the_first_is_all_of_it(width: int, height: int) -> None:
    found = windows(width, height)
    assert found[0].tolist() == [0, 0, width, height]
    assert (found[:, :2] >= -1e-3).all()
    assert (found[:, 2] <= width + 1e-3).all()
    assert (found[:, 3] <= height + 1e-3).all()
    assert (area(found) > 0).all()


@pytest.mark.parametrize(("width", "height"), [(640, 360), (360, 640), (200, 200)])
def test_squares_lie_in_the_very_middle(width: int, height: int) -> None:
    short = min(width, height)
    for box, share in zip(squares(width, height), (0.85, 0.6), strict=True):
        np.testing.assert_allclose((box[:2] + box[2:]) / 2, [width / 2, height / 2], rtol=1e-6)
        np.testing.assert_allclose(box[2:] - box[:2], share * short, rtol=1e-5)


def test_windows_follow_the_longer_side() -> None:
    across, along = windows(640, 360), windows(360, 640)
    np.testing.assert_allclose(across[:, [1, 0, 3, 2]], along)
    centres = (across[2:, 0] + across[2:, 2]) / 2
    np.testing.assert_allclose(centres, [0.28 * 640, 320, 0.72 * 640], rtol=1e-5)


@given(width=st.integers(1, 40), height=st.integers(1, 40), box=st.lists(st.floats(-50, 90), min_size=4, max_size=4))
def test_a_crop_is_never_empty_and_never_outside(width: int, height: int, box: list[float]) -> None:
    image = np.arange(width * height * 3, dtype=np.uint32).astype(np.uint8).reshape(height, width, 3)
    part = crop(image, np.array(box, np.float32))
    assert part.size > 0
    assert np.shares_memory(part, image)
