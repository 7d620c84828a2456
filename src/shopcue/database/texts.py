"""Strangers' texts, made fit for every database, and the ids that are given to things."""

from __future__ import annotations

import math
import re
import secrets
import string
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from shopcue.errors import RecordError

T = TypeVar("T")

ID_LENGTH = 12
_ALPHABET = string.ascii_letters + string.digits
_UNKEEPABLE = re.compile(r"[\x00\ud800-\udfff]")  # PostgreSQL refuses NUL, UTF-8 cannot say half a surrogate pair


def new_id(length: int = ID_LENGTH) -> str:
    """Return letters and digits that nobody can guess: 5.95 bits each."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def clean(value: T) -> T:
    """Return a value as every database can keep it: what no text column holds becomes U+FFFD, deep inside JSON too.

    Raises RecordError for a number that JSON cannot say.
    """
    return _clean(value)  # type: ignore[no-any-return]


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _UNKEEPABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, float) and not math.isfinite(value):
        raise RecordError(f"a number to keep is {value}, expected a finite one")
    if isinstance(value, Mapping):
        return {_clean(key): _clean(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(inner) for inner in value]
    return value


def iso_time(at: float | None) -> str | None:
    """Return a time in seconds since 1970 as ISO 8601 in UTC to the millisecond, as events and the API say it."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
