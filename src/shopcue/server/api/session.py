"""Signing in and out: a browser keeps its token in a cookie that no script can read."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request, Response

from shopcue.server.auth import COOKIE, Parts, Principal, SignedIn, address_of, check_not_foreign, check_token
from shopcue.server.problems import CHANGES, READS
from shopcue.server.schemas import Session, SignIn

router = APIRouter(prefix="/api/session", tags=["session"])


@router.post("", responses=CHANGES)
def sign_in(body: SignIn, request: Request, response: Response, parts: Parts) -> Session:
    """Check a token and keep it in a cookie."""
    check_not_foreign(request)  # another site's page must not sign its visitors in under its own token
    token = check_token(parts, body.token, address_of(request))
    left_s = parts.settings.session_s
    if token.expires_at is not None:
        left_s = min(left_s, token.expires_at - time.time())
    response.set_cookie(
        COOKIE,
        body.token,
        max_age=max(1, int(left_s)),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return _session(Principal.of(token))


@router.get("", responses=READS)
def show(who: SignedIn) -> Session:
    """Say who is signed in."""
    return _session(who)


@router.delete("", status_code=204)
def sign_out(request: Request, response: Response) -> None:
    """Drop the cookie."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=request.url.scheme == "https")


def _session(who: Principal) -> Session:
    return Session.model_validate({"name": who.name, "role": who.role, "shops": sorted(who.shops)})
