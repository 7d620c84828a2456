"""How many there are of what in the database: the figures of /metrics, each asked for in one query."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shopcue.database.tables import Job, Shop, Video


def count_jobs(session: Session) -> dict[tuple[str, str], int]:
    """Return (kind, state) -> how many jobs."""
    query = select(Job.kind, Job.state, func.count()).group_by(Job.kind, Job.state)
    return {(kind, state): int(count) for kind, state, count in session.execute(query)}


def count_streams(session: Session) -> dict[str, int]:
    """Return state -> how many live streams."""
    query = select(Video.state, func.count()).where(Video.kind == "stream").group_by(Video.state)
    return {state: int(count) for state, count in session.execute(query)}


def count_shops(session: Session) -> int:
    """Return how many shops there are."""
    return int(session.scalar(select(func.count()).select_from(Shop)) or 0)
