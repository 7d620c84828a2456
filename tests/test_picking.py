"""Picking against a clustering of loops, against scikit-learn, and against itself in another order."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering

from shopcue.errors import RecordError, SettingsError
from shopcue.picking import (
    Linkage,
    Thresholds,
    best_views,
    cluster,
    dissimilarity,
    key_frames,
    passes,
    pick,
    view_quality,
)
from shopcue.records import Detections, Floats, Pick, Tracklet

LINKAGES: tuple[Linkage, ...] = ("single", "complete", "average")
ALL = Thresholds(-1, -1, -1)


def naive(distance: Floats, most: float, method: Linkage) -> set[frozenset[int]]:
    """Merge the two nearest clusters as long as they are near enough; O(n^3) and plain."""

    def how(pairs: list[float]) -> float:
        return {"single": min(pairs), "complete": max(pairs), "average": statistics.fmean(pairs)}[method]

    clusters = [[n] for n in range(len(distance))]
    while len(clusters) > 1:
        apart = {
            (i, j): how([float(distance[a, b]) for a in clusters[i] for b in clusters[j]])
            for i in range(len(clusters))
            for j in range(i)
        }
        i, j = min(apart, key=lambda pair: apart[pair])
        if apart[i, j] > most:
            break
        clusters[j] += clusters.pop(i)
    return {frozenset(c) for c in clusters}


def partition(labels: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


def random_vectors(seed: int, count: int, dim: int = 6) -> Floats:
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


@given(seed=st.integers(0, 10_000), count=st.integers(0, 12), most=st.floats(0.05, 1.8), way=st.sampled_from(LINKAGES))
def test_clusters_equal_a_plain_loop(seed: int, count: int, most: float, way: Linkage) -> None:
    distance = dissimilarity(random_vectors(seed, count))
    assert partition(cluster(distance, most, way)) == (naive(distance, most, way) if count else set())


@given(seed=st.integers(0, 10_000), count=st.integers(2, 30), most=st.floats(0.05, 1.8), way=st.sampled_from(LINKAGES))
def test_clusters_equal_scikit_learn(seed: int, count: int, most: float, way: Linkage) -> None:
    distance = dissimilarity(random_vectors(seed, count))
    # scikit-learn merges below its threshold, we up to ours.
    theirs = AgglomerativeClustering(
        n_clusters=None, metric="precomputed", linkage=way, distance_threshold=np.nextafter(most, 2)
    ).fit_predict(distance)
    assert partition(cluster(distance, most, way)) == partition(theirs)


@given(seed=st.integers(0, 10_000), count=st.integers(1, 8))
def test_dissimilarity_is_one_minus_the_cosine(seed: int, count: int) -> None:
    vectors = random_vectors(seed, count)
    distance = dissimilarity(vectors)
    for i, a in enumerate(vectors):
        for j, b in enumerate(vectors):
            cosine = sum(float(x) * float(y) for x, y in zip(a, b, strict=True)) / float(
                np.linalg.norm(a) * np.linalg.norm(b)
            )
            assert distance[i, j] == pytest.approx(1 - cosine, abs=1e-5)


@given(times=st.lists(st.integers(0, 200), max_size=30), interval=st.sampled_from([0, 1, 5, 10, 25, 1000]))
def test_key_frames_equal_a_plain_loop(times: list[int], interval: int) -> None:
    """In tenths of a second, so that the loop can count exactly."""
    first: dict[int, int] = {}
    for t in sorted(times):
        first.setdefault(t // interval if interval else t, t)
    wanted = [first[t // interval if interval else t] == t for t in times]
    assert key_frames(np.array(times, np.float64) / 10, interval / 10).tolist() == wanted


def test_thresholds_are_strict_and_all_three_count() -> None:
    quality = np.array([[0.6, 0.6, 0.6], [0.5, 0.9, 0.9], [0.9, 0.5, 0.9], [0.9, 0.9, 0.5], [0.51] * 3], np.float32)
    assert passes(quality, Thresholds()).tolist() == [True, False, False, False, True]
    np.testing.assert_allclose(view_quality(quality), [0.216, 0.405, 0.405, 0.405, 0.51**3], rtol=1e-6)


def views(
    time_s: float, vectors: NDArray[np.floating], quality: NDArray[np.floating], classes: list[int] | None = None
) -> Detections:
    count = len(vectors)
    corner = np.arange(count)[:, None] * [10, 0]
    return Detections(
        time_s,
        boxes=np.hstack([corner, corner + 50]).astype(np.float32),
        scores=np.full(count, 0.8, np.float32),
        classes=np.array(classes if classes is not None else [5] * count, np.int64),
        quality=quality.astype(np.float32),
        vectors=vectors.astype(np.float32),
    )


def test_each_thing_is_picked_once_by_its_best_good_view_on_a_key_frame() -> None:
    a, b = np.eye(4, dtype=np.float32)[:2]
    good, better, best = [0.7, 0.7, 0.7], [0.8, 0.8, 0.8], [0.9, 0.9, 0.9]
    video = [
        views(0.0, np.stack([a, b]), np.array([good, better])),
        views(0.5, np.stack([a]), np.array([best])),  # no key frame at 1 s
        views(1.0, np.stack([a, b]), np.array([better, [0.99, 0.99, 0.4]])),  # b is cut off here
        views(2.0, np.stack([a]), np.array([better])),  # as good as a second before: the first counts
    ]
    picks = pick(video, interval_s=1.0)
    assert [(p.time_s, p.vector.tolist(), p.seen) for p in picks] == [(0.0, b.tolist(), 1), (1.0, a.tolist(), 3)]
    assert [p.time_s for p in pick(video, interval_s=0)] == [0.0, 0.5], "all frames are key frames"
    assert pick(video, thresholds=Thresholds(crop=0.95)) == []


def test_things_of_two_classes_are_never_one() -> None:
    a = np.eye(3, dtype=np.float32)[:1]
    video = [views(0.0, np.repeat(a, 2, axis=0), np.ones((2, 3)), classes=[0, 1])]
    assert [p.coarse_class for p in pick(video)] == [0, 1]


def test_no_frames_and_empty_frames() -> None:
    assert pick([]) == []
    empty = views(0.0, np.zeros((0, 4)), np.zeros((0, 3)))
    assert pick([empty]) == []
    narrow = views(1.0, np.zeros((0, 0)), np.zeros((0, 3)))
    full = views(2.0, np.ones((1, 4)), np.ones((1, 3)))
    assert len(pick([empty, narrow, full])) == 1


def test_what_is_no_number_is_not_picked() -> None:
    video = [views(0.0, np.array([[1, 0], [np.nan, 1], [0, 1]]), np.array([[1, 1, 1], [1, 1, 1], [1, np.nan, 1]]))]
    assert [p.vector.tolist() for p in pick(video)] == [[1, 0]]


def test_a_pool_too_large_is_refused_in_words() -> None:
    video = [views(0.0, np.ones((8193, 2)), np.ones((8193, 3)))]
    with pytest.raises(RecordError, match="8193 good views of one class came, expected at most 8192; take a longer"):
        pick(video)


def test_settings_say_what_they_want() -> None:
    with pytest.raises(SettingsError, match="interval_s is -1"):
        pick([], interval_s=-1)
    with pytest.raises(SettingsError, match="no number"):
        Thresholds(crop=float("nan"))


few = st.sampled_from([0.4, 0.6, 0.9])
row = st.tuples(st.integers(0, 2), st.sampled_from([0, 5]), few, few, st.integers(0, 3))


@given(frames=st.lists(st.lists(row, max_size=4), max_size=5), data=st.data(), way=st.sampled_from(LINKAGES))
def test_order_makes_no_difference(
    frames: list[list[tuple[int, int, float, float, int]]], data: st.DataObject, way: Linkage
) -> None:
    """Values from a few, so that distances, qualities and scores tie all the time."""
    wheel = np.array([[1, 0], [0.5, np.sqrt(0.75)], [-0.5, np.sqrt(0.75)]])  # each 60 degrees from the next

    def frame(k: int, rows: list[tuple[int, int, float, float, int]]) -> Detections:
        count = len(rows)
        corner = np.array([[r[4] * 20, 0] for r in rows]).reshape(count, 2)
        return Detections(
            k / 2,
            boxes=np.hstack([corner, corner + 30]).astype(np.float32),
            scores=np.array([r[3] for r in rows], np.float32),
            classes=np.array([r[1] for r in rows], np.int64),
            quality=np.array([[r[2], 0.7, 0.7] for r in rows], np.float32).reshape(count, 3),
            vectors=wheel[[r[0] for r in rows]].astype(np.float32).reshape(count, 2),
        )

    def told(picks: list[Pick]) -> list[tuple[object, ...]]:
        return [(p.time_s, p.box.tolist(), p.coarse_class, p.score, p.vector.tolist(), p.seen) for p in picks]

    video = [frame(k, rows) for k, rows in enumerate(frames)]
    shuffled = [frame(k, data.draw(st.permutations(rows))) for k, rows in enumerate(frames)]
    shuffled = data.draw(st.permutations(shuffled))
    settings = {"interval_s": 1.0, "thresholds": Thresholds(), "max_distance": 0.5, "method": way}
    assert told(pick(video, **settings)) == told(pick(shuffled, **settings))  # type: ignore[arg-type]


# ---- one tracklet ----------------------------------------------------------------------------------------------


@given(
    quality=st.lists(st.tuples(few, few, few), min_size=1, max_size=20),
    interval=st.sampled_from([0.0, 1.0, 2.5, float("inf")]),
)
def test_best_views_equal_a_plain_loop(quality: list[tuple[float, float, float]], interval: float) -> None:
    count = len(quality)
    times = [0.5 * k + 10 for k in range(count)]
    tracklet = Tracklet(
        7,
        3,
        times_s=np.array(times),
        boxes=np.tile(np.array([0, 0, 9, 9], np.float32), (count, 1)),
        scores=np.full(count, 0.5, np.float32),
        quality=np.array(quality, np.float32),
        vectors=np.eye(count, dtype=np.float32),
    )
    stretches: dict[float, list[int]] = {}
    for k, t in enumerate(times):
        key = t if interval == 0 else t // interval
        stretches.setdefault(key, []).append(k)
    wanted = []
    for members in stretches.values():
        good = [k for k in members if min(quality[k]) > 0.5] or members
        wanted.append((max(good, key=lambda k: (float(np.prod(np.array(quality[k], np.float32))), -k)), len(members)))
    found = best_views(tracklet, interval_s=interval)
    assert [(int(np.argmax(p.vector)), p.seen) for p in found] == wanted
    assert all(p.coarse_class == 3 for p in found)
