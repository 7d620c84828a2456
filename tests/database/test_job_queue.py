"""The job queue against a plain model of it, and among workers that are really at work at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

pytest.importorskip("sqlalchemy")

from shopcue.database import Database, open_database
from shopcue.database.events import events_after, last_event_id
from shopcue.database.jobs import (
    MAX_ATTEMPTS,
    add_job,
    beat_job,
    cancel_job,
    claim_job,
    count_jobs,
    finish_job,
    get_job,
    list_jobs,
    release_job,
    retry_job,
)
from shopcue.database.shops import delete_shop, put_shop
from shopcue.database.videos import add_video, get_video
from shopcue.errors import Conflict

LEASE_S = 30.0
SHOPS = ("a", "b")


@dataclass
class Expected:
    """What a job should be."""

    kind: str
    shop: str
    turn: int
    video_id: str | None = None
    state: str = "queued"
    worker: str | None = None
    lease_until: float = 0.0
    attempts: int = 0
    cancel_asked: bool = False


@dataclass
class Model:
    """The queue as a dict and plain loops."""

    jobs: dict[str, Expected] = field(default_factory=dict)
    turns: Iterator[int] = field(default_factory=count)

    def settle_abandoned(self, now: float) -> None:
        for job in self.jobs.values():
            if job.state == "running" and job.lease_until < now:
                if job.cancel_asked:
                    job.state, job.worker = "cancelled", None
                elif job.attempts >= MAX_ATTEMPTS:
                    job.state, job.worker = "failed", None

    def next(self, kinds: set[str], now: float) -> str | None:
        waiting = [
            (job.turn, name)
            for name, job in self.jobs.items()
            if job.kind in kinds
            and (job.state == "queued" or (job.state == "running" and job.lease_until < now))
            and not self.hindered(name)
        ]
        return min(waiting)[1] if waiting else None

    def hindered(self, name: str) -> bool:
        job = self.jobs[name]
        for other_name, other in self.jobs.items():
            if other_name == name or other.state != "running":
                continue
            if "match" not in (job.kind, other.kind) and job.shop == other.shop:
                return True
            if job.video_id is not None and job.video_id == other.video_id:
                return True
        return False


class JobQueue(RuleBasedStateMachine):
    """Random work, clocks and deaths; the database must agree with the model at every step."""

    database: Database  # of the test

    names = Bundle("names")
    workers = st.sampled_from(["w1", "w2", "w3"])

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.now = 1e9
        with self.database.write() as session:
            for shop in SHOPS:
                put_shop(session, shop, shop)

    def teardown(self) -> None:
        with self.database.write() as session:
            for shop in SHOPS:
                delete_shop(session, shop)

    @rule(target=names, kind=st.sampled_from(["match", "import", "reindex"]), shop=st.sampled_from(SHOPS))
    def add(self, kind: str, shop: str) -> str:
        with self.database.write() as session:
            video_id = add_video(session, shop, "recording", "v", "v.mp4").video_id if kind == "match" else None
            name = add_job(session, kind, shop, {}, video_id).job_id
        self.model.jobs[name] = Expected(kind, shop, next(self.model.turns), video_id)
        return name

    @rule(seconds=st.sampled_from([1.0, 20.0, 31.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(worker=workers, kinds=st.sampled_from([{"match", "import", "reindex"}, {"match"}, {"import", "reindex"}]))
    def claim(self, worker: str, kinds: set[str]) -> None:
        with self.database.write() as session:
            claimed = claim_job(session, worker, kinds, LEASE_S, at=self.now)
        self.model.settle_abandoned(self.now)
        name = self.model.next(kinds, self.now)
        assert (claimed and claimed.job_id) == name
        if name is not None:
            job = self.model.jobs[name]
            job.state, job.worker, job.lease_until = "running", worker, self.now + LEASE_S
            job.attempts += 1

    @rule(name=names, worker=workers)
    def beat(self, name: str, worker: str) -> None:
        job = self.model.jobs[name]
        with self.database.write() as session:
            word = beat_job(session, name, worker, "work", 1, 2, LEASE_S, at=self.now)
        if job.state != "running" or job.worker != worker:
            assert word == "lost"
            return
        assert word == ("cancel" if job.cancel_asked else "go")
        job.lease_until = self.now + LEASE_S

    @rule(name=names, worker=workers, state=st.sampled_from(["done", "failed", "cancelled"]))
    def finish(self, name: str, worker: str, state: str) -> None:
        job = self.model.jobs[name]
        with self.database.write() as session:
            mine = finish_job(session, name, worker, state)
        assert mine == (job.state == "running" and job.worker == worker)
        if mine:
            job.state, job.worker = state, None

    @rule(name=names, worker=workers)
    def release(self, name: str, worker: str) -> None:
        job = self.model.jobs[name]
        with self.database.write() as session:
            mine = release_job(session, name, worker)
        assert mine == (job.state == "running" and job.worker == worker)
        if mine:
            job.worker = None
            job.state = "cancelled" if job.cancel_asked else "queued"
            job.attempts -= not job.cancel_asked

    @rule(name=names)
    def cancel(self, name: str) -> None:
        job = self.model.jobs[name]
        with self.database.write() as session:
            if job.state not in ("queued", "running"):
                with pytest.raises(Conflict):
                    cancel_job(session, name)
                return
            cancel_job(session, name)
        job.cancel_asked = True
        if job.state == "queued":
            job.state = "cancelled"

    @rule(name=names)
    def retry(self, name: str) -> None:
        job = self.model.jobs[name]
        with self.database.write() as session:
            if job.state not in ("failed", "cancelled"):
                with pytest.raises(Conflict):
                    retry_job(session, name)
                return
            retry_job(session, name)
        job.state, job.attempts, job.cancel_asked, job.turn = "queued", 0, False, next(self.model.turns)

    @invariant()
    def agrees(self) -> None:
        with self.database.read() as session:
            for name, job in self.model.jobs.items():
                row = get_job(session, name)
                kept = (row.state, row.worker, row.attempts, row.cancel_asked)
                assert kept == (job.state, job.worker, job.attempts, job.cancel_asked)
                if job.video_id is not None:
                    states = {"queued": {"new", "matching"}, "running": {"matching"}, "failed": {"failed"}}
                    done = {"new", "matching", "failed"}  # what a job found is not put down here
                    assert get_video(session, job.video_id).state in states.get(job.state, done)
            states_now = [job.state for job in self.model.jobs.values()]
            assert count_jobs(session) == {state: states_now.count(state) for state in count_jobs(session)}


def test_the_queue_agrees_with_a_plain_model(database: Database) -> None:
    class Here(JobQueue):
        pass

    Here.database = database
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    run_state_machine_as_test(
        Here, settings=settings(max_examples=10, stateful_step_count=40, suppress_health_check=checks)
    )


# ---- many at once ----------------------------------------------------------------------------------------------

WORKER = """
import sys
from shopcue.database import open_database
from shopcue.database.jobs import claim_job, finish_job
database = open_database(sys.argv[1])
sys.stdin.readline()
while True:
    with database.write() as session:
        job = claim_job(session, sys.argv[2], ["match"], 60)
    if job is None:
        break
    print(job.job_id, flush=True)
    with database.write() as session:
        assert finish_job(session, job.job_id, sys.argv[2], "done")
"""


def test_processes_that_claim_at_once_never_get_the_same_job(new_url: Callable[[], str]) -> None:
    url = new_url()
    database = open_database(url)
    with database.write() as session:
        put_shop(session, "demo", "Demo")
        jobs = {add_job(session, "match", "demo", {}).job_id for _ in range(60)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, url, f"w{i}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for i in range(3)
    ]
    outputs = [worker.communicate("go\n", timeout=180)[0].split() for worker in workers]
    claimed = [job for output in outputs for job in output]
    assert sorted(claimed) == sorted(jobs)
    with database.read() as session:
        assert count_jobs(session)["done"] == 60
    database.close()


# ---- by example ------------------------------------------------------------------------------------------------


def test_a_job_that_ends_its_workers_fails_and_says_so(database: Database) -> None:
    with database.write() as session:
        video = add_video(session, "demo", "recording", "v", "v.mp4")
        job = add_job(session, "match", "demo", {}, video.video_id)
        for turn in range(MAX_ATTEMPTS):
            assert claim_job(session, f"w{turn}", ["match"], 10, at=turn * 20.0) is job
        assert claim_job(session, "w", ["match"], 10, at=1000.0) is None
        assert (job.state, "3 workers ended" in job.error) == ("failed", True)
        assert (video.state, video.error) == ("failed", job.error)


def test_a_cancelled_match_leaves_its_video_as_it_was(database: Database) -> None:
    with database.write() as session:
        video = add_video(session, "demo", "recording", "v", "v.mp4")
        job = add_job(session, "match", "demo", {}, video.video_id)
        claim_job(session, "w", ["match"], 10)
        assert video.state == "matching"
        cancel_job(session, job.job_id)
        assert beat_job(session, job.job_id, "w", "s", 0, 1, 10) == "cancel"
        finish_job(session, job.job_id, "w", "cancelled")
        assert (video.state, job.state) == ("new", "cancelled")


def test_a_video_has_one_job_at_a_time(database: Database) -> None:
    with database.write() as session:
        video = add_video(session, "demo", "recording", "v", "v.mp4")
        job = add_job(session, "match", "demo", {}, video.video_id)
        with pytest.raises(Conflict, match=job.job_id):
            add_job(session, "match", "demo", {}, video.video_id)
        cancel_job(session, job.job_id)
        add_job(session, "match", "demo", {}, video.video_id)
        with pytest.raises(Conflict):
            retry_job(session, job.job_id)


def test_a_job_that_is_tried_again_waits_behind_the_others(database: Database) -> None:
    with database.write() as session:
        first, second = (add_job(session, "match", "demo", {}) for _ in range(2))
        claim_job(session, "w", ["match"], 10)
        finish_job(session, first.job_id, "w", "failed", "the file is damaged", {"frames": 3})
        assert (first.error, first.result) == ("the file is damaged", {"frames": 3})
        retry_job(session, first.job_id)
        assert (first.error, first.result, first.attempts, first.finished_at) == ("", None, 0, None)
        assert [claim_job(session, worker, ["match"], 10) for worker in "ab"] == [second, first]


def test_progress_is_told_and_a_mere_heartbeat_is_not(database: Database) -> None:
    with database.write() as session:
        job = add_job(session, "import", "demo", {})
        claim_job(session, "w", ["import"], 10)
        before = last_event_id(session)
        beat_job(session, job.job_id, "w", "fetch", 1, 4, 10)
        beat_job(session, job.job_id, "w", "fetch", 1, 4, 10)
        [event] = events_after(session, before)
        assert event.type == "job.update"
        assert {name: event.data[name] for name in ("stage", "done", "total", "progress", "state")} == {
            "stage": "fetch",
            "done": 1,
            "total": 4,
            "progress": 0.25,
            "state": "running",
        }


def test_jobs_are_listed_newest_first_and_page_by_page(database: Database) -> None:
    with database.write() as session:
        put_shop(session, "other", "Other")
        jobs = [add_job(session, "import", "demo", {"n": n}).job_id for n in range(7)]
        add_job(session, "reindex", "other", {})
    seen: list[str] = []
    before = None
    with database.read() as session:
        while True:
            page = list_jobs(session, shop="demo", kind="import", state="queued", limit=3, before=before)
            seen += [job.job_id for job in page.rows]
            before = page.next
            if before is None:
                break
        assert seen == jobs[::-1]
        assert len(list_jobs(session, shop=["demo", "other"]).rows) == 8
        assert list_jobs(session, shop=[]).rows == []
