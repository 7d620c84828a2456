"""Looks from time to time whether a stream that had no sound has got some.

A stream of sound that begins in the midst of a connection is not seen by the library that reads it; a new connection
would see it. So another one is made for a moment, ever more rarely, and where there is sound now the first one ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import av

from shopcue.errors import ShopcueError
from shopcue.sources.containers import audio_stream
from shopcue.sources.live.transport import Transport

PAUSES_S = (30.0, 60.0, 120.0, 240.0, 480.0, 960.0)


class Scout:
    """Looks for sound through transports that `make` gives, in a thread of its own, until there is some.

    found: whether there is. pauses_s: how long it waits before each look.
    """

    def __init__(self, make: Callable[[], Transport], pauses_s: Iterable[float] = PAUSES_S) -> None:
        self.found = False
        self._make, self._pauses_s = make, tuple(pauses_s)
        self._leaving = threading.Event()
        self._lock = threading.Lock()
        self._transport: Transport | None = None
        threading.Thread(target=self._run, name="shopcue-scout", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._leaving.set()
        with self._lock:
            if self._transport is not None:
                self._transport.cut()

    def _run(self) -> None:
        for pause_s in self._pauses_s:
            if self._leaving.wait(pause_s):
                return
            if self._look():
                self.found = True
                return

    def _look(self) -> bool:
        transport = self._make()
        with self._lock:
            self._transport = transport
        try:
            if self._leaving.is_set():
                return False
            with transport.open() as container:
                return audio_stream(container) is not None
        except (av.FFmpegError, OSError, ValueError, ShopcueError):
            return False
        finally:
            with self._lock:
                self._transport = None
            transport.close()
