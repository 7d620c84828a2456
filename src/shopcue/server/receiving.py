"""Uploads as they come in: chunks go to their place in a file, and are acknowledged when the disk has them.

One request at a time writes to an upload: it holds the lock of the file, which ends with the process however that ends.
What was written and not acknowledged is written again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Self

from sqlalchemy.orm import Session

from shopcue.database import uploads
from shopcue.database.tables import Upload
from shopcue.errors import Conflict
from shopcue.server.problems import TooLarge, Unfit, WrongOffset
from shopcue.server.schemas import NewUpload
from shopcue.server.services import Services


def begin_upload(parts: Services, session: Session, shop: str, new: NewUpload) -> Upload:
    """Announce an upload; raises TooLarge for more than is taken or has room, Conflict for one too many."""
    limits = parts.settings.uploads
    if new.size > limits.most(new.kind):
        raise TooLarge(f"the file has {new.size:,} bytes, a {new.kind} may have {limits.most(new.kind):,}")
    if uploads.count_open_uploads(session, shop) >= limits.open_uploads:
        raise Conflict(f"the shop has {limits.open_uploads} uploads under way; finish or delete one of them first")
    to_come = sum(each.size - each.offset for each in uploads.list_uploads(session, state="open"))
    room = shutil.disk_usage(parts.settings.uploads_folder).free - limits.spare_bytes - to_come
    if new.size > room:
        raise TooLarge(f"the file has {new.size:,} bytes and the server's disk room for {max(0, room):,}; make room")
    return uploads.add_upload(session, shop, new.kind, new.name, new.size, new.sha256)


class Receiver:
    """One chunk on its way into the file of an upload, from `offset` on."""

    def __init__(self, path: Path, offset: int, most_bytes: int) -> None:
        self._path = path
        self._offset = offset
        self._left = most_bytes
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise Conflict("another request writes to this upload; wait for it, then ask how far it is") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, which unlocks it."""
        os.close(self._file)

    @property
    def offset(self) -> int:
        """Where the next byte goes."""
        return self._offset

    def write(self, piece: bytes) -> None:
        """Put bytes behind those that came; raises TooLarge for more than may come, or than the disk takes."""
        if len(piece) > self._left:
            raise TooLarge(f"the chunk goes on after byte {self._offset + self._left:,}, where it was to end")
        try:
            view = memoryview(piece)
            while view:
                written = os.pwrite(self._file, view, self._offset)
                view = view[written:]
                self._offset += written
                self._left -= written
        except OSError as error:
            raise TooLarge(f"the server's disk does not take the chunk: {error.strerror}; make room") from None

    def sync(self) -> None:
        """Return when the disk has everything, the file's name too."""
        os.fsync(self._file)
        sync_folder(self._path.parent)


def sync_folder(folder: Path) -> None:
    """Return when the disk knows the names in a folder."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_receiver(parts: Services, upload: Upload, offset: int) -> Receiver:
    """Return what takes a chunk that begins at `offset`; raises Conflict or WrongOffset where none can begin there."""
    if upload.state != "open":
        raise Conflict(f"the upload {upload.upload_id} is {upload.state}, expected an open one; start a new upload")
    most_bytes = min(parts.settings.uploads.chunk_bytes, max(0, upload.size - offset))
    receiver = Receiver(parts.settings.upload_file(upload.upload_id), offset, most_bytes)
    try:
        with parts.database.read() as session:  # again: another request may have ended since `upload` was read
            here = uploads.get_upload(session, upload.upload_id).offset
        if here != offset:
            raise WrongOffset(f"the upload has {here:,} bytes, a chunk came for {offset:,}; go on at {here:,}", here)
    except BaseException:
        receiver.close()
        raise
    return receiver


def acknowledge(parts: Services, upload_id: str, begun: int, receiver: Receiver) -> Upload:
    """Make a chunk safe and count it; with the last one, check the file and complete the upload."""
    receiver.sync()
    with parts.database.write() as session:
        upload = uploads.advance_upload(session, upload_id, begun, receiver.offset)
    parts.metrics.uploaded_bytes.inc(receiver.offset - begun)
    return complete(parts, upload) if upload.offset == upload.size else upload


def complete(parts: Services, upload: Upload) -> Upload:
    """Complete an upload all of whose bytes are here; raises Unfit, and drops it, if they are not those announced."""
    path = parts.settings.upload_file(upload.upload_id)
    found = _sha256(path) if upload.sha256 else None
    with parts.database.write() as session:
        upload = uploads.finish_upload(session, upload.upload_id, failed=found != upload.sha256)
    if upload.state == "failed":
        path.unlink(missing_ok=True)
        raise Unfit(f"the bytes have the sha256 {found}, announced was {upload.sha256}; upload the file again")
    return upload


def recover(parts: Services, upload: Upload) -> Upload:
    """Return an upload, completed if all its bytes are here and a server was killed before it could say so."""
    if upload.state != "open" or upload.offset != upload.size:
        return upload
    try:
        with Receiver(parts.settings.upload_file(upload.upload_id), upload.offset, 0):
            with parts.database.read() as session:
                upload = uploads.get_upload(session, upload.upload_id)
            return complete(parts, upload) if upload.state == "open" else upload
    except Conflict:  # a request is about to
        return upload


def drop_upload(parts: Services, upload_id: str) -> None:
    """Forget an upload with its bytes; raises Conflict for one that was used."""
    with parts.database.write() as session:
        if uploads.get_upload(session, upload_id).state == "used":
            raise Conflict(f"the upload {upload_id} was used already; delete what was made of it")
        uploads.delete_upload(session, upload_id)
    with suppress(OSError):
        parts.settings.upload_file(upload_id).unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
