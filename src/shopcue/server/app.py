"""The application: routes, pages and what stands before them all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import shopcue
from shopcue.server import pages
from shopcue.server.api import ROUTERS
from shopcue.server.cross_origin import OpenToAll
from shopcue.server.description import describe, name_operation
from shopcue.server.live import EventHub
from shopcue.server.metrics import RequestTimes
from shopcue.server.photo_search import PhotoSearch
from shopcue.server.problems import answer_problems
from shopcue.server.published import Showcase
from shopcue.server.reports import Reports
from shopcue.server.security import SecurityHeaders
from shopcue.server.services import Services


def create_app(parts: Services) -> FastAPI:
    """Return the application of a server; while it runs, `app.state.hub` tells the live events."""
    showcase = Showcase(parts)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with EventHub(parts.database, showcase.message).running() as hub:
            app.state.hub = hub
            yield

    app = FastAPI(
        title="Shopcue",
        summary="Which product of a shop is on screen in a video or a live stream, and when.",
        version=shopcue.__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        generate_unique_id_function=name_operation,
        max_body_size=parts.settings.body_bytes,
    )
    app.state.services, app.state.showcase = parts, showcase
    app.state.reports, app.state.photo_search = Reports(parts), PhotoSearch(parts)
    for router in (*ROUTERS, pages.router):
        app.include_router(router)
    app.mount("/static", pages.Files(), name="static")
    describe(app)
    answer_problems(app)
    app.add_middleware(OpenToAll)
    app.add_middleware(RequestTimes, metrics=parts.metrics)
    app.add_middleware(SecurityHeaders)
    return app
