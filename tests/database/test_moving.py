"""Moving from one database to another: every row arrives as it was, and numbers go on where they were."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")

from sqlalchemy import delete, select

from shopcue import records
from shopcue.catalog.feeds import ItemReport
from shopcue.database import Database, open_database
from shopcue.database.events import add_event, last_event_id, prune_events
from shopcue.database.focuses import put_focuses
from shopcue.database.jobs import add_items, add_job
from shopcue.database.moving import move_database
from shopcue.database.reviews import add_focus, list_reviews, review_focus
from shopcue.database.shops import put_shop
from shopcue.database.tables import Event, Row
from shopcue.database.tokens import create_token, find_token
from shopcue.database.uploads import add_upload
from shopcue.database.videos import add_video
from shopcue.database.webhooks import add_webhook, send_test
from shopcue.database.words import add_comments, put_utterances
from shopcue.errors import Conflict, StateError

STRANGE = "\u4e2d\U0001f600 <b>\x00\ud800\\ ' \" %s :x\n"


def rows(url: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of a database, in the order of its primary key."""
    database = open_database(url)
    with database.read() as session:
        found = {
            table.name: [dict(row) for row in session.execute(select(table).order_by(*table.primary_key)).mappings()]
            for table in Row.metadata.sorted_tables
        }
    database.close()
    # The order of texts is a matter of the database's language.
    return {name: sorted(table, key=repr) for name, table in found.items()}


@pytest.fixture
def source(tmp_path: Path) -> str:
    """An SQLite database with something in every table, strange texts and numbers included."""
    url = f"sqlite:///{tmp_path}/source.db"
    database = open_database(url)
    with database.write() as session:
        put_shop(session, "demo", STRANGE)
        create_token(session, STRANGE, "seller", ["demo"], expires_at=4e9)
        video = add_video(session, "demo", "recording", STRANGE, "v.mp4")
        video.duration_s = 0.1 + 0.2
        add_upload(session, "demo", "video", STRANGE, 5 << 40)
        job = add_job(session, "import", "demo", {"deep": [{STRANGE: 1e300}]})
        add_items(session, job.job_id, [ItemReport(n, STRANGE, "ok", "") for n in range(1_500)])
        evidence = records.Evidence(1 / 3, 0, 0, 0, (0, 0, 1, 1))
        [focus] = put_focuses(session, video, [records.Focus("p", "P", 0, 1, 2 / 3, evidence)])
        review_focus(session, focus.focus_id, "confirm", STRANGE, "seller")
        add_focus(session, video, "p", "P", 0, 0.2, "me", "seller")
        put_utterances(session, video.video_id, [records.Utterance(0, 1, STRANGE)])
        add_comments(session, video.video_id, [records.Comment(0, STRANGE, "hi")])
        for _ in range(20):
            add_event(session, "catalog.update", "demo")
    with database.write() as session:
        prune_events(session, 4e9)  # the numbers of these must not come back
        send_test(session, add_webhook(session, "demo", "https://example.com", ["job.update"]).webhook_id)
    database.close()
    return url


@pytest.fixture
def opened() -> Iterator[Callable[[str], Database]]:
    made: list[Database] = []

    def opened(url: str) -> Database:
        made.append(open_database(url))
        return made[-1]

    yield opened
    for database in made:
        database.close()


def test_everything_arrives_and_comes_back(
    source: str, new_url: Callable[[], str], tmp_path: Path, opened: Callable[[str], Database]
) -> None:
    there, back = new_url(), f"sqlite:///{tmp_path}/back.db"
    before = rows(source)
    assert all(before.values())
    assert move_database(source, there) == {name: len(table) for name, table in before.items()}
    assert rows(there) == before
    move_database(there, back)
    assert rows(back) == before == rows(source)
    for url in (there, back):
        database = opened(url)
        with database.write() as session:
            last, last_review = last_event_id(session), list_reviews(session, shop="demo")[0].review_id
            assert last > 20
            assert add_event(session, "catalog.update", "demo").event_id == last + 1
            focus_id = list_reviews(session, shop="demo")[-1].focus_id
            review_focus(session, focus_id, "reject", "me", "seller")
            assert list_reviews(session, shop="demo")[0].review_id == last_review + 1


def test_numbers_go_on_though_all_events_are_gone(
    source: str, new_url: Callable[[], str], opened: Callable[[str], Database]
) -> None:
    there = new_url()
    database = opened(source)
    with database.write() as session:
        last = last_event_id(session)
        session.execute(delete(Event))
    move_database(source, there)
    with opened(there).write() as session:
        assert add_event(session, "catalog.update", "demo").event_id > last


def test_tokens_open_the_new_place_too(
    source: str, new_url: Callable[[], str], opened: Callable[[str], Database]
) -> None:
    with opened(source).write() as session:
        _, secret = create_token(session, "Ada", "admin")
    there = new_url()
    move_database(source, there)
    with opened(there).read() as session:
        assert find_token(session, secret) is not None


def test_a_place_that_is_not_empty_is_left_as_it_is(source: str, new_url: Callable[[], str]) -> None:
    there = new_url()
    database = open_database(there)
    with database.write() as session:
        create_token(session, "Ada", "admin")
    database.close()
    before = rows(there)
    with pytest.raises(Conflict, match="give an empty database"):
        move_database(source, there)
    assert rows(there) == before


def test_it_runs_from_the_command_line(source: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "shopcue.database.moving", source]
    done = subprocess.run([*command, f"sqlite:///{tmp_path}/new.db"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "shops 1, " in done.stdout
    again = subprocess.run([*command, f"sqlite:///{tmp_path}/new.db"], capture_output=True, text=True)
    assert again.returncode == 2
    assert again.stderr.startswith("error: the table ")
    assert subprocess.run(command, capture_output=True).returncode == 2
    with pytest.raises(StateError):
        move_database(source, "mysql://x/y")
