"""What browsers are told about every answer: where it may load from, who may frame it, and what it is not."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

API_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""For everything that is no page."""

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": API_POLICY,
    "Cache-Control": "no-store",
}


def page_policy(*playback_urls: str | None, embeddable: bool = False) -> str:
    """Return the Content-Security-Policy of a page.

    playback_urls: where its videos come from, if not from here. embeddable: whether any page may show it in a frame.
    """
    here = " ".join(("'self'", *dict.fromkeys(filter(None, map(web_origin, playback_urls)))))
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data: blob:",
            f"media-src {here} blob:",
            f"connect-src {here}",
            "worker-src 'self' blob:",
            "frame-ancestors *" if embeddable else "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        )
    )


def web_origin(url: str | None) -> str:
    """Return scheme://host:port of an http(s) address, or "" for anything else; safe to stand in a header."""
    try:
        parts = urlsplit(url or "")
        host, port = (parts.hostname or "").encode("idna").decode("ascii"), parts.port
    except ValueError:
        return ""
    allowed = host and all(c.isalnum() or c in "-_." for c in host)
    if parts.scheme not in ("http", "https") or not allowed:
        return ""
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


class SecurityHeaders:
    """Adds to every answer the headers that it does not bring itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back with the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
            await send(message)

        await self._app(scope, receive, send_with_headers)
