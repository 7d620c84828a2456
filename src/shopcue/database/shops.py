"""Shops, by their slugs."""

from __future__ import annotations

import re
import time
from collections.abc import Collection

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from shopcue.database.rows import get_row
from shopcue.database.tables import Event, Shop, Token
from shopcue.errors import RecordError

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def put_shop(session: Session, shop: str, title: str) -> Shop:
    """Make a shop, or give it another title.

    shop: its slug, at most 63 letters a-z, digits and inner hyphens; raises RecordError for another.
    """
    if not _SLUG.fullmatch(shop):
        raise RecordError(f"the name of a shop is {shop[:80]!r}, expected a-z, 0-9 and -, at most 63, not - first")
    row = session.get(Shop, shop)
    if row is None:
        row = Shop(shop=shop, title=title, created_at=time.time())
        session.add(row)
    row.title = title
    session.flush()
    return row


def get_shop(session: Session, shop: str) -> Shop:
    """Return a shop; raises Missing."""
    return get_row(session, Shop, shop)


def list_shops(session: Session, only: Collection[str] | None = None) -> list[Shop]:
    """Return all shops in the order of their slugs, or those of `only` that there are."""
    query = select(Shop).order_by(Shop.shop)
    return list(session.scalars(query if only is None else query.where(Shop.shop.in_(only))))


def delete_shop(session: Session, shop: str) -> None:
    """Delete a shop and all that is its: videos, focuses, reviews, jobs, uploads, webhooks, events; raises Missing.

    Its name leaves the tokens too, or another shop of this name would be open to the sellers of the old one.
    """
    session.delete(get_row(session, Shop, shop))
    session.execute(delete(Event).where(Event.shop == shop))
    for token in session.scalars(select(Token)):
        if shop in token.shops:
            token.shops = [other for other in token.shops if other != shop]
    session.flush()
