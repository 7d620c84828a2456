"""The worker with stand-ins for work: leases, progress, ends of every kind."""

from __future__ import annotations

import errno
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra `server`")
pytest.importorskip("lancedb", reason="needs the extra `store`")

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from shopcue.database import Database, jobs
from shopcue.database.events import events_after
from shopcue.database.tables import Job
from shopcue.errors import FeedError
from shopcue.server.settings import ServerSettings
from shopcue.server.work.place import Outcome, Place, Update
from shopcue.server.worker import Work, Worker, alone, main

SHOP = "corner"


@pytest.fixture
def place(settings: ServerSettings, database: Database) -> Place:
    return Place(settings, database)


@pytest.fixture
def leaving() -> threading.Event:
    return threading.Event()


Start = Callable[..., Worker]


@pytest.fixture
def start(place: Place, leaving: threading.Event) -> Iterator[Start]:
    """Starts a worker with one kind of work in a thread of its own."""
    threads: list[threading.Thread] = []

    def begin(work: Work, lease_s: float = 15.0) -> Worker:
        worker = Worker(place, leaving, {"import": work}, lease_s=lease_s)
        threads.append(threading.Thread(target=worker.run))
        threads[-1].start()
        return worker

    yield begin
    leaving.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def queue(database: Database, **payload: Any) -> str:
    with database.write() as session:
        return jobs.add_job(session, "import", SHOP, payload).job_id


def look(database: Database, job_id: str) -> Job:
    with database.read() as session:
        return jobs.get_job(session, job_id)


def until(holds: Callable[[], object], wait_s: float = 60.0) -> float:
    began_s = time.monotonic()
    while not holds():
        assert time.monotonic() - began_s < wait_s, "it did not come to pass in time"
        time.sleep(0.02)
    return time.monotonic() - began_s


def ended(database: Database, job_id: str, state: str) -> float:
    return until(lambda: look(database, job_id).state == state)


def listen(job: Job, place: Place, update: Update) -> Outcome:
    """Work that goes on until it is told to end, and would catch any error."""
    for step in range(2_000):
        try:
            update("listening", step, 2_000)
        except Exception:
            pytest.fail("what ends work is no Exception")
        time.sleep(0.01)
    return Outcome({})


# ---- how a job ends ----------------------------------------------------------------------------------------------


def test_a_job_is_done_with_what_it_found_and_tidied_after(place: Place, leaving: threading.Event) -> None:
    seen: list[str] = []

    def work(job: Job, place: Place, update: Update) -> Outcome:
        update("counting", 1, 2)
        # The transaction of the end shows the job as done already; for others it still runs.
        return Outcome(
            {"sum": job.payload["a"] + 1},
            lambda session: seen.append(f"settle {jobs.get_job(session, job.job_id).state}"),
            lambda: seen.append(f"tidy {look(place.database, job.job_id).state}"),
        )

    worker = Worker(place, leaving, {"import": work})
    assert not worker.work_once()
    job_id = queue(place.database, a=41)
    assert worker.work_once()
    job = look(place.database, job_id)
    assert (job.state, job.result, job.error, job.attempts) == ("done", {"sum": 42}, "", 1)
    assert job.worker is None
    assert seen == ["settle done", "tidy done"]


def test_what_fails_while_it_is_settled_leaves_nothing(place: Place, leaving: threading.Event) -> None:
    def work(job: Job, place: Place, update: Update) -> Outcome:
        def settle(session: Session) -> None:
            jobs.add_job(session, "reindex", SHOP, {})
            raise FeedError("somebody was faster")

        return Outcome({}, settle)

    job_id = queue(place.database)
    Worker(place, leaving, {"import": work}).work_once()
    job = look(place.database, job_id)
    assert (job.state, job.error) == ("failed", "somebody was faster")
    with place.database.read() as session:
        assert len(jobs.list_jobs(session).rows) == 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FeedError("{data}/feeds/f1/feed.csv, line 3: no id"), "feeds/f1/feed.csv, line 3: no id"),
        (ZeroDivisionError("secret"), "a fault of ours (ZeroDivisionError), the server's log says more"),
        (OSError(errno.ENOSPC, "No space left"), "the server's disk is full; make room there, then try again"),
    ],
)
def test_a_job_fails_with_one_line(
    place: Place, leaving: threading.Event, caplog: pytest.LogCaptureFixture, error: Exception, line: str
) -> None:
    def work(job: Job, place: Place, update: Update) -> Outcome:
        raise error if isinstance(error, OSError) else type(error)(str(error).format(data=place.settings.data))

    job_id = queue(place.database)
    with caplog.at_level(logging.INFO):
        Worker(place, leaving, {"import": work}).work_once()
    job = look(place.database, job_id)
    assert (job.state, job.error) == ("failed", line)
    assert ("Traceback" in caplog.text) == (not isinstance(error, FeedError))


def test_a_job_is_cancelled_within_a_second(place: Place, start: Start) -> None:
    job_id = queue(place.database)
    start(listen)
    until(lambda: look(place.database, job_id).done > 0)
    with place.database.write() as session:
        jobs.cancel_job(session, job_id)
    assert ended(place.database, job_id, "cancelled") < 1.5
    with place.database.write() as session:
        jobs.retry_job(session, job_id)
    until(lambda: look(place.database, job_id).state == "running")


def test_a_worker_that_leaves_puts_its_job_back(place: Place, start: Start, leaving: threading.Event) -> None:
    job_id = queue(place.database)
    start(listen)
    until(lambda: look(place.database, job_id).done > 0)
    leaving.set()
    assert ended(place.database, job_id, "queued") < 1.5
    assert look(place.database, job_id).attempts == 0


# ---- leases ------------------------------------------------------------------------------------------------------


def test_a_lease_lasts_as_long_as_the_work_also_if_it_says_nothing(
    place: Place, start: Start, leaving: threading.Event
) -> None:
    go_on = threading.Event()
    times: list[int] = []

    def silent(job: Job, place: Place, update: Update) -> Outcome:
        times.append(job.attempts)
        go_on.wait(20)
        return Outcome({})

    job_id = queue(place.database)
    for _ in range(3):
        start(silent, lease_s=1.2)
    time.sleep(3.0)
    assert look(place.database, job_id).state == "running"
    go_on.set()
    ended(place.database, job_id, "done")
    assert times == [1]


def test_a_worker_that_lost_its_job_writes_nothing(place: Place, start: Start) -> None:
    stolen, settled = threading.Event(), []

    def work(job: Job, place: Place, update: Update) -> Outcome:
        stolen.wait(20)
        return Outcome({}, lambda session: settled.append(job.job_id))

    job_id = queue(place.database)
    start(work)
    until(lambda: look(place.database, job_id).state == "running")
    with place.database.write() as session:
        jobs.get_job(session, job_id).worker = "another"
    stolen.set()
    time.sleep(0.3)
    job = look(place.database, job_id)
    assert (job.state, job.worker) == ("running", "another")
    assert not settled


@pytest.mark.parametrize("how", ["taken over", "deleted"])
def test_work_hears_that_its_job_is_no_longer_its_own(place: Place, leaving: threading.Event, how: str) -> None:
    job_id = queue(place.database)
    heard: list[float] = []

    def work(job: Job, place: Place, update: Update) -> Outcome:
        with place.database.write() as session:
            mine = jobs.get_job(session, job.job_id)
            if how == "deleted":
                session.delete(mine)
            else:
                mine.worker = "another"
        began_s = time.monotonic()
        try:
            return listen(job, place, update)
        finally:
            heard.append(time.monotonic() - began_s)

    worker = Worker(place, leaving, {"import": work})
    assert worker.work_once()
    assert heard[0] < 1.5
    if how == "taken over":
        assert look(place.database, job_id).worker == "another"


def test_what_the_database_fails_at_is_tried_again(place: Place, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shopcue.server.worker._DATABASE_PAUSE_S", 0.2)

    def stumble(job: Job, place: Place, update: Update) -> Outcome:
        if job.attempts == 1:
            raise OperationalError("UPDATE", {}, Exception("the server has gone away"))
        return Outcome({"attempts": job.attempts})

    job_id = queue(place.database)
    start(stumble, lease_s=1.0)
    ended(place.database, job_id, "done")
    assert look(place.database, job_id).result == {"attempts": 2}


def test_work_that_does_not_listen_is_ended_with_its_process(place: Place, leaving: threading.Event) -> None:
    abandoned = threading.Event()

    def deaf(job: Job, place: Place, update: Update) -> Outcome:
        with place.database.write() as session:
            jobs.cancel_job(session, job.job_id)
        assert abandoned.wait(20)
        return Outcome({})

    queue(place.database)
    Worker(place, leaving, {"import": deaf}, patience_s=0.5, abandon=abandoned.set).work_once()
    assert abandoned.is_set()


def test_many_workers_do_every_job_once(place: Place, start: Start) -> None:
    done: list[str] = []

    def work(job: Job, place: Place, update: Update) -> Outcome:
        done.append(job.job_id)
        return Outcome({})

    ids = [queue(place.database) for _ in range(12)]
    for _ in range(4):
        start(work)
    until(lambda: all(look(place.database, job_id).state == "done" for job_id in ids))
    assert sorted(done) == sorted(ids)


# ---- progress ----------------------------------------------------------------------------------------------------


def test_progress_is_told_twice_a_second_however_often_it_changes(place: Place, leaving: threading.Event) -> None:
    def work(job: Job, place: Place, update: Update) -> Outcome:
        for step in range(200):
            update("stepping", step, 200)
            time.sleep(0.01)
        return Outcome({})

    job_id = queue(place.database)
    Worker(place, leaving, {"import": work}).work_once()
    with place.database.read() as session:
        told = [event.data for event in events_after(session, 0, types=["job.update"])]
    steps = [data["done"] for data in told if data["stage"] == "stepping" and data["state"] == "running"]
    assert 3 <= len(steps) <= 6
    assert steps == sorted(steps)
    assert told[-1]["state"] == "done"
    assert {data["job_id"] for data in told} == {job_id}


# ---- streams -----------------------------------------------------------------------------------------------------


def test_one_worker_alone_follows_the_streams(tmp_path: Path) -> None:
    inside: list[str] = []
    leave = {name: threading.Event() for name in ("first", "second", "third")}

    def follow(name: str) -> None:
        with alone(tmp_path / "lock", leave[name]):
            inside.append(name)
            leave[name].wait(20)

    threads = {name: threading.Thread(target=follow, args=(name,)) for name in leave}
    threads["first"].start()
    until(lambda: inside == ["first"])
    threads["second"].start()
    time.sleep(0.8)
    assert inside == ["first"]
    leave["first"].set()
    until(lambda: inside == ["first", "second"])
    threads["third"].start()
    leave["third"].set()  # who waits for its turn leaves when told to
    threads["third"].join(5)
    assert not threads["third"].is_alive()
    leave["second"].set()
    for thread in threads.values():
        thread.join()


# ---- real processes ----------------------------------------------------------------------------------------------

SUDDEN_ENDS = """
import os, sys, threading
from pathlib import Path
from shopcue.database import open_database
from shopcue.server.settings import ServerSettings
from shopcue.server.work.place import Place
from shopcue.server.worker import Worker

def work(job, place, update):
    os.kill(os.getpid(), 9)

settings = ServerSettings(Path(sys.argv[1]))
for attempt in range(4):  # each a process of its own, without the seconds that an interpreter takes to start
    if not os.fork():
        place = Place(settings, open_database(settings.database_url))
        os._exit(Worker(place, threading.Event(), {"import": work}, lease_s=0.1).work_once())
    print(os.wait()[1], flush=True)
    threading.Event().wait(0.2)
"""


def test_a_job_that_kills_its_worker_three_times_is_failed_and_says_so(place: Place) -> None:
    job_id = queue(place.database)
    command = [sys.executable, "-c", SUDDEN_ENDS, str(place.settings.data)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["9", "9", "9", "0"]
    job = look(place.database, job_id)
    assert (job.state, job.attempts) == ("failed", 3)
    assert "3 workers ended in the middle of this job" in job.error


def test_the_process_leaves_when_told_to_or_when_its_server_is_gone(
    settings: ServerSettings, database: Database
) -> None:
    def begin(*more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "shopcue.server.worker", "--data", str(settings.data), "--kind", "jobs", *more]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ready(process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        assert any("is ready" in line for line in process.stderr)

    with begin("--lifeline") as tied, begin() as free:
        try:
            ready(tied)
            ready(free)
            job_id = queue(database, url="http://127.0.0.1/feed.csv")
            ended(database, job_id, "failed")
            assert "not of the public web" in look(database, job_id).error
            assert tied.stdin is not None
            tied.stdin.close()
            assert tied.wait(10) == 0
            assert free.poll() is None
            free.terminate()
            assert free.wait(10) == 0
        finally:
            tied.kill()
            free.kill()


def test_a_database_that_cannot_be_opened_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)  # those of the tests stay
    (tmp_path / "shopcue.db").mkdir()
    with caplog.at_level(logging.INFO):
        assert main(["--data", str(tmp_path)]) == 2
    (line,) = caplog.messages
    assert "cannot be opened" in line
    assert "\n" not in line
