"""Splits never share a product; endless draws are fair rounds."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopcue.data.sampling import endless, split_by_product


@given(st.lists(st.integers(), unique=True, max_size=30), st.data())
def test_a_split_is_a_partition_that_a_seed_fixes(products: list[int], data: st.DataObject) -> None:
    held_out = data.draw(st.integers(0, len(products)))
    seed = data.draw(st.integers(0, 2**32 - 1))
    kept, out = split_by_product(products, held_out, seed)
    assert len(out) == held_out
    assert sorted(kept + out) == sorted(products)
    assert split_by_product(products, held_out, seed) == (kept, out)


def test_a_split_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="hold out 3 of 2"):
        split_by_product([1, 2], 3, 0)


def test_endless_gives_each_item_once_a_round() -> None:
    drawn = list(islice(endless([1, 2, 3, 4], np.random.default_rng(0)), 12))
    rounds = [drawn[i : i + 4] for i in (0, 4, 8)]
    assert all(sorted(each) == [1, 2, 3, 4] for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1
    with pytest.raises(ValueError, match="no items"):
        next(endless([], np.random.default_rng(0)))
