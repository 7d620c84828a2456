"""Live events: nothing lost, nothing doubled, nobody waits, whoever comes, goes and comes back."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("fastapi")

from sqlalchemy import delete

from postgresql_server import postgresql_server
from shopcue.database import Database, open_database
from shopcue.database.events import add_event
from shopcue.database.tables import Event
from shopcue.server.live import EventHub, Follower, Message, Scope, event_fields
from shopcue.server.problems import TooMany

TYPES = ("focus.open", "focus.close", "job.update")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'events.db'}")
    yield database
    database.close()


@pytest.fixture
def postgresql() -> Iterator[Database]:
    """A database of a real PostgreSQL server."""
    with postgresql_server() as url:
        database = open_database(url)
        yield database
        database.close()


def tell(database: Database, count: int = 1, shop: str = "s", video_id: str | None = "v", type: str = TYPES[0]) -> None:
    with database.write() as session:
        for number in range(count):
            add_event(session, type, shop, video_id, data={"n": number, "secret": "x"})


def public(event: Event) -> Message | None:
    """A form for everyone that keeps one type and drops the secret."""
    if event.type != "focus.open":
        return None
    return Message.of({**event_fields(event), "data": {"n": event.data["n"]}})


@asynccontextmanager
async def running(database: Database, **options: Any) -> AsyncIterator[EventHub]:
    async with EventHub(database, public, **{"every_s": 0.005, **options}).running() as hub:
        yield hub


async def heard(follower: Follower, count: int) -> list[Message]:
    """The next messages, at least `count` of them."""
    messages: list[Message] = []
    async with asyncio.timeout(10):
        while len(messages) < count:
            messages += await follower.next() or []
    return messages


def ids(messages: list[Message]) -> list[int]:
    return [message.event_id for message in messages]


def test_a_follower_is_told_from_now_on(database: Database) -> None:
    tell(database, 3)

    async def follow() -> list[Message]:
        async with running(database) as hub, hub.follow(Scope()) as follower:
            assert follower.position == 3
            await asyncio.to_thread(tell, database, 2)
            return await heard(follower, 2)

    told = asyncio.run(follow())
    assert ids(told) == [4, 5]
    assert json.loads(told[0].text)["data"] == {"n": 0, "secret": "x"}
    assert told[0].sse == f"id: 4\nevent: focus.open\ndata: {told[0].text}\n\n".encode()


def test_a_line_break_in_an_event_ends_no_message(database: Database) -> None:
    with database.write() as session:
        add_event(session, "focus.open", "s", "v", data={"title": "a\n\nevent: x\ndata: y\r\r\u2028<script>"})

    async def follow() -> list[Message]:
        async with running(database) as hub, hub.follow(Scope(), 0) as follower:
            return await heard(follower, 1)

    lines = asyncio.run(follow())[0].sse.decode().split("\n")
    assert len(lines) == 5
    assert "\r" not in "".join(lines)
    assert json.loads(lines[2].removeprefix("data: "))["data"]["title"] == "a\n\nevent: x\ndata: y\r\r\u2028<script>"


def test_scopes_keep_shops_videos_types_and_forms_apart(database: Database) -> None:
    for shop in ("a", "b"):
        for video_id in ("v", "w", None):
            for kind in TYPES:
                tell(database, 1, shop, video_id, kind)
    scopes = [
        Scope(),
        Scope(shop="a"),
        Scope(video_id="w"),
        Scope(shop="b", types=frozenset(TYPES[1:])),
        Scope(video_id="v", public=True),
    ]

    def wanted(scope: Scope, event: Event) -> bool:
        return (
            scope.shop in (None, event.shop)
            and scope.video_id in (None, event.video_id)
            and (scope.types is None or event.type in scope.types)
            and (not scope.public or event.type == "focus.open")
        )

    async def follow(scope: Scope, after: int) -> list[int]:
        async with running(database) as hub, hub.follow(scope, after, heartbeat_s=0.1) as follower:
            found = []
            while batch := await follower.next():
                found += ids(batch)
            assert follower.position == 18
            return found

    with database.read() as session:
        events = list(session.query(Event).order_by(Event.event_id))
    for scope in scopes:
        expected = [event.event_id for event in events if wanted(scope, event) and event.event_id > 2]
        assert asyncio.run(follow(scope, 2)) == expected


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_lost_or_doubled_whatever_comes_between(database: Database, seed: int) -> None:
    check_nothing_is_lost_or_doubled(database, seed)


def test_nothing_is_lost_or_doubled_on_postgresql(postgresql: Database) -> None:
    """Its writers come from several threads here, as they do from the processes of a server."""
    check_nothing_is_lost_or_doubled(postgresql, 7, writers=3)


def check_nothing_is_lost_or_doubled(database: Database, seed: int, writers: int = 1) -> None:
    """Followers of random scopes and speeds come, leave and come back while events are written; memory is tiny."""
    chance = random.Random(seed)
    shops, total = ("a", "b"), 600

    async def write() -> None:
        written = 0
        while written < total // writers:
            count = min(chance.choice((1, 1, 2, 5, 40)), total // writers - written)
            place = chance.choice(shops), chance.choice(("v", "w")), chance.choice(TYPES)
            await asyncio.to_thread(tell, database, count, *place)
            written += count
            await asyncio.sleep(chance.choice((0, 0, 0.002, 0.01)))

    async def follow(hub: EventHub, scope: Scope, private: random.Random) -> list[int]:
        position, found = 0, []
        while position < total:
            async with hub.follow(scope, position, heartbeat_s=0.05) as follower:
                for _ in range(private.randint(1, 12)):
                    batch = await follower.next()
                    assert batch is not None
                    found += ids(batch)
                    await asyncio.sleep(private.choice((0, 0, 0.001, 0.02)))
                position = follower.position
        return found

    async def everything() -> tuple[list[Scope], list[list[int]]]:
        scopes = [
            Scope(shop=chance.choice((None, *shops)), video_id=chance.choice((None, "v")), public=chance.random() < 0.4)
            for _ in range(12)
        ]
        async with running(database, kept=25) as hub, asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            for _ in range(writers):
                tasks.create_task(write())
            followers = [
                tasks.create_task(follow(hub, scope, random.Random(seed + n))) for n, scope in enumerate(scopes)
            ]
        return scopes, [task.result() for task in followers]

    scopes, found = asyncio.run(everything())
    with database.read() as session:
        events = list(session.query(Event).order_by(Event.event_id))
    assert len(events) == total
    for scope, got in zip(scopes, found, strict=True):
        assert got == [
            event.event_id
            for event in events
            if scope.shop in (None, event.shop)
            and scope.video_id in (None, event.video_id)
            and (not scope.public or event.type == "focus.open")
        ]


def test_one_that_reads_slowly_holds_up_nobody_and_gets_everything_in_the_end(database: Database) -> None:
    async def follow() -> tuple[list[int], list[int], int]:
        async with running(database, kept=10) as hub, hub.follow(Scope()) as slow, hub.follow(Scope()) as quick:
            seen: list[int] = []
            for _ in range(30):
                await asyncio.to_thread(tell, database, 20)
                seen += ids(await heard(quick, 20))
            held = len(hub._recent[False]._messages)
            return seen, ids(await heard(slow, 600)), held

    quick, slow, held = asyncio.run(follow())
    assert quick == slow == list(range(1, 601))
    assert held == 10


def test_memory_is_bounded_in_bytes_too(database: Database) -> None:
    async def follow() -> tuple[int, list[int]]:
        async with running(database, kept_bytes=2000) as hub, hub.follow(Scope(), 0) as follower:
            await asyncio.to_thread(tell, database, 200)
            seen = ids(await heard(follower, 200))
            recent = hub._recent[False]
            assert recent._bytes == sum(len(message.sse) for message in recent._messages)
            return recent._bytes, seen

    held, seen = asyncio.run(follow())
    assert 0 < held <= 2000
    assert seen == list(range(1, 201))


@pytest.mark.parametrize("kept", [5, 1000])
def test_what_is_sent_at_once_is_bounded_whether_from_memory_or_the_database(database: Database, kept: int) -> None:
    sizes = [100, 30_000, 40_000, 20_000, 200_000, 100, 100, 64_000, 70_000, 10] * 3

    def write() -> None:
        with database.write() as session:
            for size in sizes:
                add_event(session, TYPES[0], "s", "v", data={"n": 1, "filling": "x" * size})

    async def follow() -> list[list[Message]]:
        async with running(database, kept=kept) as hub, hub.follow(Scope(), 0) as slow, hub.follow(Scope()) as quick:
            await asyncio.to_thread(write)
            await heard(quick, len(sizes))
            batches: list[list[Message]] = []
            while sum(map(len, batches)) < len(sizes):
                batches.append(await slow.next() or [])
            return batches

    batches = asyncio.run(follow())
    assert ids([message for batch in batches for message in batch]) == list(range(1, len(sizes) + 1))
    assert all(len(batch) == 1 or sum(len(message.sse) for message in batch) <= 64 << 10 for batch in batches)
    assert max(map(len, batches)) > 1


@pytest.mark.parametrize("after", [2, 99])
def test_one_that_missed_what_is_gone_is_told_to_load_anew(database: Database, after: int) -> None:
    """An id of before the oldest event that is kept, or of another database."""
    tell(database, 10)
    with database.write() as session:
        session.execute(delete(Event).where(Event.event_id < 6))

    async def follow() -> list[Message]:
        async with running(database) as hub, hub.follow(Scope(video_id="v"), after) as follower:
            first = await heard(follower, 1)
            await asyncio.to_thread(tell, database)
            return first + await heard(follower, 1)

    told = asyncio.run(follow())
    assert [(message.type, message.event_id) for message in told] == [("reset", 10), ("focus.open", 11)]


def test_the_oldest_kept_event_can_still_be_gone_on_from(database: Database) -> None:
    tell(database, 10)
    with database.write() as session:
        session.execute(delete(Event).where(Event.event_id < 6))

    async def follow() -> list[int]:
        async with running(database) as hub, hub.follow(Scope(), 5) as follower:
            return ids(await heard(follower, 5))

    assert asyncio.run(follow()) == [6, 7, 8, 9, 10]


def test_heartbeats_carry_on_the_place_of_one_for_whom_there_is_nothing(database: Database) -> None:
    async def follow() -> tuple[list[Message] | None, int]:
        async with running(database) as hub, hub.follow(Scope(shop="b"), heartbeat_s=0.2) as follower:
            await asyncio.to_thread(tell, database, 5, "a")
            return await follower.next(), follower.position

    assert asyncio.run(follow()) == ([], 5)


def test_a_closed_hub_ends_its_followers_and_nobody_reads_the_database_for_nothing(database: Database) -> None:
    async def follow() -> list[Message] | None:
        async with running(database) as hub, hub.follow(Scope()) as follower:
            waiting = asyncio.create_task(follower.next())
            await asyncio.sleep(0.05)
            assert hub.followers == 1
            hub.close()
            async with asyncio.timeout(1):
                return await waiting

    assert asyncio.run(follow()) is None

    async def idle() -> int:
        reads = 0

        class Counting(EventHub):
            async def _read_on(self) -> bool:
                nonlocal reads
                reads += 1
                return await super()._read_on()

        async with Counting(database, public, every_s=0.001).running() as hub:
            await asyncio.sleep(0.1)
            assert reads == 0
            async with hub.follow(Scope()):
                await asyncio.sleep(0.1)
            before = reads
            await asyncio.sleep(0.1)
            return reads - before if before else -1

    assert asyncio.run(idle()) in (0, 1)  # one may have been on its way


def test_trouble_with_the_database_and_an_event_that_cannot_be_told_stop_nobody(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shopcue.server.live._TROUBLE_S", 0.01)

    class Failing(EventHub):
        fails = 3

        async def _read_on(self) -> bool:
            self.fails -= 1
            if self.fails >= 0:
                raise OSError("the database is away")
            return await super()._read_on()

    def choosy(event: Event) -> Message | None:
        if event.event_id == 2:
            raise KeyError("title")
        return public(event)

    async def follow() -> list[int]:
        failing = Failing(database, choosy, every_s=0.001)
        async with failing.running() as hub, hub.follow(Scope(public=True)) as follower:
            await asyncio.to_thread(tell, database, 3)
            return ids(await heard(follower, 2))

    assert asyncio.run(follow()) == [1, 3]
    assert "events cannot be read" in caplog.text
    assert "the event 2 cannot be told" in caplog.text


def test_the_number_of_followers_is_bounded(database: Database) -> None:
    async def follow() -> None:
        async with running(database, most=2) as hub:
            async with hub.follow(Scope()), hub.follow(Scope()):
                with pytest.raises(TooMany, match="2 are following"):
                    hub.check_room()
            hub.check_room()

    asyncio.run(follow())
