"""Which samples make a batch: rules on ids alone, reproducible from a seed."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from shopcue.records import Indices

T = TypeVar("T", bound=Hashable)


def split_by_product(products: Sequence[T], held_out: int, seed: int) -> tuple[list[T], list[T]]:
    """Return (kept, held out) products, both in the given order; a product is on one side only, whatever its photos."""
    if not 0 <= held_out <= len(products):
        raise ValueError(f"cannot hold out {held_out} of {len(products)} products")
    out = set(np.random.default_rng(seed).permutation(len(products))[:held_out].tolist())
    kept = [product for index, product in enumerate(products) if index not in out]
    return kept, [product for index, product in enumerate(products) if index in out]


def endless(items: Sequence[T], rng: np.random.Generator) -> Iterator[T]:
    """Yield the items for ever, each once a round, every round in a new order."""
    if not items:
        raise ValueError("cannot draw from no items")
    while True:
        for index in rng.permutation(len(items)):
            yield items[int(index)]


class PKSampler:
    """Batches of P instances with K pictures each, what batch-hard triplets need (Hermans et al., 2017, section 2).

    owners: int64 (N,), the instance 0 to C - 1 that each picture shows. instances: P. pictures: K. A batch follows from
    its number and the seed alone, so that a run can go on anywhere. In a round of C // P batches every instance comes
    once at the most, in a new order each round; its K pictures are drawn without putting back, and again where it has
    fewer than K. Raises ValueError where an instance has no picture or there are fewer than P.
    """

    def __init__(self, owners: Indices, instances: int, pictures: int, seed: int) -> None:
        order = np.argsort(owners, kind="stable")
        counts = np.bincount(owners)
        if len(counts) < instances or not counts.all():
            raise ValueError(f"{np.count_nonzero(counts)} instances have pictures, expected {instances} or more")
        self._members = np.split(order, np.cumsum(counts)[:-1])
        self._instances, self._pictures, self._seed = instances, pictures, seed

    def __call__(self, step: int) -> Indices:
        """Return batch `step`: int64 (P * K,) rows of pictures, instance by instance."""
        round_number, place = divmod(step, len(self._members) // self._instances)
        order = np.random.default_rng([self._seed, 0, round_number]).permutation(len(self._members))
        rng = np.random.default_rng([self._seed, 1, step])
        chosen = order[place * self._instances : (place + 1) * self._instances]
        return np.concatenate([self._draw(self._members[instance], rng) for instance in chosen])

    def _draw(self, members: Indices, rng: np.random.Generator) -> Indices:
        rounds = -(-self._pictures // len(members))
        return np.concatenate([rng.permutation(members) for _ in range(rounds)])[: self._pictures]
