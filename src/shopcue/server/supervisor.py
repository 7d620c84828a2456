"""Keeps the worker processes of a server alive: starts them, starts anew those that die, and stops them all.

Each worker holds the reading end of a pipe from this process. When this process is gone, however it went, the pipe is
closed, and the workers put their work back and leave; so none is ever left over beside those of the next start.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from shopcue.server.settings import ServerSettings

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.2
_STEADY_S = 30.0  # a worker that lived so long died of something new
_LONGEST_PAUSE_S = 30.0
_KILL_AFTER_S = 4.0

JOBS, STREAMS = "jobs", "streams"

Command = Callable[[str], Sequence[str]]
"""Returns the command line of a worker of a kind."""


@dataclass(slots=True)
class _Place:
    """A worker that is to be there. due_s: when it is started (anew), on the monotonic clock."""

    kind: str
    process: subprocess.Popen[bytes] | None = None
    born_s: float = 0.0
    due_s: float = 0.0
    deaths: int = 0


class Supervisor:
    """The workers of a server: as many for jobs as its settings say, and one for all its live streams.

    command: how a worker is started, for tests.
    """

    def __init__(self, settings: ServerSettings, command: Command | None = None) -> None:
        self._settings = settings
        self._command = command or self._worker
        kinds = [JOBS] * settings.workers + [STREAMS] * bool(settings.workers)
        self._places = [_Place(kind) for kind in kinds]
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._keep_alive, name="shopcue-supervisor", daemon=True)

    def start(self) -> None:
        """Start the workers; those that cannot be started are tried again later."""
        self._watch.start()

    def alive(self) -> int:
        """Return how many workers run."""
        running = (place.process for place in self._places)
        return sum(process is not None and process.poll() is None for process in running)

    def stop(self) -> None:
        """Ask the workers to put their work back and leave, and wait; after 4 s they are killed."""
        self._stopping.set()
        if self._watch.is_alive():
            self._watch.join()
        running = [place.process for place in self._places if place.process is not None]
        for process in running:
            process.terminate()
        deadline_s = time.monotonic() + _KILL_AFTER_S
        for process in running:
            try:
                process.wait(max(0.0, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                _log.warning("worker %d did not leave when asked, and is killed", process.pid)
                process.kill()
                process.wait()
            _let_go(process)

    def _worker(self, kind: str) -> list[str]:
        settings = self._settings
        private = ["--allow-private"] if settings.allow_private else []
        kept = ["--keep-hours", str(settings.keep_hours), "--keep-gib", str(settings.keep_gib)]
        module = [sys.executable, "-m", "shopcue.server.worker"]
        return [*module, "--data", str(settings.data), "--kind", kind, "--lifeline", *private, *kept]

    def _keep_alive(self) -> None:
        while not self._stopping.is_set():
            for place in self._places:
                self._look_after(place)
            self._stopping.wait(_LOOK_EVERY_S)

    def _look_after(self, place: _Place) -> None:
        now_s = time.monotonic()
        if place.process is not None and place.process.poll() is not None:
            place.deaths = 1 if now_s - place.born_s > _STEADY_S else place.deaths + 1
            pause_s = min(2.0 ** min(place.deaths - 1, 10) - 1, _LONGEST_PAUSE_S)
            _log.warning(
                "worker %d for %s ended with %d, the next starts in %g s",
                place.process.pid,
                place.kind,
                place.process.returncode,
                pause_s,
            )
            _let_go(place.process)
            place.process, place.due_s = None, now_s + pause_s
        if place.process is None and now_s >= place.due_s:
            self._begin(place)

    def _begin(self, place: _Place) -> None:
        # What may hold a password goes by the environment: command lines can be read by everybody on the machine.
        addresses = {"SHOPCUE_DATABASE": self._settings.database, "SHOPCUE_STORE": self._settings.store}
        place.born_s = time.monotonic()
        try:
            place.process = subprocess.Popen(  # noqa: S603 - our own module
                self._command(place.kind),
                stdin=subprocess.PIPE,
                env=os.environ | addresses,
                start_new_session=True,  # Ctrl-C in a terminal is for the server, which then stops them in order
            )
        except OSError as error:
            _log.error("a worker for %s cannot be started: %s", place.kind, error)
            place.due_s = place.born_s + _LONGEST_PAUSE_S


def _let_go(process: subprocess.Popen[bytes]) -> None:
    """Close our end of a worker's pipe."""
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
