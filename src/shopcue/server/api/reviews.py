"""The review of focuses: decisions, who made them and when, and how they are taken back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy.orm import Session

from shopcue.database.focuses import get_focus
from shopcue.database.reviews import list_reviews, review_focus, undo_review
from shopcue.database.tables import Focus as FocusRow
from shopcue.database.tables import Review as ReviewRow
from shopcue.errors import Missing
from shopcue.server.api.focuses import focus_views, product_title
from shopcue.server.auth import Parts, Principal, SignedIn, readable_shop, writable_shop
from shopcue.server.problems import CHANGES, READS, Unfit
from shopcue.server.schemas import Focus, NewReview, Review, Reviews
from shopcue.server.schemas.shapes import Identity, ShopName

router = APIRouter(prefix="/api", tags=["focuses"])

Limit = Annotated[int, Query(ge=1, le=1000)]
Before = Annotated[int | None, Query(ge=1, le=(1 << 63) - 1, description="The review_id after which to go on.")]


@router.post("/focuses/{focus_id}/review", responses=CHANGES)
def review(focus_id: Identity, body: NewReview, who: SignedIn, parts: Parts) -> Focus:
    """Decide about a focus; 409 if it is not the version that was looked at."""
    with parts.database.read() as session:
        shop = _writable_focus(session, who, focus_id).shop
    title = None
    if body.action == "replace":
        if body.product_id is None:
            raise Unfit("a focus is to be replaced by no product; give the product_id of the one that is shown")
        title = product_title(parts, shop, body.product_id)
    with parts.database.write() as session:
        row = review_focus(
            session,
            focus_id,
            body.action,
            who.name,
            who.role,
            product_id=body.product_id,
            title=title,
            start_s=body.start_s,
            end_s=body.end_s,
            version=body.version,
        )
    return focus_views(parts, [row])[0]


@router.post("/focuses/{focus_id}/undo", responses=CHANGES)
def undo(focus_id: Identity, who: SignedIn, parts: Parts) -> Focus:
    """Take back the last decision about a focus that stands."""
    with parts.database.write() as session:
        _writable_focus(session, who, focus_id)
        row = undo_review(session, focus_id, who.name, who.role)
    return focus_views(parts, [row])[0]


@router.get("/focuses/{focus_id}/reviews", responses=READS)
def list_of_focus(
    focus_id: Identity, who: SignedIn, parts: Parts, limit: Limit = 100, before: Before = None
) -> Reviews:
    """List the decisions about a focus, the newest first."""
    with parts.database.read() as session:
        _readable_focus(session, who, focus_id)
        return _views(list_reviews(session, focus_id=focus_id, limit=limit, before=before))


@router.get("/shops/{shop}/reviews", responses=READS)
def list_of_shop(shop: ShopName, who: SignedIn, parts: Parts, limit: Limit = 100, before: Before = None) -> Reviews:
    """List the decisions about the focuses of a shop, the newest first."""
    with parts.database.read() as session:
        readable_shop(session, who, shop)
        return _views(list_reviews(session, shop=shop, limit=limit, before=before))


def _readable_focus(session: Session, who: Principal, focus_id: str) -> FocusRow:
    """Return a focus that may be seen; raises Missing."""
    row = get_focus(session, focus_id)
    if not who.may_read(row.shop):
        raise Missing(f"there is no focus {focus_id!r}")  # as if it were not there, word by word
    return row


def _writable_focus(session: Session, who: Principal, focus_id: str) -> FocusRow:
    """Return a focus that may be changed; raises Missing or Forbidden."""
    row = _readable_focus(session, who, focus_id)
    writable_shop(session, who, row.shop)
    return row


def _views(rows: Iterable[ReviewRow]) -> Reviews:
    names = ("review_id", "focus_id", "video_id", "action", "before", "after", "who", "at")
    return Reviews(
        reviews=[
            Review.model_validate({**{name: getattr(row, name) for name in names}, "undone": row.undone_by is not None})
            for row in rows
        ]
    )
