"""The gallery and the exact search against plain loops."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PilImage

from shopcue.catalog import exact
from shopcue.catalog.cache import EmbeddingCache
from shopcue.catalog.exact import build_gallery, embed_anew, search, similarities
from shopcue.catalog.feeds import read_feed
from shopcue.errors import FeedError, MediaError, SettingsError
from shopcue.records import Catalog, Floats, Gallery, Image, Indices, Product


class Histogram:
    """A ten-line encoder: the colours of a picture, unit length."""

    def __init__(self, fingerprint: str = "histogram") -> None:
        self.dim, self.fingerprint = 64, fingerprint
        self.seen: list[int] = []

    def encode(self, images: Sequence[Image]) -> Floats:
        self.seen.append(len(images))
        bins = [np.bincount((image.reshape(-1, 3) // 64) @ (16, 4, 1), minlength=64) for image in images]
        return np.stack([row / np.linalg.norm(row) for row in bins]).astype(np.float32)


def paint(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (60, 40)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = PilImage.new("RGB", (size[0] * 2, size[1] * 2), "white")
    picture.paste(colour, (size[0] // 2, size[1] // 2, size[0] * 3 // 2, size[1] * 3 // 2))
    picture.save(path)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    paint(tmp_path / "red.png", (200, 0, 0))
    paint(tmp_path / "green.png", (0, 200, 0))
    paint(tmp_path / "blue.png", (0, 0, 200))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    path = tmp_path / "feed.csv"
    path.write_text(
        "id,title,image_link,additional_image_link\n"
        "r,Red,red.png,\nx,Broken,broken.png,../outside.png\n,Nameless,red.png,\n"
        "gb,Both,green.png,\"none.png,blue.png\"\nr2,Red again,red.png,\n"
    )  # fmt: skip
    return path


# ---- building ----------------------------------------------------------------------------------------------------


def test_a_gallery_holds_the_usable_pictures_in_the_feeds_order(shop: Path) -> None:
    gallery, report = build_gallery(read_feed(shop), Histogram())
    assert [product.product_id for product in gallery.catalog] == ["r", "gb", "r2"]
    assert gallery.owner.tolist() == [0, 1, 1, 2]
    assert gallery.fingerprint == "histogram"
    assert [(line.row, line.product_id, line.status) for line in report] == [
        (2, "r", "ok"),
        (3, "x", "refused"),
        (4, "", "refused"),
        (5, "gb", "partial"),
        (6, "r2", "ok"),
    ]
    assert "broken.png is damaged" in report[1].reason
    assert "1 more" in report[1].reason
    assert "1 of 3 pictures left out: none.png cannot be read" in report[3].reason
    for i, colour in enumerate([(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 0, 0)]):
        picture = gallery.pictures[i]
        assert tuple(picture[picture.shape[0] // 2, picture.shape[1] // 2]) == colour
        assert picture.shape[0] < 60, "the margins are gone"


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("batch", [1, 3, 100])
def test_threads_and_batches_change_nothing(
    tmp_path: Path, threads: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    colours = np.random.default_rng(1).integers(0, 256, (37, 3))
    for i, colour in enumerate(colours):
        paint(tmp_path / f"{i}.png", tuple(colour.tolist()))
    monkeypatch.setattr(exact, "BATCH", batch)
    ticks: list[tuple[int, int]] = []
    gallery, _ = build_gallery(
        read_feed(tmp_path), Histogram(), threads=threads, progress=lambda done, total: ticks.append((done, total))
    )
    expected = Histogram().encode(list(gallery.pictures))
    assert np.array_equal(gallery.vectors, expected)
    assert [p.product_id for p in gallery.catalog] == [str(i) for i in range(37)]
    assert ticks[-1] == (37, 37)
    assert ticks == sorted(ticks)


def test_the_same_picture_is_encoded_once_and_never_again(shop: Path, tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "e.sqlite3")
    first, second, other = Histogram(), Histogram(), Histogram("other")
    gallery, _ = build_gallery(read_feed(shop), first, cache=cache)
    again, _ = build_gallery(read_feed(shop), second, cache=cache)
    build_gallery(read_feed(shop), other, cache=cache)
    assert sum(first.seen) == 3  # four pictures, of which two are one
    assert second.seen == []
    assert sum(other.seen) == 3
    assert np.array_equal(gallery.vectors, again.vectors)
    cache.close()


def test_a_changed_picture_is_encoded_anew(tmp_path: Path) -> None:
    shop, cache = tmp_path / "shop", EmbeddingCache(tmp_path / "e.sqlite3")
    paint(shop / "a.png", (200, 0, 0))
    before, _ = build_gallery(read_feed(shop), Histogram(), cache=cache)
    paint(shop / "a.png", (0, 0, 200))
    after, _ = build_gallery(read_feed(shop), Histogram(), cache=cache)
    assert not np.array_equal(before.vectors, after.vectors)
    cache.close()


def test_another_way_to_prepare_pictures_brings_back_no_old_vector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, cache = tmp_path / "shop", EmbeddingCache(tmp_path / "e.sqlite3")
    paint(shop / "a.png", (200, 0, 0))
    trimmed, _ = build_gallery(read_feed(shop), Histogram(), cache=cache)
    monkeypatch.setattr(exact, "trim_margins", lambda image: image)
    whole, _ = build_gallery(read_feed(shop), Histogram(), cache=cache)
    assert not np.array_equal(trimmed.vectors, whole.vectors)
    assert np.array_equal(whole.vectors, Histogram().encode([np.asarray(PilImage.open(shop / "a.png"))]))
    cache.close()


def test_a_damaged_cache_fails_nothing(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "e.sqlite3").write_bytes(b"garbage" * 1_000)
    cache = EmbeddingCache(tmp_path / "e.sqlite3")
    gallery, _ = build_gallery(read_feed(shop), Histogram(), cache=cache)
    assert len(gallery.vectors) == 4
    assert cache.trouble


def test_remote_pictures_come_from_the_fetcher(tmp_path: Path) -> None:
    paint(tmp_path / "red.png", (200, 0, 0))
    data = (tmp_path / "red.png").read_bytes()

    class Canned:
        def fetch(self, url: str) -> bytes:
            if "gone" in url:
                raise MediaError("gone")
            return data

    (tmp_path / "feed.csv").write_text("id,title,image_link\n1,x,https://a.example/1\n2,y,https://a.example/gone\n")
    gallery, report = build_gallery(read_feed(tmp_path / "feed.csv"), Histogram(), fetcher=Canned())
    assert [p.product_id for p in gallery.catalog] == ["1"]
    assert [line.status for line in report] == ["ok", "refused"]


def test_pictures_are_kept_within_their_bytes(tmp_path: Path) -> None:
    for i in range(4):
        paint(tmp_path / f"{i}.png", (200, 0, 10 * i), (500, 500))
    feed = read_feed(tmp_path)
    large, _ = build_gallery(feed, Histogram())
    assert max(large.pictures[0].shape) == 480
    some, _ = build_gallery(feed, Histogram(), picture_bytes=4 * 3 * 200 * 200)
    assert sum(picture.nbytes for picture in some.pictures) <= 4 * 3 * 200 * 200
    assert max(some.pictures[0].shape) == 200
    none, _ = build_gallery(feed, Histogram(), picture_bytes=4 * 3 * 100 * 100)
    assert none.pictures == ()
    assert np.array_equal(none.vectors, large.vectors)


def test_a_feed_without_one_usable_picture(tmp_path: Path) -> None:
    (tmp_path / "feed.csv").write_text("id,title,image_link\n1,x,none.png\n2,y,/etc/passwd\n")
    with pytest.raises(FeedError, match=r"no product with a usable picture: row 2 1 .*none.png.*; row 3 2 .*absolute"):
        build_gallery(read_feed(tmp_path / "feed.csv"), Histogram())


class Mirrored(Histogram):
    """Another encoder: the same numbers, the other way round."""

    def encode(self, images: Sequence[Image]) -> Floats:
        return np.ascontiguousarray(super().encode(images)[:, ::-1])


def test_a_gallery_is_embedded_anew_from_its_pictures(shop: Path, tmp_path: Path) -> None:
    gallery, _ = build_gallery(read_feed(shop), Histogram())
    other, cache = Mirrored("mirrored"), EmbeddingCache(tmp_path / "cache.sqlite3")
    anew = embed_anew(gallery, other, cache)
    assert (anew.fingerprint, anew.catalog, anew.pictures) == ("mirrored", gallery.catalog, gallery.pictures)
    np.testing.assert_array_equal(anew.owner, gallery.owner)
    np.testing.assert_allclose(anew.vectors, gallery.vectors[:, ::-1], atol=1e-6)
    seen = sum(other.seen)
    again = embed_anew(gallery, other, cache)
    np.testing.assert_array_equal(again.vectors, anew.vectors)
    assert sum(other.seen) == seen, "what the cache has is not embedded again"


def test_a_gallery_without_pictures_cannot_be_embedded_anew(shop: Path) -> None:
    gallery, _ = build_gallery(read_feed(shop), Histogram(), picture_bytes=0)
    with pytest.raises(SettingsError, match=r"4 pictures, too many .* use --method two-stage"):
        embed_anew(gallery, Mirrored("mirrored"), EmbeddingCache(None))


# ---- searching ---------------------------------------------------------------------------------------------------


def gallery_of(owner: Indices, vectors: Floats) -> Gallery:
    count = int(owner.max()) + 1
    catalog = Catalog(tuple(Product(str(i), "t", ("a",)) for i in range(count)))
    return Gallery(catalog, vectors, owner, "f")


def brute_force(gallery: Gallery, queries: Floats) -> Floats:
    out = np.full((len(queries), len(gallery.catalog)), -np.inf, np.float32)
    for n, query in enumerate(queries):
        for vector, product in zip(gallery.vectors, gallery.owner, strict=True):
            out[n, product] = max(out[n, product], np.float32(query @ vector))
    return out


@settings(max_examples=60)
@given(
    st.integers(1, 12), st.integers(0, 20), st.integers(0, 5), st.booleans(), st.booleans(), st.integers(0, 2**31)
)  # fmt: skip
def test_similarities_equal_brute_force(
    products: int, more: int, queries: int, shuffled: bool, tiny: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    owner = np.sort(np.concatenate([np.arange(products), rng.integers(0, products, more)])).astype(np.int64)
    if shuffled:
        rng.shuffle(owner)
    # Small integers times powers of two: every product and sum is exact, so equal means equal.
    vectors = (rng.integers(-4, 5, (len(owner), 6)) / 8).astype(np.float32)
    wanted = (rng.integers(-4, 5, (queries, 6)) / 8).astype(np.float32)
    gallery = gallery_of(owner, vectors)
    truth = brute_force(gallery, wanted)
    with pytest.MonkeyPatch.context() as patch:
        if tiny:
            patch.setattr(exact, "_CHUNK_FLOATS", 3)
        assert np.array_equal(similarities(gallery, wanted), truth)
        for k in (0, 1, 3, products, products + 5):
            best = [np.lexsort((np.arange(products), -row))[:k].tolist() for row in truth]
            found = search(gallery, wanted, k)
            assert [[i for i, _ in each] for each in found] == best
            assert all(score == truth[n, i] for n, each in enumerate(found) for i, score in each)


def test_real_vectors_are_close_to_brute_force() -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(300, 256))
    vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    gallery = gallery_of(np.repeat(np.arange(100), 3), vectors)
    found = similarities(gallery, vectors[::7])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, brute_force(gallery, vectors[::7]), atol=1e-6)
    assert [each[0][0] for each in search(gallery, vectors[::7], 1)] == [i // 3 for i in range(0, 300, 7)]
