"""A shop's products through the API, beside a plain list of them."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from server.catalogue import embedded, stock
from server.conftest import OTHER, SHOP, serving
from shopcue.database import Database, events, focuses, videos
from shopcue.records import Evidence, Focus, Product
from shopcue.server.services import Services
from shopcue.server.settings import ServerSettings

HOSTILE = "a/b c?d=1#é/../<script>alert(1)</script>"
"""An id that a router, a browser and a page could all misread."""


def product(product_id: str, title: str, **texts: str) -> Product:
    return Product(product_id, title, ("a.jpg", "b.jpg"), **texts)


STOCK = [
    product("p1", "Red coat", category="Clothes > Coats", brand="Oak", price="120 EUR", availability="in stock"),
    product("p2", "blue coat", category="Clothes > Coats", brand="Elm", availability="out of stock"),
    product("p3", "Green mug", category="Kitchen", brand="Oak", availability="in stock"),
    product("p4", "连衣裙 dress", category="Clothes", brand="Elm", availability="in stock"),
    product(HOSTILE, 'A "quoted" <b>title</b> & more', category="Kitchen"),
]


@pytest.fixture
def stocked(parts: Services, database: Database) -> Services:
    stock(parts, SHOP, STOCK)
    stock(parts, OTHER, [product("p1", "Rival coat")])
    return parts


def ids(answer: dict) -> list[str]:  # type: ignore[type-arg]
    return [each["product_id"] for each in answer["products"]]


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ({}, lambda p: True),
        ({"q": "coat"}, lambda p: "coat" in p.title.lower()),
        ({"q": "OAK red"}, lambda p: p.product_id == "p1"),
        ({"q": "连衣裙"}, lambda p: p.product_id == "p4"),
        ({"category": "Clothes"}, lambda p: p.category.startswith("Clothes")),
        ({"brand": "Elm"}, lambda p: p.brand == "Elm"),
        ({"availability": "in stock", "brand": "Oak"}, lambda p: p.brand == "Oak"),
        ({"q": "no such thing"}, lambda p: False),
        ({"q": "' OR 1=1 --"}, lambda p: False),
    ],
)
def test_lists_and_filters(stocked: Services, viewer: TestClient, query: dict, fits) -> None:  # type: ignore
    wanted = [p.product_id for p in sorted(STOCK, key=lambda p: p.title.lower()) if fits(p)]
    answer = viewer.get(f"/api/shops/{SHOP}/products", params=query).json()
    assert ids(answer) == wanted
    assert answer["total"] == len(wanted)
    assert answer["next"] is None


def test_pages_make_up_the_list(stocked: Services, viewer: TestClient) -> None:
    whole = ids(viewer.get(f"/api/shops/{SHOP}/products").json())
    found, after = [], ""
    while after is not None:
        page = viewer.get(f"/api/shops/{SHOP}/products", params={"limit": 2, "after": after}).json()
        assert page["total"] == len(STOCK)
        found += ids(page)
        after = page["next"]
    assert found == whole
    assert viewer.get(f"/api/shops/{SHOP}/products", params={"after": "no page"}).status_code == 400


@pytest.fixture
def shown(stocked: Services, database: Database) -> str:
    """A video that shows p1 and, rejected, p3."""
    with database.write() as session:
        video = videos.add_video(session, SHOP, "recording", "Evening <show>", "show.mp4")
        spans = {"p1": (1.0, 4.5), "p3": (5.0, 6.0)}
        evidence = Evidence(1, 0, 0, 2.0, (0, 0, 9, 9))
        found = [Focus(key, key, *span, 0.9, evidence) for key, span in spans.items()]
        rows = focuses.put_focuses(session, video, found)
        rows[1].status = "rejected"
    return video.video_id


def test_where_products_are_on_screen(shown: str, viewer: TestClient) -> None:
    by_id = {p["product_id"]: p for p in viewer.get(f"/api/shops/{SHOP}/products").json()["products"]}
    assert by_id["p1"]["shown_at"] == [
        {"video_id": shown, "video_title": "Evening <show>", "start_s": 1.0, "end_s": 4.5}
    ]
    assert not any(p["shown_at"] for key, p in by_id.items() if key != "p1")
    assert ids(viewer.get(f"/api/shops/{SHOP}/products", params={"shown": "ever"}).json()) == ["p1"]
    never = ids(viewer.get(f"/api/shops/{SHOP}/products", params={"shown": "never"}).json())
    assert sorted(never) == sorted(p.product_id for p in STOCK if p.product_id != "p1")


def test_an_id_may_hold_anything(stocked: Services, seller: TestClient) -> None:
    place = f"/api/shops/{SHOP}/products/{quote(HOSTILE, safe='')}"
    shown = seller.get(place).json()
    assert shown["product_id"] == HOSTILE
    assert shown["title"] == STOCK[-1].title
    assert seller.get(shown["picture"]).content == embedded(STOCK[-1]).pictures[0]
    assert seller.patch(place, json={"price": "1 EUR"}).json()["price"] == "1 EUR"
    assert seller.delete(place).status_code == 204
    assert seller.get(place).status_code == 404


def test_pictures_are_kept_by_browsers(stocked: Services, viewer: TestClient) -> None:
    for position, wanted in enumerate(embedded(STOCK[0]).pictures):
        answer = viewer.get(f"/api/shops/{SHOP}/products/p1/pictures/{position}")
        assert answer.content == wanted
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["x-content-type-options"] == "nosniff"
        again = viewer.get(answer.request.url, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert viewer.get(f"/api/shops/{SHOP}/products/p1/pictures/2").status_code == 404
    assert viewer.get(f"/api/shops/{SHOP}/products/none/pictures/0").status_code == 404
    assert viewer.get(f"/api/shops/{SHOP}/products/p1/pictures/-1").status_code == 422


def test_texts_are_changed_at_once_and_pictures_stay(stocked: Services, seller: TestClient, database: Database) -> None:
    place = f"/api/shops/{SHOP}/products/p1"
    before = seller.get(place).json()
    changed = seller.patch(place, json={"title": "Crimson coat", "price": "99 EUR"}).json()
    assert changed == before | {"title": "Crimson coat", "price": "99 EUR"}
    assert seller.get(place).json() == changed
    assert ids(seller.get(f"/api/shops/{SHOP}/products", params={"q": "crimson"}).json()) == ["p1"]
    assert seller.get(f"{place}/pictures/0").content == embedded(STOCK[0]).pictures[0]
    with database.read() as session:
        [told] = events.events_after(session, 0, types=["catalog.update"])
    assert told.shop == SHOP
    assert told.data == {"products": len(STOCK), "version": stocked.store.version(SHOP)}
    assert seller.patch(place, json={"title": " "}).status_code == 422
    assert seller.patch(place, json={"link": "javascript:alert(1)"}).status_code == 400
    assert seller.patch(place, json={"product_id": "p9"}).status_code == 422
    assert seller.patch(f"/api/shops/{SHOP}/products/none", json={"price": "1"}).status_code == 404


def test_products_are_deleted(stocked: Services, seller: TestClient) -> None:
    place = f"/api/shops/{SHOP}/products"
    answer = seller.post(f"{place}/delete", json={"product_ids": ["p2", "p2", "none", HOSTILE]})
    assert answer.json() == {"deleted": 2}
    assert sorted(ids(seller.get(place).json())) == ["p1", "p3", "p4"]
    assert seller.delete(f"{place}/p1").status_code == 204
    assert seller.delete(f"{place}/p1").status_code == 404
    assert seller.post(f"{place}/delete", json={"product_ids": []}).status_code == 422


def test_shops_are_kept_apart(
    stocked: Services, client: TestClient, viewer: TestClient, seller: TestClient, stranger: TestClient
) -> None:
    place = f"/api/shops/{SHOP}/products"
    assert client.get(place).status_code == 401
    for path in (place, f"{place}/p1", f"{place}/p1/pictures/0"):
        assert stranger.get(path).status_code == 404
    assert stranger.patch(f"{place}/p1", json={"price": "0"}).status_code == 404
    assert stranger.post(f"{place}/delete", json={"product_ids": ["p1"]}).status_code == 404
    assert viewer.patch(f"{place}/p1", json={"price": "0"}).status_code == 403
    assert viewer.delete(f"{place}/p1").status_code == 403
    assert [p["title"] for p in stranger.get(f"/api/shops/{OTHER}/products").json()["products"]] == ["Rival coat"]
    assert seller.post(f"{place}/delete", json={"product_ids": ["p1"]}).json() == {"deleted": 1}
    assert stranger.get(f"/api/shops/{OTHER}/products/p1").status_code == 200


def test_a_store_that_cannot_be_read_is_no_fault_of_the_asker(
    settings: ServerSettings, stocked: Services, viewer: TestClient
) -> None:
    fresh = Services(settings, stocked.database)  # which has nothing of the store in its memory
    for file in (settings.data / "store").rglob("*"):
        if file.is_file():
            file.write_bytes(b"no longer what it was")
    with serving(fresh) as client:
        answer = client.get(f"/api/shops/{SHOP}/products", headers=viewer.headers)
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert str(settings.data) not in answer.text
        assert client.get("/healthz").json()["store"] == "does not answer"
