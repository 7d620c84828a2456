"""What the API says of jobs, products and tokens is the same when PostgreSQL keeps the server's state."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from postgresql_server import postgresql_server
from server.test_jobs_api import *  # noqa: F403
from server.test_products_api import *  # noqa: F403
from shopcue.server.settings import ServerSettings


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The address of a PostgreSQL server."""
    with postgresql_server() as url:
        yield url


@pytest.fixture
def settings(tmp_path: Path, postgresql: str) -> Iterator[ServerSettings]:
    """A server on a new database of that."""
    address = make_url(postgresql).set(drivername="postgresql+psycopg")
    name = f"api_{secrets.token_hex(6)}"
    engine = create_engine(address, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = address.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
    yield ServerSettings(tmp_path / "data", database=url, workers=0)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()
