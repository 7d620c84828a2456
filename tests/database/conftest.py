"""Every test of the database runs on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest

pytest.importorskip("sqlalchemy")

from sqlalchemy import create_engine, make_url, text

from postgresql_server import postgresql_server
from shopcue.database import Database, open_database
from shopcue.database.shops import put_shop
from shopcue.database.tables import Row, Video
from shopcue.database.videos import add_video

KINDS = ("sqlite", "postgresql")
NewUrl = Callable[[], str]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a PostgreSQL server."""
    with postgresql_server() as url:
        yield url


@pytest.fixture(scope="session")
def new_postgresql_url(postgresql: str) -> Iterator[NewUrl]:
    """Gives the addresses of empty databases of that server."""
    server = make_url(postgresql).set(drivername="postgresql+psycopg")
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    numbers = count()

    def new() -> str:
        name = f"t_{next(numbers)}"
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        return server.set(drivername="postgresql", database=name).render_as_string(hide_password=False)

    yield new
    engine.dispose()


@pytest.fixture(scope="session")
def kept_postgresql(new_postgresql_url: NewUrl) -> Iterator[Database]:
    """One database for all tests that do not care: to make one takes longer than most of them."""
    database = open_database(new_postgresql_url())
    yield database
    database.close()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of database in turn."""
    return str(request.param)


@pytest.fixture
def new_url(kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NewUrl:
    """Gives the addresses of empty databases of this kind."""
    if kind == "postgresql":
        new: NewUrl = request.getfixturevalue("new_postgresql_url")
        return new
    folder = tmp_path_factory.mktemp("databases")
    numbers = count()
    return lambda: f"sqlite:///{folder}/{next(numbers)}.db"


@pytest.fixture
def database(kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database of this kind with the shop `demo` and nothing else."""
    if kind == "postgresql":
        database: Database = request.getfixturevalue("kept_postgresql")
    else:
        database = open_database(f"sqlite:///{tmp_path_factory.mktemp('database')}/shopcue.db")
    with database.write() as session:
        if kind == "postgresql":
            tables = ", ".join(table.name for table in Row.metadata.sorted_tables)
            session.execute(text(f"TRUNCATE {tables} RESTART IDENTITY"))
        put_shop(session, "demo", "Demo")
    yield database
    if kind == "sqlite":
        database.close()


@pytest.fixture
def video(database: Database) -> Video:
    """A recording of the shop `demo`, 100 s long."""
    with database.write() as session:
        video = add_video(session, "demo", "recording", "A show", "show.mp4")
        video.duration_s, video.width, video.height = 100.0, 640, 360
    return video
