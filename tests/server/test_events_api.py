"""Live events over real HTTP: SSE and WebSocket, from a server behind a socket."""

from __future__ import annotations

import json
import random
import socket as raw_socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as connect_socket

from server.conftest import OTHER, SHOP, Tokens
from server.listening import Told, follow, listening
from server.matched import add_matched, add_stream, open_focus
from shopcue.database import Database
from shopcue.database.events import add_event, events_after
from shopcue.database.tokens import find_token, revoke_token
from shopcue.database.videos import change_video, delete_video
from shopcue.server.services import Services


@pytest.fixture
def address(parts: Services, tokens: Tokens) -> Iterator[str]:
    with listening(parts) as address:
        yield address


@pytest.fixture
def video(parts: Services, database: Database) -> str:
    return add_matched(parts, published=True)


@contextmanager
def socket(address: str, path: str, token: str = "", **headers: str) -> Iterator[Callable[[], dict[str, Any]]]:
    """Follow by WebSocket; gives what returns the next message."""
    sent = {"Authorization": f"Bearer {token}", **headers} if token else headers
    # With a bounded queue this client would not hear the farewell behind messages that nobody reads.
    place = f"{address.replace('http', 'ws')}{path}"
    with connect_socket(place, additional_headers=sent, max_queue=None) as connection:
        yield lambda: json.loads(connection.recv(timeout=10))


def tell(database: Database, video: str, count: int = 1, shop: str = SHOP) -> None:
    with database.write() as session:
        for number in range(count):
            add_event(session, "focus.update", shop, video, 1.5, {"n": number})


def test_what_one_reviews_another_sees_at_once(address: str, tokens: Tokens, video: str) -> None:
    seller = {"Authorization": f"Bearer {tokens.seller}"}
    focus = httpx.get(f"{address}/api/videos/{video}/focuses", headers=seller).json()["focuses"][1]
    with (
        follow(f"{address}/api/videos/{video}/events", tokens.viewer) as by_video,
        follow(f"{address}/api/shops/{SHOP}/events", tokens.admin) as by_shop,
        follow(f"{address}/api/public/videos/{video}/events") as by_all,
        socket(address, f"/api/videos/{video}/events/ws", tokens.viewer) as by_socket,
    ):
        began = time.monotonic()
        place = f"{address}/api/focuses/{focus['focus_id']}/review"
        body = {"action": "replace", "product_id": "hat", "version": focus["version"]}
        after = httpx.post(place, headers=seller, json=body).json()
        told = [by_video.next(), by_shop.next(), by_socket(), by_all.next()]
        waited_s = time.monotonic() - began
    assert [each["type"] for each in told] == ["focus.review"] * 4
    assert told[0] == told[1] == told[2]
    assert (told[0]["shop"], told[0]["video_id"]) == (SHOP, video)
    private = {name: value for name, value in told[0]["data"].items() if name in after}
    assert private == after
    assert told[3]["data"]["product_id"] == "hat"
    assert waited_s < 2.0


def test_it_begins_now_or_after_what_is_named_and_the_header_counts_more(
    address: str, tokens: Tokens, video: str, database: Database
) -> None:
    place = f"{address}/api/videos/{video}/events"
    tell(database, video, 5)
    with follow(place, tokens.viewer) as fresh:
        start = fresh.last_id
        tell(database, video)
        assert fresh.next()["event_id"] == start + 1
    with follow(place, tokens.viewer, after=start - 3) as later:
        assert [later.next()["event_id"] for _ in range(4)] == [start - 2, start - 1, start, start + 1]
    with follow(place, tokens.viewer, last_id=start, after=0) as again:
        assert again.next()["event_id"] == start + 1


def test_the_shape_of_an_event(address: str, tokens: Tokens, video: str, database: Database) -> None:
    with follow(f"{address}/api/videos/{video}/events", tokens.viewer) as told:
        assert told.response.headers["content-type"].startswith("text/event-stream")
        assert "no-store" in told.response.headers["cache-control"]
        tell(database, video)
        event = told.next()
    assert event.keys() == {"event_id", "type", "shop", "video_id", "media_s", "at", "data"}
    assert (event["media_s"], event["data"]) == (1.5, {"n": 0})
    assert event["at"].endswith("Z")
    assert abs(time.time() - datetime.fromisoformat(event["at"]).timestamp()) < 10


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_or_doubled_over_connections_that_break(
    address: str, tokens: Tokens, video: str, database: Database, seed: int
) -> None:
    """Events come while readers by SSE and by WebSocket hang up in the middle and come back with the last id."""
    total, chance = 300, random.Random(seed)
    with follow(f"{address}/api/videos/{video}/events", tokens.viewer) as now:
        start = now.last_id

    def write() -> None:
        written = 0
        while written < total:
            count = min(chance.choice((1, 1, 3, 20)), total - written)
            tell(database, video, count)
            tell(database, "elsewhere", 1, OTHER)
            written += count
            time.sleep(chance.choice((0, 0.005, 0.02)))

    def by_sse() -> None:
        mine, last = random.Random(seed + 1), start
        while len(by["sse"]) < total:
            with follow(f"{address}/api/videos/{video}/events", tokens.viewer, last_id=last) as told:
                events = told.events()
                for _ in range(min(mine.randint(0, 25), total - len(by["sse"]))):
                    by["sse"].append(next(events)["event_id"])
                last = told.last_id

    def by_socket() -> None:
        mine, last = random.Random(seed + 2), start
        while len(by["ws"]) < total:
            with socket(address, f"/api/videos/{video}/events/ws?after={last}", tokens.viewer) as receive:
                for _ in range(min(mine.randint(0, 25), total - len(by["ws"]))):
                    last = receive()["event_id"]
                    by["ws"].append(last)

    by: dict[str, list[int]] = {"sse": [], "ws": []}
    readers = [threading.Thread(target=work) for work in (by_sse, by_socket, write)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(30)
    with database.read() as session:
        truth = [event.event_id for event in events_after(session, start, video_id=video, limit=1000)]
    assert len(truth) == total
    assert by["sse"] == by["ws"] == truth


@pytest.mark.parametrize("path", ["/api/videos/{video}/events", "/api/shops/corner/events"])
def test_only_those_of_the_shop_follow(address: str, tokens: Tokens, video: str, path: str) -> None:
    place = path.format(video=video)
    for token, status in (("", 401), ("sc_wrong_token", 401), (tokens.stranger, 404)):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        assert httpx.get(address + place, headers=headers).status_code == status
        with pytest.raises(InvalidStatus) as refused, socket(address, f"{place}/ws", token):
            pass
        assert refused.value.response.status_code == status
        assert json.loads(refused.value.response.body)["error"]


@pytest.mark.parametrize("query", ["after=-1", "after=x", "after=99999999999999999999"])
def test_an_id_that_is_none_is_refused(address: str, tokens: Tokens, video: str, query: str) -> None:
    headers = {"Authorization": f"Bearer {tokens.viewer}"}
    assert httpx.get(f"{address}/api/videos/{video}/events?{query}", headers=headers).status_code == 422
    with pytest.raises(InvalidStatus), socket(address, f"/api/videos/{video}/events/ws?{query}", tokens.viewer):
        pass


def test_a_web_socket_with_a_cookie_comes_from_our_own_page_alone(address: str, tokens: Tokens, video: str) -> None:
    cookie, place = f"shopcue_session={tokens.viewer}", f"/api/videos/{video}/events/ws"
    with pytest.raises(InvalidStatus) as refused, socket(address, place, Cookie=cookie, Origin="https://evil.example"):
        pass
    assert refused.value.response.status_code == 403
    with socket(address, place, Cookie=cookie, Origin=address):
        pass


def ended(told: Told) -> bool:
    """Whether the server ends the connection properly."""
    return not list(told.events())


def test_a_deleted_video_ends_its_followers(address: str, tokens: Tokens, video: str, database: Database) -> None:
    with (
        follow(f"{address}/api/videos/{video}/events", tokens.viewer) as told,
        follow(f"{address}/api/public/videos/{video}/events") as everyone,
        follow(f"{address}/api/shops/{SHOP}/events", tokens.viewer) as shop,
        socket(address, f"/api/videos/{video}/events/ws", tokens.viewer) as receive,
    ):
        with database.write() as session:
            delete_video(session, video)
        assert told.next()["data"]["deleted"] is True
        assert ended(told)
        assert everyone.next()["data"] == {"video_id": video, "published": False}
        assert ended(everyone)
        assert receive()["data"]["deleted"] is True
        with pytest.raises(ConnectionClosed):
            receive()
        assert shop.next()["data"]["deleted"] is True
        tell(database, "another")
        assert shop.next()["video_id"] == "another"


def test_whoever_may_not_see_it_any_longer_is_let_go(
    address: str, tokens: Tokens, video: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shopcue.server.api.events._CHECK_S", 0.0)
    with (
        follow(f"{address}/api/videos/{video}/events", tokens.viewer) as told,
        socket(address, f"/api/videos/{video}/events/ws", tokens.viewer) as receive,
        follow(f"{address}/api/videos/{video}/events", tokens.seller) as other,
    ):
        tell(database, video)
        assert told.next()["event_id"] == receive()["event_id"] == other.next()["event_id"]
        with database.write() as session:
            token = find_token(session, tokens.viewer)
            assert token is not None
            revoke_token(session, token.token_id)
        tell(database, video)
        assert ended(told)
        with pytest.raises(ConnectionClosed) as closed:
            receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        assert other.next()["type"] == "focus.update"


def test_an_unpublished_video_ends_its_shoppers(address: str, parts: Services, database: Database) -> None:
    stream = add_stream(parts)
    place = f"{address}/api/public/videos/{stream}/events"
    with follow(place) as told:
        with database.write() as session:
            change_video(session, stream, published=False)
            add_event(session, "focus.open", SHOP, stream, data={"n": 1})
        assert told.next()["data"] == {"video_id": stream, "published": False}
        assert ended(told)
    assert httpx.get(place).status_code == 404
    with database.write() as session:
        change_video(session, stream, published=True)
    with follow(place) as told:
        open_focus(parts, stream)
        assert told.next()["type"] == "focus.open"


def test_when_the_server_stops_its_followers_end_and_it_does_not_wait(
    parts: Services, tokens: Tokens, video: str
) -> None:
    with ExitStack() as server, ExitStack() as clients:
        address = server.enter_context(listening(parts))
        told = clients.enter_context(follow(f"{address}/api/videos/{video}/events", tokens.viewer))
        receive = clients.enter_context(socket(address, f"/api/videos/{video}/events/ws", tokens.viewer))
        began = time.monotonic()
        server.close()
        assert time.monotonic() - began < 2
        assert ended(told)
        with pytest.raises(ConnectionClosed) as closed:
            receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012


def test_one_that_takes_nothing_is_let_go_and_holds_up_nobody(
    address: str, parts: Services, tokens: Tokens, video: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shopcue.server.api.events._SEND_S", 0.3)
    host, port = address.removeprefix("http://").split(":")
    authorization = f"Authorization: Bearer {tokens.viewer}"
    with raw_socket.create_connection((host, int(port))) as stuck:
        stuck.setsockopt(raw_socket.SOL_SOCKET, raw_socket.SO_RCVBUF, 4096)
        request = f"GET /api/videos/{video}/events HTTP/1.1\r\nHost: {host}\r\n{authorization}\r\n\r\n"
        stuck.sendall(request.encode())
        with follow(f"{address}/api/videos/{video}/events", tokens.viewer) as quick:
            metrics = f"{address}/metrics"
            headers = {"Authorization": f"Bearer {tokens.viewer}"}
            assert "shopcue_subscribers 2.0" in httpx.get(metrics, headers=headers).text
            for number in range(40):
                with database.write() as session:
                    add_event(session, "focus.update", SHOP, video, data={"n": number, "filling": "x" * 250_000})
                assert quick.next()["data"]["n"] == number
            deadline = time.monotonic() + 5
            while "shopcue_subscribers 1.0" not in httpx.get(metrics, headers=headers).text:
                assert time.monotonic() < deadline, "the one that takes nothing is still there"
                time.sleep(0.05)
