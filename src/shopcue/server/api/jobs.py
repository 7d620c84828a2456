"""Jobs: the work behind, how far it is, and what became of each row of a feed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy.orm import Session

from shopcue.database import jobs
from shopcue.database.tables import Job as JobRow
from shopcue.errors import Missing
from shopcue.server.auth import Parts, Principal, SignedIn, check_write, readable_shop
from shopcue.server.problems import CHANGES, READS
from shopcue.server.schemas import ItemCounts, Job, JobItem, JobItems, Jobs
from shopcue.server.schemas.shapes import Identity, ItemStatus, JobKind, JobState, Limit, ShopName
from shopcue.server.views import view_job

router = APIRouter(prefix="/api/jobs", tags=["jobs"])


@router.get("", responses=READS)
def list_all(
    who: SignedIn,
    parts: Parts,
    shop: ShopName | None = None,
    kind: JobKind | None = None,
    state: JobState | None = None,
    limit: Limit = 50,
    before: Identity | None = None,
) -> Jobs:
    """List jobs, the newest first: of one shop, or of all that the token is for."""
    with parts.database.read() as session:
        if shop is not None:
            readable_shop(session, who, shop)
        if before is not None:
            _readable(session, who, before)
        page = jobs.list_jobs(session, shop or who.readable_shops, kind, state, limit, before)
    return Jobs(jobs=[view_job(row) for row in page.rows], next=page.next)


@router.get("/{job_id}", responses=READS)
def show(job_id: Identity, who: SignedIn, parts: Parts) -> Job:
    """Show a job."""
    with parts.database.read() as session:
        return view_job(_readable(session, who, job_id))


@router.post("/{job_id}/cancel", responses=CHANGES)
def cancel(job_id: Identity, who: SignedIn, parts: Parts) -> Job:
    """Cancel a job: a queued one at once, a running one within a second or two."""
    with parts.database.write() as session:
        check_write(who, _readable(session, who, job_id).shop)
        return view_job(jobs.cancel_job(session, job_id))


@router.post("/{job_id}/retry", responses=CHANGES)
def retry(job_id: Identity, who: SignedIn, parts: Parts) -> Job:
    """Queue a failed or cancelled job again."""
    with parts.database.write() as session:
        check_write(who, _readable(session, who, job_id).shop)
        return view_job(jobs.retry_job(session, job_id))


@router.get("/{job_id}/items", responses=READS)
def list_items(
    job_id: Identity,
    who: SignedIn,
    parts: Parts,
    status: ItemStatus | None = None,
    after: Annotated[int, Query(ge=0, le=1 << 53)] = 0,
    limit: Limit = 100,
) -> JobItems:
    """List what became of the rows of a feed, in their order."""
    with parts.database.read() as session:
        _readable(session, who, job_id)
        rows = jobs.list_items(session, job_id, status, after, limit)
        counts = jobs.count_items(session, job_id)
    return JobItems(
        items=[JobItem.model_validate(row) for row in rows],
        counts=ItemCounts.model_validate(counts),
        next=rows[-1].n if len(rows) == limit else None,
    )


def _readable(session: Session, who: Principal, job_id: str) -> JobRow:
    job = jobs.get_job(session, job_id)
    if not who.may_read(job.shop):
        raise Missing(f"there is no job {job_id!r}")
    return job
