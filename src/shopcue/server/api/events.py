"""Live events of a video and of a shop, by SSE and by WebSocket."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

import anyio
from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Query, WebSocket
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Send
from starlette.types import Scope as Connection
from starlette.websockets import WebSocketDisconnect

from shopcue.errors import ShopcueError
from shopcue.server.auth import authenticate, readable_shop, readable_video
from shopcue.server.live import EventHub, Message, Scope
from shopcue.server.problems import READS, Refused, problem, status_of
from shopcue.server.services import services

router = APIRouter(tags=["events"])

_LOG = logging.getLogger(__name__)
_RETRY_MS: Final = 1000
_SEND_S: Final = 20.0
_CHECK_S: Final = 15.0
_TRY_AGAIN_LATER: Final = 1013
_SERVICE_RESTART: Final = 1012
_NOT_ALLOWED: Final = 1008
_MOST_ID: Final = (1 << 63) - 1


def hub_of(connection: HTTPConnection) -> EventHub:
    """Return the hub of the server that a request or web socket came to."""
    hub = connection.app.state.hub
    assert isinstance(hub, EventHub)
    return hub


@dataclass(frozen=True, slots=True)
class Watch:
    """What someone who asked is told: the events of a scope after an id, as long as `allowed` says so.

    allowed: may read the database; it is asked in a thread, from time to time.
    """

    hub: EventHub
    scope: Scope
    after: int | None
    allowed: Callable[[], bool]

    async def tell(self, send: Callable[[list[Message], int], Awaitable[None]]) -> bool:
        """Send batches with the id that they reach, the first one empty; return whether it may go on elsewhere.

        Ends when the hub is closed, when the video is gone, or when it is no longer allowed. Raises TimeoutError when
        one batch is not taken in `_SEND_S` seconds.
        """
        async with self.hub.follow(self.scope, self.after) as follower:
            checked_s = time.monotonic()
            batch: list[Message] | None = []
            while batch is not None:
                if time.monotonic() - checked_s >= _CHECK_S:
                    if not await to_thread.run_sync(self.allowed):
                        return False
                    checked_s = time.monotonic()
                batch, gone = self._until_gone(batch)
                async with asyncio.timeout(_SEND_S):
                    await send(batch, follower.position)
                if gone:
                    return False
                batch = await follower.next()
        return True

    def _until_gone(self, batch: list[Message]) -> tuple[list[Message], bool]:
        """Return messages up to the one that says that the video is gone, and whether there is one."""
        ends = next((n for n, each in enumerate(batch, 1) if each.ends), None) if self.scope.video_id else None
        return batch[:ends], ends is not None


class EventStream(Response):
    """The answer that tells events by SSE until the asker leaves, may not see them any longer, or the server stops."""

    media_type = "text/event-stream"

    def __init__(self, watch: Watch, headers: dict[str, str] | None = None) -> None:
        # A proxy that collects an answer before it passes it on would hold events back.
        super().__init__(headers={"X-Accel-Buffering": "no", **(headers or {})})
        del self.headers["content-length"]
        self._watch = watch

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Answer: first the id from which the events go on, then events, and heartbeats where there are none."""
        begun = False

        async def send_batch(batch: list[Message], position: int) -> None:
            nonlocal begun
            body = b"".join(each.sse for each in batch)
            if not begun:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                body = f"retry: {_RETRY_MS}\n".encode()
                begun = True
            # An id without data is no event: it tells a browser where to go on if the connection breaks now.
            body = body if batch else body + f": here\nid: {position}\n\n".encode()
            await send({"type": "http.response.body", "body": body, "more_body": True})

        async with anyio.create_task_group() as tasks:

            async def tell() -> None:
                try:
                    await self._watch.tell(send_batch)
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                except TimeoutError:
                    _LOG.warning("a follower took no events for %.0f s and was let go", _SEND_S)
                tasks.cancel_scope.cancel()

            tasks.start_soon(tell)
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()


async def tell_by_socket(socket: WebSocket, watch: Watch) -> None:
    """Tell events by WebSocket, one message each, until one of both sides ends it."""
    accepted = asyncio.Event()

    async def send_batch(batch: list[Message], _: int) -> None:
        if not accepted.is_set():  # now that it follows: what happens after the opening is told
            await socket.accept()
            accepted.set()
        for each in batch:
            await socket.send_text(each.text)

    async def tell() -> None:
        try:
            ended = await watch.tell(send_batch)
            code, reason = (
                (_SERVICE_RESTART, "come back") if ended else (_NOT_ALLOWED, "you may not follow this any longer")
            )
        except TimeoutError:
            code, reason = _TRY_AGAIN_LATER, "too slow: come back with after= the last event_id"
        except WebSocketDisconnect:
            return
        async with asyncio.timeout(_SEND_S):
            await socket.close(code, reason)

    async with anyio.create_task_group() as tasks:

        async def tell_and_end() -> None:
            try:
                await tell()
            except (TimeoutError, RuntimeError):  # the other side is gone, or does not even take the farewell
                _LOG.debug("a follower left without a farewell")
            tasks.cancel_scope.cancel()

        tasks.start_soon(tell_and_end)
        await accepted.wait()
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass
        tasks.cancel_scope.cancel()


# ---- who may follow what ----------------------------------------------------------------------------------------

After = Annotated[int | None, Query(ge=0, le=_MOST_ID, description="The id of the last event that is known.")]
LastEventId = Annotated[
    int | None, Header(ge=0, le=_MOST_ID, description="The same, as a browser says it when it comes back.")
]


def watch_video(
    connection: HTTPConnection, video_id: str, after: After = None, last_event_id: LastEventId = None
) -> Watch:
    """Return what someone may follow of a video; raises what refuses it."""

    def check() -> None:
        principal = authenticate(connection)
        with services(connection).database.read() as session:
            readable_video(session, principal, video_id)

    return watch(connection, check, Scope(video_id=video_id), after, last_event_id)


def watch_shop(connection: HTTPConnection, shop: str, after: After = None, last_event_id: LastEventId = None) -> Watch:
    """Return what someone may follow of a shop; raises what refuses it."""

    def check() -> None:
        principal = authenticate(connection)
        with services(connection).database.read() as session:
            readable_shop(session, principal, shop)

    return watch(connection, check, Scope(shop=shop), after, last_event_id)


def watch(
    connection: HTTPConnection, check: Callable[[], None], scope: Scope, after: int | None, last: int | None
) -> Watch:
    """Return what someone may follow as long as `check` raises no ShopcueError; raises what it raises now."""
    hub = hub_of(connection)
    hub.check_room()
    check()

    def allowed() -> bool:
        try:
            check()
        except ShopcueError:
            return False
        return True

    # A browser that comes back repeats the address it began with: what it says in the header is newer.
    return Watch(hub, scope, after if last is None else last, allowed)


# ---- routes -----------------------------------------------------------------------------------------------------

STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Events as they happen, and a comment every 15 seconds; it does not end by itself.",
        "content": {EventStream.media_type: {"schema": {"type": "string"}}},
    }
}


@router.get("/api/videos/{video_id}/events", response_class=Response, responses=STREAM | READS)
def follow_video(watch: Annotated[Watch, Depends(watch_video)]) -> Response:
    """Tell the events of a video from now on, or from after the event that is named."""
    return EventStream(watch)


@router.get("/api/shops/{shop}/events", response_class=Response, responses=STREAM | READS)
def follow_shop(watch: Annotated[Watch, Depends(watch_shop)]) -> Response:
    """Tell the events of a shop from now on, or from after the event that is named."""
    return EventStream(watch)


@router.websocket("/api/videos/{video_id}/events/ws")
async def follow_video_by_socket(socket: WebSocket, video_id: str, after: After = None) -> None:
    """Tell the events of a video, one JSON message each."""
    await _serve(socket, lambda: watch_video(socket, video_id, after))


@router.websocket("/api/shops/{shop}/events/ws")
async def follow_shop_by_socket(socket: WebSocket, shop: str, after: After = None) -> None:
    """Tell the events of a shop, one JSON message each."""
    await _serve(socket, lambda: watch_shop(socket, shop, after))


async def _serve(socket: WebSocket, find: Callable[[], Watch]) -> None:
    try:
        found = await to_thread.run_sync(find)
    except ShopcueError as error:
        status = error.status if isinstance(error, Refused) else status_of(error)
        await socket.send_denial_response(problem(status, str(error)))
        return
    await tell_by_socket(socket, found)
