"""A server without processes: the application in the test's own, on a database and a folder of the test's own.

And, for those that kill it, a real one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra `server`")
pytest.importorskip("lancedb", reason="needs the extra `store`")

from starlette.testclient import TestClient

from server.process import Server
from shopcue.database import Database
from shopcue.database.shops import put_shop
from shopcue.database.tokens import create_token
from shopcue.server.app import create_app
from shopcue.server.services import Services, open_services
from shopcue.server.settings import ServerSettings

SHOP, OTHER = "corner", "rival"


@dataclass(frozen=True)
class Tokens:
    """The text of one token of each kind; `stranger` is a seller of the shop `OTHER` alone."""

    admin: str
    seller: str
    viewer: str
    stranger: str


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server as a process, with its workers, in which there is the shop `SHOP`."""
    server = Server(tmp_path_factory.mktemp("server") / "data")
    server.ask("PUT", f"/api/shops/{SHOP}", json={"title": "Corner shop"})
    yield server
    server.stop()


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    """How the server under test runs; override it in a test module to run it in another way."""
    return ServerSettings(tmp_path / "data", workers=0)


@pytest.fixture
def parts(settings: ServerSettings) -> Iterator[Services]:
    """The parts of the server under test."""
    opened = open_services(settings)
    yield opened
    opened.database.close()


@pytest.fixture
def database(parts: Services) -> Database:
    """Its database, in which there are the shops `SHOP` and `OTHER`."""
    with parts.database.write() as session:
        put_shop(session, SHOP, "Corner shop")
        put_shop(session, OTHER, "Another shop")
    return parts.database


@pytest.fixture
def tokens(database: Database) -> Tokens:
    """Tokens for it."""
    with database.write() as session:

        def text(name: str, role: str, *shops: str) -> str:
            return create_token(session, name, role, shops)[1]

        return Tokens(
            text("Ada", "admin"),
            text("Sam", "seller", SHOP),
            text("Vic", "viewer", SHOP),
            text("Rae", "seller", OTHER),
        )


Connect = Callable[..., TestClient]


@pytest.fixture
def connect(parts: Services, tokens: Tokens) -> Iterator[Connect]:
    """Makes clients of one server: `connect(token)` sends the token, `connect()` sends none."""
    with serving(parts) as app_client:

        def connect(token: str | None = None, **options: Any) -> TestClient:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            client = TestClient(app_client.app, base_url="http://testserver", headers=headers, **options)
            client.portal = app_client.portal  # all in the one event loop that the lifespan runs in
            return client

        yield connect


@contextmanager
def serving(parts: Services) -> Iterator[TestClient]:
    """Run the application of a server; gives a client without a token."""
    with TestClient(create_app(parts), raise_server_exceptions=True) as client:
        yield client


@pytest.fixture
def client(connect: Connect) -> TestClient:
    """A client without a token."""
    return connect()


@pytest.fixture
def admin(connect: Connect, tokens: Tokens) -> TestClient:
    """A client with an admin's token."""
    return connect(tokens.admin)


@pytest.fixture
def seller(connect: Connect, tokens: Tokens) -> TestClient:
    """A client with the token of a seller of the shop `SHOP`."""
    return connect(tokens.seller)


@pytest.fixture
def viewer(connect: Connect, tokens: Tokens) -> TestClient:
    """A client with the token of a viewer of the shop `SHOP`."""
    return connect(tokens.viewer)


@pytest.fixture
def stranger(connect: Connect, tokens: Tokens) -> TestClient:
    """A client with the token of a seller of another shop."""
    return connect(tokens.stranger)
