"""Shops: whose products are looked for."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter
from sqlalchemy import select
from sqlalchemy.orm import Session

from shopcue.database import shops, videos
from shopcue.database.tables import Shop as ShopRow
from shopcue.database.tables import Video as VideoRow
from shopcue.server.auth import Admin, Parts, SignedIn, readable_shop
from shopcue.server.placing import forget_video
from shopcue.server.problems import CHANGES, READS
from shopcue.server.schemas import Shop, ShopChange, Shops
from shopcue.server.schemas.shapes import ShopName, utc
from shopcue.server.services import Services

router = APIRouter(prefix="/api/shops", tags=["shops"])


@router.get("", responses=READS)
def list_all(who: SignedIn, parts: Parts) -> Shops:
    """List the shops that the token is for, by name."""
    with parts.database.read() as session:
        return Shops(shops=_views(parts, session, shops.list_shops(session, who.readable_shops)))


@router.get("/{shop}", responses=READS)
def show(shop: ShopName, who: SignedIn, parts: Parts) -> Shop:
    """Show a shop."""
    with parts.database.read() as session:
        return _read(parts, session, readable_shop(session, who, shop))


@router.put("/{shop}", responses=CHANGES)
def put(shop: ShopName, body: ShopChange, _: Admin, parts: Parts) -> Shop:
    """Make a shop, or call it something else."""
    with parts.database.write() as session:
        return _read(parts, session, shops.put_shop(session, shop, body.title))


@router.delete("/{shop}", status_code=204, responses=CHANGES)
def delete(shop: ShopName, who: Admin, parts: Parts) -> None:
    """Delete a shop with all that is its: products, videos, uploads, jobs, webhooks."""
    with parts.database.read() as session:
        readable_shop(session, who, shop)
    remove_shop(parts, shop)


def remove_shop(parts: Services, shop: str) -> None:
    """Delete a shop: first what only it leads to, then its row, so that a second attempt finds what the first left."""
    parts.store.drop_shop(shop)
    with parts.database.write() as session:
        its_videos = list(session.scalars(select(VideoRow.video_id).where(VideoRow.shop == shop)))
        shops.delete_shop(session, shop)
    for video_id in its_videos:
        forget_video(parts, video_id)


def _read(parts: Services, session: Session, row: ShopRow) -> Shop:
    return _views(parts, session, [row])[0]


def _views(parts: Services, session: Session, rows: Sequence[ShopRow]) -> list[Shop]:
    """Return shops with how much they hold."""
    names = [row.shop for row in rows]
    counts, products = videos.count_videos(session, names), parts.count_products(names)
    return [
        Shop(
            shop=row.shop,
            title=row.title,
            products=products[row.shop],
            videos=counts[row.shop].videos,
            live_streams=counts[row.shop].live_streams,
            created_at=utc(row.created_at),
        )
        for row in rows
    ]
