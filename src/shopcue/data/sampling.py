"""Which samples make a batch: rules on ids alone, reproducible from a seed."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import TypeVar

import numpy as np

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
