"""The short queue between the thread that reads a stream and the thread that looks."""

from __future__ import annotations

import threading
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
    """A bounded queue of frames, and of notes between them. room: how many frames wait at most."""

    def __init__(self, room: int, full: Full) -> None:
        self.dropped = 0
        self._room, self._full = room, full
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
            frames = [n for n, each in enumerate(self._items) if isinstance(each, Arrived)]
            if len(frames) > self._room:
                del self._items[frames[0]]
                self.dropped += 1
            self._changed.notify_all()

    def get(self) -> Arrived | Note | None:
        """Return the oldest item, waiting for one; None when the queue is closed and empty."""
        with self._changed:
            while not self._items and not self._closed:
                self._changed.wait()
            self._changed.notify_all()
            return self._items.popleft() if self._items else None

    def close(self) -> None:
        """Let those who wait go: nothing comes any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
