"""Recall@k against a plain sort with the worst order among equals."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shopcue.metrics.retrieval import (
    assign_detections,
    first_hit_ranks,
    first_hit_ranks_by_label,
    label_detections,
    recall_at,
)
from shopcue.records import Floats


@given(seed=st.integers(0, 500))
def test_ranks_equal_a_pessimistic_sort(seed: int) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.integers(0, 4, (5, 9)).astype(np.float32)  # few values: many ties
    positives = [set(rng.choice(9, rng.integers(0, 4), replace=False).tolist()) for _ in range(5)]
    for row, right, rank in zip(similarity, positives, first_hit_ranks(similarity, positives), strict=True):
        order = sorted(range(9), key=lambda g: (-row[g], g in right))
        # positives do not push one another down: the rank counts wrong answers before the first right one
        expected = next((1 + sum(q not in right for q in order[:i]) for i, g in enumerate(order) if g in right), 10)
        assert rank == expected


def test_misses_count_and_nan_ranks_last() -> None:
    similarity = np.array([[0.9, 0.1], [np.nan, 0.2], [0.3, 0.3]], np.float32)
    ranks = first_hit_ranks(similarity, [[], [0], [1]])
    assert ranks.tolist() == [3, 2, 2]
    assert recall_at(ranks, 1) == 0
    assert recall_at(ranks, 2) == 2 / 3


@given(seed=st.integers(0, 500), cells=st.sampled_from([1, 20, 1000]), several=st.booleans())
def test_ranks_by_label_equal_a_pessimistic_sort(seed: int, cells: int, several: bool) -> None:
    rng = np.random.default_rng(seed)
    queries = rng.integers(-1, 2, (5, 3)).astype(np.float32)  # few values: many ties
    gallery = rng.integers(-1, 2, (9, 3)).astype(np.float32)
    asked = rng.integers(-1, 4, 5)
    labels = rng.integers(-1, 4, (9, 2) if several else 9)
    ranks = first_hit_ranks_by_label(queries, asked, gallery, labels, cells)
    for query, label, rank in zip(queries, asked, ranks, strict=True):
        hits = [label >= 0 and label in np.atleast_1d(row) for row in labels]
        order = sorted(range(9), key=lambda g: (-float(query @ gallery[g]), hits[g]))
        expected = next((place for place, g in enumerate(order, 1) if hits[g]), 10)
        assert rank == expected


def test_a_vector_that_is_not_a_number_ranks_last() -> None:
    gallery = np.array([[np.nan, 0], [0, 1], [1, 0]], np.float32)
    query = np.array([[1, 0]], np.float32)
    for label, rank in ((0, 3), (1, 2), (2, 1)):
        assert first_hit_ranks_by_label(query, np.array([label]), gallery, np.arange(3)).tolist() == [rank]
    assert first_hit_ranks_by_label(query, np.array([0]), gallery[:0], np.arange(0)).tolist() == [1]
    assert recall_at(first_hit_ranks_by_label(query[:0], np.arange(0), gallery, np.arange(3)), 1) == 0


def boxes(rng: np.random.Generator, count: int) -> Floats:
    corner = rng.integers(0, 6, (count, 2))
    return np.concatenate([corner, corner + rng.integers(1, 6, (count, 2))], axis=1).astype(np.float32)


def overlap(a: Floats, b: Floats) -> float:
    """IoU of boxes with whole corners, by counting cells."""
    cells = [{(x, y) for x in range(int(c[0]), int(c[2])) for y in range(int(c[1]), int(c[3]))} for c in (a, b)]
    return len(cells[0] & cells[1]) / len(cells[0] | cells[1])


@given(seed=st.integers(0, 500), classes=st.booleans())
def test_detections_stand_for_items_as_in_a_loop(seed: int, classes: bool) -> None:
    rng = np.random.default_rng(seed)
    detected, truth = boxes(rng, int(rng.integers(0, 7))), boxes(rng, int(rng.integers(0, 4)))
    scores = rng.integers(0, 4, len(detected)).astype(np.float32)
    same = rng.random((len(detected), len(truth))) < 0.6
    expected = [-1] * len(truth)
    for d in range(len(detected)):
        shares = [overlap(detected[d], t) for t in truth]
        if not shares or max(shares) == 0:
            continue
        item = shares.index(max(shares))
        if classes and not same[d, item]:
            continue
        if expected[item] < 0 or scores[d] > scores[expected[item]]:
            expected[item] = d
    assert assign_detections(detected, scores, truth, same if classes else None).tolist() == expected


@given(seed=st.integers(0, 500))
def test_gallery_detections_answer_to_what_they_overlap_in_their_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    detected, truth = boxes(rng, 6), boxes(rng, 5)
    images, truth_images = rng.integers(0, 2, 6), rng.integers(0, 2, 5)
    labels = rng.integers(-1, 3, 5)
    answers = label_detections(detected, images, truth, truth_images, labels)
    for d in range(6):
        expected = {
            int(labels[t])
            for t in range(5)
            if truth_images[t] == images[d] and labels[t] >= 0 and overlap(detected[d], truth[t]) >= 0.5
        }
        assert set(answers[d].tolist()) - {-1} == expected
    assert label_detections(detected[:0], images[:0], truth, truth_images, labels).shape == (0, 1)
