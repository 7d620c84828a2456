"""Who may do what, and what happens to those who guess."""

from __future__ import annotations

import dataclasses
import itertools
import time

import pytest
from starlette.testclient import TestClient

from server.conftest import OTHER, SHOP, Connect, Tokens
from shopcue.database import Database
from shopcue.database.tokens import create_token, list_tokens, revoke_token
from shopcue.server.auth import COOKIE
from shopcue.server.rates import FailureLimit
from shopcue.server.services import Services

WRONG = "sc_AAAAAAAAAAAA_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"


def test_a_token_says_who_asks(admin: TestClient, seller: TestClient, viewer: TestClient) -> None:
    assert admin.get("/api/session").json() == {"name": "Ada", "role": "admin", "shops": []}
    assert seller.get("/api/session").json() == {"name": "Sam", "role": "seller", "shops": [SHOP]}
    assert viewer.get("/api/session").json() == {"name": "Vic", "role": "viewer", "shops": [SHOP]}


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", f"Bearer {WRONG}", "Basic abc", f"Bearer sc_{'x' * 5000}", "Bearer sc_\xff_é"],
)
def test_no_other_header_opens_anything(client: TestClient, header: str | None) -> None:
    headers = {} if header is None else {b"Authorization": header.encode("latin-1")}
    answer = client.get("/api/shops", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert set(answer.json()) == {"error"}


def test_expired_and_revoked_tokens_are_refused(connect: Connect, database: Database) -> None:
    with database.write() as session:
        _, old = create_token(session, "old", "admin", expires_at=time.time() - 1)
        gone, revoked = create_token(session, "gone", "admin")
    assert connect(old).get("/api/shops").status_code == 401
    client = connect(revoked)
    assert client.get("/api/shops").status_code == 200
    with database.write() as session:
        revoke_token(session, gone.token_id)
    assert client.get("/api/shops").status_code == 401


def test_it_is_noted_when_a_token_was_used(seller: TestClient, database: Database, tokens: Tokens) -> None:
    seller.get("/api/session")
    with database.read() as session:
        used = {token.name: token.used_at for token in list_tokens(session)}
    assert used["Sam"] == pytest.approx(time.time(), abs=30)
    assert used["Rae"] is None


# ---- tokens ------------------------------------------------------------------------------------------------------


def test_admins_make_list_and_revoke_tokens(admin: TestClient, connect: Connect, database: Database) -> None:
    made = admin.post("/api/tokens", json={"name": "Kim", "role": "viewer", "shops": [SHOP], "expires_in_days": 2})
    assert made.status_code == 201
    text = made.json().pop("token")
    assert connect(text).get("/api/session").json() == {"name": "Kim", "role": "viewer", "shops": [SHOP]}
    listed = admin.get("/api/tokens").json()["tokens"]
    assert text not in admin.get("/api/tokens").text
    [kim] = [token for token in listed if token["name"] == "Kim"]
    assert kim["token_id"] == made.json()["token_id"] == text.split("_")[1]
    with database.read() as session:
        assert text not in repr([dataclasses.astuple(token) for token in list_tokens(session)])
    assert admin.delete(f"/api/tokens/{kim['token_id']}").status_code == 204
    assert connect(text).get("/api/session").status_code == 401
    assert admin.delete("/api/tokens/nosuchtoken1").status_code == 404


def test_a_token_without_shops_is_for_admins_alone(admin: TestClient) -> None:
    assert admin.post("/api/tokens", json={"name": "x", "role": "seller"}).status_code == 422
    assert admin.post("/api/tokens", json={"name": "x", "role": "owner", "shops": [SHOP]}).status_code == 422
    assert admin.post("/api/tokens", json={"name": "x", "role": "admin"}).status_code == 201


def test_only_admins_see_tokens_and_make_shops(seller: TestClient, viewer: TestClient) -> None:
    for client in (seller, viewer):
        assert client.get("/api/tokens").status_code == 403
        assert client.post("/api/tokens", json={"name": "x", "role": "admin"}).status_code == 403
        assert client.delete("/api/tokens/AAAAAAAAAAAA").status_code == 403
        assert client.put("/api/shops/new", json={"title": "x"}).status_code == 403
        assert client.delete(f"/api/shops/{SHOP}").status_code == 403


# ---- the cookie --------------------------------------------------------------------------------------------------


def test_a_browser_signs_in_and_out(client: TestClient, tokens: Tokens) -> None:
    answer = client.post("/api/session", json={"token": tokens.seller})
    assert answer.json() == {"name": "Sam", "role": "seller", "shops": [SHOP]}
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secure" not in cookie
    assert client.get("/api/session").status_code == 200
    client.delete("/api/session")
    assert client.get("/api/session").status_code == 401
    assert client.post("/api/session", json={"token": WRONG}).status_code == 401


def test_the_cookie_is_secure_where_the_page_is_and_ends_with_the_token(connect: Connect, database: Database) -> None:
    with database.write() as session:
        _, text = create_token(session, "short", "viewer", [SHOP], expires_at=time.time() + 100)
    client = connect()
    client.base_url = "https://testserver"
    answer = client.post("/api/session", json={"token": text})
    cookie = answer.headers["set-cookie"].lower()
    assert "secure" in cookie
    assert 90 <= int(cookie.partition("max-age=")[2].partition(";")[0]) <= 100
    assert answer.headers["strict-transport-security"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "http://testserver"}, 201),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://testserver.evil.example"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://testserver"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
    ],
)
def test_a_cookie_changes_things_from_our_own_pages_only(
    connect: Connect, tokens: Tokens, headers: dict[str, str], status: int
) -> None:
    client = connect(cookies={COOKIE: tokens.seller})
    body = {"name": "x", "size": 1, "kind": "video"}
    assert client.post(f"/api/shops/{SHOP}/uploads", json=body, headers=headers).status_code == status
    assert client.get(f"/api/shops/{SHOP}", headers=headers).status_code == 200


def test_nobody_is_signed_in_by_another_site(client: TestClient, tokens: Tokens) -> None:
    answer = client.post("/api/session", json={"token": tokens.seller}, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


# ---- guessing ----------------------------------------------------------------------------------------------------


def test_those_who_guess_wait(connect: Connect, parts: Services, tokens: Tokens) -> None:
    guesses = [connect(f"sc_{n:012d}_{'x' * 32}").get("/api/shops").status_code for n in range(25)]
    assert guesses == [401] * 20 + [429] * 5
    answer = connect(tokens.viewer).get("/api/shops")
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 300
    assert client_elsewhere(connect, tokens.viewer).get("/api/shops").status_code == 200
    assert "shopcue_refused_tokens_total 20.0" in parts.metrics.text([]).decode()


def client_elsewhere(connect: Connect, token: str) -> TestClient:
    return connect(token, client=("203.0.113.9", 1))


def test_guesses_of_others_do_not_shut_out_who_was_in(connect: Connect, tokens: Tokens) -> None:
    assert connect(tokens.seller).get("/api/shops").status_code == 200
    for n in range(30):
        connect(f"sc_{n:012d}_{'x' * 32}").get("/api/shops")
    assert connect(tokens.seller).get("/api/shops").status_code == 200
    assert connect(tokens.viewer).get("/api/shops").status_code == 429


def test_browsers_that_still_send_an_ended_token_shut_nobody_out(
    connect: Connect, tokens: Tokens, database: Database
) -> None:
    client = connect(tokens.viewer)
    assert client.get("/api/shops").status_code == 200
    with database.write() as session:
        revoke_token(session, tokens.viewer.split("_")[1])
    assert {client.get("/api/shops").status_code for _ in range(50)} == {401}
    assert connect(tokens.seller).get("/api/shops").status_code == 200


def test_one_token_is_not_guessed_from_many_addresses(connect: Connect, tokens: Tokens) -> None:
    wrong = tokens.viewer[:-3] + "xyz"
    answers = [connect(wrong, client=(f"203.0.113.{n}", 1)).get("/api/shops").status_code for n in range(101)]
    assert answers == [401] * 100 + [429]


def test_the_limit_is_a_sliding_window_beside_a_plain_list() -> None:
    now = [0.0]
    limit = FailureLimit(3, 10.0, clock=lambda: now[0])
    failed: dict[str, list[float]] = {}
    steps = itertools.cycle([0.5, 1.0, 3.0, 0.0, 7.0, 2.5])
    for step, key in zip(range(400), itertools.cycle("aabacab"), strict=False):
        now[0] += next(steps)
        recent = sorted(t for t in failed.get(key, []) if t > now[0] - 10)[-3:]
        assert limit.wait_s(key) == pytest.approx(recent[0] + 10 - now[0] if len(recent) >= 3 else 0), step
        limit.fail(key)
        failed.setdefault(key, []).append(now[0])


def test_the_limit_remembers_a_bounded_number_of_strangers() -> None:
    limit = FailureLimit(1, 1e9, most_keys=100)
    for n in range(10_000):
        limit.fail(str(n))
    assert sum(limit.wait_s(str(n)) > 0 for n in range(10_000)) == 100
    assert limit.wait_s("9999") > 0


# ---- shops -------------------------------------------------------------------------------------------------------


def test_everyone_sees_their_own_shops(
    admin: TestClient, seller: TestClient, stranger: TestClient, client: TestClient
) -> None:
    def names(client: TestClient) -> list[str]:
        return [shop["shop"] for shop in client.get("/api/shops").json()["shops"]]

    assert (names(admin), names(seller), names(stranger)) == ([SHOP, OTHER], [SHOP], [OTHER])
    assert seller.get(f"/api/shops/{OTHER}").status_code == 404
    assert seller.get("/api/shops/nothing").status_code == 404
    assert seller.get(f"/api/shops/{OTHER}").json().keys() == seller.get("/api/shops/nothing").json().keys()
    assert client.get("/api/shops").status_code == 401
