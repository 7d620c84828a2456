"""The routes of the API, one module for each kind of thing."""

from __future__ import annotations

from fastapi import APIRouter

from shopcue.server.api import session, shops, system, tokens

ROUTERS: tuple[APIRouter, ...] = (
    system.router,
    session.router,
    tokens.router,
    shops.router,
)
"""In the order in which they are asked: the first route that fits answers."""
