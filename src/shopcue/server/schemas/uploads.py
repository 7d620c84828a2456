"""Files that are sent in chunks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from shopcue.server.schemas.answers import Failure
from shopcue.server.schemas.shapes import Incoming, Instant, Name, Outgoing, UploadKind


class NewUpload(Incoming):
    """A file that is going to be sent in chunks."""

    name: Name
    size: int = Field(ge=1, le=1 << 50)
    kind: UploadKind
    sha256: Annotated[str, StringConstraints(to_lower=True, pattern=r"^[0-9a-fA-F]{64}$")] | None = None


class Upload(Outgoing):
    """An upload; offset: how many bytes are safely here, chunk_bytes: how many one request may bring."""

    upload_id: str
    shop: str
    kind: UploadKind
    name: str
    size: int
    offset: int
    state: Literal["open", "complete", "used", "failed"]
    chunk_bytes: int
    created_at: Instant


class WrongOffset(Failure):
    """A chunk that cannot be taken; offset: where the upload goes on, if that is why."""

    offset: int | None = None
