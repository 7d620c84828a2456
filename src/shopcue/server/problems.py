"""Why a request is refused, and how that is said: `{"error": "<one line>"}` with the status that fits."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from shopcue.errors import Conflict, Missing, ShopcueError, StoreUnavailable, Unavailable
from shopcue.exports import one_line
from shopcue.server.schemas import Failure

_log = logging.getLogger(__name__)
_MOST_TEXT = 500
_STATUS: dict[type[Exception], int] = {Missing: 404, Conflict: 409, Unavailable: 503, StoreUnavailable: 503}


class Refused(ShopcueError):
    """A request that is not carried out; `status` says why in HTTP's words, `headers` and `more` go with the answer."""

    status = 400

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.headers: dict[str, str] = {}
        self.more: dict[str, Any] = {}


class Unauthorized(Refused):
    """No token came, or one that is not (or no longer) good."""

    status = 401

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.headers = {"WWW-Authenticate": "Bearer"}


class Forbidden(Refused):
    """The token is good, but not for this."""

    status = 403


class WrongOffset(Refused):
    """A chunk does not go on where the upload ends."""

    status = 409

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.more = {"offset": offset}


class TooLarge(Refused):
    """More bytes than are taken in."""

    status = 413


class Unfit(Refused):
    """The body reads well, but its values do not go together."""

    status = 422


class TooMany(Refused):
    """Too many failures or too much at once; the answer says when to come back."""

    status = 429

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.headers = {"Retry-After": str(max(1, math.ceil(retry_after_s)))}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return how a route declares the refusals that it may answer with, beside those of every route."""
    return {status: {"model": Failure, "description": HTTPStatus(status).phrase} for status in statuses}


READS = refusals(401, 404, 422, 429)
"""What every route that shows something may refuse with."""
CHANGES = refusals(400, 401, 403, 404, 409, 413, 422, 429)
"""What every route that changes something may refuse with."""


def answer_problems(app: FastAPI) -> None:
    """Let `app` answer every refusal and every fault in one shape."""
    app.add_exception_handler(ShopcueError, _answer_refusal)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(Exception, _answer_fault)


def problem(status: int, error: str, headers: Mapping[str, str] | None = None, **more: Any) -> JSONResponse:
    """Return the answer of a refusal: error is one line, more goes beside it."""
    line = one_line(error)
    short = line if len(line) <= _MOST_TEXT else line[: _MOST_TEXT - 1] + "…"
    return JSONResponse({"error": short, **more}, status, dict(headers or {}))


async def _answer_refusal(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, Refused):
        return problem(error.status, str(error), error.headers, **error.more)
    status = status_of(error)
    if status == 503:  # whoever asks need not know where what is
        _log.error("%s %s: %s", request.method, request.url.path, error)
        return problem(status, "the server's memory does not answer now; try again later", {"Retry-After": "5"})
    return problem(status, str(error))


def status_of(error: Exception) -> int:
    """Return the status for an error of another layer: 400 for an input that cannot be used."""
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 400)


async def _answer_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    fields: dict[str, str] = {}
    for found in error.errors()[:20]:
        place = found["loc"] if found["type"] != "json_invalid" else ()  # where it is a position in the text
        name = ".".join(str(part) for part in place if part not in ("body", "query", "path", "header"))
        fields[one_line(name)[:100] or "body"] = one_line(found["msg"])[:200]
    first = next(iter(fields.items()), ("body", "not understood"))
    return problem(422, f"{first[0]}: {first[1]}; see /api/openapi.json for what is expected", fields=fields)


async def _answer_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    lines = {
        404: f"there is nothing at {request.url.path}; see /api/openapi.json for what there is",
        405: f"{request.method} is not possible at {request.url.path}; see /api/openapi.json for what is",
        413: "the request has more bytes than one may have; send a file as an upload, in chunks",
    }
    return problem(error.status_code, lines.get(error.status_code, str(error.detail)), error.headers)


async def _answer_fault(request: Request, error: Exception) -> JSONResponse:
    # Starlette raises the error again after this answer, and the server writes it to its log with the traceback.
    _log.error("%s %s failed: %s", request.method, request.url.path, type(error).__name__)
    return problem(500, "this is a fault of ours and was written to the server's log; try again later")
