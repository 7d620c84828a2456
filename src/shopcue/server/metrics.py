"""What Prometheus is told: requests as they pass, and the state of jobs, streams and catalogues when it asks."""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, generate_latest
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The counters of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Histogram(
            "shopcue_request_seconds",
            "Time until a request was answered, or until its stream of events ended.",
            ("method", "route", "status"),
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self.uploaded_bytes = Counter(
            "shopcue_uploaded_bytes", "Bytes of uploads that were acknowledged.", registry=self.registry
        )
        self.refused_tokens = Counter(
            "shopcue_refused_tokens", "Requests with a token that is not good.", registry=self.registry
        )

    def text(self, now: Iterable[Metric]) -> bytes:
        """Return all figures in Prometheus' text format; now: those that are only known when they are asked for."""
        asked = CollectorRegistry()
        asked.register(_Asked(now))
        return generate_latest(self.registry) + generate_latest(asked)


class _Asked(Collector):
    """Gives Prometheus' client what was collected already."""

    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = tuple(found)

    def collect(self) -> Iterable[Metric]:
        return self._found


class RequestTimes:
    """Measures every request by method, route (never by address: there are too many) and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and note how long it took."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(method, route, str(status)).observe(time.perf_counter() - started)
