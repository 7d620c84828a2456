"""A retrieval task, and how vectors do at it: the one scorer of all protocols."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shopcue.errors import ScoreError
from shopcue.metrics.retrieval import MISS, Answers, answer_ranks, first_ranks, ndcg_at, shares_at
from shopcue.protocols.reports import Figures, RetrievalReport, Subset
from shopcue.records import Floats, Indices

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Pool:
    """Some queries and the rows of the gallery that they search. int64 (q,), (g,), each once."""

    queries: Indices
    gallery: Indices


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked of Q queries and G rows of a gallery.

    answers: the right rows of each query, in its pool or not. pools: who searches where; a query is in one at most,
    and counts if it is. recall_at, ndcg_at: the k that are measured. share: recall is the share of a query's right
    answers that are found, not whether one is. subsets: name, value and the queries (int64) that it is true of.
    """

    name: str
    answers: Answers
    pools: tuple[Pool, ...]
    recall_at: tuple[int, ...]
    ndcg_at: tuple[int, ...] = ()
    share: bool = False
    subsets: tuple[tuple[str, str, Indices], ...] = ()


def judge(task: Task, queries: Floats, gallery: Floats) -> RetrievalReport:
    """Return how vectors do at a task. queries: float32 (Q, D), gallery: float32 (G, D), not a number: none was made.

    A query without a vector, or without a right answer that has one in its pool, is a miss at every k. Raises
    ScoreError where the two do not compare.
    """
    if queries.shape[1] != gallery.shape[1]:
        raise ScoreError(
            f"queries have {queries.shape[1]} values a vector and the gallery {gallery.shape[1]}; "
            "expected vectors of one model"
        )
    asks, shown = ~np.isnan(queries[:, 0]), ~np.isnan(gallery[:, 0])
    scores = _scores(task, _ranks(task, queries, gallery, asks, shown), len(queries))
    asked = np.zeros(len(queries), bool)
    searched = np.zeros(len(gallery), bool)
    for pool in task.pools:
        asked[pool.queries] = True
        searched[pool.gallery] = True

    def figures(chosen: Mask) -> Figures:
        recall, ndcg = ({k: _mean(values[chosen]) for k, values in each.items()} for each in scores)
        return Figures(queries=int(chosen.sum()), missing=int((chosen & ~asks).sum()), recall=recall, ndcg=ndcg)

    subsets = []
    for name, value, members in task.subsets:
        chosen = np.zeros(len(queries), bool)
        chosen[members] = asked[members]
        subsets.append(Subset(name=name, value=value, figures=figures(chosen)))
    whole = figures(asked)
    return RetrievalReport(
        queries=whole.queries,
        missing=whole.missing,
        recall=whole.recall,
        ndcg=whole.ndcg,
        protocol=task.name,
        sizes=tuple(int(shown[pool.gallery].sum()) for pool in task.pools if len(pool.queries)),
        gallery_missing=int((searched & ~shown).sum()),
        subsets=tuple(subsets),
    )


def _ranks(task: Task, queries: Floats, gallery: Floats, asks: Mask, shown: Mask) -> Indices:
    """Return the rank of each answer in the pool of its query, MISS where it is not there. -> int64 (P,)."""
    answers = task.answers
    ranks = np.full(len(answers), MISS)
    for pool in task.pools:
        rows, columns = pool.queries[asks[pool.queries]], pool.gallery[shown[pool.gallery]]
        at_row, at_column = _places(rows, len(queries)), _places(columns, len(gallery))
        mine = np.flatnonzero((at_row[answers.query] >= 0) & (at_column[answers.row] >= 0))
        here = Answers(at_row[answers.query[mine]], at_column[answers.row[mine]])
        ranks[mine] = answer_ranks(queries[rows], gallery[columns], here)
    return ranks


def _places(chosen: Indices, count: int) -> Indices:
    """Return where each of `count` things stands among the chosen ones, -1 where it does not. -> int64 (count,)."""
    places = np.full(count, -1)
    places[chosen] = np.arange(len(chosen))
    return places


def _scores(
    task: Task, ranks: Indices, count: int
) -> tuple[dict[int, NDArray[np.float64]], dict[int, NDArray[np.float64]]]:
    """Return recall and nDCG of each query, by k, float64 (Q,)."""
    first = first_ranks(ranks, task.answers, count)
    recall = {
        k: shares_at(ranks, task.answers, count, k) if task.share else (first <= k).astype(np.float64)
        for k in task.recall_at
    }
    return recall, {k: ndcg_at(ranks, task.answers, count, k) for k in task.ndcg_at}


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0
