"""A server under test behind a real socket, for what the test client cannot read: streams that do not end."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from shopcue.server.app import create_app
from shopcue.server.services import Services


class _Server(uvicorn.Server):
    """Ends followers first, as `shopcue serve` does."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        app: Any = self.config.app
        app.state.hub.close()
        await super().shutdown(sockets)


@contextmanager
def listening(parts: Services) -> Iterator[str]:
    """Run a server in a thread; gives its address."""
    config = uvicorn.Config(create_app(parts), log_level="warning", timeout_graceful_shutdown=3)
    server = _Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive(), "the server does not stop"


class Told:
    """What came over one connection of server-sent events, read by a plain reading of the specification."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.last_id = -1
        self._lines = response.iter_lines()

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events as they come, each the JSON of its data, checked against its other fields."""
        kind, data = "message", []
        for line in self._lines:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "id":
                self.last_id = int(value)
            elif name == "event":
                kind = value
            elif name == "data":
                data.append(value)
            elif not line:
                if data:
                    event: dict[str, Any] = json.loads("\n".join(data))
                    assert (event["type"], event["event_id"]) == (kind, self.last_id)
                    yield event
                kind, data = "message", []

    def next(self, *types: str) -> dict[str, Any]:
        """The next event, of some types alone."""
        return next(event for event in self.events() if not types or event["type"] in types)


@contextmanager
def follow(address: str, token: str = "", last_id: int | None = None, **query: Any) -> Iterator[Told]:
    """Follow events; it has begun when the block does."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if last_id is not None:
        headers["Last-Event-ID"] = str(last_id)
    with httpx.stream("GET", address, headers=headers, params=query, timeout=10) as response:
        if response.status_code != 200:
            response.read()
        response.raise_for_status()
        told = Told(response)
        assert next(told._lines).startswith("retry:")
        for line in iter(lambda: next(told._lines), ""):  # the id from which it goes on
            if line.startswith("id:"):
                told.last_id = int(line[3:])
        yield told
