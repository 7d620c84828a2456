"""Work that a server does again and again beside the API, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)

_PATIENCE_S = 2.0


class Rounds:
    """Does a round of work every so many seconds, the first at once, until it is stopped.

    name: of the thread. A round that fails is logged, and the next one is done all the same.
    """

    def __init__(self, work: Callable[[], object], every_s: float, name: str) -> None:
        self._work, self._every_s = work, every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def stopping(self) -> bool:
        """Whether the present round is the last."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Begin, with a first round at once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the present round, which is waited for up to two seconds."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._work()
            except Exception:  # whatever it is, the next round may do better
                _log.exception("a round of %s failed", self._thread.name)
            self._stopping.wait(self._every_s)
