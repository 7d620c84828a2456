"""Scores of rankings: is the right product among the first k answers?

A query may have several right answers, or none. Ties are broken against us: an equal wrong answer counts as ranked
before the right one. So that equal vectors do tie, whatever order their products are summed up in, similarities are
made in double precision and compared in single precision. A similarity that is not a number counts as the lowest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shopcue.errors import RecordError
from shopcue.geometry import iou
from shopcue.records import Floats, Indices

MISS = int(np.iinfo(np.int64).max)
"""The rank of an answer that is not in the gallery: behind every k."""

Shares = NDArray[np.float64]

_CELLS = 1 << 22  # similarities that are held at a time: 32 MB, and half as much again beside them
_ROWS = 1024  # queries that are compared at a time: enough for the multiplication to be the work


@dataclass(frozen=True, slots=True)
class Answers:
    """Which rows of a gallery are right for which queries: P pairs, each once.

    query: int64 (P,), row: int64 (P,).
    """

    query: Indices
    row: Indices

    def __post_init__(self) -> None:
        if self.query.shape != self.row.shape or self.query.ndim != 1:
            raise RecordError(f"answers have {self.query.shape} queries and {self.row.shape} rows, expected pairs")

    def __len__(self) -> int:
        return len(self.query)

    @classmethod
    def of(cls, positives: Iterable[Collection[int]]) -> Answers:
        """Return the answers of each query in turn, given as rows of the gallery."""
        pairs = [(query, row) for query, rows in enumerate(positives) for row in sorted(set(rows))]
        query, row = np.array(pairs, np.int64).reshape(-1, 2).T
        return cls(query, row)

    @classmethod
    def of_labels(cls, asked: Indices, labels: Indices) -> Answers:
        """Return as answers the rows with the label that a query asks for.

        asked: int64 (Q,). labels: int64 (G,), or (G, L) where a row is a right answer to several; a negative label is
        a right answer to nothing.
        """
        wide = labels if labels.ndim == 2 else labels[:, None]
        tagged = np.stack([wide.ravel(), np.repeat(np.arange(len(wide)), wide.shape[1])], axis=1)
        tagged = np.unique(tagged[tagged[:, 0] >= 0], axis=0)  # by label; once where a row bears a label twice
        first, last = (np.searchsorted(tagged[:, 0], asked, side) for side in ("left", "right"))
        count = last - first
        query = np.repeat(np.arange(len(asked)), count)
        within = np.arange(len(query)) - np.repeat(np.cumsum(count) - count, count)
        return cls(query, tagged[np.repeat(first, count) + within, 1])


# ---- where the answers rank ----------------------------------------------------------------------------------------


def answer_ranks(queries: Floats, gallery: Floats, answers: Answers, cells: int = _CELLS) -> Indices:
    """Return the rank (1 = best) of each right answer among the rows of a gallery, by dot product.

    queries: float32 (Q, D). gallery: float32 (G, D). The right answers of a query come in the order of their
    similarity, each after all wrong ones that are no worse. No more than `cells` similarities are held at a time.
    -> int64 (P,).
    """

    def block(rows: slice, columns: slice) -> Floats:
        return _compared(queries[rows].astype(np.float64) @ gallery[columns].astype(np.float64).T)

    with np.errstate(invalid="ignore", over="ignore"):  # of values that are not finite
        scores = _pair_scores(queries, gallery, answers)
        return _rank((len(queries), len(gallery)), block, answers, scores, cells)


def first_hit_ranks(similarity: Floats, positives: Sequence[Collection[int]]) -> Indices:
    """Return the rank (1 = best) of the best-ranked positive of each query, MISS without any.

    similarity: float32 (Q, G). positives: for each query the indices of its right answers in the gallery.
    """

    def block(rows: slice, columns: slice) -> Floats:
        return _compared(similarity[rows, columns].astype(np.float64))

    answers = Answers.of(positives)
    scores = _compared(similarity[answers.query, answers.row])
    ranks = _rank((len(similarity), similarity.shape[1]), block, answers, scores, _CELLS)
    return first_ranks(ranks, answers, len(similarity))


def first_hit_ranks_by_label(
    queries: Floats, query_labels: Indices, gallery: Floats, gallery_labels: Indices, cells: int = _CELLS
) -> Indices:
    """Return the rank (1 = best) of the first gallery row with the label of each query, MISS without any.

    queries: float32 (Q, D), gallery: float32 (G, D). query_labels: int64 (Q,). gallery_labels: as in
    `Answers.of_labels`. -> int64 (Q,).
    """
    answers = Answers.of_labels(query_labels, gallery_labels)
    return first_ranks(answer_ranks(queries, gallery, answers, cells), answers, len(queries))


def first_ranks(ranks: Indices, answers: Answers, count: int) -> Indices:
    """Return the best rank of each of `count` queries, MISS where it has no answer. ranks: int64 (P,) -> (Q,)."""
    best = np.full(count, MISS)
    np.minimum.at(best, answers.query, ranks)
    return best


def _compared(similarity: NDArray[np.floating]) -> Floats:
    """Return similarities as they are compared, float32."""
    return np.nan_to_num(similarity.astype(np.float32), nan=-np.inf, posinf=np.inf, neginf=-np.inf)


def _pair_scores(queries: Floats, gallery: Floats, answers: Answers, step: int = 1 << 14) -> Floats:
    """Return the similarity of each right answer, float32 (P,)."""
    scores = np.empty(len(answers), np.float32)
    for start in range(0, len(answers), step):
        part = slice(start, start + step)
        pair = queries[answers.query[part]].astype(np.float64), gallery[answers.row[part]].astype(np.float64)
        scores[part] = _compared(np.einsum("pd,pd->p", *pair))
    return scores


def _rank(
    shape: tuple[int, int], block: Callable[[slice, slice], Floats], answers: Answers, scores: Floats, cells: int
) -> Indices:
    """Return the rank of each answer, looking at one block of the similarities at a time.

    shape: (Q, G). block: some rows and columns -> their similarities, ours to change. scores: float32 (P,).
    """
    order = np.lexsort((-scores, answers.query))
    query, row, score = answers.query[order], answers.row[order], scores[order]
    bounds = np.searchsorted(query, np.arange(shape[0] + 1))
    place = np.arange(len(query)) - bounds[query]  # among the right answers of its query
    ahead = np.zeros(len(query), np.int64)
    height = max(1, min(_ROWS, shape[0], cells))
    width = max(1, cells // height)
    for top in range(0, shape[0], height):
        rows = slice(top, min(top + height, shape[0]))
        mine = slice(bounds[rows.start], bounds[rows.stop])
        if mine.start == mine.stop:
            continue
        for left in range(0, shape[1], width):
            columns = slice(left, min(left + width, shape[1]))
            similarity = block(rows, columns)
            inside = np.flatnonzero((row[mine] >= columns.start) & (row[mine] < columns.stop))
            # What is right is no wrong answer: nothing compares with what is not a number.
            similarity[query[mine][inside] - top, row[mine][inside] - left] = np.nan
            ahead[mine] += _count_ahead(similarity, query[mine] - top, place[mine], score[mine])
    ranks = np.empty(len(query), np.int64)
    ranks[order] = 1 + place + ahead
    return ranks


def _count_ahead(similarity: Floats, query: Indices, place: Indices, score: Floats) -> Indices:
    """Return how many wrong rows of a block are no worse than each answer. similarity: float32 (q, g) -> int64 (p,)."""
    counts = np.zeros(len(query), np.int64)
    for turn in range(int(place.max()) + 1):  # the best answer of each query, then the second best, ...
        mine = np.flatnonzero(place == turn)
        rows = similarity if len(mine) == len(similarity) else similarity[query[mine]]
        counts[mine] = np.count_nonzero(rows >= score[mine, None], axis=1)
    return counts


# ---- what the ranks are worth --------------------------------------------------------------------------------------


def recall_at(ranks: Indices, k: int) -> float:
    """Return recall@k: the share of queries whose first hit is among the first k answers. ranks: int64 (Q,)."""
    return float(np.mean(ranks <= k)) if len(ranks) else 0.0


def shares_at(ranks: Indices, answers: Answers, count: int, k: int) -> Shares:
    """Return for each query the share of its right answers that are among the first k; 0 for one without any.

    ranks: int64 (P,) -> float64 (Q,). What trec_eval calls recall; with one right answer each it is a hit or a miss.
    """
    found = np.bincount(answers.query[ranks <= k], minlength=count)
    return np.asarray(found / np.maximum(np.bincount(answers.query, minlength=count), 1), np.float64)


def ndcg_at(ranks: Indices, answers: Answers, count: int, k: int) -> Shares:
    """Return nDCG@k of each query, every right answer worth the same; 0 for a query without any.

    Järvelin and Kekäläinen, ACM TOIS 20, 2002, with log2(1 + rank) as the discount. ranks: int64 (P,) -> float64 (Q,).
    """
    gains = 1 / np.log2(1 + np.arange(1, k + 1))
    seen = ranks <= k
    gained = np.bincount(answers.query[seen], gains[ranks[seen] - 1], minlength=count)
    ideal = np.concatenate([[0.0], np.cumsum(gains)])[np.minimum(np.bincount(answers.query, minlength=count), k)]
    return np.asarray(np.divide(gained, ideal, out=np.zeros(count), where=ideal > 0), np.float64)


# ---- detections that stand for what was asked ------------------------------------------------------------------------


def assign_detections(
    detected: Floats, scores: Floats, truth: Floats, same_class: NDArray[np.bool_] | None = None
) -> Indices:
    """Return, for each true item of an image, the detection that stands for it in retrieval, -1 where there is none.

    detected: float32 (N, 4) xyxy. scores: float32 (N,). truth: float32 (M, 4). same_class: (N, M), whether a detection
    has the class of a true item, all where None. Each detection is given to the item that it overlaps most, and the
    item takes the one of its class with the highest score (DeepFashion2, Ge et al., CVPR 2019; its evaluation code). A
    detection that overlaps no item stands for none. -> int64 (M,).
    """
    chosen = np.full(len(truth), -1, np.int64)
    if not len(detected) or not len(truth):
        return chosen
    overlap = iou(detected, truth)
    given_to = np.where(overlap.max(axis=1) > 0, overlap.argmax(axis=1), -1)
    for item in range(len(truth)):
        mine = given_to == item
        if same_class is not None:
            mine &= same_class[:, item]
        if mine.any():
            chosen[item] = int(np.argmax(np.where(mine, scores, -np.inf)))
    return chosen


def label_detections(
    detected: Floats, images: Indices, truth: Floats, truth_images: Indices, labels: Indices, threshold: float = 0.5
) -> Indices:
    """Return which labels each gallery detection is a right answer to: those of the true items that it overlaps.

    detected: float32 (N, 4), images: int64 (N,), the image that each is in; truth: float32 (M, 4), truth_images: int64
    (M,), labels: int64 (M,), an item's pair and style as one number, negative where it has none. A detection answers
    to the items of its image with an IoU of `threshold` or more (DeepFashion2). -> int64 (N, L), L the most that one
    answers to, filled up with -1.
    """
    by_image: dict[int, list[int]] = {}
    for item, image in enumerate(truth_images.tolist()):
        by_image.setdefault(image, []).append(item)
    answers: list[list[int]] = []
    for box, image in zip(detected, images.tolist(), strict=True):
        items = np.array(by_image.get(image, []), np.int64)
        hits = items[iou(box[None], truth[items])[0] >= threshold]
        answers.append(sorted({int(label) for label in labels[hits] if label >= 0}))
    width = max((len(answer) for answer in answers), default=1) or 1
    return np.array([answer + [-1] * (width - len(answer)) for answer in answers], np.int64).reshape(-1, width)
