"""The short queue between the thread that reads a stream and the thread that looks."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Literal

from shopcue.records import Frame

State = Literal["starting", "live", "reconnecting", "stopped", "failed"]

Full = Literal["drop", "wait"]
"""What happens when the queue is full: `drop` the oldest frame, or let the source `wait`, as only a file can."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A frame, and when it came, in seconds of the monotonic clock."""

    frame: Frame
    at_s: float


@dataclass(frozen=True, slots=True)
class Note:
    """A change of state, in order with the frames."""

    state: State
    problem: str = ""


class Waiting:
    """A bounded queue of frames, and of notes between them.

    room: how many frames wait at most. patience_s: how long one waits at most, if newer ones wait behind it: so a
    segment that comes all at once is looked at as a whole, and a looker who is too slow is never further behind. Only
    with `drop`: where the source can wait, all are looked at.
    """

    def __init__(self, room: int, patience_s: float, full: Full) -> None:
        self.dropped = 0
        self._room, self._patience_s, self._full = room, patience_s, full
        self._items: deque[Arrived | Note] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Arrived | Note) -> None:
        """Add an item. Notes are few and are never dropped."""
        with self._changed:
            while self._full == "wait" and len(self._items) >= self._room and not self._closed:
                self._changed.wait()
            self._items.append(item)
            self._drop()
            self._changed.notify_all()

    def get(self) -> Arrived | Note | None:
        """Return the oldest item, waiting for one; None when the queue is closed and empty."""
        with self._changed:
            while not self._items and not self._closed:
                self._changed.wait()
            self._drop()
            self._changed.notify_all()
            return self._items.popleft() if self._items else None

    def close(self) -> None:
        """Let those who wait go: nothing comes any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _drop(self) -> None:
        """Let go of the oldest frames where there are too many, or they have waited for too long."""
        if self._full == "wait":
            return
        frames = [n for n, each in enumerate(self._items) if isinstance(each, Arrived)]
        now_s = time.monotonic()
        late = [n for n in frames[:-1] if now_s - self._at_s(n) > self._patience_s]
        for n in reversed(frames[: max(len(late), len(frames) - self._room)]):
            del self._items[n]
            self.dropped += 1

    def _at_s(self, n: int) -> float:
        item = self._items[n]
        assert isinstance(item, Arrived)
        return item.at_s
