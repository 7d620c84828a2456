"""Focuses of a video: what was found, and what persons add."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from shopcue.database.focuses import focus_fields, list_focuses
from shopcue.database.reviews import add_focus
from shopcue.database.tables import Focus as FocusRow
from shopcue.errors import Missing
from shopcue.server.auth import Parts, SignedIn, readable_video, writable_video
from shopcue.server.problems import CHANGES, READS
from shopcue.server.published import find_products
from shopcue.server.schemas import Focus, Focuses, NewFocus
from shopcue.server.schemas.shapes import Identity
from shopcue.server.services import Services

router = APIRouter(prefix="/api/videos/{video_id}/focuses", tags=["focuses"])


@router.get("", responses=READS)
def list_all(
    video_id: Identity,
    who: SignedIn,
    parts: Parts,
    include: Annotated[Literal["rejected"] | None, Query(description="Also those that were rejected.")] = None,
    order: Annotated[Literal["start", "doubt"], Query(description="By time, or the most doubtful first.")] = "start",
) -> Focuses:
    """List the focuses of a video."""
    with parts.database.read() as session:
        readable_video(session, who, video_id)
        rows = list_focuses(session, video_id, include_rejected=include == "rejected", order=order)
    return Focuses(focuses=focus_views(parts, rows))


@router.post("", status_code=201, responses=CHANGES)
def add(video_id: Identity, body: NewFocus, who: SignedIn, parts: Parts) -> Focus:
    """Add a focus that was missed."""
    with parts.database.read() as session:
        shop = writable_video(session, who, video_id).shop
    title = product_title(parts, shop, body.product_id)
    with parts.database.write() as session:
        video = writable_video(session, who, video_id)
        row = add_focus(session, video, body.product_id, title, body.start_s, body.end_s, who.name, who.role)
    return focus_views(parts, [row])[0]


def product_title(parts: Services, shop: str, product_id: str) -> str:
    """Return the title of a product; raises Missing if the shop has none with this id."""
    found = find_products(parts, shop, [product_id])
    if not found:
        raise Missing(f"the shop {shop!r} has no product {product_id[:80]!r}; search for one that it has")
    return found[product_id].title


def focus_views(parts: Services, rows: Sequence[FocusRow]) -> list[Focus]:
    """Return focuses of one shop as the API shows them, with titles for all alternatives that the shop still has."""
    fields = [focus_fields(row) for row in rows]
    unnamed = {each["product_id"] for view in fields for each in view["alternatives"] if not each.get("title")}
    known = find_products(parts, rows[0].shop, unnamed) if unnamed else {}

    def named(other: dict[str, Any]) -> dict[str, Any]:
        product = known.get(other["product_id"])
        return {**other, "title": other.get("title") or (product.title if product else other["product_id"])}

    return [
        Focus.model_validate({**view, "alternatives": [named(other) for other in view["alternatives"]]})
        for view in fields
    ]
