"""Transactions: whole or not at all, one writer after the other, and a database that opens however it is found."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from shopcue.database import Database, open_database
from shopcue.database.events import add_event
from shopcue.database.migrating import latest_revision
from shopcue.database.shops import get_shop, list_shops, put_shop
from shopcue.database.tables import Event, Shop, Upload
from shopcue.errors import Missing, StateError, Unavailable


def test_what_is_written_is_there_and_what_raises_is_not(database: Database) -> None:
    def fail_after_writing() -> None:
        with database.write() as session:
            put_shop(session, "gone", "Gone")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_writing()
    with database.write() as session:
        put_shop(session, "kept", "Kept")
    with database.read() as session:
        assert [shop.shop for shop in list_shops(session)] == ["demo", "kept"]


def test_rows_are_usable_after_their_transaction(database: Database) -> None:
    with database.write() as session:
        made = put_shop(session, "a", "A")
    with database.read() as session:
        read = get_shop(session, "a")
    assert (made.title, read.title) == ("A", "A")


def test_a_reader_sees_one_moment_and_does_not_wait(database: Database) -> None:
    with database.read() as reading:
        before = len(list_shops(reading))
        with database.write() as session:
            put_shop(session, "later", "Later")
            assert len(list_shops(reading)) == before  # while it is being written
        assert len(list_shops(reading)) == before  # and after it was
    with database.read() as reading:
        assert len(list_shops(reading)) == before + 1


def test_what_a_reader_changes_is_forgotten(database: Database) -> None:
    with database.read() as session:
        get_shop(session, "demo").title = "changed"
    with database.read() as session:
        assert get_shop(session, "demo").title == "Demo"


def test_a_reader_cannot_write_by_mistake_and_the_next_writer_can(database: Database) -> None:
    with pytest.raises(DBAPIError, match=r"read-?only"), database.read() as session:
        add_event(session, "catalog.update", "demo")
    with database.write() as session:
        add_event(session, "catalog.update", "demo")


def test_no_update_is_lost_among_threads(database: Database) -> None:
    def count_up(_: int) -> None:
        for _ in range(10):
            with database.write() as session:
                shop = get_shop(session, "demo")
                shop.created_at += 1

    with database.write() as session:
        get_shop(session, "demo").created_at = 0
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count_up, range(8)))
    with database.read() as session:
        assert get_shop(session, "demo").created_at == 80


def test_references_are_checked(database: Database) -> None:
    with pytest.raises(IntegrityError), database.write() as session:
        session.add(Upload(shop="nowhere", kind="feed", name="f", size=1, created_at=0, updated_at=0))


def test_what_is_missing_is_named(database: Database) -> None:
    with database.read() as session, pytest.raises(Missing, match="there is no shop 'nowhere'"):
        get_shop(session, "nowhere")
    with database.read() as session, pytest.raises(Missing):
        get_shop(session, "de\x00mo")


def test_a_database_that_answers_is_healthy(database: Database) -> None:
    database.check()


def test_who_waits_too_long_for_a_writer_is_told(new_url: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shopcue.database.sessions.BUSY_S", 1.0)
    url = new_url()
    one, other = open_database(url), open_database(url)
    with one.write(), pytest.raises(Unavailable, match="try again later"), other.write():
        pass
    with other.write() as session:
        put_shop(session, "next", "Next")
    one.close()
    other.close()


def test_a_writer_inside_a_writer_is_told_and_not_left_waiting_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shopcue.database.sessions.BUSY_S", 0.1)
    database = open_database(f"sqlite:///{tmp_path}/shopcue.db")
    with database.write(), pytest.raises(Unavailable), database.write():
        pass
    database.check()
    database.close()


def test_a_copy_taken_while_others_write_is_whole(tmp_path: Path) -> None:
    source = tmp_path / "shopcue.db"
    open_database(f"sqlite:///{source}").close()
    command = [sys.executable, "-c", WRITER, f"sqlite:///{source}", "-1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().strip() for _ in range(20)]
        connection = sqlite3.connect(source)
        connection.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))  # as docs/state.md says
        connection.close()
        process.kill()
    shops, events = shops_and_events(f"sqlite:///{tmp_path}/copy.db")
    assert {f"shop-{number}" for number in acknowledged} <= shops
    assert shops == events


# ---- kill -9 ---------------------------------------------------------------------------------------------------

WRITER = """
import sys
from shopcue.database import open_database
from shopcue.database.events import add_event
from shopcue.database.shops import put_shop
database = open_database(sys.argv[1])
number = 0
while True:
    with database.write() as session:
        put_shop(session, f"shop-{number}", "half")
        add_event(session, "catalog.update", f"shop-{number}")
        if number == int(sys.argv[2]):
            print("in the middle", flush=True)
            sys.stdin.read()
    print(number, flush=True)
    number += 1
"""


def killed_writer(url: str, stop_in: int, lines: int) -> list[str]:
    """Let another process write, kill it after so many lines of its output, and return these."""
    command = [sys.executable, "-c", WRITER, url, str(stop_in)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(lines)]
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().split("\n")  # acknowledged while the signal was on its way
    return said + [line for line in rest if line]


def shops_and_events(url: str) -> tuple[set[str], set[str]]:
    database = open_database(url)
    with database.read() as session:
        found = set(session.scalars(select(Shop.shop))), set(session.scalars(select(Event.shop)))
    database.close()
    return found


def test_a_writer_killed_in_mid_transaction_leaves_nothing_and_hinders_nobody(new_url: Callable[[], str]) -> None:
    url = new_url()
    assert killed_writer(url, stop_in=3, lines=4) == ["0", "1", "2", "in the middle"]
    assert shops_and_events(url) == ({"shop-0", "shop-1", "shop-2"}, {"shop-0", "shop-1", "shop-2"})
    database = open_database(url)
    with database.write() as session:
        put_shop(session, "next", "Next")
        add_event(session, "catalog.update", "next")
    database.close()


def test_a_writer_killed_at_any_moment_has_all_that_it_acknowledged(new_url: Callable[[], str]) -> None:
    url = new_url()
    acknowledged = {f"shop-{number}" for number in killed_writer(url, stop_in=-1, lines=40)}
    shops, events = shops_and_events(url)
    assert acknowledged <= shops
    assert shops == events
    assert len(shops) <= len(acknowledged) + 1  # the one that was committed but could not say so


# ---- opening ---------------------------------------------------------------------------------------------------

OPENER = """
import sys
from shopcue.database import open_database
from shopcue.database.shops import put_shop
sys.stdin.readline()
database = open_database(sys.argv[1])
with database.write() as session:
    put_shop(session, sys.argv[2], "x")
"""


def test_several_processes_may_open_a_new_database_at_once(new_url: Callable[[], str]) -> None:
    url = new_url()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, url, f"shop-{i}"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(3)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        _, errors = process.communicate(timeout=180)
        assert process.returncode == 0, errors
    assert shops_and_events(url)[0] == {"shop-0", "shop-1", "shop-2"}


def test_threads_may_open_a_new_database_at_once(new_url: Callable[[], str]) -> None:
    url = new_url()
    barrier = threading.Barrier(4)

    def open_it(_: int) -> str:
        barrier.wait()
        database = open_database(url)
        with database.read() as session:
            found = session.scalar(text("SELECT version_num FROM alembic_version"))
        database.close()
        return str(found)

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(open_it, range(4))) == {latest_revision()}


def test_a_database_of_a_newer_shopcue_is_refused(new_url: Callable[[], str]) -> None:
    url = new_url()
    database = open_database(url)
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'from-the-future'"))
    database.close()
    with pytest.raises(StateError, match="upgrade Shopcue"):
        open_database(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///x.db?mode=ro",
        "mysql://me:sesame@127.0.0.1/x",
        "postgresql://me:sesame@127.0.0.1:1/x",
        "postgresql://me:sesame@127.0.0.1:notaport/x",
        "sqlite:////dev/null/x.db",
    ],
)
def test_an_address_that_is_none_is_refused_in_one_line_without_its_password(url: str) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StateError) as caught:
        open_database(url)
    assert "sesame" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value) or "check the address" in str(caught.value)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("These are my notes, and nobody's database. " * 40)
    before = path.read_bytes()
    with pytest.raises(StateError, match="cannot be opened"):
        open_database(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_sqlite_is_set_up_to_lose_nothing_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "inner" / "shopcue.db"
    database = open_database(f"sqlite:///{path}")
    with database.write() as session:
        put_shop(session, "a", "A")
        values = {name: session.scalar(text(f"PRAGMA {name}")) for name in ("synchronous", "foreign_keys")}
        assert values == {"synchronous": 2, "foreign_keys": 1}
        assert {file.stat().st_mode & 0o077 for file in path.parent.iterdir()} == {0}
    database.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_light_modules_do_not_load_the_database() -> None:
    code = (
        "import sys, shopcue, shopcue.cli; print([m for m in ('sqlalchemy', 'alembic', 'psycopg') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
