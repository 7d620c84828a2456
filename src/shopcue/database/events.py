"""Events: what has changed, for pages, webhooks and other listeners, in the order in which it became true."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any, Literal, get_args

from sqlalchemy import CursorResult, delete, func, select
from sqlalchemy.orm import Session

from shopcue.database.tables import Event

EventType = Literal[
    "focus.open",
    "focus.update",
    "focus.close",
    "focus.revise",
    "focus.review",
    "focuses.put",
    "video.update",
    "stream.update",
    "job.update",
    "catalog.update",
]
"""What may happen."""

EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
"""All of it: what a webhook may listen to."""


def add_event(
    session: Session,
    type: str,
    shop: str,
    video_id: str | None = None,
    media_s: float | None = None,
    data: Mapping[str, Any] | None = None,
) -> Event:
    """Tell that something has changed, as part of the transaction that changes it. media_s: where in the video."""
    event = Event(type=type, shop=shop, video_id=video_id, media_s=media_s, at=time.time(), data=dict(data or {}))
    session.add(event)
    session.flush()
    return event


def events_after(
    session: Session,
    after: int,
    shop: str | None = None,
    video_id: str | None = None,
    types: Collection[str] | None = None,
    limit: int = 500,
) -> list[Event]:
    """Return the events after the one with the id `after`, oldest first, of one shop, video or some types alone."""
    query = select(Event).where(Event.event_id > after)
    if shop is not None:
        query = query.where(Event.shop == shop)
    if video_id is not None:
        query = query.where(Event.video_id == video_id)
    if types is not None:
        query = query.where(Event.type.in_(types))
    return list(session.scalars(query.order_by(Event.event_id).limit(limit)))


def last_event_id(session: Session) -> int:
    """Return the id of the newest event, 0 if there is none."""
    return session.scalar(select(func.max(Event.event_id))) or 0


def prune_events(session: Session, older_than_at: float) -> int:
    """Delete the events from before a time, and their deliveries; returns how many events.

    The newest one stays: it says how far whoever asks is. Of a busy shop this may be many: call it often, it deletes
    10,000 at most.
    """
    newest = select(func.max(Event.event_id)).scalar_subquery()
    old = (
        select(Event.event_id).where(Event.at < older_than_at, Event.event_id < newest).order_by(Event.at).limit(10_000)
    )
    done = session.execute(delete(Event).where(Event.event_id.in_(old)))
    assert isinstance(done, CursorResult)
    return done.rowcount
