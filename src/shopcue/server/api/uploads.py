"""Uploads: files in chunks, which go on where they were interrupted."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from shopcue.database import uploads
from shopcue.database.tables import Upload as UploadRow
from shopcue.errors import Missing
from shopcue.server import schemas
from shopcue.server.auth import Parts, Principal, SignedIn, check_write, writable_shop
from shopcue.server.problems import CHANGES, READS, Refused
from shopcue.server.receiving import acknowledge, begin_upload, drop_upload, open_receiver, recover
from shopcue.server.schemas import NewUpload, Upload
from shopcue.server.schemas.shapes import Identity, ShopName
from shopcue.server.services import Services

router = APIRouter(tags=["uploads"])

_PIECE_BYTES = 1 << 20
_RAW: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
Offset = Annotated[
    int, Header(alias="Upload-Offset", ge=0, le=1 << 62, description="Where the chunk begins: the upload's `offset`.")
]


@router.post("/api/shops/{shop}/uploads", status_code=201, responses=CHANGES)
def begin(shop: ShopName, body: NewUpload, who: SignedIn, parts: Parts) -> Upload:
    """Announce a file; its bytes follow in chunks."""
    with parts.database.write() as session:
        writable_shop(session, who, shop)
        return _view(parts, begin_upload(parts, session, shop, body))


@router.get("/api/uploads/{upload_id}", responses=READS)
def show(upload_id: Identity, who: SignedIn, parts: Parts) -> Upload:
    """Say how far an upload is; an interrupted one goes on at its `offset`."""
    with parts.database.read() as session:
        upload = _readable(session, who, upload_id)
    return _view(parts, recover(parts, upload))


@router.patch(
    "/api/uploads/{upload_id}",
    responses=CHANGES | {409: {"model": schemas.WrongOffset, "description": "Conflict"}},
    openapi_extra=_RAW,
)
async def send_chunk(upload_id: Identity, request: Request, who: SignedIn, parts: Parts, offset: Offset) -> Upload:
    """Send the next chunk; when the answer comes, its bytes are safe on the server's disk."""
    upload = await run_in_threadpool(_writable, parts, who, upload_id)
    with await run_in_threadpool(open_receiver, parts, upload, offset) as receiver:
        piece = bytearray()
        try:
            async for some in request.stream():
                piece += some
                if len(piece) >= _PIECE_BYTES:
                    await run_in_threadpool(receiver.write, bytes(piece))
                    piece.clear()
        except ClientDisconnect:
            raise Refused("the connection ended in the middle of the chunk; send it again") from None
        await run_in_threadpool(receiver.write, bytes(piece))
        return _view(parts, await run_in_threadpool(acknowledge, parts, upload_id, offset, receiver))


@router.delete("/api/uploads/{upload_id}", status_code=204, responses=CHANGES)
def drop(upload_id: Identity, who: SignedIn, parts: Parts) -> None:
    """Give up an upload and delete its bytes."""
    _writable(parts, who, upload_id)
    drop_upload(parts, upload_id)


def _readable(session: Session, who: Principal, upload_id: str) -> UploadRow:
    upload = uploads.get_upload(session, upload_id)
    if not who.may_read(upload.shop):
        raise Missing(f"there is no upload {upload_id!r}")
    return upload


def _writable(parts: Services, who: Principal, upload_id: str) -> UploadRow:
    with parts.database.read() as session:
        upload = _readable(session, who, upload_id)
    check_write(who, upload.shop)
    return upload


def _view(parts: Services, upload: UploadRow) -> Upload:
    kept = {name: getattr(upload, name) for name in Upload.model_fields if name != "chunk_bytes"}
    return Upload.model_validate({**kept, "chunk_bytes": parts.settings.uploads.chunk_bytes})
