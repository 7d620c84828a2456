"""Events, and the webhooks that are told of them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from shopcue.database.events import EventType
from shopcue.server.schemas.shapes import Address, Incoming, Instant, Outgoing


class Event(Outgoing):
    """Something that happened; event_id grows, media_s: the second of the video that it is about."""

    event_id: int
    type: str
    shop: str
    video_id: str | None
    media_s: float | None
    at: Instant
    data: dict[str, Any]


class NewWebhook(Incoming):
    """An address that is told of events."""

    url: Address
    events: list[EventType] = Field(min_length=1, max_length=20)


class Webhook(Outgoing):
    """An address that is told of events, without its secret."""

    webhook_id: str
    url: str
    events: list[str]
    active: bool
    created_at: Instant


class MadeWebhook(Webhook):
    """A webhook that was just made; its secret is shown this once."""

    secret: str


class Webhooks(Outgoing):
    """The webhooks of a shop."""

    webhooks: list[Webhook]


class Delivery(Outgoing):
    """One event on its way to a webhook."""

    delivery_id: str
    event_id: int
    state: Literal["waiting", "delivered", "failed"]
    attempts: int
    next_at: Instant | None
    status_code: int | None
    error: str
    updated_at: Instant


class Deliveries(Outgoing):
    """The newest deliveries of a webhook, the newest first."""

    deliveries: list[Delivery]
