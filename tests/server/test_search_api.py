"""Search through the API: by words in any shop, by photo as `shopcue search` answers."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL.Image import fromarray
from PIL.Image import open as open_picture
from starlette.testclient import TestClient

from server.catalogue import stock
from server.conftest import OTHER, SHOP
from server.matched import COAT, HAT, MUG, OTHERS
from shopcue.catalog.exact import build_gallery
from shopcue.catalog.feeds import Feed, read_feed
from shopcue.catalog.rows import Embedded
from shopcue.catalog.thumbnails import encode_thumbnail
from shopcue.commands import Answer, search
from shopcue.database import Database
from shopcue.methods import make_encoder
from shopcue.records import Gallery, Product
from shopcue.server.services import Services
from shopcue.settings import Models
from shopcue.sources.synthetic import make_shop

WORDS, PHOTO = f"/api/shops/{SHOP}/search", f"/api/shops/{SHOP}/search/image"


@pytest.fixture
def stocked(parts: Services, database: Database) -> Services:
    stock(parts, SHOP, [COAT, MUG, HAT, *OTHERS])
    stock(parts, OTHER, [Product("c", "Red coat of another shop", ("a.jpg",))])
    return parts


def found(client: TestClient, q: str, k: int = 10) -> list[str]:
    answer = client.get(WORDS, params={"q": q, "k": k})
    assert answer.status_code == 200, answer.text
    return [each["product_id"] for each in answer.json()["results"]]


def test_words_find_products_of_this_shop_alone(viewer: TestClient, stocked: Services) -> None:
    (hit,) = viewer.get(WORDS, params={"q": "coat"}).json()["results"]
    assert hit.keys() == {"product_id", "title", "score", "picture", "price"}
    assert (hit["product_id"], hit["title"], hit["price"]) == ("coat", "Red coat", "120 EUR")
    assert viewer.get(hit["picture"]).headers["content-type"] == "image/jpeg"
    assert found(viewer, "连衣裙") == ["hat"]
    assert found(viewer, "no such thing") == []
    assert len(found(viewer, "other", 5)) == 5


def test_no_words_are_more_than_words(viewer: TestClient, stocked: Services) -> None:
    for q in ["' OR 1=1 --", '"', "*", "title:(", "~~", "\\", "AND OR NOT", "\x00", "a" * 500]:
        assert set(found(viewer, q)) <= {"coat", "hat", MUG.product_id, *(each.product_id for each in OTHERS)}


def test_a_search_for_nothing_is_refused(viewer: TestClient, stocked: Services) -> None:
    for query in ("", "q=", "q=x&k=0", "q=x&k=1000", f"q={'a' * 501}"):
        assert viewer.get(f"{WORDS}?{query}").status_code == 422


def test_only_those_of_the_shop_search(client: TestClient, stranger: TestClient, stocked: Services) -> None:
    for each, status in ((client, 401), (stranger, 404)):
        assert each.get(WORDS, params={"q": "coat"}).status_code == status
        assert each.post(PHOTO, content=b"x").status_code == status


# ---- by photo -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Feed, Gallery]:
    feed = read_feed(make_shop(tmp_path_factory.mktemp("drawn"), count=6, seed=5))
    return feed, build_gallery(feed, make_encoder(Models(threads=1)))[0]


@pytest.fixture
def filled(parts: Services, database: Database, drawn: tuple[Feed, Gallery]) -> Services:
    """The shop holds what was drawn, as an import puts it there."""
    put(parts, drawn[1])
    return parts


def put(parts: Services, gallery: Gallery, but: str = "") -> None:
    items = []
    for p, product in enumerate(gallery.catalog):
        rows = np.flatnonzero(gallery.owner == p)
        pictures = tuple(encode_thumbnail(gallery.pictures[row]) for row in rows)
        if product.product_id != but:
            items.append(Embedded(product, gallery.vectors[rows], pictures, tuple(map(str, rows))))
    parts.store.upsert(SHOP, items, gallery.fingerprint)


@pytest.fixture
def photos(drawn: tuple[Feed, Gallery], tmp_path: Path) -> list[Path]:
    """Photos of three products: their pictures, smaller and turned a little, on a grey ground."""
    feed, gallery = drawn
    paths = []
    for number, product in enumerate(list(gallery.catalog)[:3]):
        picture = open_picture(feed.folder / product.images[0]).convert("RGB")
        picture.thumbnail((260, 260))
        ground = fromarray(np.full((480, 640, 3), 120, np.uint8))
        ground.paste(picture.rotate(4, expand=True, fillcolor=(120, 120, 120)), (90 + 60 * number, 80))
        paths.append(tmp_path / f"photo{number}.png")
        ground.save(paths[-1])
    return paths


def by_photo(client: TestClient, data: bytes, k: int = 5) -> list[tuple[str, float]]:
    answer = client.post(PHOTO, content=data, params={"k": k}, headers={"Content-Type": "image/png"})
    assert answer.status_code == 200, answer.text
    return [(each["product_id"], each["score"]) for each in answer.json()["results"]]


def test_a_photo_finds_what_the_command_line_finds(
    viewer: TestClient,
    filled: Services,
    drawn: tuple[Feed, Gallery],
    photos: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    feed, gallery = drawn
    truth: list[Answer] = list(search(photos, next(feed.folder.glob("*.csv")), k=5))
    for number, (path, answer) in enumerate(zip(photos, truth, strict=True)):
        got = by_photo(viewer, path.read_bytes())
        assert got[0][0] == answer.results[0][0] == gallery.catalog.products[number].product_id
        assert got[0][1] == pytest.approx(answer.results[0][1], abs=0.05)  # the store's pictures are JPEG files
        assert len(got) == 5


def test_a_changed_shop_is_searched_as_it_is_now(
    viewer: TestClient, parts: Services, database: Database, drawn: tuple[Feed, Gallery], photos: list[Path]
) -> None:
    photo, product_id = photos[0].read_bytes(), drawn[1].catalog.products[0].product_id
    assert by_photo(viewer, photo) == []  # nothing is there yet
    put(parts, drawn[1], but=product_id)
    assert product_id not in dict(by_photo(viewer, photo, 100))
    put(parts, drawn[1])
    assert by_photo(viewer, photo)[0][0] == product_id
    parts.store.delete(SHOP, [product_id])
    assert product_id not in dict(by_photo(viewer, photo, 100))


def bomb() -> bytes:
    """A picture of more pixels than anyone has."""
    out = BytesIO()
    fromarray(np.zeros((1, 1), np.uint8)).resize((9000, 9000)).save(out, "PNG")
    return out.getvalue()


def test_what_is_no_picture_is_refused_in_one_line(viewer: TestClient, stocked: Services) -> None:
    for data, status in [
        (b"", 400),
        (b"GIF89a", 400),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 400),
        (b"\xff\xd8\xff" + bytes(100), 400),
        (bytes((20 << 20) + 1), 413),
    ]:
        answer = viewer.post(PHOTO, content=data)
        assert answer.status_code == status, answer.text
        assert "\n" not in answer.json()["error"]


def test_a_picture_of_too_many_pixels_is_refused(viewer: TestClient, stocked: Services) -> None:
    assert "pixels" in viewer.post(PHOTO, content=bomb()).json()["error"]


def test_a_shop_of_another_encoder_says_what_to_do(viewer: TestClient, stocked: Services, photos: list[Path]) -> None:
    answer = viewer.post(PHOTO, content=photos[0].read_bytes())
    assert answer.status_code == 400
    assert "reindex" in answer.json()["error"]
