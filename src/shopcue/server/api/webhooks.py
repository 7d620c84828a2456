"""Webhooks: addresses of a shop's own that are told of its events, and how that went."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Query
from sqlalchemy.orm import Session

from shopcue.database import webhooks
from shopcue.database.tables import Delivery as DeliveryRow
from shopcue.database.tables import Webhook as WebhookRow
from shopcue.errors import Missing
from shopcue.server.addresses import WEB, check_address
from shopcue.server.auth import Parts, Principal, SignedIn, writable_shop
from shopcue.server.problems import CHANGES, READS, Unfit, refusals
from shopcue.server.schemas import Deliveries, Delivery, MadeWebhook, NewWebhook, Webhook, Webhooks
from shopcue.server.schemas.shapes import Identity, ShopName

router = APIRouter(prefix="/api", tags=["webhooks"])

_LISTS = READS | refusals(403)


@router.get("/shops/{shop}/webhooks", responses=_LISTS)
def list_all(shop: ShopName, who: SignedIn, parts: Parts) -> Webhooks:
    """List the webhooks of a shop. Their addresses may hold secrets: this needs the role seller."""
    with parts.database.read() as session:
        writable_shop(session, who, shop)
        return Webhooks(webhooks=[Webhook.model_validate(row) for row in webhooks.list_webhooks(session, shop)])


@router.post("/shops/{shop}/webhooks", status_code=201, responses=CHANGES)
def add(shop: ShopName, body: NewWebhook, who: SignedIn, parts: Parts) -> MadeWebhook:
    """Tell an address of what happens in a shop from now on; the secret, by which it knows us, is shown this once."""
    check_address(body.url, WEB, allow_private=parts.settings.allow_private)
    if urlsplit(body.url).username is not None:
        raise Unfit("the address holds a user name; leave it out, the signature says who we are")
    with parts.database.write() as session:
        writable_shop(session, who, shop)
        return MadeWebhook.model_validate(webhooks.add_webhook(session, shop, body.url, body.events))


@router.delete("/webhooks/{webhook_id}", status_code=204, responses=CHANGES)
def delete(webhook_id: Identity, who: SignedIn, parts: Parts) -> None:
    """Tell an address no more."""
    with parts.database.write() as session:
        _own_webhook(session, who, webhook_id)
        webhooks.delete_webhook(session, webhook_id)


@router.get("/webhooks/{webhook_id}/deliveries", responses=_LISTS)
def list_deliveries(
    webhook_id: Identity, who: SignedIn, parts: Parts, limit: Annotated[int, Query(ge=1, le=1000)] = 50
) -> Deliveries:
    """List the newest deliveries to a webhook, the newest first."""
    with parts.database.read() as session:
        _own_webhook(session, who, webhook_id)
        return Deliveries(deliveries=[_view(row) for row, _ in webhooks.list_deliveries(session, webhook_id, limit)])


@router.post("/webhooks/{webhook_id}/test", status_code=202, responses=CHANGES)
def test(webhook_id: Identity, who: SignedIn, parts: Parts) -> Delivery:
    """Send an event of the type webhook.test to an address; its delivery tells how that goes."""
    with parts.database.write() as session:
        _own_webhook(session, who, webhook_id)
        return _view(webhooks.send_test(session, webhook_id))


def _own_webhook(session: Session, who: Principal, webhook_id: str) -> WebhookRow:
    """Return a webhook that may be changed; raises Missing or Forbidden."""
    row = webhooks.get_webhook(session, webhook_id)
    if not who.may_read(row.shop):
        raise Missing(f"there is no webhook {webhook_id!r}")
    writable_shop(session, who, row.shop)
    return row


def _view(row: DeliveryRow) -> Delivery:
    names = ("delivery_id", "event_id", "state", "attempts", "status_code", "error", "updated_at")
    due = row.next_at if row.state == "waiting" else None
    return Delivery.model_validate({**{name: getattr(row, name) for name in names}, "next_at": due})
