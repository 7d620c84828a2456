"""Tracklets hold what was tracked, all of it, once, and come out in time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopcue.errors import SettingsError
from shopcue.records import Detections, Tracklet
from shopcue.tracking.assembly import Assembler

Sights = list[list[int]]
"""For each frame the track ids of its detections, -1 for none."""


def frame(k: int, ids: list[int]) -> Detections:
    """Detections that say in every field which frame and which detection they are."""
    rng = np.random.default_rng(k)
    count = len(ids)
    boxes = np.array([[k, n, k + 10, n + 10] for n in range(count)], np.float32).reshape(count, 4)
    scores, quality = rng.random(count, np.float32), rng.random((count, 3), np.float32)
    vectors = rng.random((count, 4), np.float32)
    return Detections(k / 4, boxes, scores, np.array([max(0, i) % 6 for i in ids], np.int64), quality, vectors)


def assemble(sights: Sights, **settings: float) -> list[Tracklet]:
    assembler = Assembler(**settings)  # type: ignore[arg-type]
    out = []
    for k, ids in enumerate(sights):
        alive = {i for later in sights[k:] for i in later}
        out += assembler.update(frame(k, ids), np.array(ids, np.int64), alive)
    return out + assembler.finish()


sights = st.lists(st.lists(st.integers(-1, 3), max_size=4, unique_by=lambda i: i if i >= 0 else object()), max_size=12)


@given(sights=sights, most=st.integers(1, 5))
def test_nothing_is_lost_and_nothing_comes_twice(sights: Sights, most: int) -> None:
    tracklets = assemble(sights, max_sights=most, min_sights=1)
    assert all(len(tracklet.times_s) <= most for tracklet in tracklets)
    for track_id in range(4):
        mine = [tracklet for tracklet in tracklets if tracklet.tracklet_id == track_id]
        wanted = [(k, ids.index(track_id)) for k, ids in enumerate(sights) if track_id in ids]
        for name in ("boxes", "scores", "quality", "vectors"):
            got = [row for tracklet in mine for row in getattr(tracklet, name)]
            expected = [getattr(frame(k, sights[k]), name)[n] for k, n in wanted]
            np.testing.assert_array_equal(np.array(got), np.array(expected))
        assert [t for tracklet in mine for t in tracklet.times_s.tolist()] == [k / 4 for k, _ in wanted]
        assert all(tracklet.coarse_class == track_id for tracklet in mine)


def test_a_tracklet_comes_out_when_its_track_ends_and_pieces_of_it_before() -> None:
    assembler = Assembler(piece_s=1.0)
    came: list[tuple[int, int]] = []
    for k in range(8):
        done = assembler.update(frame(k, [7]), np.array([7]), {7})
        came += [(k, len(tracklet.times_s)) for tracklet in done]
    assert came == [(4, 5)], "5 sights last 1 s"
    done = assembler.update(frame(8, []), np.array([], np.int64), {})
    assert [len(tracklet.times_s) for tracklet in done] == [3]
    assert assembler.finish() == []


def test_the_class_of_a_tracklet_is_what_most_of_its_sights_were_taken_for() -> None:
    assembler = Assembler()
    for k, coarse_class in enumerate([1, 3, 3]):
        seen = replace(frame(k, [0]), classes=np.array([coarse_class]))
        assembler.update(seen, np.array([0]), {0})
    assert [tracklet.coarse_class for tracklet in assembler.finish()] == [3]


def test_what_was_seen_once_was_a_mistake_but_the_rest_of_a_long_track_is_not() -> None:
    assert [t.tracklet_id for t in assemble([[0], [1], [1]])] == [1]
    assert [len(t.times_s) for t in assemble([[0], [0], [0]], max_sights=2)] == [2, 1]


def test_bounds_say_what_they_want() -> None:
    with pytest.raises(SettingsError, match="min_sights 5 and max_sights 4"):
        Assembler(min_sights=5, max_sights=4)
