"""One pair of ears for all streams: speech is recognised beside the pictures, and never at their cost."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from shopcue.errors import ShopcueError
from shopcue.listening import Listener
from shopcue.records import AudioChunk, Utterance

_log = logging.getLogger(__name__)

_SEAM_S = 0.1


@dataclass(slots=True)
class _Ear:
    """What one stream has said that nobody has listened to yet, and what was heard of it."""

    listener: Listener | None = None
    sound: deque[AudioChunk] = field(default_factory=deque)
    heard: deque[Utterance] = field(default_factory=deque)
    lost_s: float = 0.0
    ended: bool = False  # nothing comes any more
    done: bool = False  # and all of it was listened to

    @property
    def calls(self) -> bool:
        """Whether there is something to be done for it."""
        return bool(self.sound) or (self.ended and not self.done)

    @property
    def waiting_s(self) -> float:
        """How much sound waits, in seconds."""
        return sum(chunk.end_s - chunk.start_s for chunk in self.sound)


class Ears:
    """Recognises the speech of many streams in one thread of low priority, in turn.

    listener: makes the listener of a new stream. share: of the time that the thread may work, so that pictures always
    have the rest. backlog_s: so much sound of a stream may wait; where recognition is slower than speech for long, the
    oldest is lost, and counted.
    """

    def __init__(self, listener: Callable[[str], Listener], *, share: float = 0.5, backlog_s: float = 120.0) -> None:
        self._listener, self._share, self._backlog_s = listener, share, backlog_s
        self._ears: dict[str, _Ear] = {}
        self._came = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="shopcue-ears", daemon=True)
        self._thread.start()

    def hear(self, stream: str, chunk: AudioChunk) -> None:
        """Take the next sound of a stream; returns at once."""
        with self._came:
            ear = self._ears.setdefault(stream, _Ear())
            ear.sound.append(chunk)
            while ear.waiting_s > self._backlog_s and len(ear.sound) > 1:
                lost = ear.sound.popleft()
                ear.lost_s += lost.end_s - lost.start_s
            self._came.notify()

    def said(self, stream: str) -> list[Utterance]:
        """Return what was heard of a stream since the last call."""
        with self._came:
            ear = self._ears.get(stream)
            if ear is None:
                return []
            heard = list(ear.heard)
            ear.heard.clear()
            return heard

    def finish(self, stream: str, patience_s: float) -> list[Utterance]:
        """Listen to what waits of a stream that has ended, for patience_s at most, and return what was still heard."""
        with self._came:
            ear = self._ears.get(stream)
            if ear is not None:
                ear.ended = True
                self._came.notify_all()
                self._came.wait_for(lambda: ear.done or self._closed, patience_s)
        return self.said(stream)

    def lost_s(self, stream: str) -> float:
        """Return how many seconds of a stream were never listened to."""
        ear = self._ears.get(stream)
        return ear.lost_s if ear is not None else 0.0

    def forget(self, stream: str) -> None:
        """Let go of a stream that has ended."""
        with self._came:
            self._ears.pop(stream, None)

    def close(self) -> None:
        """End the thread after what it is at."""
        with self._came:
            self._closed = True
            self._came.notify_all()
        self._thread.join()

    def _run(self) -> None:
        with suppress(OSError, AttributeError):  # not every system lets a thread have a priority of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        while (turn := self._next()) is not None:
            name, ear, chunk = turn
            began_s = time.monotonic()
            heard = self._listen(name, ear, chunk)
            with self._came:
                ear.heard.extend(heard)
                if chunk is None:
                    ear.done = True
                    self._came.notify_all()
            self._rest(time.monotonic() - began_s)

    def _listen(self, name: str, ear: _Ear, chunk: AudioChunk | None) -> list[Utterance]:
        """Return what is heard in a piece of sound, or, where there is none, at the end of all sound."""
        try:
            if chunk is None:
                return ear.listener.finish() if ear.listener is not None else []
            ear.listener = ear.listener or self._listener(name)
            return ear.listener.update(chunk)
        except ShopcueError as error:
            _log.warning("a piece of sound cannot be heard: %s", error)
        except Exception:  # one stream's sound must not make all others deaf
            _log.exception("a piece of sound cannot be heard, by a fault of ours")
        return []

    def _next(self) -> tuple[str, _Ear, AudioChunk | None] | None:
        """Return the sound of the stream whose turn it is, joined, or its end; None when closed."""
        with self._came:
            while not self._closed and not any(ear.calls for ear in self._ears.values()):
                self._came.wait()
            if self._closed:
                return None
            name = next(name for name, ear in self._ears.items() if ear.calls)
            ear = self._ears[name] = self._ears.pop(name)  # behind all others
            return name, ear, _joined(ear.sound) if ear.sound else None

    def _rest(self, worked_s: float) -> None:
        with self._came:
            if not self._closed:
                self._came.wait_for(lambda: self._closed, worked_s * (1 / self._share - 1))


def _joined(sound: deque[AudioChunk]) -> AudioChunk:
    """Take the chunks from the front that are one sound, as one chunk."""
    first = sound.popleft()
    parts, end_s = [first.samples], first.end_s
    while sound and abs(sound[0].start_s - end_s) <= _SEAM_S and sound[0].rate_hz == first.rate_hz:
        parts.append(sound[0].samples)
        end_s = sound.popleft().end_s
    return AudioChunk(first.start_s, np.concatenate(parts), first.rate_hz)
