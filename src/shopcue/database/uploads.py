"""Uploads: files that arrive in chunks. `offset` tells how many bytes were acknowledged, and never goes back."""

from __future__ import annotations

import re
import time

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shopcue.database.rows import get_row
from shopcue.database.tables import Upload
from shopcue.errors import Conflict, Missing, RecordError

UPLOAD_KINDS = ("video", "feed", "comments", "speech")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def add_upload(session: Session, shop: str, kind: str, name: str, size: int, sha256: str | None = None) -> Upload:
    """Announce a file of `size` bytes. sha256: what its bytes are to hash to, in hexadecimal digits."""
    if kind not in UPLOAD_KINDS:
        raise RecordError(f"the kind of an upload is {kind[:40]!r}, expected one of {', '.join(UPLOAD_KINDS)}")
    if size <= 0:
        raise RecordError(f"the size of an upload is {size}, expected a number of bytes above 0")
    if sha256 is not None and not _SHA256.fullmatch(sha256 := sha256.lower()):
        raise RecordError(f"the sha256 of an upload is {sha256[:80]!r}, expected 64 hexadecimal digits")
    now = time.time()
    upload = Upload(shop=shop, kind=kind, name=name, size=size, sha256=sha256, created_at=now, updated_at=now)
    session.add(upload)
    session.flush()
    return upload


def get_upload(session: Session, upload_id: str) -> Upload:
    """Return an upload; raises Missing."""
    return get_row(session, Upload, upload_id)


def advance_upload(session: Session, upload_id: str, from_offset: int, to_offset: int) -> Upload:
    """Acknowledge the bytes from one offset to another, which are safe on disk.

    Raises Conflict unless the upload is open and ends at `from_offset`, RecordError if it would grow beyond its size.
    """
    upload = get_row(session, Upload, upload_id)
    _require_open(upload)
    if upload.offset != from_offset:
        raise Conflict(f"the upload {upload_id} has {upload.offset} bytes, a chunk came for {from_offset}; go on there")
    if not from_offset <= to_offset <= upload.size:
        raise RecordError(f"a chunk ends at {to_offset}, expected {from_offset} to {upload.size}; check the size")
    upload.offset = to_offset
    upload.updated_at = time.time()
    return upload


def finish_upload(session: Session, upload_id: str, *, failed: bool = False) -> Upload:
    """Close an upload: complete if all its bytes are there, or failed because they are not what was announced."""
    upload = get_row(session, Upload, upload_id)
    _require_open(upload)
    if not failed and upload.offset != upload.size:
        raise Conflict(f"the upload {upload_id} has {upload.offset} of {upload.size} bytes; send the others first")
    upload.state = "failed" if failed else "complete"
    upload.updated_at = time.time()
    return upload


def use_upload(session: Session, upload_id: str, shop: str, kind: str) -> Upload:
    """Take a complete upload for good, so that nothing else takes it; raises Conflict or Missing.

    An upload of another shop is as missing as none.
    """
    upload = get_row(session, Upload, upload_id)
    if upload.shop != shop:
        raise Missing(f"there is no upload {upload_id!r} of the shop {shop}")
    if upload.kind != kind:
        raise Conflict(f"the upload {upload_id} is of the kind {upload.kind}, expected {kind}; upload it as that")
    if upload.state != "complete":
        raise Conflict(f"the upload {upload_id} is {upload.state}, expected a complete one; finish it, or upload again")
    upload.state = "used"
    upload.updated_at = time.time()
    return upload


def list_uploads(session: Session, shop: str | None = None, state: str | None = None) -> list[Upload]:
    """Return the uploads of one shop and state, or of all, oldest first."""
    query = select(Upload).order_by(Upload.created_at, Upload.upload_id)
    if shop is not None:
        query = query.where(Upload.shop == shop)
    if state is not None:
        query = query.where(Upload.state == state)
    return list(session.scalars(query))


def count_open_uploads(session: Session, shop: str) -> int:
    """Return how many uploads of a shop are open."""
    query = select(func.count()).where(Upload.shop == shop, Upload.state == "open")
    return session.scalar(query) or 0


def stale_uploads(session: Session, older_than_at: float) -> list[Upload]:
    """Return the uploads that nothing happened to since a time, except used ones: their files may go."""
    query = select(Upload).where(Upload.updated_at < older_than_at, Upload.state != "used")
    return list(session.scalars(query.order_by(Upload.updated_at).limit(1_000)))


def delete_upload(session: Session, upload_id: str) -> None:
    """Forget an upload; raises Missing."""
    session.delete(get_row(session, Upload, upload_id))
    session.flush()


def _require_open(upload: Upload) -> None:
    if upload.state != "open":
        raise Conflict(f"the upload {upload.upload_id} is {upload.state}, expected an open one; start a new upload")
