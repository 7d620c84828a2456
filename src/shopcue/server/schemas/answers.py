"""Answers that are not about one thing: refusals and health."""

from __future__ import annotations

from typing import Literal

from shopcue.server.schemas.shapes import Outgoing


class Failure(Outgoing):
    """Why a request was refused: one line, and for a body that does not fit, which fields."""

    error: str
    fields: dict[str, str] | None = None


class Health(Outgoing):
    """Whether the parts of the server work; workers: how many processes are alive."""

    status: Literal["ok", "failing"]
    database: str
    store: str
    workers: int
