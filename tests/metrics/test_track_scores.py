"""MOTA and IDF1 against all pairings there are, and against counts made by hand."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopcue.metrics.tracks import TrackedFrame, score_tracks

Cells = list[tuple[int, int]]
"""What stands in a frame: (id, cell); boxes in neighbouring cells cover each other by about a half."""

OFFSET = (0.0, 0.37, -0.71, 1.13, -1.39, 0.83, 0.19)
"""Tracked boxes are off by so much in each cell, so that no two pairings are equally good."""


def frame(true: Cells, tracked: Cells) -> TrackedFrame:
    def boxes(cells: Cells, offset: tuple[float, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        left = np.array([10 * cell + offset[cell % 7] for _, cell in cells], np.float32).reshape(-1)
        return np.stack([left, 0 * left, left + 30, 0 * left + 30], axis=-1).astype(np.float32)

    def ids(cells: Cells) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        return np.array([i for i, _ in cells], np.int64)

    return TrackedFrame(boxes(true, (0.0,) * 7), ids(true), boxes(tracked, OFFSET), ids(tracked))


def overlap(true: int, tracked: int) -> float:
    both = max(0, 30 - abs(10 * (true - tracked) - OFFSET[tracked % 7]))
    return both / (60 - both)


def test_counts_made_by_hand() -> None:
    frames = [
        frame([(1, 0), (2, 20)], [(8, 0), (9, 20)]),
        frame([(1, 1), (2, 21)], [(8, 1), (9, 42)]),  # 2 missed, 9 false
        frame([(1, 2), (2, 22)], [(8, 2), (7, 22)]),  # 7 instead of 9: a switch
        frame([(1, 3)], [(8, 3)]),
    ]
    scores = score_tracks(frames)
    assert (scores.missed, scores.false, scores.switches, scores.true) == (1, 1, 1, 7)
    assert scores.mota == pytest.approx(1 - 3 / 7)
    assert scores.idf1 == pytest.approx(2 * (4 + 1) / (7 + 7))


def test_a_pair_stays_a_pair_while_it_overlaps_though_another_box_fits_better() -> None:
    frames = [frame([(1, 1)], [(8, 1)]), frame([(1, 1)], [(8, 2), (9, 1)])]
    scores = score_tracks(frames)
    assert (scores.switches, scores.false) == (0, 1)


def test_nothing_tracked_and_nothing_to_track() -> None:
    assert score_tracks([frame([(1, 0)], [])]).mota == 0
    assert score_tracks([]).idf1 == 0
    assert score_tracks([frame([], [(1, 0)])]).false == 1


cells = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 6)), max_size=3, unique_by=(lambda c: c[0], lambda c: c[1])
)


@given(frames=st.lists(st.tuples(cells, cells), max_size=4))
def test_idf1_equals_the_best_of_all_pairings(frames: list[tuple[Cells, Cells]]) -> None:
    best = 0
    for way in permutations(range(3)):
        agree = 0
        for true, tracked in frames:
            at = dict(tracked)
            agree += sum(way[i] in at and overlap(cell, at[way[i]]) >= 0.5 for i, cell in true)
        best = max(best, agree)
    total = sum(len(true) + len(tracked) for true, tracked in frames)
    assert score_tracks([frame(*f) for f in frames]).idf1 == pytest.approx(2 * best / max(total, 1))


@given(frames=st.lists(st.tuples(cells, cells), max_size=4))
def test_counts_equal_a_plain_loop(frames: list[tuple[Cells, Cells]]) -> None:
    history: list[tuple[int, int]] = []
    missed = false = switches = 0
    for true, tracked in frames:
        free_true, free_tracked = dict(true), dict(tracked)
        pairs = []
        for thing in list(free_true):
            track = next((k for t, k in reversed(history) if t == thing), -1)
            if track in free_tracked and overlap(free_true[thing], free_tracked[track]) >= 0.5:
                pairs.append((thing, track))
                del free_true[thing], free_tracked[track]
        pairs += best_pairs(free_true, free_tracked)
        missed += len(true) - len(pairs)
        false += len(tracked) - len(pairs)
        for thing, track in pairs:
            switches += next((k for t, k in reversed(history) if t == thing), track) != track
        history += pairs
    scores = score_tracks([frame(*f) for f in frames])
    assert (scores.missed, scores.false, scores.switches) == (missed, false, switches)


def best_pairs(things: dict[int, int], tracks: dict[int, int]) -> list[tuple[int, int]]:
    """The most pairs, and of these the largest sum of overlaps, by trying all."""
    slots = [*tracks, *[None] * len(things)]
    best: list[tuple[int, int]] = []
    for way in permutations(slots, len(things)):
        pairs = [(t, k) for t, k in zip(things, way, strict=True) if k is not None]
        pairs = [(t, k) for t, k in pairs if overlap(things[t], tracks[k]) >= 0.5]
        if value(pairs, things, tracks) > value(best, things, tracks):
            best = pairs
    return best


def value(pairs: list[tuple[int, int]], things: dict[int, int], tracks: dict[int, int]) -> tuple[int, float]:
    return len(pairs), round(sum(overlap(things[t], tracks[k]) for t, k in pairs), 6)
