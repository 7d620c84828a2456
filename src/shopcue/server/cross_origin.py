"""What pages of other sites may load: the public part of the API, and the player with its files."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN: Final = ("/api/public/", "/embed/", "/static/", "/play/")
"""What the paths of open answers begin with."""


class OpenToAll:
    """Lets the pages of every site read what is under `OPEN`, without cookies; all else stays closed to them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open = CORSMiddleware(
            app,
            allow_origins=("*",),
            allow_methods=("GET", "HEAD"),
            allow_headers=("Last-Event-ID", "Range", "Cache-Control"),
            expose_headers=("Content-Length", "Content-Range", "ETag"),
            max_age=86_400,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back with the headers that open it."""
        if scope["type"] != "http" or not scope["path"].startswith(OPEN):
            await self._app(scope, receive, send)
            return

        async def send_open(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Cross-Origin-Resource-Policy"] = "cross-origin"
                # Always: a browser may keep an answer to one kind of request and use it for another.
                headers["Access-Control-Allow-Origin"] = "*"
            await send(message)

        await self._open(scope, receive, send_open)
