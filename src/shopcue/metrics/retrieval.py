"""Scores of rankings: is the right product among the first k answers?"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from shopcue.records import Floats, Indices


def first_hit_ranks(similarity: Floats, positives: Sequence[Collection[int]]) -> Indices:
    """Return the rank (1 = best) of the best-ranked positive of each query.

    similarity: float32 (Q, G). positives: for each query the indices of its right answers in the gallery; a query
    without any gets rank G + 1, which is a miss at every k. Ties are broken against us: an equal wrong answer counts as
    ranked before the right one, and a similarity that is not a number counts as the lowest.
    """
    ranks = np.empty(len(similarity), np.int64)
    for query, (row, right) in enumerate(zip(similarity, positives, strict=True)):
        row = np.nan_to_num(row, nan=-np.inf)
        chosen = np.fromiter(right, np.int64)
        if len(chosen) == 0:
            ranks[query] = len(row) + 1
            continue
        wrong = np.delete(row, chosen)
        ranks[query] = 1 + int(np.sum(wrong >= row[chosen].max()))
    return ranks


def recall_at(ranks: Indices, k: int) -> float:
    """Return recall@k: the share of queries whose first hit is among the first k answers. ranks: int64 (Q,)."""
    return float(np.mean(ranks <= k)) if len(ranks) else 0.0
