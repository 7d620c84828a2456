"""What the shapes of the API are made of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints


def utc(seconds: float) -> datetime:
    """Return the instant that lies so many seconds after the start of 1970."""
    return datetime.fromtimestamp(seconds, UTC)


def _instant(value: object) -> object:
    return utc(value) if isinstance(value, int | float) else value


Instant = Annotated[datetime, BeforeValidator(_instant)]
Seconds = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Title = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
Text = Annotated[str, StringConstraints(max_length=5_000)]
Address = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4_096)]
ShopName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Identity = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,32}$")]
ProductName = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Limit = Annotated[int, Field(ge=1, le=500)]
Role = Literal["admin", "seller", "viewer"]
Box = tuple[float, float, float, float]
Span = Annotated[list[float], Field(min_length=2, max_length=2)]
VideoState = Literal["new", "matching", "ready", "failed", "stopped", "starting", "live", "reconnecting"]
JobState = Literal["queued", "running", "done", "failed", "cancelled"]
JobKind = Literal["match", "import", "reindex"]
ItemStatus = Literal["ok", "partial", "refused"]
UploadKind = Literal["video", "feed", "comments", "speech"]
FocusStatus = Literal["open", "found", "confirmed", "rejected", "corrected", "added"]


class Incoming(BaseModel):
    """What a client sends: closed, and without numbers that are none."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Outgoing(BaseModel):
    """What the server answers: made from the rows of the database by name."""

    model_config = ConfigDict(from_attributes=True)
