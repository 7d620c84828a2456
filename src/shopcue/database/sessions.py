"""Opening the database and the two kinds of transactions.

Writing transactions run one after the other, on SQLite because it has one writer, on PostgreSQL because each first
takes a lock of ours. So a job cannot be claimed twice, nothing read in a transaction changes under it, no two block
each other for ever, and events become visible in the order of their ids. They are short: a few rows each.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from shopcue.database.migrating import migrate
from shopcue.errors import StateError, Unavailable

BUSY_S = 30.0  # how long a writer waits for its turn
_IDLE_S = 60  # a PostgreSQL client that stopped in the middle of a transaction must not hold up the others for ever
_WAL_BYTES = 64 << 20
_WRITERS_LOCK = 0x5C0B  # any number, the same in all processes: the key of PostgreSQL's advisory lock
_WRITES = "shopcue_writes"


class Database:
    """Everything that is remembered, behind `write` and `read`. May be shared by threads, not by forked processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**{_WRITES: True})
        self._reading = engine.execution_options(**_read_options(engine))
        self._turn = threading.Lock()

    @property
    def url(self) -> str:
        """The address of the database, without its password."""
        return self._engine.url.render_as_string(hide_password=True)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Give a session whose changes are kept, and synced to disk, when the block ends, and forgotten if it raises.

        Waits for the writers before it; raises Unavailable if that takes too long. Rows stay usable after the block. Do
        nothing slow inside, and do not write inside another writing block.
        """
        with self._in_turn(), Session(self._writing, expire_on_commit=False) as session:
            self._begin(session)
            yield session
            session.commit()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Give a session that sees the database as it is at its first query, and never waits.

        Changes of rows are forgotten; statements that would write are refused. Raises Unavailable.
        """
        with Session(self._reading, expire_on_commit=False, autoflush=False) as session:
            self._begin(session)
            yield session
            session.expunge_all()  # rows stay usable after the roll-back that ends the block

    def check(self) -> None:
        """Raise Unavailable unless the database answers."""
        with self.read() as session:
            session.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Let the threads of this process write one after the other.

        SQLite's own waiting is sleeping and trying again: unfair and slow among threads. PostgreSQL has a queue.
        """
        if self._engine.dialect.name != "sqlite":
            yield
            return
        if not self._turn.acquire(timeout=BUSY_S):
            raise Unavailable(f"others were writing to the database for {BUSY_S:g} s; try again later")
        try:
            yield
        finally:
            self._turn.release()

    def _begin(self, session: Session) -> None:
        """Begin now: what is read before the first change must not be stale either."""
        try:
            session.connection()
        except (OperationalError, PoolTimeout) as error:
            # The reason may name places of this machine: it is for the log, through the cause, not for strangers.
            raise Unavailable("the database does not answer; try again later") from error


def open_database(url: str) -> Database:
    """Open the database at `url`, making it or bringing it up to date first; several processes may do so at once.

    url: `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/NAME`. Raises StateError for one that cannot be opened.
    """
    place = _parsed(url)
    try:
        if place.get_backend_name() == "sqlite":
            _make_file(place)
        migration = _engine(place, pooled=False, foreign_keys=False)
        with migration.execution_options(**{_WRITES: True}).begin() as connection:
            migrate(connection)
        return Database(_engine(place))
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        shown = place.render_as_string(hide_password=True)
        raise StateError(f"the database {shown} cannot be opened: {_reason(error)}; check the address") from None


def _parsed(url: str) -> URL:
    expected = "expected sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME"
    try:
        place = make_url(url)
    except (ArgumentError, ValueError):
        raise StateError(f"the address of the database cannot be read, {expected}") from None
    if place.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return place.set(drivername="postgresql+psycopg")
    if place.drivername != "sqlite":
        raise StateError(f"the database is of the kind {place.drivername!r}, {expected}")
    if not place.database or place.database == ":memory:" or place.query:
        raise StateError(f"the address of the database names no file, {expected}")
    return place


def _make_file(place: URL) -> None:
    """Make SQLite's file, for its owner alone: it holds the secrets of webhooks; and have it write ahead (WAL)."""
    path = Path(str(place.database))
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY_S)
    try:
        deadline_s = time.monotonic() + BUSY_S
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError:  # this change alone does not wait for others that make it, too
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.05)
    finally:
        connection.close()


def _engine(place: URL, *, pooled: bool = True, foreign_keys: bool = True) -> Engine:
    pool: dict[str, Any] = {"pool_size": 5, "max_overflow": 35} if pooled else {"poolclass": NullPool}
    if place.get_backend_name() == "sqlite":
        engine = create_engine(place, connect_args={"timeout": BUSY_S}, **pool)
        event.listen(engine, "connect", lambda connection, _: _set_up_sqlite(connection, foreign_keys))
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    settings = f"-c lock_timeout={int(BUSY_S)}s -c idle_in_transaction_session_timeout={_IDLE_S}s"
    arguments = {"connect_timeout": 10, "application_name": "shopcue", "options": settings}
    engine = create_engine(place, connect_args=arguments, pool_pre_ping=True, **pool)
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, foreign_keys: bool) -> None:
    connection.isolation_level = None  # transactions begin where we say so
    connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
    connection.execute("PRAGMA synchronous = FULL")  # a commit that was acknowledged survives a power cut
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql(f"PRAGMA query_only = {'OFF' if writes else 'ON'}")  # as PostgreSQL's READ ONLY
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    # PostgreSQL shows a commit to others before it lets go of the lock.
    if connection.get_execution_options().get(_WRITES):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS_LOCK})")


def _read_options(engine: Engine) -> dict[str, Any]:
    if engine.dialect.name == "sqlite":
        return {}
    return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


def _reason(error: Exception) -> str:
    cause = error.orig if isinstance(error, OperationalError) else error
    return str(cause).strip() or type(error).__name__
