"""The routes of the API, one module for each kind of thing."""

from __future__ import annotations

from fastapi import APIRouter

from shopcue.server.api import (
    events,
    exports,
    focuses,
    imports,
    jobs,
    media,
    products,
    public,
    recordings,
    reviews,
    search,
    session,
    shops,
    streams,
    system,
    tokens,
    trace,
    uploads,
    videos,
    webhooks,
)

ROUTERS: tuple[APIRouter, ...] = (
    system.router,
    session.router,
    tokens.router,
    shops.router,
    products.router,
    imports.router,
    uploads.router,
    videos.router,
    media.router,
    streams.router,
    recordings.router,
    jobs.router,
    events.router,
    focuses.router,
    reviews.router,
    exports.router,
    search.router,
    trace.router,
    webhooks.router,
    public.router,
)
"""In the order in which they are asked: the first route that fits answers."""
