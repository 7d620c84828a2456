"""One worker process: takes jobs under a lease, does them, and says how far they are.

`python -m shopcue.server.worker --data DIR --kind jobs|streams`. A server starts its own; more may be started by hand,
also on other machines that share its folder and its database. Whatever a worker dies of, another one goes on with its
job when the lease has run out.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from shopcue.database import Database, jobs, open_database
from shopcue.database.tables import Job
from shopcue.errors import Missing, ShopcueError
from shopcue.server.settings import KEEP_GIB, KEEP_HOURS, ServerSettings
from shopcue.server.supervisor import JOBS, STREAMS
from shopcue.server.work.imports import import_products
from shopcue.server.work.match import match
from shopcue.server.work.place import Outcome, Place, Update
from shopcue.server.work.reindex import reindex

_log = logging.getLogger(__name__)

LEASE_S = 15.0
_BEAT_EVERY_S = 0.5  # so often progress is written, and a wish to cancel is heard
_LOOK_EVERY_S = 0.5
PATIENCE_S = 20.0  # work that does not listen for so long is ended with its process
_LEAVE_S = 4.0
_DATABASE_PAUSE_S = 5.0

Work = Callable[[Job, Place, Update], Outcome]

WORKS: Mapping[str, Work] = MappingProxyType({"match": match, "import": import_products, "reindex": reindex})
"""How each kind of job is done."""


class Stopped(BaseException):
    """Ends work from within `update`, past whatever errors it catches. why: cancel, lost (its lease), or leave."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Heartbeat:
    """Keeps the lease of a job while it is done, tells how far it is, and hears when it is to end.

    leaving: set when the worker is to leave. abandon: called when the work has not listened for patience_s.
    """

    def __init__(
        self,
        database: Database,
        job_id: str,
        worker: str,
        leaving: threading.Event,
        abandon: Callable[[], None],
        *,
        lease_s: float = LEASE_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._database, self._job_id, self._worker = database, job_id, worker
        self._leaving, self._abandon = leaving, abandon
        self._lease_s, self._patience_s = lease_s, patience_s
        self._progress = ("", 0.0, 0.0)
        self._why = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="shopcue-heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def update(self, stage: str, done: float, total: float) -> None:
        """Take how far the work is; raises Stopped when it is to end."""
        self._progress = (stage, float(done), float(total))
        if why := self._reason():
            raise Stopped(why)

    def _reason(self) -> str:
        return self._why or ("leave" if self._leaving.is_set() else "")

    def _beat(self) -> None:
        told, kept_s, listened_s = self._progress, time.monotonic(), time.monotonic()
        while not self._over.wait(_BEAT_EVERY_S):
            now_s = time.monotonic()
            if not self._reason():
                listened_s = now_s
            elif now_s - listened_s > self._patience_s:
                self._abandon()
            progress = self._progress
            try:
                if progress != told or now_s - kept_s > self._lease_s / 3:
                    self._why = self._tell(progress)
                    told, kept_s = progress, now_s
                else:
                    self._why = self._ask()
            except SQLAlchemyError as error:
                _log.warning("job %s: the database does not answer: %s", self._job_id, _first_line(error))
                if now_s - kept_s > self._lease_s:
                    self._why = "lost"

    def _tell(self, progress: tuple[str, float, float]) -> str:
        with self._database.write() as session:
            word = jobs.beat_job(session, self._job_id, self._worker, *progress, self._lease_s)
        return "" if word == "go" else word

    def _ask(self) -> str:
        """Return why the work is to end, without writing: that costs a sync of the disk."""
        try:
            with self._database.read() as session:
                job = jobs.get_job(session, self._job_id)
        except Missing:
            return "lost"
        if job.state != "running" or job.worker != self._worker:
            return "lost"
        return "cancel" if job.cancel_asked else ""


class Worker:
    """Does one job after the other.

    place: where and with what. leaving: set when it is to leave; a job that it is at is put back. works: how each kind
    of job is done. abandon: ends a job that has not listened for patience_s, and with it this process.
    """

    def __init__(
        self,
        place: Place,
        leaving: threading.Event,
        works: Mapping[str, Work] = WORKS,
        *,
        lease_s: float = LEASE_S,
        patience_s: float = PATIENCE_S,
        abandon: Callable[[], None] | None = None,
    ) -> None:
        self._place, self._database, self._leaving, self._works = place, place.database, leaving, works
        self._times = {"lease_s": lease_s, "patience_s": patience_s}
        self._abandon = abandon or _die
        # No other worker ever had it: a process id comes again, and so does the name of a container.
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"

    def run(self) -> None:
        """Work until it is time to leave."""
        while not self._leaving.is_set():
            try:
                if not self.work_once():
                    self._leaving.wait(_LOOK_EVERY_S)
            except SQLAlchemyError as error:
                _log.warning("the database does not answer: %s", _first_line(error))
                self._leaving.wait(_DATABASE_PAUSE_S)

    def work_once(self) -> bool:
        """Do the next job, if there is one, and return whether there was."""
        with self._database.write() as session:
            job = jobs.claim_job(session, self.name, list(self._works), self._times["lease_s"])
        if job is None:
            return False
        began_s = time.monotonic()
        _log.info("job %s: %s of %s, attempt %d", job.job_id, job.kind, job.shop, job.attempts)
        state = self._do(job)
        _log.info("job %s: %s after %.1f s", job.job_id, state, time.monotonic() - began_s)
        return True

    def _do(self, job: Job) -> str:
        """Do a job and return what became of it."""
        heart = Heartbeat(self._database, job.job_id, self.name, self._leaving, self._abandon, **self._times)
        try:
            with heart:
                outcome = self._works[job.kind](job, self._place, heart.update)
            return self._finish(job, outcome)
        except Stopped as stopped:
            return self._stop(job, stopped.why)
        except ShopcueError as error:
            return self._end(job, "failed", self._without_folder(str(error)))
        except (InterfaceError, OperationalError):
            raise  # nobody's fault: the lease runs out, and the job is tried again
        except Exception as error:
            _log.exception("job %s", job.job_id)
            return self._end(job, "failed", _fault(error))

    def _finish(self, job: Job, outcome: Outcome) -> str:
        with self._database.write() as session:
            if not jobs.finish_job(session, job.job_id, self.name, "done", result=outcome.result):
                return "lost"
            outcome.settle(session)
        outcome.tidy()
        return "done"

    def _stop(self, job: Job, why: str) -> str:
        if why == "cancel":
            return self._end(job, "cancelled", "")
        if why == "leave":
            with self._database.write() as session:
                jobs.release_job(session, job.job_id, self.name)
            return "put back"
        return why

    def _end(self, job: Job, state: str, error: str) -> str:
        with self._database.write() as session:
            ended = jobs.finish_job(session, job.job_id, self.name, state, error=error)
        return f"{state} ({error})" if ended and error else state if ended else "lost"

    def _without_folder(self, line: str) -> str:
        """Return a message without the place of the server's folder: where it lies is not the user's business."""
        data = self._place.settings.data
        for folder in (str(data.absolute()), str(data)):
            line = line.replace(f"{folder}{os.sep}", "")
        return line


def _fault(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the server's disk is full; make room there, then try again"
    return f"a fault of ours ({type(error).__name__}), the server's log says more"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _die() -> None:
    _log.error("the job does not listen: the worker ends with it")
    os._exit(3)


# ---- the process -------------------------------------------------------------------------------------------------


def _leave_with_server(leaving: threading.Event) -> None:
    """Wait until the server at the other end of our input is gone, then leave."""
    # Not sys.stdin, whose lock would be held when the interpreter ends.
    while os.read(sys.__stdin__.fileno() if sys.__stdin__ is not None else 0, 1024):
        pass
    leaving.set()
    time.sleep(_LEAVE_S)
    os._exit(1)


@contextmanager
def alone(path: Path, leaving: threading.Event) -> Iterator[None]:
    """Hold the lock of a file, once no other process of this machine holds it or `leaving` is set.

    A stream must not be followed twice: by two servers on one folder, or by the worker of one that was just killed.
    """
    with path.open("ab") as file:
        while not leaving.is_set():
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                leaving.wait(_LOOK_EVERY_S)
        yield


def _settings(arguments: Sequence[str] | None) -> tuple[ServerSettings, str, bool]:
    parser = argparse.ArgumentParser(prog="python -m shopcue.server.worker", description="A worker of a server.")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the folder of the server")
    parser.add_argument("--kind", choices=(JOBS, STREAMS), default=JOBS, help="what it works at")
    parser.add_argument("--allow-private", action="store_true", help="fetch from private addresses too")
    parser.add_argument("--keep-hours", type=float, default=KEEP_HOURS, help="of each stream")
    parser.add_argument("--keep-gib", type=float, default=KEEP_GIB, help="of each stream")
    parser.add_argument("--lifeline", action="store_true", help="leave when the standard input ends")
    given = parser.parse_args(arguments)
    settings = ServerSettings(
        given.data,
        database=os.environ.get("SHOPCUE_DATABASE", ""),
        store=os.environ.get("SHOPCUE_STORE", ""),
        allow_private=given.allow_private,
        keep_hours=given.keep_hours,
        keep_gib=given.keep_gib,
    )
    return settings, given.kind, given.lifeline


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a worker until it is told to leave; returns the exit code."""
    settings, kind, lifeline = _settings(arguments)
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {kind} %(levelname)s %(message)s")
    for chatty in ("alembic", "faster_whisper"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    leaving = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: leaving.set())
    if lifeline:
        threading.Thread(target=_leave_with_server, args=(leaving,), name="shopcue-lifeline", daemon=True).start()
    try:
        database = open_database(settings.database_url)
    except ShopcueError as error:
        _log.error("%s", error)
        return 2
    try:
        place = Place(settings, database)
        _log.info("the worker is ready")
        if kind == STREAMS:
            from shopcue.server.work.streams import follow_streams

            with alone(settings.data / "streams.lock", leaving):
                follow_streams(place, leaving)
        else:
            Worker(place, leaving).run()
    finally:
        database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
