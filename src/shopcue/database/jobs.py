"""Jobs: work that is queued, done under leases, and reported on.

A worker claims a job for a while and beats to keep it. When a worker dies, its lease runs out and another one takes the
job over; a job that ended three workers is failed. A job of a video sets the state of the video with its own.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sqlalchemy import ColumnElement, and_, delete, exists, func, insert, or_, select
from sqlalchemy.orm import Session, aliased

from shopcue.database.events import add_event
from shopcue.database.rows import MAX_LIMIT, Page, get_row, newest_first
from shopcue.database.tables import Job, JobItem, Video
from shopcue.database.texts import iso_time
from shopcue.database.videos import change_video
from shopcue.errors import Conflict, RecordError

JOB_KINDS = ("match", "import", "reindex")
JOB_STATES = ("queued", "running", "done", "failed", "cancelled")
FINAL_STATES = ("done", "failed", "cancelled")
ITEM_STATUSES = ("ok", "partial", "refused")
MAX_ATTEMPTS = 3
_CATALOG_KINDS = ("import", "reindex")  # they write one shop's catalogue: one at a time
_AT_ONCE = 1_000

Word = Literal["go", "cancel", "lost"]


class Reported(Protocol):
    """What became of one item of a feed."""

    @property
    def row(self) -> int:
        """Where it stands in the feed."""

    @property
    def product_id(self) -> str:
        """Its id, as far as it was read."""

    @property
    def status(self) -> str:
        """One of `ITEM_STATUSES`."""

    @property
    def reason(self) -> str:
        """Why it is not ok, in one line."""


@dataclass(frozen=True, slots=True)
class ItemCounts:
    """How many items of a feed fared how."""

    ok: int = 0
    partial: int = 0
    refused: int = 0


def add_job(session: Session, kind: str, shop: str, payload: Mapping[str, Any], video_id: str | None = None) -> Job:
    """Queue work for a shop. Raises Conflict while another job of the same video is queued or running."""
    if kind not in JOB_KINDS:
        raise RecordError(f"the kind of a job is {kind[:40]!r}, expected one of {', '.join(JOB_KINDS)}")
    if video_id is not None:
        _require_idle(session, video_id)
    now = time.time()
    job = Job(shop=shop, kind=kind, video_id=video_id, payload=dict(payload), created_at=now, queued_at=now)
    session.add(job)
    session.flush()
    _tell(session, job)
    return job


def claim_job(
    session: Session, worker: str, kinds: Collection[str], lease_s: float, at: float | None = None
) -> Job | None:
    """Take the oldest job that may run now and hold it for `lease_s` seconds; None if there is nothing to do.

    worker: a name that no other worker has, and no earlier one had. at: the time, seconds since 1970 (default: now).
    A shop's catalogue is written by one job at a time. A job whose lease ran out is taken over, and starts anew.
    """
    now = time.time() if at is None else at
    _settle_abandoned(session, now)
    ready = or_(Job.state == "queued", _abandoned(now))
    query = select(Job).where(ready, Job.kind.in_(kinds), ~_hindered()).order_by(Job.queued_at, Job.job_id)
    job = session.scalar(query.limit(1))
    if job is None:
        return None
    if job.attempts:
        session.execute(delete(JobItem).where(JobItem.job_id == job.job_id))  # they are reported again
    job.state, job.worker, job.lease_until = "running", worker, now + lease_s
    job.attempts += 1
    job.started_at = now
    job.stage, job.done, job.total = "", 0.0, 0.0
    if job.video_id is not None:
        change_video(session, job.video_id, state="matching", error="")
    _tell(session, job)
    return job


def beat_job(
    session: Session,
    job_id: str,
    worker: str,
    stage: str,
    done: float,
    total: float,
    lease_s: float,
    at: float | None = None,
) -> Word:
    """Keep a job for another `lease_s` seconds and say how far it is: `done` of `total` in a stage.

    Returns "go"; "cancel" if the worker is asked to stop and call `finish_job`; "lost" if the job is no longer its own.
    """
    job = session.get(Job, job_id)
    if job is None or job.state != "running" or job.worker != worker:
        return "lost"
    job.lease_until = (time.time() if at is None else at) + lease_s
    if (job.stage, job.done, job.total) != (stage, done, total):
        job.stage, job.done, job.total = stage, done, total
        _tell(session, job)
    return "cancel" if job.cancel_asked else "go"


def finish_job(
    session: Session,
    job_id: str,
    worker: str,
    state: str,
    error: str = "",
    result: Mapping[str, Any] | None = None,
) -> bool:
    """End a job as done, failed or cancelled; False if it is no longer the worker's own, and nothing was changed.

    Call it in the transaction that writes what the job found: then both are there, or neither.
    """
    if state not in FINAL_STATES:
        raise RecordError(f"a job cannot end as {state[:40]!r}, expected one of {', '.join(FINAL_STATES)}")
    job = session.get(Job, job_id)
    if job is None or job.state != "running" or job.worker != worker:
        return False
    job.result = None if result is None else dict(result)
    _settle(session, job, state, error)
    return True


def release_job(session: Session, job_id: str, worker: str) -> bool:
    """Give a job back unfinished, so that another worker starts it at once; False if it is no longer the worker's own.

    For workers that are told to stop: the attempt does not count.
    """
    job = session.get(Job, job_id)
    if job is None or job.state != "running" or job.worker != worker:
        return False
    if job.cancel_asked:
        _settle(session, job, "cancelled", "")
        return True
    job.state, job.worker, job.lease_until = "queued", None, None
    job.attempts -= 1
    _tell(session, job)
    return True


def cancel_job(session: Session, job_id: str) -> Job:
    """Cancel a queued job, or ask the worker of a running one to; raises Missing, or Conflict if it has ended."""
    job = get_row(session, Job, job_id)
    if job.state in FINAL_STATES:
        raise Conflict(f"the job {job_id} is {job.state} already, only a queued or running one can be cancelled")
    job.cancel_asked = True
    if job.state == "queued":
        _settle(session, job, "cancelled", "")
    else:
        _tell(session, job)
    return job


def retry_job(session: Session, job_id: str) -> Job:
    """Queue a failed or cancelled job again; raises Missing, or Conflict if it is neither."""
    job = get_row(session, Job, job_id)
    if job.state not in ("failed", "cancelled"):
        raise Conflict(f"the job {job_id} is {job.state}, only a failed or cancelled one can be tried again")
    if job.video_id is not None:
        _require_idle(session, job.video_id)
        if get_row(session, Video, job.video_id).matched_at is None:
            change_video(session, job.video_id, state="new", error="")
    job.state, job.error, job.result, job.cancel_asked = "queued", "", None, False
    job.attempts, job.stage, job.done, job.total = 0, "", 0.0, 0.0
    job.queued_at, job.started_at, job.finished_at = time.time(), None, None
    session.execute(delete(JobItem).where(JobItem.job_id == job_id))
    _tell(session, job)
    return job


def get_job(session: Session, job_id: str) -> Job:
    """Return a job; raises Missing."""
    return get_row(session, Job, job_id)


def latest_jobs(session: Session, video_ids: Collection[str]) -> dict[str, Job]:
    """Return the newest job of each of some videos that has one."""
    query = select(Job).where(Job.video_id.in_(video_ids)).order_by(Job.created_at, Job.job_id)
    return {job.video_id: job for job in session.scalars(query) if job.video_id is not None}


def list_jobs(
    session: Session,
    shop: str | Collection[str] | None = None,
    kind: str | None = None,
    state: str | None = None,
    limit: int = 50,
    before: str | None = None,
) -> Page[Job]:
    """Return jobs, the newest first. shop: one or several. before: the id of a job after which the list goes on."""
    query = select(Job)
    if shop is not None:
        query = query.where(Job.shop.in_([shop] if isinstance(shop, str) else shop))
    if kind is not None:
        query = query.where(Job.kind == kind)
    if state is not None:
        query = query.where(Job.state == state)
    return newest_first(session, Job, query, (Job.created_at, Job.job_id), limit, before)


def count_jobs(session: Session) -> dict[str, int]:
    """Return how many jobs are in each of `JOB_STATES`."""
    found = dict(session.execute(select(Job.state, func.count()).group_by(Job.state)).all())
    return {state: found.get(state, 0) for state in JOB_STATES}


def queued_since(session: Session) -> float | None:
    """Return since when, in seconds since 1970, the job that waits longest has been waiting; None if none waits."""
    return session.scalar(select(func.min(Job.queued_at)).where(Job.state == "queued"))


# ---- ingest reports --------------------------------------------------------------------------------------------


def add_items(session: Session, job_id: str, items: Iterable[Reported]) -> None:
    """Add lines to the ingest report of a job, in their order."""
    first = 1 + (session.scalar(select(func.max(JobItem.n)).where(JobItem.job_id == job_id)) or 0)
    rows = [
        {
            "job_id": job_id,
            "n": n,
            "row": item.row,
            "product_id": item.product_id,
            "status": str(item.status),
            "reason": item.reason,
        }
        for n, item in enumerate(items, start=first)
    ]
    for at in range(0, len(rows), _AT_ONCE):
        session.execute(insert(JobItem), rows[at : at + _AT_ONCE])


def list_items(
    session: Session, job_id: str, status: str | None = None, after: int = 0, limit: int = 100
) -> list[JobItem]:
    """Return the lines of a report after the one with the number `after`, those of one status alone if asked for."""
    query = select(JobItem).where(JobItem.job_id == job_id, JobItem.n > after)
    if status is not None:
        query = query.where(JobItem.status == status)
    return list(session.scalars(query.order_by(JobItem.n).limit(max(1, min(limit, MAX_LIMIT)))))


def count_items(session: Session, job_id: str) -> ItemCounts:
    """Return how many items of a job fared how."""
    query = select(JobItem.status, func.count()).where(JobItem.job_id == job_id).group_by(JobItem.status)
    found = dict(session.execute(query).all())
    return ItemCounts(*(found.get(status, 0) for status in ITEM_STATUSES))


def prune_items(session: Session, older_than_at: float) -> None:
    """Delete the lines of the reports of jobs that ended before a time; their counts stay in the jobs' results."""
    old = select(Job.job_id).where(Job.finished_at < older_than_at, Job.state.in_(FINAL_STATES))
    session.execute(delete(JobItem).where(JobItem.job_id.in_(old)))


def prune_jobs(session: Session, older_than_at: float) -> None:
    """Delete the jobs that ended before a time."""
    session.execute(delete(Job).where(Job.finished_at < older_than_at, Job.state.in_(FINAL_STATES)))


# ---- rules -----------------------------------------------------------------------------------------------------


def job_fields(job: Job) -> dict[str, Any]:
    """Return what the API and the events say about a job."""
    finished = job.state == "done"
    return {
        "job_id": job.job_id,
        "shop": job.shop,
        "kind": job.kind,
        "video_id": job.video_id,
        "state": job.state,
        "stage": job.stage,
        "done": job.done,
        "total": job.total,
        "progress": 1.0 if finished else min(max(job.done / job.total, 0.0), 1.0) if job.total > 0 else 0.0,
        "attempts": job.attempts,
        "error": job.error,
        "result": job.result,
        "created_at": iso_time(job.created_at),
        "started_at": iso_time(job.started_at),
        "finished_at": iso_time(job.finished_at),
    }


def _abandoned(now: float) -> ColumnElement[bool]:
    return and_(Job.state == "running", Job.lease_until < now)


def _hindered() -> ColumnElement[bool]:
    """Tell whether another job is at work on the same catalogue or video."""
    other = aliased(Job)
    same_catalog = and_(Job.kind.in_(_CATALOG_KINDS), other.kind.in_(_CATALOG_KINDS), other.shop == Job.shop)
    same = or_(same_catalog, other.video_id == Job.video_id)
    return exists().where(other.state == "running", other.job_id != Job.job_id, same)


def _settle_abandoned(session: Session, now: float) -> None:
    """End the jobs without a worker that nobody is to take over."""
    for job in session.scalars(select(Job).where(_abandoned(now))).all():
        if job.cancel_asked:
            _settle(session, job, "cancelled", "")
        elif job.attempts >= MAX_ATTEMPTS:
            _settle(session, job, "failed", f"{job.attempts} workers ended in the middle of this job; see the log")


def _settle(session: Session, job: Job, state: str, error: str) -> None:
    """End a job, and leave its video as it was before the job, unless the job did what it was to do."""
    job.state, job.error = state, error
    job.worker, job.lease_until = None, None
    job.finished_at = time.time()
    if job.video_id is not None and state != "done":
        matched = get_row(session, Video, job.video_id).matched_at is not None
        left = "ready" if matched else "failed" if state == "failed" else "new"
        change_video(session, job.video_id, state=left, error=error)
    _tell(session, job)


def _require_idle(session: Session, video_id: str) -> None:
    query = select(Job.job_id).where(Job.video_id == video_id, Job.state.in_(("queued", "running")))
    if (busy := session.scalar(query.limit(1))) is not None:
        raise Conflict(f"the job {busy} of the video {video_id} has not ended; wait for it, or cancel it")


def _tell(session: Session, job: Job) -> None:
    add_event(session, "job.update", job.shop, job.video_id, data=job_fields(job))
