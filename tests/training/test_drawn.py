"""Drawn goods: the same for a seed, sisters alike but not the same, views cut to the pack."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from shopcue.records import Floats, Image
from shopcue.training.drawn import DrawnGoods, draw_families


@pytest.fixture(scope="module")
def families() -> list[tuple[DrawnGoods, ...]]:
    return list(draw_families(4, 2, seed=0, side_px=64, views=2))


def test_a_family_is_a_function_of_the_seed(families: list[tuple[DrawnGoods, ...]]) -> None:
    again = next(draw_families(4, 2, seed=0, side_px=64, views=2))
    other = next(draw_families(4, 2, seed=1, side_px=64, views=2))
    np.testing.assert_array_equal(families[0][1].picture, again[1].picture)
    np.testing.assert_array_equal(families[0][1].views[1], again[1].views[1])
    assert not np.array_equal(cv2.resize(again[0].picture, (64, 64)), cv2.resize(other[0].picture, (64, 64)))


def test_views_are_cut_to_the_pack(families: list[tuple[DrawnGoods, ...]]) -> None:
    for family in families:
        assert len(family) == 2
        for goods in family:
            assert goods.picture.shape[2:] == (3,)
            assert len(goods.views) == 2
            for view in goods.views:
                assert view.shape[2:] == (4,)
                solid = view[..., 3] > 0
                assert all(edge.any() for edge in (solid[0], solid[-1], solid[:, 0], solid[:, -1]))


def test_sisters_are_nearer_than_strangers_and_not_the_same(families: list[tuple[DrawnGoods, ...]]) -> None:
    """By plain colour histograms, as a mean: a brand keeps its paper and its letters."""
    colours = [[histogram(goods.picture) for goods in family] for family in families]
    within = [np.abs(one - two).sum() for one, two in colours]
    across = [np.abs(one[0] - other[1]).sum() for i, one in enumerate(colours) for other in colours[:i]]
    assert np.mean(within) < np.mean(across)
    assert all(gap > 0 for gap in within)


def histogram(picture: Image) -> Floats:
    counts = cv2.calcHist([picture], [0, 1, 2], None, [4, 4, 4], [0, 256] * 3)
    return np.asarray(counts / counts.sum(), np.float32)
