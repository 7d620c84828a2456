"""How the API describes itself at /api/openapi.json: names for programs, and a line for people from each docstring."""

from __future__ import annotations

import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

ABOUT = """Every request but those under /api/public needs a token, as `Authorization: Bearer sc_...` or in the cookie
that POST /api/session sets. Times are seconds of the video, instants ISO 8601 in UTC, boxes xyxy pixels of the video. A
refusal is `{"error": "<one line>"}`: what came, what was expected, what to do."""

TAGS = {
    "system": "Whether the server works, and how much.",
    "session": "Signing in and out.",
    "tokens": "Who may do what.",
    "shops": "Whose products are looked for.",
    "products": "A shop's catalogue: listed, changed, filled from feeds.",
    "uploads": "Files in chunks, which go on where they were interrupted.",
    "videos": "Recordings: taken in, matched, seen.",
    "streams": "Live streams: followed, stopped, commented.",
    "jobs": "The work behind, and how far it is.",
    "events": "What happens, the moment it does.",
    "focuses": "Which product is on screen when, and what people decided about it.",
    "exports": "Results as files, and corrections as training pairs.",
    "search": "Products by words and by photo.",
    "trace": "What was seen on the way to a decision.",
    "webhooks": "Addresses that are told of events.",
    "public": "What everyone may see of a published video.",
}

_CLAUSE = re.compile(r"[.:;](?:\s|$)")
_SIGNED_IN: list[dict[str, list[str]]] = [{"token": []}, {"cookie": []}]
_BEFORE = ("session_sign_in",)  # what is asked before there is a token that is good


def name_operation(route: APIRoute) -> str:
    """Return what programs call an operation: `jobs_cancel`."""
    return f"{route.tags[0] if route.tags else 'page'}_{route.name}"


def describe(app: FastAPI) -> None:
    """Let `app` describe itself with a summary of each operation that is the first clause of its docstring."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=ABOUT,
                routes=app.routes,
                tags=[{"name": name, "description": about} for name, about in TAGS.items()],
            )
            for operations in app.openapi_schema["paths"].values():
                for operation in operations.values():
                    _complete(operation)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to change it


def _complete(operation: dict[str, Any]) -> None:
    """Give an operation its summary, and say that it needs a token if it may answer that none came."""
    operation["summary"] = _CLAUSE.split(operation.get("description") or operation["summary"])[0]
    if "401" in operation["responses"] and operation["operationId"] not in _BEFORE:
        operation.setdefault("security", _SIGNED_IN)
