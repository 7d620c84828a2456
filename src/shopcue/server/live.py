"""Events as they happen: one reader of the events table a process, and any number of followers.

`EventHub` reads what is new from the database, encodes it once, and keeps the last of it in memory. A `Follower` is a
place in the events and nothing else: it takes what lies between its place and the newest event, from memory where that
reaches back far enough, else from the database. So one that comes back after a pause and one that reads slowly go the
same way, no event is lost or doubled, nobody waits for anybody, and memory does not grow with slow readers.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

from anyio import CapacityLimiter, to_thread
from sqlalchemy import func, select

from shopcue.database import Database
from shopcue.database.events import events_after, last_event_id
from shopcue.database.tables import Event
from shopcue.database.texts import iso_time
from shopcue.server.problems import TooMany

_LOG = logging.getLogger(__name__)
_BATCH: Final = 500
_LOOK_BACK: Final = 20
_SENT_BYTES: Final = 64 << 10
_TROUBLE_S: Final = 1.0
_CROWDED_S: Final = 10.0
_DATA: Final = b"\ndata: "

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Scope:
    """Which events a follower is told: those of a shop, of a video or of both; of some types alone, or of all.

    public: whether in the form for everyone, or in full.
    """

    shop: str | None = None
    video_id: str | None = None
    types: frozenset[str] | None = None
    public: bool = False

    def covers(self, message: Message) -> bool:
        """Return whether a message is of this scope."""
        return (
            (self.shop is None or message.shop == self.shop)
            and (self.video_id is None or message.video_id == self.video_id)
            and (self.types is None or message.type in self.types)
        )


@dataclass(frozen=True, slots=True)
class Message:
    """An event as it is sent. sse: its bytes in an event stream. ends: is there nothing more to follow of its video."""

    event_id: int
    type: str
    shop: str | None
    video_id: str | None
    sse: bytes
    ends: bool = False

    @property
    def text(self) -> str:
        """The event as JSON, which is what a WebSocket tells."""
        return self.sse[self.sse.index(_DATA) + len(_DATA) : -2].decode()

    @classmethod
    def of(cls, told: Mapping[str, Any], *, ends: bool = False) -> Self:
        """Return the message that says `told`, which has the keys of `event_fields`."""
        text = json.dumps(told, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        event_id, kind = int(told["event_id"]), str(told["type"])
        sse = b"id: %d\nevent: %s%s%s\n\n" % (event_id, kind.encode(), _DATA, text.encode(errors="replace"))
        return cls(event_id, kind, told["shop"], told["video_id"], sse, ends)


Form = Callable[[Event], Message | None]
"""What followers are told of an event; None where it is not for them."""


def full_form(event: Event) -> Message:
    """Return what those may be told of an event who may see all that is the shop's."""
    return Message.of(event_fields(event), ends=bool(event.data.get("deleted")))


def event_fields(event: Event) -> dict[str, Any]:
    """Return an event as JSON."""
    return {
        "event_id": event.event_id,
        "type": event.type,
        "shop": event.shop,
        "video_id": event.video_id,
        "media_s": event.media_s,
        "at": iso_time(event.at),
        "data": event.data,
    }


def _reset(event_id: int, scope: Scope) -> Message:
    """Return the message that events are missing before it: whoever gets it loads the state anew."""
    told = {"event_id": event_id, "type": "reset", "shop": scope.shop, "video_id": scope.video_id}
    return Message.of({**told, "media_s": None, "at": None, "data": {}})


class _Recent:
    """The last messages of one form: all whose events came after `start`, the oldest first."""

    def __init__(self, start: int, most: int, most_bytes: int) -> None:
        self.start = start
        self._most, self._most_bytes = most, most_bytes
        self._messages: deque[Message] = deque()
        self._bytes = 0

    def extend(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._messages.append(message)
            self._bytes += len(message.sse)
        while len(self._messages) > self._most or self._bytes > self._most_bytes:
            oldest = self._messages.popleft()
            self._bytes -= len(oldest.sse)
            self.start = oldest.event_id

    def after(self, position: int) -> list[Message]:
        found = []
        for message in reversed(self._messages):
            if message.event_id <= position:
                break
            found.append(message)
        return found[::-1]


class EventHub:
    """Tells the events of a database to followers; lives in one event loop.

    public: the form of events for everyone. every_s: how often the database is asked while someone follows. most: how
    many may follow at a time. kept, kept_bytes: how much is held in memory, of each form.
    """

    def __init__(
        self,
        database: Database,
        public: Form,
        *,
        every_s: float = 0.05,
        most: int = 3000,
        kept: int = 1000,
        kept_bytes: int = 8 << 20,
    ) -> None:
        self._database = database
        self._forms: dict[bool, Form] = {False: full_form, True: public}
        self._every_s, self._most = every_s, most
        self._kept, self._kept_bytes = kept, kept_bytes
        self._followers: set[Follower] = set()
        self._recent: dict[bool, _Recent] = {}
        self._wanted = asyncio.Event()
        self._last = 0
        self.closed = False
        # Those who come back and those who are slow must not keep the one reader waiting for a thread.
        self._reading, self._looking_back = CapacityLimiter(1), CapacityLimiter(4)

    @property
    def followers(self) -> int:
        """How many follow now."""
        return len(self._followers)

    def check_room(self) -> None:
        """Raise TooMany if all places of followers are taken."""
        if len(self._followers) >= self._most:
            raise TooMany(f"{self._most} are following events already; come back later", _CROWDED_S)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Read the database inside the block, and close the hub at its end."""
        reader = asyncio.create_task(self._run(), name="events")
        try:
            yield self
        finally:
            self.close()
            await reader

    async def _run(self) -> None:
        """Read the database until the hub is closed; a database in trouble is asked again a second later."""
        while not self.closed:
            await self._wanted.wait()
            try:
                more = await self._read_on()
            except Exception:  # whatever it is: the one reader must go on
                _LOG.exception("events cannot be read")
                await asyncio.sleep(_TROUBLE_S)
            else:
                await asyncio.sleep(0 if more else self._every_s)

    def close(self) -> None:
        """End every follower after what it has; nobody can follow any more. To be called in the loop of the hub."""
        self.closed = True
        self._wanted.set()
        for follower in self._followers:
            follower.wake.set()

    def follow(self, scope: Scope, after: int | None = None, *, heartbeat_s: float = 15.0) -> Follower:
        """Return a follower from after the event `after`, or from now; it follows inside `async with`."""
        return Follower(self, scope, after, heartbeat_s)

    # ---- what followers ask of their hub

    async def join(self, follower: Follower) -> tuple[int, int]:
        """Take a follower in and return the ids of the first event that is kept and of the last one."""
        first, last = await self._in_thread(self._looking_back, self._ends)
        if not self._followers:  # nobody has read on since the last one left
            self._last, self._recent = last, {}
        self._followers.add(follower)
        public = follower.scope.public
        if public not in self._recent:
            self._recent[public] = _Recent(self._last, self._kept, self._kept_bytes)
        self._wanted.set()
        return first, last

    def leave(self, follower: Follower) -> None:
        """Forget a follower."""
        self._followers.discard(follower)
        if not self._followers and not self.closed:
            self._wanted.clear()

    async def take(self, scope: Scope, position: int) -> tuple[list[Message], int]:
        """Return messages of a scope that come next after a position, and the position after them.

        Not more than is worth sending at once: whoever takes nothing of it must not cost much.
        """
        recent, last = self._recent[scope.public], self._last
        if position >= recent.start:
            messages = [message for message in recent.after(position) if scope.covers(message)]
            reached = max(position, last)
        else:
            form = self._forms[scope.public]
            events, messages = await self._in_thread(
                self._looking_back, lambda: self._told(position, scope, form, _LOOK_BACK)
            )
            reached = events[-1].event_id if events else position
            if len(events) < _LOOK_BACK:  # what the reader had seen is in the table for all: it reaches that far
                reached = max(reached, last)
        some = messages[: _worth_sending(messages)]
        return some, reached if len(some) == len(messages) else some[-1].event_id

    # ---- reading

    async def _in_thread(self, limiter: CapacityLimiter, work: Callable[[], _T]) -> _T:
        return await to_thread.run_sync(work, limiter=limiter)

    def _ends(self) -> tuple[int, int]:
        with self._database.read() as session:
            last = last_event_id(session)
            return session.scalar(select(func.min(Event.event_id))) or last + 1, last

    def _events(self, after: int, scope: Scope, limit: int) -> Sequence[Event]:
        with self._database.read() as session:
            types = None if scope.types is None else sorted(scope.types)
            return events_after(session, after, shop=scope.shop, video_id=scope.video_id, types=types, limit=limit)

    def _told(self, after: int, scope: Scope, form: Form, limit: int) -> tuple[Sequence[Event], list[Message]]:
        events = self._events(after, scope, limit)
        return events, _messages(events, form)

    async def _read_on(self) -> bool:
        """Tell what is new; return whether there is more."""
        before, recent = self._last, dict(self._recent)
        forms = {public: self._forms[public] for public in recent}

        def read() -> tuple[Sequence[Event], dict[bool, list[Message]]]:
            events = self._events(before, Scope(), _BATCH)
            return events, {public: _messages(events, form) for public, form in forms.items()}

        events, messages = await self._in_thread(self._reading, read)
        if events and self._last == before:
            self._tell(before, events[-1].event_id, messages)
        return len(events) == _BATCH

    def _tell(self, before: int, last: int, messages: Mapping[bool, list[Message]]) -> None:
        self._last = last
        for public, recent in self._recent.items():
            if public in messages:
                recent.extend(messages[public])
            else:  # its first follower came while the events were read: it finds them in the database
                recent.start = last
        for follower in self._followers:
            follower.notice(before, last, messages.get(follower.scope.public))


def _messages(events: Sequence[Event], form: Form) -> list[Message]:
    """Return what is told of events; one that cannot be told is left out, so that it does not stop the others."""
    messages = []
    for event in events:
        try:
            message = form(event)
        except Exception:
            _LOG.exception("the event %s cannot be told", event.event_id)
            continue
        if message is not None:
            messages.append(message)
    return messages


def _worth_sending(messages: Sequence[Message]) -> int:
    """Return how many messages to send at once: one, and as many more as fit."""
    size = 0
    for count, message in enumerate(messages):
        size += len(message.sse)
        if count and size > _SENT_BYTES:
            return count
    return len(messages)


class Follower:
    """One reader's place in the events of a scope. position: the id of the last event that it is done with."""

    def __init__(self, hub: EventHub, scope: Scope, after: int | None, heartbeat_s: float) -> None:
        self._hub, self.scope = hub, scope
        self._after, self._heartbeat_s = after, heartbeat_s
        self._missed = False
        self.position = 0
        self.wake = asyncio.Event()

    async def __aenter__(self) -> Self:
        first, last = await self._hub.join(self)
        after = last if self._after is None else self._after
        # An id before what is kept, or one of another database: what was missed cannot be told.
        self._missed = not first - 1 <= after <= last
        self.position = last if self._missed else after
        return self

    async def __aexit__(self, *trouble: object) -> None:
        self._hub.leave(self)

    def notice(self, before: int, last: int, messages: Sequence[Message] | None) -> None:
        """Hear from the hub that the events from `before` to `last` were read, and what they say in this form."""
        if messages is None or any(self.scope.covers(message) for message in messages):
            self.wake.set()
        elif self.position >= before:
            self.position = max(self.position, last)

    async def next(self) -> list[Message] | None:
        """Return what comes next, as much as there is; no message as a heartbeat; None when the hub is closed."""
        if self._missed:
            self._missed = False
            return [_reset(self.position, self.scope)]
        while not self._hub.closed:
            self.wake.clear()
            messages, self.position = await self._hub.take(self.scope, self.position)
            if messages:
                return messages
            if not self.wake.is_set() and not await self._woken():
                return []
        return None

    async def _woken(self) -> bool:
        """Wait for news; return whether some came before the next heartbeat."""
        try:
            async with asyncio.timeout(self._heartbeat_s):
                await self.wake.wait()
        except TimeoutError:
            return False
        return True
