"""The products of a shop: listed, changed, deleted, seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Response
from fastapi import Path as PathPart
from sqlalchemy.orm import Session

from shopcue import records
from shopcue.database import focuses
from shopcue.database.events import add_event
from shopcue.errors import Missing
from shopcue.server.auth import Parts, SignedIn, readable_shop, writable_shop
from shopcue.server.problems import CHANGES, READS, refusals
from shopcue.server.schemas import Deleted, Product, ProductChange, ProductNames, Products, Showing
from shopcue.server.schemas.shapes import Limit, ProductName, ShopName
from shopcue.server.services import Services
from shopcue.server.views import video_titles, view_product

router = APIRouter(prefix="/api/shops/{shop}/products", tags=["products"])

Words = Annotated[str, Query(max_length=500)]


@router.get("", responses=READS | refusals(400))
def list_all(
    shop: ShopName,
    who: SignedIn,
    parts: Parts,
    q: Words = "",
    category: Words = "",
    brand: Words = "",
    availability: Words = "",
    shown: Literal["ever", "never"] | None = None,
    after: Annotated[str, Query(max_length=4_000)] = "",
    limit: Limit = 50,
) -> Products:
    """List products in the order of their titles; shown: only those that a video shows, or that none does."""
    with parts.database.read() as session:
        readable_shop(session, who, shop)
        seen = focuses.shown_products(session, shop) if shown else set()
        page = parts.store.products(
            shop,
            q=q,
            category=category,
            brand=brand,
            availability=availability,
            ids=seen if shown == "ever" else None,
            but=seen if shown == "never" else (),
            after=after,
            limit=limit,
        )
        return Products(products=_views(session, shop, page.products), total=page.total, next=page.next or None)


@router.post("/delete", responses=CHANGES)
def delete_many(shop: ShopName, body: ProductNames, who: SignedIn, parts: Parts) -> Deleted:
    """Delete products; those that are not there are left alone."""
    with parts.database.read() as session:
        writable_shop(session, who, shop)
    deleted = parts.store.delete(shop, body.product_ids)
    if deleted:
        _tell(parts, shop)
    return Deleted(deleted=deleted)


@router.get(
    "/{product_id:path}/pictures/{position}",
    response_class=Response,
    responses=READS | {200: {"content": {"image/jpeg": {}}, "description": "A picture"}, 304: {"description": "Kept"}},
)
def picture(
    shop: ShopName,
    product_id: ProductName,
    position: Annotated[int, PathPart(ge=0, le=1_000)],
    who: SignedIn,
    parts: Parts,
    if_none_match: Annotated[str, Header()] = "",
) -> Response:
    """Give a picture of a product, at most 480 pixels on its longer side."""
    with parts.database.read() as session:
        readable_shop(session, who, shop)
    return picture_answer(parts, shop, product_id, position, if_none_match)


@router.get("/{product_id:path}", responses=READS)
def show(shop: ShopName, product_id: ProductName, who: SignedIn, parts: Parts) -> Product:
    """Show a product."""
    with parts.database.read() as session:
        readable_shop(session, who, shop)
        return _views(session, shop, [_product(parts, shop, product_id)])[0]


@router.patch("/{product_id:path}", responses=CHANGES)
def change(shop: ShopName, product_id: ProductName, body: ProductChange, who: SignedIn, parts: Parts) -> Product:
    """Change the texts of a product; it keeps its pictures."""
    with parts.database.read() as session:
        writable_shop(session, who, shop)
    _product(parts, shop, product_id)
    changed = parts.store.revise(shop, product_id, body.model_dump(exclude_none=True))
    if changed is None:  # it went in this moment
        raise _missing(shop, product_id)
    _tell(parts, shop)
    with parts.database.read() as session:
        return _views(session, shop, [changed])[0]


@router.delete("/{product_id:path}", status_code=204, responses=CHANGES)
def delete(shop: ShopName, product_id: ProductName, who: SignedIn, parts: Parts) -> None:
    """Delete a product."""
    with parts.database.read() as session:
        writable_shop(session, who, shop)
    if not parts.store.delete(shop, [product_id]):
        raise _missing(shop, product_id)
    _tell(parts, shop)


def picture_answer(parts: Services, shop: str, product_id: str, position: int, if_none_match: str) -> Response:
    """Return the answer that gives a picture of a product, or says that the asker has it; raises Missing."""
    snapshot = parts.store.snapshot(shop)
    place = snapshot.index.get(product_id)
    if place is None:
        raise _missing(shop, product_id)
    row = int(snapshot.starts[place]) + position
    if row >= len(snapshot.owner) or snapshot.owner[row] != place:
        raise Missing(f"the product {product_id[:100]!r} has no picture {position}")
    tag = f'"{int(snapshot.stamps[row]):x}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if tag in if_none_match:
        return Response(status_code=304, headers=headers)
    return Response(parts.store.picture(shop, product_id, position), media_type="image/jpeg", headers=headers)


def _product(parts: Services, shop: str, product_id: str) -> records.Product:
    product = parts.store.get(shop, product_id)
    if product is None:
        raise _missing(shop, product_id)
    return product


def _missing(shop: str, product_id: str) -> Missing:
    return Missing(f"there is no product {product_id[:100]!r} in the shop {shop}")


def _views(session: Session, shop: str, products: Sequence[records.Product]) -> list[Product]:
    """Return products with the moments at which they are on screen, all asked for at once."""
    shown = focuses.shown_at(session, shop, [product.product_id for product in products])
    titles = video_titles(session, {video_id for spans in shown.values() for video_id, _, _ in spans})
    return [
        view_product(
            shop,
            product,
            [
                Showing(video_id=video_id, video_title=titles[video_id], start_s=start_s, end_s=end_s)
                for video_id, start_s, end_s in shown.get(product.product_id, [])
            ],
        )
        for product in products
    ]


def _tell(parts: Services, shop: str) -> None:
    """Tell the pages that the catalogue is another one now."""
    data = {"products": len(parts.store.snapshot(shop)), "version": parts.store.version(shop)}
    with parts.database.write() as session:
        add_event(session, "catalog.update", shop, data=data)
