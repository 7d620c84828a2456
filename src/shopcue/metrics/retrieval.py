"""Scores of rankings: is the right product among the first k answers?"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from shopcue.geometry import iou
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


def first_hit_ranks_by_label(
    queries: Floats, query_labels: Indices, gallery: Floats, gallery_labels: Indices, cells: int = 1 << 22
) -> Indices:
    """Return the rank (1 = best) of the first gallery row with the label of each query, by dot product.

    queries: float32 (Q, D), gallery: float32 (G, D), unit rows. query_labels: int64 (Q,). gallery_labels: int64 (G,),
    or (G, L) where a row is a right answer to several; a negative label is a right answer to nothing. Ties and missing
    answers count as in `first_hit_ranks`. No more than `cells` similarities are held at a time, or one query's.
    """
    labels = gallery_labels if gallery_labels.ndim == 2 else gallery_labels[:, None]
    ranks = np.empty(len(queries), np.int64)
    step = max(1, cells // max(1, labels.size))
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        similarity = np.nan_to_num(queries[part] @ gallery.T, nan=-np.inf)
        right = ((query_labels[part, None, None] == labels) & (labels >= 0)).any(axis=2)
        best = similarity.max(axis=1, initial=-np.inf, where=right)
        rank = 1 + np.sum((similarity >= best[:, None]) & ~right, axis=1)
        ranks[part] = np.where(right.any(axis=1), rank, len(gallery) + 1)
    return ranks


def recall_at(ranks: Indices, k: int) -> float:
    """Return recall@k: the share of queries whose first hit is among the first k answers. ranks: int64 (Q,)."""
    return float(np.mean(ranks <= k)) if len(ranks) else 0.0


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
