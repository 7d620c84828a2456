"""Webhooks: addresses that a shop has told of its events, and the deliveries to them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import CursorResult, Select, delete, exists, func, select, update
from sqlalchemy.orm import Session

from shopcue.database.events import EVENT_TYPES, add_event, events_after, last_event_id
from shopcue.database.rows import MAX_LIMIT, get_row
from shopcue.database.tables import Delivery, Event, Webhook
from shopcue.errors import Conflict, RecordError

TEST_TYPE = "webhook.test"
MAX_WEBHOOKS = 20
_EVENTS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery whose time has come, with what it is of and where it goes."""

    delivery: Delivery
    event: Event
    webhook: Webhook


def add_webhook(session: Session, shop: str, url: str, events: Sequence[str]) -> Webhook:
    """Tell `url` of a shop's events from now on; its `secret` signs them.

    events: of `EVENT_TYPES`; raises RecordError for others, or Conflict when a shop has `MAX_WEBHOOKS` already.
    """
    chosen = list(dict.fromkeys(events))
    if not chosen or (unknown := [type for type in chosen if type not in EVENT_TYPES]):
        came = ", ".join(unknown)[:200] if chosen else "none"
        raise RecordError(f"a webhook is to hear of {came}, expected some of {', '.join(EVENT_TYPES)}")
    if len(list_webhooks(session, shop)) >= MAX_WEBHOOKS:
        raise Conflict(f"the shop {shop} has {MAX_WEBHOOKS} webhooks already; delete one first")
    webhook = Webhook(
        shop=shop,
        url=url,
        events=chosen,
        secret=f"whsec_{secrets.token_hex(32)}",
        cursor=last_event_id(session),
        created_at=time.time(),
    )
    session.add(webhook)
    session.flush()
    return webhook


def get_webhook(session: Session, webhook_id: str) -> Webhook:
    """Return a webhook; raises Missing."""
    return get_row(session, Webhook, webhook_id)


def list_webhooks(session: Session, shop: str) -> list[Webhook]:
    """Return the webhooks of a shop, oldest first."""
    query = select(Webhook).where(Webhook.shop == shop).order_by(Webhook.created_at, Webhook.webhook_id)
    return list(session.scalars(query))


def delete_webhook(session: Session, webhook_id: str) -> None:
    """Forget a webhook and its deliveries; raises Missing."""
    session.delete(get_row(session, Webhook, webhook_id))
    session.flush()


def send_test(session: Session, webhook_id: str) -> Delivery:
    """Queue an event of the type `webhook.test` for one webhook; raises Missing."""
    webhook = get_row(session, Webhook, webhook_id)
    event = add_event(session, TEST_TYPE, webhook.shop, data={"webhook_id": webhook_id})
    return _queue(session, webhook, event)


def queue_deliveries(session: Session, limit: int = _EVENTS_AT_ONCE) -> int:
    """Queue the events that are new to each webhook; returns how many deliveries. Call it until it returns 0."""
    queued = 0
    newest = last_event_id(session)
    for webhook in session.scalars(select(Webhook).where(Webhook.active, Webhook.cursor < newest)).all():
        events = events_after(session, webhook.cursor, webhook.shop, types=webhook.events, limit=limit)
        for event in events:
            _queue(session, webhook, event)
        webhook.cursor = events[-1].event_id if len(events) == limit else newest
        queued += len(events)
    return queued


def awaits_sending(session: Session, now: float) -> bool:
    """Tell whether `queue_deliveries` or `due_deliveries` would find anything; cheap, and writes nothing."""
    newest = last_event_id(session)
    news = select(Webhook.webhook_id).where(Webhook.active, Webhook.cursor < newest)
    return bool(session.scalar(select(exists(news) | exists(_due(now)))))


def due_deliveries(
    session: Session,
    now: float,
    limit: int = 50,
    *,
    each: int = 10,
    skip: Collection[str] = (),
    hold_s: float = 0.0,
) -> list[Due]:
    """Return the deliveries whose time has come, those that wait longest first.

    each: how many at most of one webhook. skip: ids of webhooks that are left out. hold_s: for how many seconds nobody
    else gets the same ones, unless they are settled before; then call it in a writing transaction.
    """
    order = (Delivery.next_at, Delivery.event_id)
    place = func.row_number().over(partition_by=Delivery.webhook_id, order_by=order)
    due = _due(now).add_columns(place.label("place")).where(Delivery.webhook_id.not_in(skip)).subquery()
    query = (
        select(Delivery, Event, Webhook)
        .join(due, due.c.delivery_id == Delivery.delivery_id)
        .join(Event, Event.event_id == Delivery.event_id)
        .join(Webhook, Webhook.webhook_id == Delivery.webhook_id)
        .where(due.c.place <= each)
        .order_by(*order)
    )
    found = [Due(*row) for row in session.execute(query.limit(limit))]
    for one in found:
        one.delivery.next_at = now + hold_s if hold_s else one.delivery.next_at
    return found


def put_back(session: Session, delivery_ids: Collection[str], at: float) -> None:
    """Make deliveries that were held due again from a time on; an attempt at them does not count."""
    waiting = (Delivery.delivery_id.in_(delivery_ids), Delivery.state == "waiting")
    session.execute(update(Delivery).where(*waiting).values(next_at=at))


def settle_delivery(
    session: Session,
    delivery_id: str,
    *,
    delivered: bool,
    retry_at: float | None = None,
    status_code: int | None = None,
    error: str = "",
    gone: bool = False,
) -> Delivery | None:
    """Note how an attempt went: delivered, to be tried again at `retry_at`, or failed for good if that is None.

    gone: the address said that it is there no more; the webhook is not used again. Returns None if the webhook was
    deleted meanwhile.
    """
    delivery = session.get(Delivery, delivery_id)
    if delivery is None:
        return None
    delivery.attempts += 1
    delivery.state = "delivered" if delivered else "failed" if retry_at is None else "waiting"
    delivery.next_at = delivery.next_at if retry_at is None else retry_at
    delivery.status_code, delivery.error = status_code, error
    if gone:
        get_row(session, Webhook, delivery.webhook_id).active = False
    delivery.updated_at = time.time()
    return delivery


def list_deliveries(session: Session, webhook_id: str, limit: int = 50) -> list[tuple[Delivery, Event]]:
    """Return the newest deliveries of a webhook with their events."""
    query = (
        select(Delivery, Event)
        .join(Event, Event.event_id == Delivery.event_id)
        .where(Delivery.webhook_id == webhook_id)
        .order_by(Delivery.event_id.desc())
    )
    return [(delivery, event) for delivery, event in session.execute(query.limit(max(1, min(limit, MAX_LIMIT))))]


def prune_deliveries(session: Session, older_than_at: float) -> int:
    """Delete the deliveries that were settled before a time; returns how many."""
    done = session.execute(delete(Delivery).where(Delivery.state != "waiting", Delivery.updated_at < older_than_at))
    assert isinstance(done, CursorResult)
    return done.rowcount


def _due(now: float) -> Select[str]:
    """Return the query for the ids of the deliveries whose time has come."""
    return (
        select(Delivery.delivery_id)
        .join(Webhook, Webhook.webhook_id == Delivery.webhook_id)
        .where(Delivery.state == "waiting", Delivery.next_at <= now, Webhook.active)
    )


def _queue(session: Session, webhook: Webhook, event: Event) -> Delivery:
    now = time.time()
    delivery = Delivery(webhook_id=webhook.webhook_id, event_id=event.event_id, next_at=now, updated_at=now)
    session.add(delivery)
    session.flush()
    return delivery
