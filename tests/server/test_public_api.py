"""What everyone may see: all of what a shopper needs, nothing else, and only of published videos."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete
from starlette.testclient import TestClient

from server.conftest import OTHER, SHOP, Tokens
from server.listening import follow, listening
from server.matched import COAT, FOUND, HAT, HIDDEN, MUG, add_matched, add_stream, focus, open_focus
from shopcue.database import Database
from shopcue.database.events import add_event
from shopcue.database.focuses import close_focus, put_focuses, revise_focus
from shopcue.database.tables import Event
from shopcue.database.videos import change_video, get_video
from shopcue.errors import StoreError
from shopcue.server.services import Services

PRIVATE_KEYS = {"score", "alternatives", "evidence", "doubt", "found", "version", "who", "models", "source", "error"}
PRIVATE_TEXTS = ("confirmed", "corrected", "Sam", "private/show", "rtmp:", "secret", "house-test", "look ")

FOCUS_KEYS = {"focus_id", "product_id", "start_s", "end_s", "status"}
PRODUCT_KEYS = {"product_id", "title", "price", "link", "brand", "availability", "picture"}


@pytest.fixture
def video(parts: Services, database: Database) -> str:
    return add_matched(parts, published=True, title="Spring show")


def document(client: TestClient, video: str) -> dict[str, Any]:
    answer = client.get(f"/api/public/videos/{video}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def check_private(value: Any) -> None:
    """Nothing in a public answer is for the shop alone, however deep."""
    if isinstance(value, dict):
        assert not value.keys() & PRIVATE_KEYS
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            check_private(each)
    assert not any(text in str(value) for text in PRIVATE_TEXTS)


def test_a_document_says_what_a_shopper_needs_and_nothing_else(client: TestClient, video: str) -> None:
    found = document(client, video)
    check_private(found)
    assert [(each["product_id"], each["start_s"], each["end_s"], each["status"]) for each in found["focuses"]] == [
        (each.product_id, each.start_s, each.end_s, "found") for each in FOUND
    ]
    assert all(each.keys() == FOCUS_KEYS for each in found["focuses"])
    assert set(found["products"]) == {"coat", "hat", MUG.product_id}
    assert all(each.keys() == PRODUCT_KEYS for each in [*found["products"].values(), *found["related"]])
    assert found["products"]["coat"] | {"picture": ""} == {
        "product_id": "coat",
        "title": "Red coat",
        "price": "120 EUR",
        "link": COAT.link,
        "brand": "Oak",
        "availability": "",
        "picture": "",
    }
    assert found["products"][MUG.product_id]["link"] == ""  # javascript: leads nowhere
    assert (found["title"], found["shop"], found["live"], found["state"]) == ("Spring show", SHOP, False, "ready")
    assert (found["duration_s"], found["width"], found["height"]) == (80, 640, 360)
    assert (found["media"], found["poster"], found["playback_url"]) == (None, None, None)
    assert found["page"] == f"/play/{video}"


def test_related_products_are_other_ones_of_the_same_kind(client: TestClient, video: str) -> None:
    related = [each["product_id"] for each in document(client, video)["related"]]
    assert len(related) == len(set(related)) == 12
    assert all(each.startswith("other") for each in related)  # Kitchen, as the mug; what is hidden is of no such kind


def test_what_was_reviewed_is_as_reviewed(client: TestClient, seller: TestClient, video: str) -> None:
    first, second, third, _ = seller.get(f"/api/videos/{video}/focuses").json()["focuses"]
    for each, body in (
        (first, {"action": "reject"}),
        (second, {"action": "replace", "product_id": "hat"}),
        (third, {"action": "move", "end_s": 50}),
    ):
        seller.post(f"/api/focuses/{each['focus_id']}/review", json=body).raise_for_status()
    seen = [(each["product_id"], each["start_s"], each["end_s"]) for each in document(client, video)["focuses"]]
    assert seen == [("hat", 25, 40.5), ("hat", 42, 50), ("coat", 60, 70)]
    check_private(document(client, video))


def test_what_the_shop_has_no_longer_keeps_its_name(client: TestClient, parts: Services, video: str) -> None:
    parts.store.delete(SHOP, ["coat"])
    coat = document(client, video)["products"]["coat"]
    assert (coat["title"], coat["link"], coat["price"], coat["picture"]) == ("Red coat", "", "", "")


def test_a_document_is_never_an_old_one(
    client: TestClient, seller: TestClient, parts: Services, database: Database, video: str
) -> None:
    """Also where all events were dropped in between, by which changes are told otherwise."""
    focus_id = document(client, video)["focuses"][0]["focus_id"]
    for count in (3, 4, 3):
        what, body = ("undo", None) if count == 4 else ("review", {"action": "reject"})
        seller.post(f"/api/focuses/{focus_id}/{what}", json=body).raise_for_status()
        with database.write() as session:
            session.execute(delete(Event))
        assert len(document(client, video)["focuses"]) == count
    seller.patch(f"/api/shops/{SHOP}/products/hat", json={"price": "9 EUR"}).raise_for_status()
    assert document(client, video)["products"]["hat"]["price"] == "9 EUR"
    folder = parts.settings.video_folder(video)
    folder.mkdir(parents=True)
    (folder / "poster.jpg").write_bytes(b"picture")
    assert document(client, video)["poster"]
    with database.write() as session:
        change_video(session, video, published=False)
    assert client.get(f"/api/public/videos/{video}").status_code == 404


@pytest.mark.parametrize("rest", ["", "/media", "/poster", "/events", "/products/coat/picture"])
def test_what_is_not_published_is_not_there(
    client: TestClient, admin: TestClient, parts: Services, database: Database, rest: str
) -> None:
    hidden = add_matched(parts)
    folder = parts.settings.video_folder(hidden)
    folder.mkdir(parents=True)
    (folder / "media.mp4").write_bytes(b"film")
    (folder / "poster.jpg").write_bytes(b"picture")
    for who in (client, admin):
        answer = who.get(f"/api/public/videos/{hidden}{rest}")
        unknown = who.get(f"/api/public/videos/nothere{rest}")
        assert answer.status_code == unknown.status_code == 404
        assert answer.json()["error"].replace(hidden, "X") == unknown.json()["error"].replace("nothere", "X")
        assert answer.headers["access-control-allow-origin"] == "*"


def test_media_come_in_parts_and_posters_whole(client: TestClient, parts: Services, video: str) -> None:
    folder = parts.settings.video_folder(video)
    folder.mkdir(parents=True)
    film = bytes(range(256)) * 40
    (folder / "media.mp4").write_bytes(film)
    (folder / "poster.jpg").write_bytes(b"picture")
    found = document(client, video)
    part = client.get(found["media"], headers={"Range": "bytes=100-299"})
    assert (part.status_code, part.content) == (206, film[100:300])
    assert part.headers["content-type"] == "video/mp4"
    assert client.get(found["media"]).content == film
    assert client.get(found["media"], headers={"Range": "bytes=99999-"}).status_code == 416
    assert client.get(found["poster"]).content == b"picture"


def test_pictures_of_the_products_that_a_video_shows_and_of_no_other(client: TestClient, video: str) -> None:
    found = document(client, video)
    for product in [*found["products"].values(), *found["related"]]:
        answer = client.get(product["picture"])
        assert answer.status_code == 200
        assert answer.content.startswith(b"\xff\xd8")
        again = client.get(product["picture"], headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    place = found["products"]["coat"]["picture"]
    assert client.get(place.replace("/coat/", f"/{HIDDEN.product_id}/")).status_code == 404
    assert client.get(place.replace("/coat/", "/nothing/")).status_code == 404


@pytest.mark.parametrize("rest", ["", "/products/coat/picture"])
def test_the_pages_of_every_site_may_read_it_without_cookies(client: TestClient, video: str, rest: str) -> None:
    place = f"/api/public/videos/{video}{rest}"
    for headers in ({}, {"Origin": "https://shop.example"}):
        answer = client.get(place, headers=headers)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "GET"}
    allowed = client.options(place, headers={**asked, "Access-Control-Request-Headers": "last-event-id"})
    assert allowed.status_code == 200
    assert client.options(place, headers={**asked, "Access-Control-Request-Method": "POST"}).status_code == 400


@pytest.mark.parametrize("place", [f"/api/shops/{SHOP}", "/api/session", "/studio", "/healthz"])
def test_no_other_site_reads_the_rest(viewer: TestClient, place: str) -> None:
    answer = viewer.get(place, headers={"Origin": "https://shop.example"})
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_a_stream_says_where_it_plays_and_not_where_it_comes_from(
    client: TestClient, parts: Services, database: Database
) -> None:
    add_matched(parts)
    stream = add_stream(parts)
    open_focus(parts, stream)
    found = document(client, stream)
    check_private(found)
    assert (found["live"], found["playback_url"]) == (True, "https://cdn.example:8443/live/index.m3u8")
    (focus,) = found["focuses"]
    assert (focus["status"], focus["end_s"]) == ("open", None)
    with database.write() as session:
        change_video(session, stream, state="stopped", playback_url="javascript:alert(1)")
    assert (document(client, stream)["live"], document(client, stream)["playback_url"]) == (False, None)


# ---- events -------------------------------------------------------------------------------------------------------


@pytest.fixture
def address(parts: Services, tokens: Tokens) -> Iterator[str]:
    with listening(parts) as address:
        yield address


def test_events_bring_a_document_up_to_date_and_tell_nothing_private(
    address: str, parts: Services, database: Database, client: TestClient
) -> None:
    """Whoever applies the events to the document that they follow has the document as it is at the end."""
    add_matched(parts)
    stream = add_stream(parts)
    open_focus(parts, stream, HAT)
    seen = document(client, stream)
    with follow(f"{address}/api/public/videos/{stream}/events", after=seen["last_event_id"]) as told:
        first = open_focus(parts, stream, COAT, 8.0)
        second = open_focus(parts, stream, MUG, 12.0)
        third = open_focus(parts, stream, COAT, 15.0)
        with database.write() as session:
            close_focus(session, first, focus(COAT, 8.25, 11.5), media_s=12)
            revise_focus(session, second, None)
            revise_focus(session, third, focus(MUG, 15.5, 16.0))
            change_video(session, stream, title="Live, the second part", error="rtmp://10.0.0.1/secret-key broke")
        events = [told.next() for _ in range(7)]
    check_private(events)
    assert [each["type"] for each in events] == [
        *["focus.open"] * 3,
        "focus.close",
        *["focus.revise"] * 2,
        "stream.update",
    ]
    for event in events:
        data = event["data"]
        if event["type"].startswith("focus."):
            assert data.keys() == FOCUS_KEYS | {"product", "video_id"}
            seen["focuses"] = [each for each in seen["focuses"] if each["focus_id"] != data["focus_id"]]
            if data["status"] != "rejected":
                seen["focuses"].append({name: data[name] for name in FOCUS_KEYS})
                seen["products"][data["product_id"]] = data["product"]
        else:
            seen.update({name: value for name, value in data.items() if name != "published"})
    now = document(client, stream)
    assert sorted(seen["focuses"], key=lambda each: each["start_s"]) == now["focuses"]
    assert {each["product_id"] for each in now["focuses"]} == set(now["products"])
    assert all(seen["products"][name] == product for name, product in now["products"].items())
    assert all(seen[name] == now[name] for name in ("title", "state", "live", "playback_url"))


def test_rejecting_undoing_and_matching_anew_are_told(
    address: str, parts: Services, database: Database, seller: TestClient, video: str
) -> None:
    focus_id = seller.get(f"/api/videos/{video}/focuses").json()["focuses"][0]["focus_id"]
    with follow(f"{address}/api/public/videos/{video}/events") as told:
        for what, status in (("review", "rejected"), ("undo", "found"), ("review", "rejected")):
            body = {"action": "reject"} if what == "review" else None
            seller.post(f"/api/focuses/{focus_id}/{what}", json=body).raise_for_status()
            event = told.next()
            assert (event["type"], event["data"]["focus_id"], event["data"]["status"]) == (
                "focus.review",
                focus_id,
                status,
            )
            assert (event["data"]["product"] is None) == (status == "rejected")
        with database.write() as session:
            put_focuses(session, get_video(session, video), FOUND[:1], replace_reviewed=True)
        event = told.next("focuses.put")
        assert event["data"] == {"count": 1}


def test_an_event_is_told_also_while_the_catalogue_cannot_be_read(
    address: str, parts: Services, database: Database, video: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("the store is away")

    stream = add_stream(parts)
    with follow(f"{address}/api/public/videos/{stream}/events") as told:
        monkeypatch.setattr(type(parts.store), "snapshot", fail)
        open_focus(parts, stream, COAT)
        product = told.next()["data"]["product"]
    assert (product["product_id"], product["title"], product["price"]) == ("coat", COAT.title, "")


def test_jobs_catalogues_and_other_videos_are_nobodys_business(
    address: str, parts: Services, database: Database, video: str
) -> None:
    with follow(f"{address}/api/public/videos/{video}/events") as told:
        with database.write() as session:
            for kind, shop, about in (
                ("job.update", SHOP, video),
                ("catalog.update", SHOP, None),
                ("webhook.test", SHOP, video),
                ("focus.open", OTHER, "another"),
            ):
                add_event(session, kind, shop, about, data={"secret": 1})
            add_event(session, "focuses.put", SHOP, video, data={"count": 3, "secret": 1})
        event = told.next()
    assert (event["type"], event["data"]) == ("focuses.put", {"count": 3})
