"""Imports: feeds that fill a shop's catalogue, and its re-embedding by a new encoder."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session

from shopcue.database import jobs, uploads
from shopcue.server.addresses import WEB, check_address
from shopcue.server.auth import Parts, SignedIn, writable_shop
from shopcue.server.problems import CHANGES, Unfit
from shopcue.server.schemas import JobAnswer, NewImport
from shopcue.server.schemas.shapes import ShopName
from shopcue.server.services import Services
from shopcue.server.views import view_job

router = APIRouter(prefix="/api/shops/{shop}", tags=["products"])


@router.post("/imports", status_code=202, responses=CHANGES)
def begin(shop: ShopName, body: NewImport, who: SignedIn, parts: Parts) -> JobAnswer:
    """Take in a feed: an upload, an address, or rows; the job's report says what became of each row."""
    if sum(given is not None for given in (body.upload_id, body.url, body.products)) != 1:
        raise Unfit("expected exactly one of upload_id, url and products")
    with parts.database.write() as session:
        writable_shop(session, who, shop)
        payload = _payload(parts, session, shop, body) | {"delete_missing": body.delete_missing}
        return JobAnswer(job=view_job(jobs.add_job(session, "import", shop, payload)))


@router.post("/reindex", status_code=202, responses=CHANGES)
def reindex(shop: ShopName, who: SignedIn, parts: Parts) -> JobAnswer:
    """Embed the shop's pictures anew, after the server got another encoder."""
    with parts.database.write() as session:
        writable_shop(session, who, shop)
        return JobAnswer(job=view_job(jobs.add_job(session, "reindex", shop, {})))


def _payload(parts: Services, session: Session, shop: str, body: NewImport) -> dict[str, Any]:
    """Return where the job finds its feed; an upload is taken for it."""
    if body.upload_id is not None:
        upload = uploads.use_upload(session, body.upload_id, shop, "feed")
        return {"upload_id": upload.upload_id, "name": upload.name}
    if body.url is not None:
        return {"url": check_address(body.url, WEB, allow_private=parts.settings.allow_private)}
    return {"products": [row.model_dump(exclude_defaults=True) for row in body.products or ()]}
