"""Search for products, by words and by photo."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from starlette.requests import HTTPConnection

from shopcue.catalog.pictures import MAX_BYTES
from shopcue.server.auth import Parts, SignedIn, readable_shop
from shopcue.server.photo_search import PhotoSearch
from shopcue.server.problems import READS, TooLarge, refusals
from shopcue.server.published import find_products
from shopcue.server.schemas import Hit, Hits
from shopcue.server.schemas.shapes import ShopName
from shopcue.server.services import Services
from shopcue.server.views import picture_address

router = APIRouter(prefix="/api/shops/{shop}/search", tags=["search"])

Count = Annotated[int, Query(ge=1, le=100, description="How many products.")]
_PHOTO: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def photo_search(connection: HTTPConnection) -> PhotoSearch:
    """Return what searches by photo on the server that a request came to."""
    found = connection.app.state.photo_search
    assert isinstance(found, PhotoSearch)
    return found


async def photo(request: Request) -> bytes:
    """Return the body of a request; raises TooLarge for one that no picture needs."""
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > MAX_BYTES:
            raise TooLarge(f"a photo may have at most {MAX_BYTES:,} bytes; make it smaller")
    return bytes(data)


@router.get("", responses=READS)
def search(
    shop: ShopName, who: SignedIn, parts: Parts, q: Annotated[str, Query(min_length=1, max_length=500)], k: Count = 10
) -> Hits:
    """Find the products whose title, brand or category fits some words, the best first; the score has no upper end."""
    with parts.database.read() as session:
        readable_shop(session, who, shop)
    return _hits(parts, shop, [(hit.product_id, hit.score) for hit in parts.store.search(shop, text=q, k=k)])


@router.post("/image", responses=READS | refusals(400, 413), openapi_extra=_PHOTO)
def search_by_photo(
    shop: ShopName,
    who: SignedIn,
    parts: Parts,
    data: Annotated[bytes, Depends(photo)],
    searcher: Annotated[PhotoSearch, Depends(photo_search)],
    k: Count = 10,
) -> Hits:
    """Find the products that a photo most likely shows; what the scores lack to 1 is 'none of them'."""
    with parts.database.read() as session:
        readable_shop(session, who, shop)
    return _hits(parts, shop, searcher.search(shop, data, k))


def _hits(parts: Services, shop: str, found: list[tuple[str, float]]) -> Hits:
    """Return what was found as the API shows it; a product that was deleted just now is left out."""
    products = find_products(parts, shop, [product_id for product_id, _ in found])
    return Hits(
        results=[
            Hit(
                product_id=product_id,
                title=products[product_id].title,
                score=score,
                picture=picture_address(shop, product_id),
                price=products[product_id].price,
            )
            for product_id, score in found
            if product_id in products
        ]
    )
