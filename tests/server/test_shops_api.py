"""Shops, and what is refused in which words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from server.catalogue import stock
from server.conftest import OTHER, SHOP, Connect, Tokens, serving
from shopcue.database import Database, videos
from shopcue.errors import SettingsError
from shopcue.records import Product
from shopcue.server.schemas import Shop
from shopcue.server.security import page_policy, web_origin
from shopcue.server.services import Services
from shopcue.server.settings import ServerSettings


def test_a_shop_is_made_renamed_counted_and_deleted(admin: TestClient, parts: Services, database: Database) -> None:
    made = admin.put("/api/shops/new-shop", json={"title": " New "}).json()
    assert made == admin.get("/api/shops/new-shop").json()
    assert (made["title"], made["products"], made["videos"], made["live_streams"]) == ("New", 0, 0, 0)
    stock(parts, "new-shop", [Product("a", "A", ("a.jpg", "b.jpg")), Product("b", "B", ("c.jpg",))])
    with database.write() as session:
        videos.add_video(session, "new-shop", "recording", "One", "one.mp4")
        stream = videos.add_video(session, "new-shop", "stream", "Two", "rtmp://x/y")
        videos.change_video(session, stream.video_id, state="live")
        gone = parts.settings.video_folder(stream.video_id)
    gone.mkdir()
    renamed = admin.put("/api/shops/new-shop", json={"title": "Newer"}).json()
    assert Shop.model_validate(renamed).model_dump(include={"title", "products", "videos", "live_streams"}) == {
        "title": "Newer",
        "products": 2,
        "videos": 2,
        "live_streams": 1,
    }
    assert renamed["created_at"] == made["created_at"]
    assert admin.delete("/api/shops/new-shop").status_code == 204
    assert admin.get("/api/shops/new-shop").status_code == 404
    assert admin.delete("/api/shops/new-shop").status_code == 404
    assert parts.store.get("new-shop", "a") is None
    assert not gone.exists()
    assert [shop["shop"] for shop in admin.get("/api/shops").json()["shops"]] == [SHOP, OTHER]


@pytest.mark.parametrize("name", ["-x", "X", "a_b", "é", "a" * 64])
def test_a_shop_has_a_plain_name(admin: TestClient, name: str) -> None:
    answer = admin.put(f"/api/shops/{name}", json={"title": "x"})
    assert answer.status_code == 422
    assert set(answer.json()) == {"error", "fields"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b'{"title": 5}', 422),
        (b'{"title": "x", "more": 1}', 422),
        (b'{"title": "\\ud800"}', 422),
        (b'{"title": NaN}', 422),
        (b"\xff\xfe", 422),
        (b"[" * 100_000, 400),
        (b'{"title": "\\u0000 x"}', 200),
    ],
)
def test_any_body_is_answered_in_one_line(admin: TestClient, body: bytes, status: int) -> None:
    answer = admin.put("/api/shops/new", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.json()["error"]
        assert "\n" not in answer.json()["error"]
        assert len(answer.json()["error"]) <= 500


def test_a_body_is_bounded_announced_or_not(parts: Services, admin: TestClient) -> None:
    size = parts.settings.body_bytes
    headers = {"Content-Type": "application/json"}
    assert admin.put("/api/shops/new", content=bytes(size + 1), headers=headers).status_code == 413

    def pieces() -> Iterator[bytes]:
        for _ in range(size // (1 << 20) + 1):
            yield bytes(1 << 20)

    answer = admin.put("/api/shops/new", content=pieces(), headers=headers)
    assert answer.status_code == 413
    assert set(answer.json()) == {"error"}


def test_what_is_not_there_is_said_so(client: TestClient) -> None:
    for path in ("/nothing", "/api/nothing", "/api/shops/", "/api/openapi.json/"):
        answer = client.get(path)
        assert (answer.status_code, set(answer.json())) == (404, {"error"}), path
    answer = client.delete("/healthz")
    assert (answer.status_code, set(answer.json())) == (405, {"error"})
    assert "GET" in answer.headers["allow"]


def test_every_answer_carries_the_security_headers(client: TestClient, seller: TestClient) -> None:
    for answer in (client.get("/healthz"), client.get("/nothing"), seller.get("/api/shops"), client.get("/api/shops")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"


def test_a_fault_of_ours_says_nothing_about_the_inside(parts: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret path /etc/shadow")

    monkeypatch.setattr(Services, "trouble", broken)
    with serving(parts) as client:
        quiet = TestClient(client.app, raise_server_exceptions=False)
        answer = quiet.get("/healthz")
    assert answer.status_code == 500
    assert set(answer.json()) == {"error"}
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://cdn.example/live/index.m3u8?x=1", "https://cdn.example"),
        ("http://cdn.example:8080/x", "http://cdn.example:8080"),
        ("https://bücher.example/x", "https://xn--bcher-kva.example"),
        ("https://x.example; script-src *", ""),
        ("https://x.example'\"", ""),
        ("javascript:alert(1)", ""),
        ("https://user@x.example:99999/", ""),
        ("//x.example", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_an_address_in_a_policy_is_an_origin_or_nothing(url: str | None, origin: str) -> None:
    assert web_origin(url) == origin
    policy = page_policy(url)
    media = next(part for part in policy.split("; ") if part.startswith("media-src"))
    assert media == f"media-src 'self' {origin} blob:".replace("  ", " ")
    assert policy.count(";") == page_policy().count(";")


def test_pages_run_no_inline_script_and_are_framed_only_where_meant() -> None:
    assert "unsafe" not in page_policy()
    assert "script-src 'self';" in page_policy()
    assert "frame-ancestors 'none'" in page_policy()
    assert "frame-ancestors *" in page_policy(embeddable=True)


# ---- health and figures ------------------------------------------------------------------------------------------


def test_health_is_that_of_database_store_and_workers(client: TestClient, parts: Services) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "ok", "database": "ok", "store": "ok", "workers": 0},
    )


def test_a_database_that_is_gone_shows(client: TestClient, parts: Services) -> None:
    parts.database.close()
    path = parts.settings.data / "shopcue.db"
    path.rename(path.with_suffix(".away"))
    path.mkdir()
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "failing"
    assert answer.json()["database"] != "ok"
    assert answer.json()["store"] == "ok"


def test_figures_are_for_tokens_and_for_this_machine(connect: Connect, tokens: Tokens) -> None:
    assert connect().get("/metrics").status_code == 401
    assert connect(tokens.viewer).get("/metrics").status_code == 200
    local = connect(client=("127.0.0.1", 5))
    assert local.get("http://127.0.0.1:8080/metrics").status_code == 200
    assert local.get("http://localhost/metrics").status_code == 200
    assert local.get("http://shop.example/metrics").status_code == 401  # through a proxy, or a rebound name
    assert local.get("http://localhost/metrics", headers={"X-Forwarded-For": "1.2.3.4"}).status_code == 401
    assert connect(client=("10.0.0.9", 5)).get("http://localhost/metrics").status_code == 401


def test_figures_count_what_there_is(admin: TestClient, parts: Services, database: Database) -> None:
    stock(parts, SHOP, [Product("a", "A", ("a.jpg",))])
    admin.post(f"/api/shops/{SHOP}/reindex")
    with database.write() as session:
        stream = videos.add_video(session, SHOP, "stream", "S", "rtmp://x/y")
        videos.change_video(session, stream.video_id, state="live")
    admin.get("/api/shops/nothing")
    admin.request("BREW", "/healthz")
    lines = admin.get("/metrics").text.splitlines()
    assert 'shopcue_jobs{kind="reindex",state="queued"} 1.0' in lines
    assert 'shopcue_streams{state="live"} 1.0' in lines
    assert "shopcue_products 1.0" in lines
    assert "shopcue_shops 2.0" in lines
    assert "shopcue_subscribers 0.0" in lines
    assert any(line.startswith("shopcue_queue_age_seconds ") and float(line.split()[1]) > 0 for line in lines)
    assert 'shopcue_request_seconds_count{method="GET",route="/api/shops/{shop}",status="404"} 1.0' in lines
    assert not any(SHOP in line or "nothing" in line or "BREW" in line for line in lines)


def test_settings_refuse_what_makes_no_sense(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="expected 0"):
        ServerSettings(tmp_path, port=70_000)
    with pytest.raises(SettingsError, match="expected 0"):
        ServerSettings(tmp_path, workers=-1)
    for kept in (-1.0, float("nan"), float("inf")):
        with pytest.raises(SettingsError, match="hours of each stream are to be kept, expected a number from 0"):
            ServerSettings(tmp_path, keep_hours=kept)
        with pytest.raises(SettingsError, match="GiB of each stream are to be kept, expected a number from 0"):
            ServerSettings(tmp_path, keep_gib=kept)
    (tmp_path / "file").write_text("x")
    with pytest.raises(SettingsError, match="--data"):
        ServerSettings(tmp_path / "file" / "data").make_folders()


@pytest.mark.parametrize(
    ("hours", "gib", "records"),
    [(12, 20, True), (0.5, 0.001, True), (0, 20, False), (12, 0, False), (12, 1e-12, False)],
)
def test_nothing_of_a_stream_is_kept_where_neither_time_nor_room_is_given(
    tmp_path: Path, hours: float, gib: float, records: bool
) -> None:
    settings = ServerSettings(tmp_path, keep_hours=hours, keep_gib=gib)
    assert settings.records is records
    assert (settings.keep_s, settings.keep_bytes) == (3600 * hours, int(gib * 1024**3))


def test_the_api_describes_itself_whole(client: TestClient) -> None:
    """Every route is described once, by a name of its own, a line, a known tag and its refusals; no page is."""
    described = client.get("/api/openapi.json").json()
    operations = [(path, operation) for path, methods in described["paths"].items() for operation in methods.values()]
    names = [operation["operationId"] for _, operation in operations]
    assert len(names) == len(set(names)) > 60
    tags = {tag["name"] for tag in described["tags"]}
    assert {tag for _, operation in operations for tag in operation["tags"]} == tags
    for path, operation in operations:
        assert path.startswith("/api/") or operation["tags"] == ["system"]
        assert 5 < len(operation["summary"]) < 100
        if "/public/" not in path and path not in ("/healthz", "/api/session"):
            assert {"401", "429"} <= set(operation["responses"]), path
            assert operation["security"] == [{"token": []}, {"cookie": []}], path
