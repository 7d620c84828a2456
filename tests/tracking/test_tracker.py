"""Tracks of composed scenes whose things are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopcue.errors import RecordError, SettingsError
from shopcue.metrics.tracks import TrackedFrame, score_tracks
from shopcue.records import Detections, Floats, Indices
from shopcue.tracking.association import Likeness
from shopcue.tracking.tracker import UNTRACKED, State, Tracker

DIM = 32


def looks(count: int, seed: int = 0) -> Floats:
    """Unit vectors of things that look nothing like each other."""
    rng = np.random.default_rng(seed)
    return np.linalg.qr(rng.normal(size=(DIM, count)))[0].T.astype(np.float32)


def seen(
    time_s: float,
    boxes: Sequence[Sequence[float]],
    vectors: Floats,
    *,
    classes: Sequence[int] | None = None,
    scores: Sequence[float] | None = None,
) -> Detections:
    count = len(boxes)
    return Detections(
        time_s,
        boxes=np.array(boxes, np.float32).reshape(count, 4),
        scores=np.array(scores if scores is not None else [0.9] * count, np.float32),
        classes=np.array(classes if classes is not None else [5] * count, np.int64),
        quality=np.ones((count, 3), np.float32),
        vectors=vectors[:count],
    )


def box(x: float, y: float = 100, side: float = 80) -> list[float]:
    return [x, y, x + side, y + side]


A, B, C = looks(3)


def one(time_s: float, x: float, vector: Floats = A, *, coarse_class: int = 5, score: float = 0.9) -> Detections:
    return seen(time_s, [box(x)], vector[None], classes=[coarse_class], scores=[score])


def test_a_thing_keeps_its_id_and_is_confirmed_by_its_second_sight() -> None:
    tracker = Tracker()
    assert tracker.update(one(0.0, 100)).tolist() == [0]
    assert tracker.states == {0: State.TENTATIVE}
    assert tracker.update(one(0.5, 130)).tolist() == [0]
    assert tracker.states == {0: State.CONFIRMED}


def test_things_that_cross_keep_their_ids() -> None:
    tracker = Tracker()
    both = np.stack([A, B])
    for k in range(21):
        ids = tracker.update(seen(k / 4, [box(20 * k), box(400 - 20 * k)], both))
        assert ids.tolist() == [0, 1], f"at frame {k}"


def test_where_a_thing_is_counts_when_its_look_changes_and_its_look_when_it_jumps() -> None:
    tracker = Tracker()
    turned = (0.4 * A + np.sqrt(0.84) * C).astype(np.float32)  # cosine .4: too little for another place
    tracker.update(one(0.0, 100))
    assert tracker.update(one(0.5, 105, turned)).tolist() == [0], "in place"
    tracker = Tracker()
    tracker.update(one(0.0, 100))
    assert tracker.update(one(0.5, 600, turned)).tolist() == [1], "elsewhere"
    tracker = Tracker()
    tracker.update(one(0.0, 100))
    assert tracker.update(one(0.5, 600, A)).tolist() == [0], "elsewhere, but the same look"


def test_another_thing_in_the_same_place_is_another_thing() -> None:
    tracker = Tracker()
    tracker.update(one(0.0, 100, A))
    assert tracker.update(one(0.5, 100, B)).tolist() == [1]


def test_another_class_wants_a_greater_likeness_and_most_votes_count() -> None:
    turned = (0.25 * A + np.sqrt(1 - 0.0625) * C).astype(np.float32)
    for coarse_class, wanted in ((5, 0), (2, 1)):
        tracker = Tracker(likeness=Likeness(in_place=0.1, other_class=0.3))
        tracker.update(one(0.0, 100, A))
        assert tracker.update(one(0.5, 100, turned, coarse_class=coarse_class)).tolist() == [wanted]
    tracker = Tracker(likeness=Likeness(in_place=0.1, other_class=0.3))
    tracker.update(one(0.0, 100, A))
    assert tracker.update(one(0.5, 100, A, coarse_class=2)).tolist() == [0], "a slip of the detector"
    tracker.update(one(1.0, 100, A))
    assert tracker.update(one(1.5, 100, turned)).tolist() == [0], "it is still what it mostly was"
    assert tracker.update(one(2.0, 100, B, coarse_class=2)).tolist() == [1]


def test_after_a_cut_looks_decide() -> None:
    tracker = Tracker()
    tracker.update(seen(0.0, [box(0), box(200), box(400)], np.stack([A, B, C])))
    after = seen(0.5, [box(30, 500, 200), box(300, 500, 200), box(700, 500, 200)], np.stack([C, A, B]))
    assert tracker.update(after).tolist() == [2, 0, 1]


def test_a_lost_thing_is_found_by_its_look_until_it_has_ended() -> None:
    tracker = Tracker(lost_after_s=1.0, max_lost_s=10.0)
    for k in range(4):
        tracker.update(one(k / 2, 100))
    tracker.update(seen(4.0, [], looks(1)))
    assert tracker.states == {0: State.LOST}
    assert tracker.update(one(9.0, 100, B)).tolist() == [1], "the place of a lost thing says nothing"
    assert tracker.update(one(10.0, 900)).tolist() == [0]
    assert tracker.update(one(20.1, 900)).tolist() == [2], "10.1 s later"
    assert set(tracker.states) == {2}


def test_a_short_miss_does_not_lose_a_thing() -> None:
    tracker = Tracker()
    tracker.update(one(0.0, 100))
    tracker.update(one(0.4, 110))
    tracker.update(seen(0.8, [], looks(1)))
    turned = (0.5 * A + np.sqrt(0.75) * C).astype(np.float32)
    assert tracker.update(one(1.2, 120, turned)).tolist() == [0]


def test_weak_detections_continue_what_is_in_view_and_start_nothing() -> None:
    tracker = Tracker(sure_score=0.5, weak_score=0.2)
    assert tracker.update(one(0.0, 100, score=0.3)).tolist() == [UNTRACKED]
    tracker.update(one(0.5, 100))
    assert tracker.update(one(1.0, 105, score=0.3)).tolist() == [UNTRACKED], "tentative: not yet"
    assert tracker.update(one(1.5, 105)).tolist() == [0]
    assert tracker.update(one(2.0, 110, score=0.3)).tolist() == [0]
    assert tracker.update(one(2.5, 110, score=0.1)).tolist() == [UNTRACKED]


def test_sure_detections_choose_first() -> None:
    tracker = Tracker()
    for k in range(2):
        tracker.update(one(k / 2, 100))
    pair = seen(1.0, [box(100), box(130)], np.stack([A, A]), scores=[0.4, 0.9])
    assert tracker.update(pair).tolist() == [UNTRACKED, 0], "though the weak one fits better"


def test_a_tentative_track_ends_soon_and_ids_are_never_used_twice() -> None:
    tracker = Tracker(lost_after_s=1.0)
    tracker.update(one(0.0, 100))
    assert tracker.update(one(1.5, 100)).tolist() == [1]
    assert set(tracker.states) == {1}


def test_what_is_no_number_is_left_alone() -> None:
    bad = seen(0.0, [box(0), [np.nan, 0, 1, 1], box(200)], np.stack([A, B, np.full(DIM, np.inf, np.float32)]))
    tracker = Tracker()
    assert tracker.update(bad).tolist() == [0, UNTRACKED, UNTRACKED]
    assert tracker.update(one(0.5, 10)).tolist() == [0]


def test_time_goes_on() -> None:
    tracker = Tracker()
    tracker.update(one(1.0, 100))
    with pytest.raises(RecordError, match=r"at 1.0 s came after those at 1.0 s"):
        tracker.update(one(1.0, 100))


@pytest.mark.parametrize(
    "wrong",
    [{"weak_score": 0.9}, {"sure_score": 1.5}, {"lost_after_s": 0.0}, {"max_lost_s": 0.5}, {"confirm_hits": 0}],
)
def test_settings_say_what_they_want(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="expected"):
        Tracker(**wrong)  # type: ignore[arg-type]


def test_memory_is_bounded_however_long_the_stream() -> None:
    tracker = Tracker(max_tracks=20, max_lost_s=1e9, confirm_hits=1)
    rng = np.random.default_rng(0)
    for k in range(300):
        vectors = rng.normal(size=(3, DIM)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        tracker.update(seen(k / 3, [box(x) for x in rng.uniform(0, 5000, 3)], vectors))
        assert len(tracker.states) <= 20
    assert max(tracker.states) > 500, "things came and went"


# ---- whole scenes ----------------------------------------------------------------------------------------------


def scene(seed: int, frames: int = 80) -> list[tuple[Detections, Indices]]:
    """Six things that wander, come, go and are missed, at uneven times, with cuts: detections and the true things."""
    rng = np.random.default_rng(seed)
    own = looks(6, seed)
    place, speed = rng.uniform(0, 900, (6, 2)), rng.normal(size=(6, 2)) * 60
    shown = rng.random(6) < 0.7
    time_s, made = 0.0, []
    for k in range(frames):
        dt = float(rng.uniform(0.2, 0.7))
        time_s += dt
        speed += rng.normal(size=(6, 2)) * 30
        place = place + speed * dt
        if k % 25 == 24:  # a cut: everything is elsewhere
            place = rng.uniform(0, 900, (6, 2))
        shown ^= rng.random(6) < 0.04
        things = rng.permutation(np.flatnonzero(shown & (rng.random(6) > 0.08)))
        corner = place[things] + rng.normal(size=(len(things), 2)) * 3
        vectors = own[things] + 0.06 * rng.normal(size=(len(things), DIM))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        scores = rng.uniform(0.55, 1, len(things))
        boxes = np.hstack([corner, corner + 120])
        made.append((seen(time_s, boxes.tolist(), vectors.astype(np.float32), scores=scores.tolist()), things))
    return made


@pytest.mark.parametrize("seed", range(5))
def test_every_thing_of_a_scene_has_one_id(seed: int) -> None:
    tracker = Tracker(
        likeness=Likeness(apart=0.7), max_lost_s=60.0, confirm_hits=1
    )  # no detection of the scene is false
    frames = []
    for detections, things in scene(seed):
        ids = tracker.update(detections)
        frames.append(TrackedFrame(detections.boxes, things, detections.boxes, ids))
    scores = score_tracks(frames)
    assert scores.true > 150
    assert (scores.idf1, scores.mota, scores.switches) == (1.0, 1.0, 0)


@given(data=st.data())
def test_the_order_of_detections_makes_no_difference(data: st.DataObject) -> None:
    """Even where many detections tie: values are drawn from a few."""
    one_way, other_way = Tracker(), Tracker()
    vectors = looks(2)
    for k in range(data.draw(st.integers(1, 5))):
        rows = data.draw(
            st.lists(
                st.tuples(
                    st.sampled_from([0.0, 40.0, 300.0]),
                    st.sampled_from([0.3, 0.9]),
                    st.sampled_from([0, 5]),
                    st.sampled_from([0, 1]),
                ),
                max_size=5,
            )
        )
        way = data.draw(st.permutations(range(len(rows))))
        first, second = (
            one_way.update(as_detections(k, rows, vectors)),
            other_way.update(as_detections(k, [rows[i] for i in way], vectors)),
        )
        # Detections that are equal in everything may swap ids: compare what is said, not of which copy.
        assert sorted(zip(rows, first.tolist(), strict=True)) == sorted(
            zip([rows[i] for i in way], second.tolist(), strict=True)
        )


def as_detections(k: int, rows: list[tuple[float, float, int, int]], vectors: Floats) -> Detections:
    picked = vectors[[row[3] for row in rows]] if rows else vectors
    return seen(
        k / 2, [box(row[0]) for row in rows], picked, scores=[row[1] for row in rows], classes=[row[2] for row in rows]
    )
