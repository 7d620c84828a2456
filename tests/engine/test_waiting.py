"""The queue between reading and looking: what comes all at once is kept, what is late is let go."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopcue.engine.waiting import Arrived, Full, Note, Waiting
from shopcue.records import Frame

PICTURE = np.zeros((2, 2, 3), np.uint8)


def arrived(k: int, ago_s: float = 0.0) -> Arrived:
    return Arrived(Frame(float(k), PICTURE), time.monotonic() - ago_s)


def times(queue: Waiting) -> list[float]:
    queue.close()
    found = []
    while (item := queue.get()) is not None:
        if isinstance(item, Arrived):
            found.append(item.frame.time_s)
    return found


def test_a_segment_that_comes_all_at_once_is_looked_at_as_a_whole() -> None:
    queue = Waiting(40, 4.0, "drop")
    for k in range(20):
        queue.put(arrived(k))
    assert times(queue) == [float(k) for k in range(20)]
    assert queue.dropped == 0


def test_what_has_waited_for_too_long_is_dropped_but_for_the_newest() -> None:
    queue = Waiting(40, 4.0, "drop")
    queue.put(arrived(0, ago_s=9.0))
    first = queue.get()
    assert isinstance(first, Arrived), "it is late, and there is nothing newer"
    for k in range(1, 4):
        queue.put(arrived(k, ago_s=9.0 - k))
    queue.put(arrived(4))
    assert times(queue) == [4.0]
    assert queue.dropped == 3


def test_a_source_that_can_wait_loses_nothing() -> None:
    queue = Waiting(3, 0.0, "wait")

    def put_all() -> None:
        for k in range(20):
            queue.put(arrived(k, ago_s=60.0))

    thread = threading.Thread(target=put_all)
    thread.start()
    found: list[float] = []
    while len(found) < 20:
        item = queue.get()
        assert isinstance(item, Arrived)
        found.append(item.frame.time_s)
        assert len(queue) <= 3
    thread.join(10)
    assert found == [float(k) for k in range(20)]
    assert queue.dropped == 0


@given(st.lists(st.sampled_from(["frame", "note", "get"]), max_size=60), st.integers(1, 6))
@settings(max_examples=200, deadline=None)
def test_it_is_a_list_from_which_the_oldest_frames_go(steps: list[str], room: int) -> None:
    """Against a plain list: notes stay, frames beyond the room go, the oldest first, and each is counted."""
    queue, plain, dropped = Waiting(room, 1e6, "drop"), list[object](), 0
    for k, step in enumerate(steps):
        if step == "get" and plain:
            got = queue.get()
            assert (got.frame.time_s if isinstance(got, Arrived) else got) == plain.pop(0)
        elif step == "note":
            plain.append(Note("live", str(k)))
            queue.put(Note("live", str(k)))
        elif step == "frame":
            plain.append(float(k))
            queue.put(arrived(k))
            held = [each for each in plain if isinstance(each, float)]
            if len(held) > room:
                plain.remove(held[0])
                dropped += 1
    assert len(queue) == len(plain)
    assert queue.dropped == dropped


@pytest.mark.parametrize("full", ["drop", "wait"])
def test_whoever_waits_is_let_go_at_the_end(full: Full) -> None:
    queue = Waiting(1, 1.0, full)
    threading.Timer(0.2, queue.close).start()
    assert queue.get() is None
