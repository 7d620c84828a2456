"""How often someone may fail before the door stays shut for a while, and who need not stand in that queue."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable


class FailureLimit:
    """Counts the failures of each key in a sliding window.

    A key that failed `most` times within window_s is refused until the oldest of them is window_s ago. At most
    `most_keys` keys are remembered, those that failed last; so memory is bounded whoever comes.
    """

    def __init__(
        self,
        most: int,
        window_s: float,
        *,
        most_keys: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._window_s = window_s
        self._most_keys = most_keys
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, key: str) -> float:
        """Return for how many seconds `key` is still refused; 0 if it is not."""
        with self._lock:
            times = self._recent(key)
            return times[0] + self._window_s - self._clock() if len(times) >= self._most else 0.0

    def fail(self, key: str) -> None:
        """Note that `key` failed now."""
        with self._lock:
            times = self._recent(key)
            times.append(self._clock())
            self._failures[key] = times
            self._failures.move_to_end(key)
            while len(self._failures) > self._most_keys:
                self._failures.popitem(last=False)

    def _recent(self, key: str) -> deque[float]:
        """Return the failures of `key` that still count."""
        times = self._failures.get(key) or deque(maxlen=self._most)
        while times and times[0] <= self._clock() - self._window_s:
            times.popleft()
        return times


class KnownTokens:
    """Remembers by hash which tokens were good lately, so that strangers' failures never shut them out."""

    def __init__(self, most: int = 1_000) -> None:
        self._most = most
        self._hashes: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, text: str) -> bool:
        return _digest(text) in self._hashes

    def add(self, text: str) -> None:
        """Remember a token that was found good."""
        with self._lock:
            self._hashes[_digest(text)] = None
            self._hashes.move_to_end(_digest(text))
            while len(self._hashes) > self._most:
                self._hashes.popitem(last=False)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
