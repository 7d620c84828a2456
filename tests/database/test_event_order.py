"""Events become visible in the order of their ids, whoever writes them: a follower that goes on by the last id it saw
misses none."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import pytest

pytest.importorskip("sqlalchemy")

from sqlalchemy import delete, select

from shopcue.database import Database, open_database
from shopcue.database.events import add_event, events_after, last_event_id, prune_events
from shopcue.database.tables import Event

WRITER = """
import random, sys, time
from shopcue.database import open_database
from shopcue.database.events import add_event
database = open_database(sys.argv[1])
chance = random.Random(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for n in range(60):
    with database.write() as session:
        if chance.random() < 0.1:
            session.rollback()
            continue
        for _ in range(chance.randrange(1, 4)):
            add_event(session, "focus.update", sys.argv[2], data={"n": n})
            time.sleep(chance.random() / 500)
"""


def test_a_follower_misses_no_event_of_several_writers(new_url: Callable[[], str]) -> None:
    url = new_url()
    database = open_database(url)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url, f"shop-{i}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for i in range(3)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    seen: list[int] = []
    while True:
        working = any(writer.poll() is None for writer in writers)
        with database.read() as session:
            seen += [event.event_id for event in events_after(session, seen[-1] if seen else 0, limit=7)]
            behind = last_event_id(session) > (seen[-1] if seen else 0)
        if not working and not behind:
            break
    for writer in writers:
        writer.communicate(timeout=180)
        assert writer.returncode == 0
    with database.read() as session:
        there = list(session.scalars(select(Event.event_id).order_by(Event.event_id)))
    database.close()
    assert len(there) > 200
    assert seen == there


def test_events_are_found_by_shop_video_and_type(database: Database) -> None:
    kinds = [
        (shop, video, type) for shop in "ab" for video in ("v", "w", None) for type in ("job.update", "focus.open")
    ]
    with database.write() as session:
        start = last_event_id(session)
        for shop, video, type in kinds:
            add_event(session, type, shop, video, media_s=1.5)
    with database.read() as session:
        for shop_wanted in ("a", None):
            for video_wanted in ("v", None):
                for types in (["focus.open"], [], None):
                    got = events_after(session, start, shop_wanted, video_wanted, types)
                    assert [(event.shop, event.video_id, event.type) for event in got] == [
                        (shop, video, type)
                        for shop, video, type in kinds
                        if shop_wanted in (None, shop)
                        and video_wanted in (None, video)
                        and (types is None or type in types)
                    ]


def test_ids_never_return_though_all_events_are_gone(database: Database) -> None:
    with database.write() as session:
        last = add_event(session, "job.update", "demo").event_id
        session.execute(delete(Event))
        assert last_event_id(session) == 0
        assert add_event(session, "job.update", "demo").event_id > last


def test_the_newest_event_stays_however_old_it_is(database: Database) -> None:
    with database.write() as session:
        ids = [add_event(session, "job.update", "demo").event_id for _ in range(3)]
    with database.write() as session:
        assert prune_events(session, time.time() + 1_000) >= 2
        assert [event.event_id for event in events_after(session, 0)] == [last_event_id(session)] == ids[2:]
        assert prune_events(session, time.time() + 1_000) == 0
        assert add_event(session, "job.update", "demo").event_id == ids[2] + 1


def test_old_events_go_and_new_ones_stay(database: Database) -> None:
    with database.write() as session:
        ids = []
        for age in (3_000, 2_000, 100, 0):
            event = add_event(session, "job.update", "demo")
            event.at -= age
            ids.append(event.event_id)
    with database.write() as session:
        assert prune_events(session, time.time() - 1_000) == 2
        assert [event.event_id for event in events_after(session, ids[0] - 1)] == ids[2:]
