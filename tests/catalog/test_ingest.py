"""Imports against galleries that are built directly, and against whatever may go wrong on the way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from stored_products import MeanColour, paint, write_feed

pytest.importorskip("lancedb", reason="the extra `store` is not installed")

from shopcue.catalog import ingest as ingest_module
from shopcue.catalog.cache import EmbeddingCache
from shopcue.catalog.exact import build_gallery
from shopcue.catalog.feeds import ItemReport, read_feed
from shopcue.catalog.fetch import Unreachable
from shopcue.catalog.ingest import ingest
from shopcue.catalog.store import CatalogStore, open_store
from shopcue.errors import FeedError, MediaError, StoreError, WeightsError
from shopcue.records import Gallery

FEED = (
    "id,title,image_link,additional_image_link,description,category\n"
    "r,Red,red.png,,Very red,Things\n"
    "x,Broken,broken.png,../outside.png,,\n"
    ",Nameless,red.png,,,\n"
    'gb,Both,green.png,"none.png,blue.png",,Things > More\n'
    "r2,Red again,red.png,,,\n"
)


@pytest.fixture
def store(tmp_path: Path) -> CatalogStore:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    folder = tmp_path / "feed"
    paint(folder / "red.png", (200, 0, 0))
    paint(folder / "green.png", (0, 200, 0))
    paint(folder / "blue.png", (0, 0, 200))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    path = folder / "feed.csv"
    path.write_text(FEED)
    return path


def bring(store: CatalogStore, feed: Path, encoder: MeanColour | None = None, **options: object) -> list[ItemReport]:
    return list(ingest(store, "shop", read_feed(feed), encoder or MeanColour(), **options))  # type: ignore[arg-type]


def assert_same_gallery(found: Gallery, wanted: Gallery) -> None:
    """Equal in all but the last bits of pictures, which a store keeps as JPEG, and the pictures that were left out."""
    said = ("product_id", "title", "description", "category", "price", "link", "brand", "availability")
    for have, want in zip(found.catalog, wanted.catalog, strict=True):
        assert [getattr(have, name) for name in said] == [getattr(want, name) for name in said]
        assert set(have.images) <= set(want.images)
    assert np.array_equal(found.vectors, wanted.vectors)
    assert np.array_equal(found.owner, wanted.owner)
    assert found.fingerprint == wanted.fingerprint
    for one, other in zip(found.pictures, wanted.pictures, strict=True):
        assert one.shape == other.shape
        assert np.abs(one.astype(int) - other.astype(int)).mean() < 3


# ---- the same as a gallery that is built ---------------------------------------------------------------------------


def test_an_import_gives_the_gallery_and_the_report_that_are_built_directly(store: CatalogStore, feed: Path) -> None:
    gallery, report = build_gallery(read_feed(feed), MeanColour())
    found = bring(store, feed)
    assert sorted(found, key=lambda line: line.row) == list(report)
    assert_same_gallery(store.gallery("shop", "mean-colour"), gallery)
    assert store.get("shop", "gb").images == ("green.png", "blue.png")  # type: ignore[union-attr]
    assert [line.status for line in found].count("refused") == 2
    assert store.snapshot("shop").ids == ["r", "gb", "r2"]


@pytest.mark.parametrize("side", [480, 160, 0])
def test_pictures_are_kept_within_the_same_bytes(store: CatalogStore, tmp_path: Path, side: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(5):
        noise = np.kron(rng.integers(0, 256, (9, 7, 3)), np.ones((60, 70, 1))).astype(np.uint8)
        (tmp_path / "feed").mkdir(exist_ok=True)
        PilImage.fromarray(noise).save(tmp_path / "feed" / f"{number}.png")
    picture_bytes = max(5 * 3 * side * side, 1)
    gallery, _ = build_gallery(read_feed(tmp_path / "feed"), MeanColour(), picture_bytes=picture_bytes)
    bring(store, tmp_path / "feed")
    found = store.gallery("shop", "mean-colour", picture_bytes=picture_bytes)
    assert_same_gallery(found, gallery)
    assert [max(picture.shape) for picture in found.pictures] == [side] * (5 if side else 0)


# ---- nothing is made twice -----------------------------------------------------------------------------------------


def test_what_is_there_unchanged_is_left_alone(store: CatalogStore, feed: Path) -> None:
    first, second = MeanColour(), MeanColour()
    report = bring(store, feed, first)
    version = store.version("shop")
    assert bring(store, feed, second) == report
    assert (first.seen, second.seen) == (3, 0)  # four pictures, of which two are one
    assert store.version("shop") == version


def test_what_has_changed_is_made_anew_and_nothing_else(store: CatalogStore, feed: Path) -> None:
    bring(store, feed)
    before = {item.product.product_id: item for item in store.embedded("shop", ["r", "gb", "r2"])}
    paint(feed.parent / "blue.png", (90, 90, 200))
    feed.write_text(feed.read_text().replace("Red again", "Redder").replace("none.png,", ""))
    encoder = MeanColour()
    report = bring(store, feed, encoder)
    assert encoder.seen == 1
    assert {line.product_id: line.status for line in report}["gb"] == "ok"
    after = {item.product.product_id: item for item in store.embedded("shop", ["r", "gb", "r2"])}
    assert np.array_equal(after["gb"].vectors[0], before["gb"].vectors[0])
    assert not np.array_equal(after["gb"].vectors[1], before["gb"].vectors[1])
    assert after["gb"].pictures[0] == before["gb"].pictures[0]
    assert after["r2"].product.title == "Redder"
    assert np.array_equal(after["r2"].vectors, before["r2"].vectors)
    assert_same_gallery(store.gallery("shop", "mean-colour"), build_gallery(read_feed(feed), MeanColour())[0])


def test_a_cache_spares_the_encoder(store: CatalogStore, feed: Path, tmp_path: Path) -> None:
    cache, first, second = EmbeddingCache(tmp_path / "e.sqlite3"), MeanColour(), MeanColour()
    build_gallery(read_feed(feed), first, cache=cache)
    bring(store, feed, second, cache=cache)
    assert (first.seen, second.seen) == (3, 0)
    cache.close()


def test_missing_products_are_deleted_only_when_asked_to(store: CatalogStore, feed: Path) -> None:
    bring(store, feed)
    feed.write_text("id,title,image_link\nr,Red,red.png\ngb,Both,gone.png\n")
    bring(store, feed)
    assert store.snapshot("shop").ids == ["r", "gb", "r2"]
    report = bring(store, feed, delete_missing=True)
    assert store.snapshot("shop").ids == ["r", "gb"], "what the feed names stays, even if it could not be used now"
    assert "the product stays as it was" in report[-1].reason


def test_another_encoder_is_refused_before_any_work(store: CatalogStore, feed: Path) -> None:
    bring(store, feed)
    other = MeanColour("other")
    with pytest.raises(WeightsError, match="shopcue catalog reindex"):
        bring(store, feed, other)
    assert other.seen == 0


# ---- hosts that stumble --------------------------------------------------------------------------------------------


class Host:
    """A host of pictures that is out of reach as often as it is told, by address."""

    def __init__(self, picture: bytes, silent: dict[str, int]) -> None:
        self._picture, self._silent = picture, dict(silent)
        self.asked: Counter[str] = Counter()

    def fetch(self, url: str) -> bytes:
        self.asked[url] += 1
        if url.endswith("gone"):
            raise MediaError(f"{url} answered with status 404")
        if self._silent.get(url, 0) > 0:
            self._silent[url] -= 1
            raise Unreachable(f"{url} answered with status 503; try again later")
        return self._picture


A, B, C, GONE = (f"https://shop.example/{name}" for name in ("a", "b", "c", "gone"))


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    path = tmp_path / "remote.csv"
    path.write_text(f"id,title,image_link,additional_image_link\na,A,{A},\nb,B,{B},{C}\nx,X,{GONE},\n")
    return path


def picture(tmp_path: Path) -> bytes:
    paint(tmp_path / "picture.png", (200, 100, 0))
    return (tmp_path / "picture.png").read_bytes()


def test_what_may_pass_is_tried_again_and_what_does_not_is_not(
    store: CatalogStore, remote: Path, tmp_path: Path
) -> None:
    host = Host(picture(tmp_path), {A: 1, C: 2})
    report = bring(store, remote, fetcher=host, retry_pauses_s=(0.0, 0.0))
    assert {line.product_id: line.status for line in report} == {"a": "ok", "b": "ok", "x": "refused"}
    assert host.asked == {A: 2, B: 3, C: 3, GONE: 1}
    assert len(store.embedded("shop", ["b"])[0].vectors) == 2
    assert len(report) == 3


def test_a_host_that_stays_silent_costs_its_pictures_alone(store: CatalogStore, remote: Path, tmp_path: Path) -> None:
    report = bring(store, remote, fetcher=Host(picture(tmp_path), {C: 9, A: 9}), retry_pauses_s=(0.0,))
    lines = {line.product_id: line for line in report}
    assert (lines["a"].status, lines["b"].status) == ("refused", "partial")
    assert "503" in lines["b"].reason
    assert store.get("shop", "b").images == (B,)  # type: ignore[union-attr]


def test_pictures_of_an_earlier_import_stay_while_their_host_is_silent(
    store: CatalogStore, remote: Path, tmp_path: Path
) -> None:
    bring(store, remote, fetcher=Host(picture(tmp_path), {}), retry_pauses_s=())
    before = store.embedded("shop", ["b"])[0]
    remote.write_text(remote.read_text().replace("b,B,", "b,Better,"))
    encoder = MeanColour()
    report = bring(store, remote, encoder, fetcher=Host(picture(tmp_path), {B: 9, C: 9, A: 9}), retry_pauses_s=())
    after = store.embedded("shop", ["b"])[0]
    assert after.product.title == "Better"
    assert after.product.images == (B, C)
    assert np.array_equal(after.vectors, before.vectors)
    lines = {line.product_id: line for line in report}
    assert lines["b"].status == "partial"
    assert lines["b"].reason.startswith("2 pictures of an earlier import stay in use: ")
    assert encoder.seen == 0


def test_remote_pictures_without_a_fetcher(store: CatalogStore, remote: Path) -> None:
    assert {line.status for line in bring(store, remote)} == {"refused"}
    assert store.products("shop").total == 0


# ---- ends before the end -------------------------------------------------------------------------------------------


class Enough(Exception):
    """Raised by a progress that wants no more."""


def test_what_progress_raises_ends_the_import_and_what_was_reported_stays(
    store: CatalogStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_module, "COMMIT_PICTURES", 10)
    feed = write_feed(tmp_path / "feed", 60)
    reported: list[ItemReport] = []

    def progress(done: int, total: int) -> None:
        assert total == 60
        if done > 40:
            raise Enough

    lines = ingest(store, "shop", read_feed(feed), MeanColour(), delete_missing=True, progress=progress)
    with pytest.raises(Enough):
        reported.extend(lines)
    there = set(store.snapshot("shop").ids)
    assert 10 <= len(reported) < 60
    assert {line.product_id for line in reported} <= there
    encoder = MeanColour()
    assert len(bring(store, feed, encoder)) == 60
    assert encoder.seen == 60 - len(there)


IMPORT = """
import sys, time
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from stored_products import MeanColour
from shopcue.catalog import ingest as module
from shopcue.catalog.feeds import read_feed
from shopcue.catalog.store import open_store

class Slow(MeanColour):
    def encode(self, images):
        time.sleep(0.02)
        return super().encode(images)

module.COMMIT_PICTURES = 8
for line in module.ingest(open_store(sys.argv[1]), "shop", read_feed(Path(sys.argv[2])), Slow(), delete_missing=True):
    print(line.product_id, flush=True)
"""


def test_a_killed_import_loses_nothing_that_it_reported_and_goes_on(store: CatalogStore, tmp_path: Path) -> None:
    feed = write_feed(tmp_path / "feed", 150)
    arguments = (store.uri, str(feed), str(Path(__file__).parents[1]))
    process = subprocess.Popen([sys.executable, "-c", IMPORT, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = [process.stdout.readline().strip() for _ in range(40)]
    os.kill(process.pid, signal.SIGKILL)
    said += process.communicate()[0].split()
    there = set(store.snapshot("shop").ids)
    assert set(said) <= there
    assert len(there) < 150, "it was killed too late to show anything"
    encoder = MeanColour()
    assert len(bring(store, feed, encoder, delete_missing=True)) == 150
    assert encoder.seen == 150 - len(there)
    assert_same_gallery(store.gallery("shop", "mean-colour"), build_gallery(read_feed(feed), MeanColour())[0])


def test_a_product_that_is_deleted_meanwhile_is_not_brought_back_half(store: CatalogStore, feed: Path) -> None:
    bring(store, feed)
    feed.write_text(feed.read_text().replace("Red again", "Redder"))

    def progress(done: int, total: int) -> None:
        store.delete("shop", ["r2"])

    with pytest.raises(StoreError, match="r2 was changed by somebody else"):
        bring(store, feed, progress=progress)
    assert "r2" not in store.snapshot("shop").ids
    assert {line.status for line in bring(store, feed)} == {"ok", "partial", "refused"}
    assert "r2" in store.snapshot("shop").ids


# ---- following a shop ----------------------------------------------------------------------------------------------


def test_a_shop_on_air_follows_every_change(store: CatalogStore, feed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = open_store(store.uri)
    bring(store, feed)
    first, second = other.on_air("shop", "mean-colour"), other.on_air("shop", "mean-colour")
    assert first.gallery is second.gallery, "all share one memory"
    read: list[int] = []
    thumbnails = CatalogStore.thumbnails

    def counted(self: CatalogStore, shop: str, stamps: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        read.append(len(stamps))
        return thumbnails(self, shop, stamps)

    monkeypatch.setattr(CatalogStore, "thumbnails", counted)
    assert not first.refresh()
    paint(feed.parent / "green.png", (60, 200, 60))
    feed.write_text(feed.read_text().replace("r2,", "r3,"))
    bring(store, feed, delete_missing=True)
    gallery = first.gallery
    assert first.refresh()
    assert not first.refresh()
    assert second.gallery is gallery, "each holder takes the change when it looks"
    assert second.refresh()
    assert second.gallery is first.gallery
    assert read == [3], "two of gb, and r3"
    assert_same_gallery(first.gallery, build_gallery(read_feed(feed), MeanColour())[0])
    store.optimize()
    assert not first.refresh()
    store.revise("shop", "r", {"title": "Scarlet"})
    assert first.refresh()
    assert first.gallery.catalog.products[0].title == "Scarlet"


def test_a_shop_that_changes_all_the_time_can_be_looked_at(
    store: CatalogStore, feed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(store, feed)
    descriptions = CatalogStore.descriptions
    turns = iter(range(100))

    def changing(self: CatalogStore, shop: str) -> dict[str, str]:
        store.revise("shop", "gb", {"price": f"{next(turns)} EUR"})
        return descriptions(self, shop)

    monkeypatch.setattr(CatalogStore, "descriptions", changing)
    other = open_store(store.uri)
    assert len(other.gallery("shop", "mean-colour", picture_bytes=0).catalog) == 3, "as it was a moment ago"
    with pytest.raises(StoreError, match="changes faster than it can be read"):
        other.gallery("shop", "mean-colour")
    monkeypatch.undo()
    assert len(other.gallery("shop", "mean-colour").pictures) == 4


def test_a_shop_on_air_that_is_emptied_keeps_its_gallery(store: CatalogStore, feed: Path) -> None:
    bring(store, feed)
    on_air = store.on_air("shop", "mean-colour")
    gallery = on_air.gallery
    store.drop_shop("shop")
    with pytest.raises(FeedError, match="holds no products"):
        on_air.refresh()
    assert on_air.gallery is gallery
    bring(store, feed)
    assert on_air.refresh()
    assert_same_gallery(on_air.gallery, gallery)


# ---- another encoder -----------------------------------------------------------------------------------------------


def test_a_shop_is_embedded_anew_from_its_own_pictures(store: CatalogStore, tmp_path: Path) -> None:
    feed = write_feed(tmp_path / "feed", 20)
    bring(store, feed)
    wanted, _ = build_gallery(read_feed(feed), MeanColour("new", 0.3))
    shutil.rmtree(feed.parent / "images")
    before, other = store.version("shop"), open_store(store.uri)
    other.gallery("shop", "mean-colour")
    ticks: list[tuple[int, int]] = []
    store.reindex("shop", MeanColour("new", 0.3), lambda done, total: ticks.append((done, total)))
    assert ticks[-1] == (20, 20)
    assert other.version("shop") > before
    with pytest.raises(WeightsError, match="embedded by new, this encoder is mean-colour"):
        other.gallery("shop", "mean-colour")
    gallery = other.gallery("shop", "new")
    assert (np.sum(gallery.vectors * wanted.vectors, axis=1) > 0.9999).all()
    hits = other.search("shop", vector=gallery.vectors[3], fingerprint="new", k=1)
    assert hits[0].product_id == "p3"
    assert [path.name.count(".") for path in Path(store.uri).iterdir() if path.name.startswith("shop.")] == [3]
    version = store.version("shop")
    encoder = MeanColour("new", 0.3)
    store.reindex("shop", encoder)
    assert (encoder.seen, store.version("shop")) == (0, version)


REINDEX = """
import sys, time
sys.path.insert(0, sys.argv[2])
from stored_products import MeanColour
from shopcue.catalog import reindexing
from shopcue.catalog.store import open_store

reindexing._AT_ONCE = 10
store = open_store(sys.argv[1])
store.reindex("shop", MeanColour("new", 0.3), lambda done, total: (print(done, flush=True), time.sleep(0.05)))
"""


def test_a_killed_reindex_serves_on_and_goes_on(store: CatalogStore, tmp_path: Path) -> None:
    bring(store, write_feed(tmp_path / "feed", 120))
    arguments = [sys.executable, "-c", REINDEX, store.uri, str(Path(__file__).parents[1])]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    done = [int(process.stdout.readline()) for _ in range(4)][-1]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(store.gallery("shop", "mean-colour").catalog) == 120, "the old vectors serve until the end"
    store.delete("shop", ["p5"])
    store.revise("shop", "p6", {"title": "Changed meanwhile"})
    encoder = MeanColour("new", 0.3)
    store.reindex("shop", encoder)
    assert encoder.seen <= 120 - done + 1
    gallery = store.gallery("shop", "new")
    assert {product.product_id for product in gallery.catalog} == {f"p{i}" for i in range(120) if i != 5}
    assert store.get("shop", "p6").title == "Changed meanwhile"  # type: ignore[union-attr]
    assert list(gallery.catalog.position) == [f"p{i}" for i in range(120) if i != 5]


def test_changes_during_a_reindex_are_not_lost(
    store: CatalogStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(store, write_feed(tmp_path / "feed", 30))
    more = write_feed(tmp_path / "more", 3, first=100)
    writer = open_store(store.uri)

    def progress(done: int, total: int) -> None:
        if done == 30 and total == 30:
            writer.delete("shop", ["p1"])
            writer.revise("shop", "p2", {"title": "Two"})
            bring(writer, more)

    put = type(store._shelves).put

    def late(self: object, shelf: object) -> None:
        """A change after the last look and before the move."""
        writer.delete("shop", ["p3"])
        writer.revise("shop", "p4", {"title": "Four"})
        put(self, shelf)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(type(store._shelves), "put", late)
        store.reindex("shop", MeanColour("new", 0.3), progress)
    gallery = store.gallery("shop", "new")
    wanted = {f"p{i}" for i in range(30)} - {"p1", "p3"} | {"p100", "p101", "p102"}
    assert {product.product_id for product in gallery.catalog} == wanted
    titles = {product.product_id: product.title for product in gallery.catalog}
    assert (titles["p2"], titles["p4"]) == ("Two", "Four")


def test_a_writer_that_meets_the_move_writes_to_the_new_place(store: CatalogStore, tmp_path: Path) -> None:
    bring(store, write_feed(tmp_path / "feed", 5))
    writer = open_store(store.uri)
    write = writer._write

    def slow(shelf: object, items: Sequence[object]) -> None:
        write(shelf, items)  # type: ignore[arg-type]
        writer._write = write  # type: ignore[method-assign]
        store.reindex("shop", MeanColour("new", 0.3))

    writer._write = slow  # type: ignore[method-assign]
    product = writer.revise("shop", "p1", {"title": "One"})
    assert product is not None
    assert store.get("shop", "p1").title == "One"  # type: ignore[union-attr]
    assert store.shelf("shop").fingerprint == "new"  # type: ignore[union-attr]
