"""Splits never share a product; endless draws are fair rounds; P×K batches are what they say."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopcue.data.sampling import PKSampler, endless, split_by_product


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


@given(
    counts=st.lists(st.integers(1, 6), min_size=1, max_size=12),
    pictures=st.integers(1, 5),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_a_batch_is_p_instances_of_k_pictures(counts: list[int], pictures: int, seed: int, data: st.DataObject) -> None:
    instances = data.draw(st.integers(1, len(counts)))
    owners = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    sampler = PKSampler(owners, instances, pictures, seed)
    rounds = len(counts) // instances
    first_round: list[int] = []
    for step in range(rounds):
        batch = sampler(step)
        assert batch.shape == (instances * pictures,)
        for rows in batch.reshape(instances, pictures):
            (owner,) = {int(owners[row]) for row in rows}
            first_round.append(owner)
            times = [int(np.sum(rows == row)) for row in np.flatnonzero(owners == owner)]
            assert max(times) - min(times) <= 1, "no picture comes again before all of its instance have come"
        assert np.array_equal(batch, PKSampler(owners, instances, pictures, seed)(step))
    assert len(first_round) == len(set(first_round)) == rounds * instances


def test_batches_change_with_the_step_the_round_and_the_seed() -> None:
    owners = np.repeat(np.arange(8), 5)
    sampler = PKSampler(owners, 4, 2, seed=0)
    drawn = {tuple(sampler(step).tolist()) for step in range(20)} | {tuple(PKSampler(owners, 4, 2, 1)(0).tolist())}
    assert len(drawn) == 21
    seen = {int(owners[row]) for step in range(8) for row in sampler(step)}
    assert seen == set(range(8))


@pytest.mark.parametrize("owners", [[0, 0, 1], [0, 0, 2, 3]])
def test_too_few_instances_or_a_gap_is_refused(owners: list[int]) -> None:
    with pytest.raises(ValueError, match="instances have pictures, expected 3 or more"):
        PKSampler(np.array(owners), 3, 2, 0)
