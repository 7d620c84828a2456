"""The store against plain dictionaries and loops, alone and with others at the same folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stored_products import DIM, MeanColour, embedded, unit

pytest.importorskip("lancedb", reason="the extra `store` is not installed")

from shopcue.catalog.rows import Embedded, terms, text_digest
from shopcue.catalog.shelves import Shelves
from shopcue.catalog.store import CatalogStore, Hit, open_store
from shopcue.errors import FeedError, RecordError, StoreError, WeightsError
from shopcue.records import Floats

FINGERPRINT = "encoder-1"
TITLES = (
    "Red dress",
    "red Dress, long",
    "蓝色茶杯",
    "红色连衣裙 夏季",
    "tea cup",
    "Ünïcode mug",
    "'; drop table shops; --",
    "a%_b",
)
BRANDS = ("", "Acme", "O'Neill", 'He said "hi"')
CATEGORIES = ("", "Clothes", "Clothes > Dresses", "Clothes > Dresses > Long", "Clothesline", "Kitchen > Cups")


@pytest.fixture
def store(tmp_path: Path) -> CatalogStore:
    return open_store(str(tmp_path / "store"))


def drawn(number: int, seed: int) -> Embedded:
    """One of a few products whose texts are drawn."""
    rng = np.random.default_rng((number, seed))
    return embedded(
        f"id'{number}",
        str(rng.choice(TITLES)),
        int(rng.integers(1, 4)),
        seed=1000 * number + seed,
        brand=str(rng.choice(BRANDS)),
        category=str(rng.choice(CATEGORIES)),
        availability=str(rng.choice(["in stock", "out of stock"])),
        description=str(rng.choice(["", "something longer"])),
    )


def fits(item: Embedded, q: str, category: str, brand: str, availability: str) -> bool:
    product = item.product
    text = "\n".join((product.title, product.brand, product.category, product.product_id)).lower()
    below = product.category == category or product.category.startswith(category + " > ")
    return (
        all(word in text for word in q.lower().split())
        and (not category or below)
        and (not brand or product.brand == brand)
        and (not availability or product.availability == availability)
    )


def in_order(items: Collection[Embedded]) -> list[str]:
    return [
        each.product.product_id for each in sorted(items, key=lambda x: (x.product.title.lower(), x.product.product_id))
    ]


def nearest(items: Collection[Embedded], vector: Floats) -> dict[str, float]:
    return {item.product.product_id: max(float(row @ vector) for row in item.vectors) for item in items}


def assert_ranked(hits: list[Hit], truth: dict[str, float], k: int) -> None:
    """The k best of the truth, up to what rounding may exchange."""
    best = sorted(truth.values(), reverse=True)[:k]
    assert [hit.score for hit in hits] == pytest.approx(best, abs=1e-5)
    assert all(truth[hit.product_id] == pytest.approx(hit.score, abs=1e-5) for hit in hits)
    assert len({hit.product_id for hit in hits}) == len(hits)


# ---- against a dictionary ------------------------------------------------------------------------------------------

CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("upsert"), st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5)), min_size=1, max_size=4)),
        st.tuples(st.just("delete"), st.lists(st.integers(0, 7), max_size=3)),
        st.tuples(st.just("revise"), st.tuples(st.integers(0, 6), st.sampled_from(TITLES))),
        st.tuples(st.just("optimize"), st.none()),
    ),
    min_size=1,
    max_size=8,
)  # fmt: skip


@settings(max_examples=15)
@given(CHANGES, st.integers(0, 2**20))
def test_any_changes_leave_what_a_dictionary_holds(changes: list[tuple[str, object]], seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stores = (open_store(folder), open_store(folder))  # two that know of each other by the files alone
        model: dict[str, Embedded] = {}
        versions = [0]
        for turn, (change, argument) in enumerate(changes):
            writer, reader = stores[turn % 2], stores[1 - turn % 2]
            before = {product_id: (item.product, item.contents) for product_id, item in model.items()}
            apply(change, argument, writer, model)
            versions.append(reader.version("shop"))
            assert versions[-1] >= versions[-2]
            if before != {product_id: (item.product, item.contents) for product_id, item in model.items()}:
                assert versions[-1] > versions[-2]
            assert in_order(model.values()) == [p.product_id for p in reader.products("shop").products]
            for product_id, item in model.items():
                assert reader.get("shop", product_id) == item.product
            vector = unit(seed)[0]
            found = reader.search("shop", vector=vector, fingerprint=FINGERPRINT, k=4)
            assert_ranked(found, nearest(model.values(), vector), 4)
        assert_same(stores[0].embedded("shop", list(model)), list(model.values()))


def apply(change: str, argument: object, store: CatalogStore, model: dict[str, Embedded]) -> None:
    match change, argument:
        case "upsert", list(pairs):
            items = [drawn(number, seed) for number, seed in pairs]
            store.upsert("shop", items, FINGERPRINT)
            model.update({item.product.product_id: item for item in items})
        case "delete", list(numbers):
            ids = {f"id'{number}" for number in numbers}
            assert store.delete("shop", ids) == len(ids & model.keys())
            for product_id in ids:
                model.pop(product_id, None)
        case "revise", (number, str(title)):
            known = model.get(f"id'{number}")
            revised = store.revise("shop", f"id'{number}", {"title": title})
            assert (revised is None) == (known is None)
            if known is not None:
                model[f"id'{number}"] = replace(known, product=replace(known.product, title=title))
        case _:
            store.optimize()


def assert_same(found: Collection[Embedded], wanted: Collection[Embedded]) -> None:
    for have, want in zip(found, wanted, strict=True):
        assert (have.product, have.pictures, have.contents) == (want.product, want.pictures, want.contents)
        assert np.array_equal(have.vectors, want.vectors)


# ---- lists -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> tuple[CatalogStore, list[Embedded]]:
    """A shop of 60 drawn products that is only read."""
    store = open_store(str(tmp_path_factory.mktemp("shelf")))
    items = [drawn(number, 7) for number in range(60)]
    store.upsert("shop", items, FINGERPRINT)
    return store, items


@pytest.mark.parametrize("q", ["", "red", "RED long", "连衣裙", "茶", "id'1", "%", "_", "'", "ünï", "dress acme"])
@pytest.mark.parametrize("category", ["", "Clothes", "Clothes > Dresses", "Cups", "' OR 1=1"])
def test_a_list_is_what_a_loop_finds(shelf: tuple[CatalogStore, list[Embedded]], q: str, category: str) -> None:
    store, items = shelf
    for brand in ("", "O'Neill", "Nobody"):
        for availability in ("", "in stock"):
            wanted = in_order([item for item in items if fits(item, q, category, brand, availability)])
            filters = {"q": q, "category": category, "brand": brand, "availability": availability}
            page = store.products("shop", **filters, limit=1000)
            assert [product.product_id for product in page.products] == wanted
            assert (page.total, page.next) == (len(wanted), "")


def test_pages_join_to_the_list(shelf: tuple[CatalogStore, list[Embedded]]) -> None:
    store, items = shelf
    wanted = in_order(items)
    for limit in (1, 7, 59, 60, 61):
        found, after = list[str](), ""
        while True:
            page = store.products("shop", after=after, limit=limit)
            assert page.total == 60
            found += [product.product_id for product in page.products]
            after = page.next
            if not after:
                break
        assert found == wanted
    some = {"id'3", "id'9", "not there"}
    assert {p.product_id for p in store.products("shop", ids=some).products} == {"id'3", "id'9"}
    assert store.products("shop", but=some, limit=1000).total == 58
    assert store.products("shop", ids=()).total == 0


def test_pages_hold_while_products_come_and_go(store: CatalogStore) -> None:
    items = [embedded(f"{i:02}", f"title {i:02}") for i in range(0, 20, 2)]
    store.upsert("shop", items, FINGERPRINT)
    page = store.products("shop", limit=4)
    store.delete("shop", ["06", "08"])  # the last that was shown, and the next
    store.upsert("shop", [embedded("01", "title 01"), embedded("09", "title 09")], FINGERPRINT)
    rest = store.products("shop", limit=100, after=page.next)
    assert [p.product_id for p in rest.products] == ["09", "10", "12", "14", "16", "18"]


@pytest.mark.parametrize("after", ["x", "%%%", "é", "_w", "a b"])
def test_a_page_that_never_was(shelf: tuple[CatalogStore, list[Embedded]], after: str) -> None:
    with pytest.raises(StoreError, match="`next`"):
        shelf[0].products("shop", after=after)


def test_products_stand_in_the_order_in_which_they_came(store: CatalogStore) -> None:
    store.upsert("shop", [embedded("b"), embedded("a")], FINGERPRINT)
    store.upsert("shop", [embedded("c"), embedded("a", "again", 3, seed=4)], FINGERPRINT)
    assert store.snapshot("shop").ids == ["b", "a", "c"]
    assert store.snapshot("shop").owner.tolist() == [0, 1, 1, 1, 2]


# ---- searches --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector_bytes", [1 << 30, 0], ids=["memory", "disk"])
@pytest.mark.parametrize("category", ["", "Clothes > Dresses"])
def test_a_vector_search_equals_brute_force(
    shelf: tuple[CatalogStore, list[Embedded]], vector_bytes: int, category: str
) -> None:
    opened, items = shelf
    store = CatalogStore(Shelves(opened.uri), vector_bytes=vector_bytes)
    for seed in range(20):
        vector = unit(seed + 77)[0]
        for brand in ("", "O'Neill"):
            truth = nearest([item for item in items if fits(item, "", category, brand, "in stock")], vector)
            for k in (1, 5, 100):
                found = store.search(
                    "shop", vector=vector, fingerprint=FINGERPRINT, k=k,
                    category=category, brand=brand, availability="in stock",
                )  # fmt: skip
                assert_ranked(found, truth, k)
    assert (store.snapshot("shop").vectors is None) == (vector_bytes == 0)


@pytest.mark.parametrize("optimized", [False, True])
@pytest.mark.parametrize(
    "text", ["dress", "Dresses", "red", "连衣裙", "裙", "茶杯", "cup 红色", "mug", "nothing", "  ", "'"]
)
def test_words_find_the_products_that_have_them(store: CatalogStore, text: str, optimized: bool) -> None:
    items = [drawn(number, 3) for number in range(40)]
    store.upsert("shop", items, FINGERPRINT)
    if optimized:
        store.optimize()
    asked = {STEMS.get(term, term) for term in terms(text)}
    wanted = {item.product.product_id for item in items if asked & searched(item)}
    found = store.search("shop", text=text, k=100)
    assert {hit.product_id for hit in found} == wanted
    assert len(found) == len(wanted)
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    inside = store.search("shop", text=text, category="Clothes", k=100)
    assert {hit.product_id for hit in inside} == {
        item.product.product_id
        for item in items
        if item.product.product_id in wanted and fits(item, "", "Clothes", "", "")
    }


STEMS = {"dresses": "dress", "cups": "cup"}  # all that a stemmer finds in these texts


def searched(item: Embedded) -> set[str]:
    texts = (item.product.title, item.product.brand, item.product.category)
    return {STEMS.get(term, term) for term in terms(" ".join(texts), single=True)}


def test_more_of_the_words_is_better(store: CatalogStore) -> None:
    titles = {"both": "红色连衣裙", "one": "红色茶杯", "other": "蓝色连衣裙 夏季 新款", "none": "牛奶"}
    store.upsert("shop", [embedded(name, title) for name, title in titles.items()], FINGERPRINT)
    assert [hit.product_id for hit in store.search("shop", text="红色连衣裙")] == ["both", "other", "one"]


def test_vector_and_words_together_fuse_their_ranks(shelf: tuple[CatalogStore, list[Embedded]]) -> None:
    store, items = shelf
    vector = unit(5)[0]
    by_vector = store.search("shop", vector=vector, fingerprint=FINGERPRINT, k=100)
    by_words = store.search("shop", text="red dress", k=100)
    assert 0 < len(by_words) < len(items)
    truth: dict[str, float] = {}
    for hits in (by_vector, by_words):
        for rank, hit in enumerate(hits):
            truth[hit.product_id] = truth.get(hit.product_id, 0) + 1 / (61 + rank)
    assert_ranked(store.search("shop", vector=vector, fingerprint=FINGERPRINT, text="red dress", k=12), truth, 12)


def test_terms_are_words_and_pairs_of_characters() -> None:
    assert terms("Red DRESS 红色裙 ｆull") == ["red", "dress", "红色", "色裙", "full"]
    assert terms("红色裙", single=True) == ["红色", "色裙", "红", "色", "裙"]
    assert terms("裙") == ["裙"]
    assert terms("-- ; '") == []


def test_every_text_counts_in_the_digest() -> None:
    product = embedded("a").product
    names = ("title", "category", "price", "link", "brand", "availability", "description")
    changes: list[dict[str, Any]] = [{name: "x"} for name in names]
    digests = {text_digest(product), *(text_digest(replace(product, **change)) for change in changes)}
    assert len(digests) == 1 + len(names)


# ---- shops -----------------------------------------------------------------------------------------------------------


def test_shops_do_not_see_each_other(store: CatalogStore) -> None:
    store.upsert("one", [embedded("a", "from one", seed=1)], FINGERPRINT)
    store.upsert("two", [embedded("a", "from two", seed=2), embedded("b", "more", seed=3)], FINGERPRINT)
    assert store.shops() == ("one", "two")
    version = store.version("one")
    store.delete("two", ["a"])
    assert (store.version("one"), store.products("one").total, store.products("two").total) == (version, 1, 1)
    assert store.search("one", vector=unit(2)[0], fingerprint=FINGERPRINT)[0].product_id == "a"
    assert [hit.product_id for hit in store.search("two", text="from more two")] == ["b"]
    store.drop_shop("two")
    assert store.shops() == ("one",)
    assert store.products("one").total == 1


def test_a_shop_that_is_not_there_is_empty(store: CatalogStore) -> None:
    assert (store.version("none"), store.products("none").total, store.get("none", "a")) == (0, 0, None)
    assert store.search("none", vector=unit(0)[0], fingerprint="x", text="red") == []
    assert (store.delete("none", ["a"]), store.embedded("none", ["a"]), store.revise("none", "a", {})) == (0, (), None)
    store.drop_shop("none")
    store.optimize("none")
    store.reindex("none", MeanColour())
    assert store.shops() == ()
    with pytest.raises(FeedError, match=r"the shop none holds no products; .*catalog import"):
        store.gallery("none", "x")
    with pytest.raises(StoreError, match="no picture 0"):
        store.picture("none", "a")


def test_a_dropped_shop_leaves_nothing_and_can_begin_again(store: CatalogStore) -> None:
    other = open_store(store.uri)
    store.upsert("shop", [embedded("a")], FINGERPRINT)
    versions = [other.version("shop")]
    store.drop_shop("shop")
    versions.append(other.version("shop"))
    assert other.products("shop").total == 0
    assert [path.name for path in Path(store.uri).iterdir()] == ["shops.lance"]
    store.upsert("shop", [embedded("b")], "encoder-2")  # another encoder, since nothing is left of the first
    versions.append(other.version("shop"))
    assert [p.product_id for p in other.products("shop").products] == ["b"]
    assert versions == sorted(set(versions))


@pytest.mark.parametrize("shop", ["", "Shop", "../up", "a/b", "a.b", "-a", "a" * 64, "a b", "x'", "店"])
def test_names_that_no_shop_has(store: CatalogStore, shop: str) -> None:
    for ask in (store.version, store.products, store.drop_shop, store.snapshot):
        with pytest.raises(StoreError, match="expected up to 63"):
            ask(shop)
    with pytest.raises(StoreError):
        store.upsert(shop, [embedded("a")], FINGERPRINT)
    assert store.shops() == ()


def test_places_that_are_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"absent.* is no catalogue store"):
        open_store(str(tmp_path / "absent"), create=False)
    assert not (tmp_path / "absent").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used"):
        open_store(str(tmp_path / "file"))
    with pytest.raises(StoreError):
        open_store("nonsense://here")


# ---- encoders --------------------------------------------------------------------------------------------------------


def test_another_encoder_is_told_what_to_do(store: CatalogStore) -> None:
    store.upsert("shop", [embedded("a")], FINGERPRINT)
    before = store.version("shop")
    way_out = rf"encoder-1.*encoder-2.*shopcue catalog reindex --store {store.uri} --shop shop$"
    for ask in (
        lambda: store.upsert("shop", [embedded("b")], "encoder-2"),
        lambda: store.search("shop", vector=unit(0)[0], fingerprint="encoder-2"),
        lambda: store.search("shop", vector=unit(0)[0], fingerprint="encoder-2", text="thing"),
        lambda: store.gallery("shop", "encoder-2"),
        lambda: store.check("shop", "encoder-2"),
    ):
        with pytest.raises(WeightsError, match=way_out):
            ask()
    assert store.version("shop") == before
    assert [hit.product_id for hit in store.search("shop", text="thing")] == ["a"]


def test_vectors_of_two_lengths(store: CatalogStore) -> None:
    short = Embedded(embedded("s").product, unit(0, 1, DIM - 1), (b"x",), ("c",))
    with pytest.raises(RecordError, match="one encoder"):
        store.upsert("shop", [embedded("a"), short], FINGERPRINT)
    store.upsert("shop", [embedded("a")], FINGERPRINT)
    with pytest.raises(RecordError, match="7 numbers, those of the shop shop have 8"):
        store.upsert("shop", [short], FINGERPRINT)
    with pytest.raises(RecordError, match="expected one of each"):
        Embedded(embedded("a", pictures=2).product, unit(0, 1), (b"x",), ("c",))


# ---- with others -----------------------------------------------------------------------------------------------------

CHILD = """
import sys, json
from shopcue.catalog.store import open_store
store = open_store(sys.argv[1])
for line in sys.stdin:
    page = store.products("shop", q=line.strip())
    hits = store.search("shop", text=line.strip())
    print(json.dumps([[p.product_id for p in page.products], [h.product_id for h in hits]]), flush=True)
"""

WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from stored_products import embedded
from shopcue.catalog.store import open_store
store = open_store(sys.argv[1])
for number in range(10_000):
    store.upsert("shop", [embedded(f"{sys.argv[3]}{number}-{i}", seed=i) for i in range(3)], "encoder-1")
    print(number, flush=True)
"""


@contextmanager
def child(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_another_process_sees_every_change_at_once(store: CatalogStore) -> None:
    with child(CHILD, store.uri) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None

        def ask(text: str) -> object:
            reader.stdin.write(text + "\n")  # type: ignore[union-attr]
            reader.stdin.flush()  # type: ignore[union-attr]
            return json.loads(reader.stdout.readline())  # type: ignore[union-attr]

        assert ask("red") == [[], []]
        store.upsert("shop", [embedded("a", "red"), embedded("b", "blue")], FINGERPRINT)
        assert ask("red") == [["a"], ["a"]]
        store.revise("shop", "b", {"title": "red, too"})
        assert [sorted(some) for some in ask("red")] == [["a", "b"], ["a", "b"]]  # type: ignore[attr-defined]
        store.delete("shop", ["a"])
        assert ask("red") == [["b"], ["b"]]
        store.drop_shop("shop")
        assert ask("red") == [[], []]


def test_writers_at_once_lose_nothing(store: CatalogStore) -> None:
    store.upsert("shop", [embedded("first")], FINGERPRINT)
    problems: list[BaseException] = []

    def write(name: str) -> None:
        try:
            own = open_store(store.uri)
            for number in range(6):
                own.upsert("shop", [embedded(f"{name}{number}"), embedded("shared", name, seed=number)], FINGERPRINT)
                own.optimize("shop")
                own.delete("shop", [f"{name}{number - 1}"])
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert set(store.snapshot("shop").ids) == {"first", "shared", "a5", "b5", "c5"}
    assert len(store.snapshot("shop").ids) == 5


def test_a_killed_writer_loses_nothing_that_it_acknowledged(store: CatalogStore) -> None:
    here = str(Path(__file__).parents[1])
    said: dict[str, int] = {}
    with child(WRITER, store.uri, here, "x") as one, child(WRITER, store.uri, here, "y") as two:
        for name, process in (("x", one), ("y", two)):
            assert process.stdout is not None
            for _ in range(8):
                said[name] = int(process.stdout.readline())
        for process in (one, two):
            os.kill(process.pid, signal.SIGKILL)
    found = set(store.snapshot("shop").ids)
    for name, last in said.items():
        assert {f"{name}{number}-{i}" for number in range(last + 1) for i in range(3)} <= found
    numbers = {product_id.rpartition("-")[0] for product_id in found}
    assert len(found) == 3 * len(numbers), "a write is there as a whole or not at all"
    store.upsert("shop", [embedded("after")], FINGERPRINT)
    assert store.get("shop", "after") is not None


# ---- files -----------------------------------------------------------------------------------------------------------


def test_small_writes_leave_neither_many_files_nor_rows_without_an_index(
    store: CatalogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shopcue.catalog.store._MOST_WRITES", 8)
    monkeypatch.setattr("shopcue.catalog.store._MOST_ROWS", 3)
    for number in range(30):
        store.upsert("shop", [embedded(f"{number}", f"thing {number}")], FINGERPRINT)
    table = store._shelves.table(store.shelf("shop").name)  # type: ignore[union-attr]
    assert table.stats()["fragment_stats"]["num_fragments"] < 12
    words = next(index for index in table.list_indices() if index.columns == ["text"])
    assert words.num_unindexed_rows < 8
    assert {hit.product_id for hit in store.search("shop", text="thing", k=50)} == {f"{i}" for i in range(30)}
    assert [hit.product_id for hit in store.search("shop", text="29")] == ["29"]
