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
from shopcue.database.tables import Video
from shopcue.database.videos import add_video

KINDS = ("sqlite", "postgresql")
NewUrl = Callable[[], str]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a PostgreSQL server."""
    with postgresql_server() as url:
        yield url


@pytest.fixture(params=KINDS)
def new_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewUrl]:
    """Gives the addresses of empty databases, of one kind and then of the other."""
    if request.param == "sqlite":
        folder = tmp_path_factory.mktemp("databases")
        numbers = count()
        yield lambda: f"sqlite:///{folder}/{next(numbers)}.db"
        return
    server = make_url(request.getfixturevalue("postgresql")).set(drivername="postgresql+psycopg")
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    names: list[str] = []

    def new() -> str:
        names.append(f"t_{tmp_path_factory.mktemp('name').name}")
        with engine.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{names[-1]}"'))
        return server.set(drivername="postgresql", database=names[-1]).render_as_string(hide_password=False)

    yield new
    with engine.connect() as connection:
        for name in names:
            connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    engine.dispose()


@pytest.fixture
def database(new_url: NewUrl) -> Iterator[Database]:
    """A new database with the shop `demo`."""
    database = open_database(new_url())
    with database.write() as session:
        put_shop(session, "demo", "Demo")
    yield database
    database.close()


@pytest.fixture
def video(database: Database) -> Video:
    """A recording of the shop `demo`, 100 s long."""
    with database.write() as session:
        video = add_video(session, "demo", "recording", "A show", "show.mp4")
        video.duration_s, video.width, video.height = 100.0, 640, 360
    return video
