"""Average precision, recall and confusion tables against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopcue.errors import ScoreError
from shopcue.metrics.boxes import (
    COCO_OVERLAPS,
    TrueBoxes,
    average_precision,
    balanced_accuracy,
    confusion,
    pair_up,
    recall_at,
    score_boxes,
)
from shopcue.records import Detections

Box = tuple[float, float, float, float]
Seen = list[tuple[Box, float, int]]
"""Box, score, class."""
True_ = list[tuple[Box, int, bool]]
"""Box, class, ignored."""


def detections(seen: Seen) -> Detections:
    count = len(seen)
    return Detections(
        0.0,
        boxes=np.array([box for box, _, _ in seen], np.float32).reshape(count, 4),
        scores=np.array([score for _, score, _ in seen], np.float32),
        classes=np.array([c for _, _, c in seen], np.int64),
        quality=np.ones((count, 3), np.float32),
        vectors=np.ones((count, 1), np.float32),
    )


def true_boxes(true: True_) -> TrueBoxes:
    return TrueBoxes(
        np.array([box for box, _, _ in true], np.float32).reshape(-1, 4),
        np.array([c for _, c, _ in true], np.int64),
        np.array([ignored for _, _, ignored in true], np.bool_),
    )


def overlap(a: Box, b: Box) -> float:
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    both = max(w, 0) * max(h, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def plain_ap(images: list[tuple[Seen, True_]], coarse_class: int, least: float) -> float:
    """COCO's definition, one detection after another, from the surest on over all images."""
    marks: list[tuple[float, bool]] = []
    wanted = 0
    for seen, true in images:
        theirs = [(box, ignored) for box, c, ignored in true if c == coarse_class]
        wanted += sum(not ignored for _, ignored in theirs)
        used: set[int] = set()
        for box, score, c in sorted(seen, key=lambda s: -s[1]):
            if c != coarse_class:
                continue
            reach = [(overlap(box, b), m) for m, (b, _) in enumerate(theirs) if m not in used]
            reach = [(o, m) for o, m in reach if o >= least]
            sure = [(o, m) for o, m in reach if not theirs[m][1]]
            if sure:
                used.add(max(sure)[1])
                marks.append((score, True))
            elif not reach:
                marks.append((score, False))
    if not wanted:
        return float("nan")
    marks.sort(key=lambda mark: -mark[0])
    points = []
    for n in range(1, len(marks) + 1):
        hits = sum(right for _, right in marks[:n])
        points.append((hits / wanted, hits / n))
    total = 0.0
    for step in range(101):
        total += max((p for r, p in points if r >= step / 100 - 1e-12), default=0.0)
    return total / 101


boxes = st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(2, 5), st.integers(2, 5)).map(
    lambda b: (10.0 * b[0], 10.0 * b[1], 10.0 * (b[0] + b[2]), 10.0 * (b[1] + b[3]))
)
classes = st.integers(0, 1)
# Scores never tie: which of two equally sure detections chooses first is not part of the definition.
scores = st.integers(1, 10_000).map(lambda n: n / 10_001)


@st.composite
def some_images(draw: st.DrawFn, ignored: bool = True) -> list[tuple[Seen, True_]]:
    count = draw(st.integers(1, 3))
    drawn = iter(draw(st.lists(scores, min_size=6 * count, max_size=6 * count, unique=True)))
    images = []
    for _ in range(count):
        true = draw(st.lists(st.tuples(boxes, classes, st.booleans() if ignored else st.just(False)), max_size=4))
        near = st.one_of(boxes, st.sampled_from([box for box, _, _ in true])) if true else boxes
        seen = [(box, next(drawn), c) for box, c in draw(st.lists(st.tuples(near, classes), max_size=6))]
        images.append((seen, true))
    return images


@given(images=some_images(), least=st.sampled_from(COCO_OVERLAPS))
def test_average_precision_equals_a_plain_loop(images: list[tuple[Seen, True_]], least: float) -> None:
    found = average_precision([detections(s) for s, _ in images], [true_boxes(t) for _, t in images], 1, least + 1e-4)
    assert found == pytest.approx(plain_ap(images, 1, least + 1e-4), nan_ok=True)


@given(images=some_images(ignored=False))
def test_all_scores_equal_cocos_own_tool(images: list[tuple[Seen, True_]]) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    truth = [
        {"id": 1 + n, "image_id": k, "bbox": _xywh(box), "area": 1.0, "category_id": c, "iscrowd": 0}
        for n, (k, (box, c, _)) in enumerate((k, t) for k, (_, true) in enumerate(images) for t in true)
    ]
    seen = [
        {"id": 1 + n, "image_id": k, "bbox": _xywh(box), "area": 1.0, "category_id": c, "score": score}
        for n, (k, (box, score, c)) in enumerate((k, s) for k, (seen, _) in enumerate(images) for s in seen)
    ]
    frame = {"images": [{"id": k} for k in range(len(images))], "categories": [{"id": 0}, {"id": 1}]}
    theirs, ours = coco.COCO(), coco.COCO()
    theirs.dataset, ours.dataset = {**frame, "annotations": truth}, {**frame, "annotations": seen}
    theirs.createIndex()
    ours.createIndex()
    judge = cocoeval.COCOeval(theirs, ours, "bbox")
    judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
    judge.evaluate()
    judge.accumulate()
    precision = judge.eval["precision"][:, :, :, 0, -1]  # overlap, recall, class
    scores = score_boxes([detections(s) for s, _ in images], [true_boxes(t) for _, t in images])
    for c, ap in scores.ap.items():
        assert ap == pytest.approx(precision[:, :, c].mean(), abs=1e-6)
    if scores.ap:
        known = precision[:, :, list(scores.ap)]
        assert scores.map == pytest.approx(known.mean(), abs=1e-6)
        assert scores.map_50 == pytest.approx(known[0].mean(), abs=1e-6)
        assert scores.map_75 == pytest.approx(known[5].mean(), abs=1e-6)


def _xywh(box: Box) -> list[float]:
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


@given(images=some_images(), k=st.integers(1, 4))
def test_recall_equals_a_plain_loop(images: list[tuple[Seen, True_]], k: int) -> None:
    found = wanted = 0
    for seen, true in images:
        first = sorted(seen, key=lambda s: -s[1])[:k]
        for box, _, ignored in true:
            if not ignored:
                wanted += 1
                found += any(overlap(box, b) >= 0.5 + 1e-4 for b, _, _ in first)
    score = recall_at([detections(s) for s, _ in images], [true_boxes(t) for _, t in images], k, 0.5 + 1e-4)
    assert score == pytest.approx(found / max(wanted, 1))


def test_each_box_is_found_once_and_ignored_ones_again_and_again() -> None:
    true = np.array([[0, 0, 10, 10], [100, 0, 110, 10]], np.float32)
    seen = np.array([[0, 0, 10, 9], [0, 0, 10, 10], [100, 0, 110, 10], [100, 0, 110, 9]], np.float32)
    surest_first = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    ignored = np.array([False, True])
    assert pair_up(seen, surest_first, true, ignored).tolist() == [0, -1, 1, 1]
    assert pair_up(seen, surest_first[::-1].copy(), true, ignored).tolist() == [-1, 0, 1, 1]


def test_no_image_and_no_box() -> None:
    assert score_boxes([], []).map == 0
    assert score_boxes([detections([])], [true_boxes([])]).ap == {}
    assert recall_at([], [], 1) == 0


def test_truth_says_what_it_wants() -> None:
    with pytest.raises(ScoreError, match="2 true boxes came with 1 classes and 2 flags"):
        TrueBoxes(np.zeros((2, 4), np.float32), np.zeros(1, np.int64), np.zeros(2, np.bool_))


@given(pairs=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=20))
def test_confusion_equals_a_count(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs, np.int64).reshape(-1, 2).T
    table = confusion(truth, predicted, 3)
    assert table.tolist() == [[pairs.count((t, p)) for p in range(3)] for t in range(3)]
    shares = [table[t, t] / table[t].sum() for t in range(3) if table[t].sum()]
    assert balanced_accuracy(table) == pytest.approx(sum(shares) / max(len(shares), 1))
