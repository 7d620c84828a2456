"""Who asks, and what of: tokens in a header or a cookie, roles, and the shops that a token is for.

What a token may not see is answered like what is not there (404); what it may see but not change, with 403. A cookie is
honoured for a change only when the request comes from our own pages.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer
from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection

from shopcue.database import shops, tokens, videos
from shopcue.database.tables import Shop, Token, Video
from shopcue.errors import Missing
from shopcue.server.problems import Forbidden, TooMany, Unauthorized
from shopcue.server.services import Services, services

COOKIE = "shopcue_session"
_SAFE = ("GET", "HEAD", "OPTIONS")
_MOST_TEXT = 200
_USED_EVERY_S = 60.0  # a write for each request would be too many


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: by which token, in which role, for which shops (an admin: for all)."""

    token_id: str
    name: str
    role: str
    shops: frozenset[str]

    @classmethod
    def of(cls, token: Token) -> Principal:
        """Return whom a token stands for."""
        return cls(token.token_id, token.name, token.role, frozenset(token.shops))

    @property
    def readable_shops(self) -> frozenset[str] | None:
        """The shops that may be seen; None for all."""
        return None if self.role == "admin" else self.shops

    def may_read(self, shop: str) -> bool:
        """Tell whether what belongs to `shop` may be seen."""
        return self.role == "admin" or shop in self.shops

    def may_write(self, shop: str) -> bool:
        """Tell whether what belongs to `shop` may be changed."""
        return self.role == "admin" or (self.role == "seller" and shop in self.shops)


def check_token(parts: Services, text: str, address: str) -> Token:
    """Return the token that `text` is; raises Unauthorized, or TooMany after too many failures.

    Failures count for the address that they come from and for the token that they name. A token that was good lately is
    no guess: it is looked up whatever others did, and when it has ended, browsers that still send it shut nobody out.
    """
    named = text.split("_")[1] if text.count("_") >= 2 else ""
    keys = [(parts.addresses, address), (parts.tokens, named)] if named else [(parts.addresses, address)]
    known = text in parts.known
    wait_s = 0.0 if known else max(limit.wait_s(key) for limit, key in keys)
    if wait_s > 0:
        raise TooMany(f"too many failures to sign in; wait {wait_s:.0f} s and try again", wait_s)
    with parts.database.read() as session:
        token = tokens.find_token(session, text) if len(text) <= _MOST_TEXT else None
    if token is None:
        for limit, key in () if known else keys:
            limit.fail(key[:_MOST_TEXT])
        parts.metrics.refused_tokens.inc()
        raise Unauthorized("this token is not known, expired or revoked; ask an admin of the server for a new one")
    parts.known.add(text)
    if token.used_at is None or time.time() - token.used_at >= _USED_EVERY_S:
        with parts.database.write() as session:
            tokens.touch_token(session, token.token_id)
    return token


def address_of(connection: HTTPConnection) -> str:
    """Return the address that a request comes from."""
    return connection.client.host if connection.client else "unknown"


def authenticate(connection: HTTPConnection) -> Principal:
    """Return who asks; raises Unauthorized, Forbidden (a cookie from another page) or TooMany."""
    text, from_cookie = _credentials(connection)
    if not text:
        raise Unauthorized("no token came; send the header 'Authorization: Bearer sc_...', or sign in")
    if from_cookie and not _may_use_cookie(connection):
        raise Forbidden("this change was asked for by another site's page; use the pages of this server, or a token")
    return Principal.of(check_token(services(connection), text, address_of(connection)))


def _credentials(connection: HTTPConnection) -> tuple[str, bool]:
    """Return the text of the token that came, and whether it came as a cookie."""
    scheme, _, text = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and text.strip():
        return text.strip(), False
    return connection.cookies.get(COOKIE, ""), True


def _may_use_cookie(connection: HTTPConnection) -> bool:
    """Tell whether a request with a cookie changes nothing or comes from a page of this very server."""
    if connection.scope["type"] == "http" and connection.scope["method"] in _SAFE:
        return True
    return _same_site(connection) is True


def check_not_foreign(connection: HTTPConnection) -> None:
    """Raise Forbidden for what evidently comes from another site's page."""
    if _same_site(connection) is False:
        raise Forbidden("this was asked for by another site's page; use the pages of this server")


def _same_site(connection: HTTPConnection) -> bool | None:
    """Tell whether a request comes from our own page, as its browser says; None if none says so."""
    site, origin = connection.headers.get("sec-fetch-site"), connection.headers.get("origin")
    if site is not None:
        return site == "same-origin"
    if origin is not None:
        return urlsplit(origin).netloc.lower() == connection.headers.get("host", "").lower()
    return None


_bearer = HTTPBearer(auto_error=False, scheme_name="token", description="A token: `Authorization: Bearer sc_...`")
_cookie = APIKeyCookie(name=COOKIE, auto_error=False, scheme_name="cookie", description="Set by POST /api/session")


def signed_in(
    request: Request, _: Annotated[Any, Security(_bearer)], __: Annotated[Any, Security(_cookie)]
) -> Principal:
    """Return who asks, as `authenticate` does; the other arguments only describe the API."""
    return authenticate(request)


SignedIn = Annotated[Principal, Depends(signed_in)]


def require_admin(principal: SignedIn) -> Principal:
    """Return who asks if that is an admin; raises Forbidden."""
    if principal.role != "admin":
        raise Forbidden(f"this needs the role admin, the token {principal.name!r} has the role {principal.role}")
    return principal


Admin = Annotated[Principal, Depends(require_admin)]
Parts = Annotated[Services, Depends(services)]


def readable_shop(session: Session, principal: Principal, shop: str) -> Shop:
    """Return a shop that may be seen; raises Missing."""
    if not principal.may_read(shop):
        raise Missing(f"there is no shop {shop!r}")
    return shops.get_shop(session, shop)


def writable_shop(session: Session, principal: Principal, shop: str) -> Shop:
    """Return a shop that may be changed; raises Missing or Forbidden."""
    row = readable_shop(session, principal, shop)
    check_write(principal, shop)
    return row


def readable_video(session: Session, principal: Principal, video_id: str) -> Video:
    """Return a video that may be seen; raises Missing."""
    row = videos.get_video(session, video_id)
    if not principal.may_read(row.shop):
        raise Missing(f"there is no video {video_id!r}")
    return row


def writable_video(session: Session, principal: Principal, video_id: str) -> Video:
    """Return a video that may be changed; raises Missing or Forbidden."""
    row = readable_video(session, principal, video_id)
    check_write(principal, row.shop)
    return row


def check_write(principal: Principal, shop: str) -> None:
    """Raise Forbidden unless what belongs to `shop` may be changed."""
    if not principal.may_write(shop):
        raise Forbidden(
            f"the token {principal.name!r} may look at the shop {shop!r} and not change it; that needs the role seller"
        )
