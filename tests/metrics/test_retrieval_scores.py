"""Ranks and what they are worth, against a plain sort with the worst order among equals."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from shopcue.errors import RecordError
from shopcue.metrics.retrieval import (
    MISS,
    Answers,
    answer_ranks,
    assign_detections,
    first_hit_ranks,
    first_hit_ranks_by_label,
    first_ranks,
    label_detections,
    ndcg_at,
    recall_at,
    shares_at,
)
from shopcue.records import Floats, Indices


def worst_order(scores: list[float], right: set[int]) -> list[int]:
    """Rows by score, the right ones last among equals."""
    return sorted(range(len(scores)), key=lambda g: (-scores[g], g in right))


@given(seed=st.integers(0, 500))
def test_ranks_equal_a_pessimistic_sort(seed: int) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.integers(0, 4, (5, 9)).astype(np.float32)  # few values: many ties
    positives = [set(rng.choice(9, rng.integers(0, 4), replace=False).tolist()) for _ in range(5)]
    for row, right, rank in zip(similarity, positives, first_hit_ranks(similarity, positives), strict=True):
        order = worst_order(row.tolist(), right)
        # positives do not push one another down: the rank counts wrong answers before the first right one
        assert rank == next(
            (1 + sum(q not in right for q in order[:i]) for i, g in enumerate(order) if g in right), MISS
        )


def test_misses_count_and_nan_ranks_last() -> None:
    similarity = np.array([[0.9, 0.1], [np.nan, 0.2], [0.3, 0.3]], np.float32)
    ranks = first_hit_ranks(similarity, [[], [0], [1]])
    assert ranks.tolist() == [MISS, 2, 2]
    assert recall_at(ranks, 1) == 0
    assert recall_at(ranks, 2) == 2 / 3
    assert recall_at(ranks, 1000) == 2 / 3, "a miss is a miss however small the gallery"


@given(seed=st.integers(0, 500), cells=st.sampled_from([1, 20, 1000]), several=st.booleans())
def test_ranks_by_label_equal_a_pessimistic_sort(seed: int, cells: int, several: bool) -> None:
    rng = np.random.default_rng(seed)
    queries = rng.integers(-1, 2, (5, 3)).astype(np.float32)  # few values: many ties
    gallery = rng.integers(-1, 2, (9, 3)).astype(np.float32)
    asked = rng.integers(-1, 4, 5)
    labels = rng.integers(-1, 4, (9, 2) if several else 9)
    ranks = first_hit_ranks_by_label(queries, asked, gallery, labels, cells)
    for query, label, rank in zip(queries, asked, ranks, strict=True):
        right = {g for g in range(9) if label >= 0 and label in np.atleast_1d(labels[g])}
        order = worst_order([float(query @ row) for row in gallery], right)
        assert rank == next((place for place, g in enumerate(order, 1) if g in right), MISS)


def test_a_vector_that_is_not_a_number_ranks_last() -> None:
    gallery = np.array([[np.nan, 0], [0, 1], [1, 0]], np.float32)
    query = np.array([[1, 0]], np.float32)
    for label, rank in ((0, 3), (1, 2), (2, 1)):
        assert first_hit_ranks_by_label(query, np.array([label]), gallery, np.arange(3)).tolist() == [rank]
    assert first_hit_ranks_by_label(query, np.array([0]), gallery[:0], np.arange(0)).tolist() == [MISS]
    assert recall_at(first_hit_ranks_by_label(query[:0], np.arange(0), gallery, np.arange(3)), 1) == 0


# ---- several right answers -----------------------------------------------------------------------------------------


def drawn(seed: int) -> tuple[Floats, Floats, list[set[int]]]:
    """Queries, a gallery with repeated rows, and some right answers or none for each query."""
    rng = np.random.default_rng(seed)
    count, rows = int(rng.integers(1, 8)), int(rng.integers(1, 14))
    kinds = rng.normal(size=(max(1, rows // 2), 6)).astype(np.float32)  # half as many as rows: exact ties
    gallery = kinds[rng.integers(0, len(kinds), rows)]
    queries = rng.normal(size=(count, 6)).astype(np.float32)
    return queries, gallery, [set(rng.choice(rows, rng.integers(0, min(rows, 4) + 1), False).tolist()) for _ in queries]


@given(seed=st.integers(0, 2000), cells=st.sampled_from([1, 3, 7, 50, 1 << 22]))
def test_every_right_answer_ranks_as_in_a_double_loop(seed: int, cells: int) -> None:
    queries, gallery, rights = drawn(seed)
    answers = Answers.of(rights)
    ranks = answer_ranks(queries, gallery, answers, cells)
    for q, right in enumerate(rights):
        scores = [sum(float(a) * float(b) for a, b in zip(queries[q], row, strict=True)) for row in gallery]
        order = worst_order([float(np.float32(score)) for score in scores], right)
        expected = sorted(place for place, g in enumerate(order, 1) if g in right)
        assert sorted(ranks[answers.query == q].tolist()) == expected
        assert first_ranks(ranks, answers, len(queries))[q] == min(expected, default=MISS)


@given(seed=st.integers(0, 500))
def test_labels_give_the_pairs_of_a_double_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    asked, labels = rng.integers(-2, 4, 6), rng.integers(-2, 4, (7, 3))
    answers = Answers.of_labels(asked, labels)
    expected = [(q, g) for q in range(6) for g in range(7) if asked[q] >= 0 and asked[q] in labels[g]]
    assert list(zip(answers.query.tolist(), answers.row.tolist(), strict=True)) == expected


def test_equal_vectors_tie_wherever_they_stand() -> None:
    """A product is summed up in another order at the edge of a block: rounding must not decide who is first."""
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(37, 193)).astype(np.float32)
    gallery = np.repeat(rng.normal(size=(1, 193)).astype(np.float32), 1021, axis=0)
    answers = Answers.of([{q * 27} for q in range(37)])
    for cells in (1, 4000, 1 << 22):
        assert set(answer_ranks(queries, gallery, answers, cells).tolist()) == {1021}


@given(seed=st.integers(0, 500), k=st.sampled_from([1, 3, 10]))
def test_ndcg_equals_scikit_learn_where_nothing_ties(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    queries, gallery = rng.normal(size=(6, 4)).astype(np.float32), rng.normal(size=(12, 4)).astype(np.float32)
    rights = [set(rng.choice(12, rng.integers(1, 6), replace=False).tolist()) for _ in range(6)]
    answers = Answers.of(rights)
    ours = ndcg_at(answer_ranks(queries, gallery, answers), answers, 6, k)
    truth = np.array([[g in right for g in range(12)] for right in rights], float)
    similarity = queries.astype(float) @ gallery.astype(float).T
    assert [ndcg_score([t], [s], k=k) for t, s in zip(truth, similarity, strict=True)] == pytest.approx(ours.tolist())


@given(seed=st.integers(0, 500), k=st.sampled_from([1, 3, 10]))
def test_shares_and_ndcg_equal_a_loop_with_ties_and_misses(seed: int, k: int) -> None:
    queries, gallery, rights = drawn(seed)
    answers = Answers.of(rights)
    ranks = answer_ranks(queries, gallery, answers)
    ranks[:1] = MISS  # an answer that nobody can find
    shares, gains = shares_at(ranks, answers, len(queries), k), ndcg_at(ranks, answers, len(queries), k)
    for q, right in enumerate(rights):
        mine = ranks[answers.query == q].tolist()
        assert shares[q] == pytest.approx(sum(rank <= k for rank in mine) / len(right) if right else 0)
        ideal = sum(1 / math.log2(1 + place) for place in range(1, min(len(right), k) + 1))
        gained = sum(1 / math.log2(1 + rank) for rank in mine if rank <= k)
        assert gains[q] == pytest.approx(gained / ideal if right else 0)


def test_memory_does_not_grow_with_the_matrix() -> None:
    rng = np.random.default_rng(0)
    queries, gallery = (rng.normal(size=(6000, 16)).astype(np.float32) for _ in range(2))
    answers = Answers.of([{q} for q in range(6000)])

    def peak_bytes(queries: Floats, cells: int) -> tuple[int, Indices]:
        tracemalloc.start()
        try:
            ranks = answer_ranks(queries, gallery, answers, cells)
            return tracemalloc.get_traced_memory()[1], ranks
        finally:
            tracemalloc.stop()

    small, ranks = peak_bytes(queries, 1 << 18)
    large, same = peak_bytes(queries, 1 << 22)
    assert small < 14 << 20 < large < 6000 * 6000 * 4, "the whole matrix would take 144 MB"
    np.testing.assert_array_equal(ranks, same)


def test_pairs_that_are_none_are_refused() -> None:
    with pytest.raises(RecordError, match="expected pairs"):
        Answers(np.arange(3), np.arange(2))


# ---- detections ------------------------------------------------------------------------------------------------------


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
