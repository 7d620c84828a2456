"""Webhooks: what arrives is signed and whole, what fails is tried again, and nothing goes to private places."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("fastapi")

from shopcue.database import Database, open_database
from shopcue.database.events import add_event
from shopcue.database.shops import put_shop
from shopcue.database.tables import Delivery, Webhook
from shopcue.database.webhooks import (
    add_webhook,
    due_deliveries,
    get_webhook,
    list_deliveries,
    queue_deliveries,
)
from shopcue.server.delivery import MAX_ATTEMPTS, Poster, WebhookSender, backoff_s, signature

PUBLIC = "93.184.216.34"


@dataclass(frozen=True)
class Received:
    """A request that arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A server on this machine that remembers what it is sent. status: what it answers to the n-th request."""

    status: Callable[[int], int] = lambda number: 204
    headers: dict[str, str] = field(default_factory=dict)
    pause_s: float = 0.0
    received: list[Received] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?a=1"

    @contextmanager
    def running(self) -> Iterator[Receiver]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append(Received(self.path, dict(self.headers), body))
                time.sleep(receiver.pause_s)
                self.send_response(receiver.status(len(receiver.received)))
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path}/shopcue.db")
    with database.write() as session:
        put_shop(session, "demo", "Demo")
    yield database
    database.close()


@contextmanager
def sending(database: Database, poster: Poster | None = None) -> Iterator[None]:
    anywhere = poster or Poster(permit=lambda address, port: True, total_s=5.0)
    sender = WebhookSender(database, anywhere, every_s=0.02, first_rest_s=0.002, retry_s=lambda attempts: 0.02)
    sender.start()
    try:
        yield
    finally:
        sender.stop()


def hook(database: Database, url: str) -> Webhook:
    with database.write() as session:
        return add_webhook(session, "demo", url, ["catalog.update"])


def tell(database: Database, *names: str) -> list[int]:
    with database.write() as session:
        return [add_event(session, "catalog.update", "demo", data={"name": name}).event_id for name in names]


def settled(database: Database, webhook: Webhook, count: int) -> list[Delivery]:
    """The deliveries of a webhook, oldest first, once so many are delivered or have failed."""
    for _ in range(1_000):
        with database.read() as session:
            rows = [row for row, _ in list_deliveries(session, webhook.webhook_id)][::-1]
        if sum(row.state != "waiting" for row in rows) >= count:
            return rows
        time.sleep(0.02)
    raise AssertionError(rows)


# ---- what arrives ----------------------------------------------------------------------------------------------


def test_events_arrive_in_order_whole_and_signed(database: Database) -> None:
    with Receiver().running() as receiver, sending(database):
        webhook = hook(database, receiver.url)
        ids = tell(database, *(f"Tässe {n} \u4e2d <script>" for n in range(25)))
        rows = settled(database, webhook, 25)
    assert [(row.state, row.status_code, row.attempts) for row in rows] == [("delivered", 204, 1)] * 25
    assert [int(one.headers["Shopcue-Event-Id"]) for one in receiver.received] == ids
    for number, one in enumerate(receiver.received):
        told = json.loads(one.body)
        assert (told["event_id"], told["type"], told["shop"]) == (ids[number], "catalog.update", "demo")
        assert told["data"] == {"name": f"Tässe {number} \u4e2d <script>"}
        assert one.path == "/hook?a=1"
        assert one.headers["Content-Type"] == "application/json"
        stamp, code = (part.split("=", 1)[1] for part in one.headers["Shopcue-Signature"].split(","))
        expected = hmac.new(webhook.secret.encode(), stamp.encode() + b"." + one.body, hashlib.sha256).hexdigest()
        assert code == expected
        assert abs(int(stamp) - time.time()) < 30


def test_the_signature_is_that_of_the_standard_tools() -> None:
    # printf '1700000000.{}' | openssl dgst -sha256 -hmac secret
    assert signature("secret", b"{}", 1_700_000_000) == (
        "t=1700000000,v1=" + hmac.digest(b"secret", b"1700000000.{}", "sha256").hex()
    )


# ---- what fails ------------------------------------------------------------------------------------------------


def test_what_fails_is_tried_again_until_it_arrives(database: Database) -> None:
    with Receiver(status=lambda number: 200 if number == 3 else 503).running() as receiver, sending(database):
        webhook = hook(database, receiver.url)
        tell(database, "a")
        [row] = settled(database, webhook, 1)
    assert (row.state, row.attempts, row.status_code, row.error) == ("delivered", 3, 200, "")
    assert len({one.body for one in receiver.received}) == 1


def test_what_never_arrives_fails_in_the_end_and_says_why(database: Database) -> None:
    with Receiver(status=lambda number: 500).running() as receiver, sending(database):
        webhook = hook(database, receiver.url)
        tell(database, "a")
        [row] = settled(database, webhook, 1)
    assert (row.state, row.attempts, row.status_code) == ("failed", MAX_ATTEMPTS, 500)
    assert row.error == "answered with status 500, expected 2xx"


def test_nobody_there_is_a_failure_like_any_other(database: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with sending(database):
        webhook = hook(database, f"http://127.0.0.1:{port}/")
        tell(database, "a")
        [row] = settled(database, webhook, 1)
    assert (row.state, row.status_code) == ("failed", None)
    assert row.error.startswith("no answer: ")


def test_an_address_that_is_gone_is_not_used_again(database: Database) -> None:
    with Receiver(status=lambda number: 410).running() as receiver, sending(database):
        webhook = hook(database, receiver.url)
        tell(database, "a")
        [row] = settled(database, webhook, 1)
        tell(database, "b")
        time.sleep(0.2)
    assert (row.state, row.attempts) == ("failed", 1)
    assert len(receiver.received) == 1
    with database.read() as session:
        assert not get_webhook(session, webhook.webhook_id).active


def test_one_that_hangs_does_not_hold_up_the_others(database: Database) -> None:
    with Receiver(pause_s=3.0).running() as slow, Receiver().running() as quick, sending(database):
        hook(database, slow.url)
        webhook = hook(database, quick.url)
        start = time.monotonic()
        tell(database, *"abcdefghijkl")
        settled(database, webhook, 12)
        assert time.monotonic() - start < 2.5
    assert len(slow.received) <= 2


def test_waiting_grows_fourfold_up_to_six_hours() -> None:
    waits = [backoff_s(attempts) for attempts in range(1, MAX_ATTEMPTS)]
    assert waits == [5, 20, 80, 320, 1280, 5120, 20480, 21600]
    assert 12 * 3600 < sum(waits) < 24 * 3600


def test_what_a_dead_process_held_is_due_again_and_what_two_ask_for_is_given_once(database: Database) -> None:
    hook(database, "https://example.com")
    tell(database, *"abc")
    now = time.time() + 1
    with database.write() as session:
        queue_deliveries(session)
        assert len(due_deliveries(session, now, hold_s=60)) == 3
    with database.write() as session:
        assert due_deliveries(session, now, hold_s=60) == []
        assert len(due_deliveries(session, now + 61, hold_s=60)) == 3


# ---- what is not asked for -------------------------------------------------------------------------------------


def test_private_places_are_refused_before_a_connection_is_made() -> None:
    with Receiver().running() as receiver:
        for url in (receiver.url, f"http://localhost:{receiver.port}/", f"http://[::1]:{receiver.port}/"):
            reply = Poster().post(url, b"{}", {})
            assert not reply.arrived
            assert reply.final
            assert "not of the public web" in reply.error
        named = Poster(resolve=lambda host, port: [PUBLIC, "127.0.0.1"])  # one of several is enough
        assert "127.0.0.1 port 80, which is not" in named.post("http://shop.example/", b"{}", {}).error
    assert receiver.received == []


@pytest.mark.parametrize(
    "url",
    ["", "ftp://example.com/", "file:///etc/passwd", "http://me:pw@example.com/", "http://a b/", "http://x\r\nA: b/"],
)
def test_what_is_no_address_of_the_web_is_refused(url: str) -> None:
    reply = Poster(resolve=lambda host, port: [PUBLIC]).post(url, b"{}", {})
    assert reply.final
    assert "pw" not in reply.error
    assert "\n" not in reply.error


def test_a_name_is_resolved_once_and_the_connection_goes_there(database: Database) -> None:
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    with Receiver().running() as receiver:
        poster = Poster(resolve=resolve, permit=lambda address, port: str(address) == "127.0.0.1")
        assert poster.post(f"http://shop.example:{receiver.port}/x", b"{}", {}).arrived
        assert asked == ["shop.example"]
        assert receiver.received[0].headers["Host"] == f"shop.example:{receiver.port}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    with Receiver().running() as inner:
        moved = Receiver(status=lambda number: status, headers={"Location": inner.url})
        with moved.running() as outer:
            reply = Poster(permit=lambda address, port: True).post(outer.url, b"{}", {})
    assert (reply.status, reply.arrived, len(inner.received)) == (status, False, 0)
    assert "give the address that it leads to" in reply.error


@pytest.mark.parametrize("drip", [b"", b"H", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_time_is_bounded_whatever_is_dripped(drip: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def trickle() -> None:
            connection, _ = server.accept()
            with connection:
                while not stop.wait(0.1):
                    try:
                        connection.sendall(drip)
                    except OSError:
                        return

        thread = threading.Thread(target=trickle, daemon=True)
        thread.start()
        start = time.monotonic()
        poster = Poster(permit=lambda address, port: True, total_s=0.6)
        reply = poster.post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}", {})
        took_s = time.monotonic() - start
        stop.set()
        thread.join()
    assert not reply.arrived
    assert took_s < 2
