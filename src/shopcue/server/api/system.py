"""Whether the server works, and how much."""

from __future__ import annotations

import ipaddress

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from shopcue.server.auth import Parts, address_of, authenticate
from shopcue.server.gauges import gauges
from shopcue.server.problems import refusals
from shopcue.server.schemas import Health

router = APIRouter(tags=["system"])


@router.get("/healthz", responses={503: {"model": Health, "description": "Something does not work"}})
def health(parts: Parts, response: Response) -> Health:
    """Say whether the database and the store answer, and how many workers are alive."""
    database, store = parts.trouble()
    works = not database and not store
    response.status_code = 200 if works else 503
    return Health(
        status="ok" if works else "failing", database=database or "ok", store=store or "ok", workers=parts.alive()
    )


@router.get("/metrics", response_class=PlainTextResponse, responses=refusals(401, 429))
def metrics(request: Request, parts: Parts) -> Response:
    """Give all figures in Prometheus' text format; from this machine without a token.

    Streams are named with their shops: a token sees those of its shops.
    """
    shops = None if _is_local(request) else authenticate(request).readable_shops
    now = gauges(parts, request.app.state.hub.followers, shops)
    return Response(parts.metrics.text(now), media_type=CONTENT_TYPE_LATEST)


def _is_local(request: Request) -> bool:
    """Tell whether a request was sent on this machine, to this machine, and not passed on by a proxy."""
    if any(name in request.headers for name in ("x-forwarded-for", "forwarded", "via")):
        return False
    return _is_loopback(address_of(request)) and _is_loopback(request.url.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
