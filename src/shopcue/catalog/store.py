"""The catalogues of many shops in one place, on a disk or in object storage; what one process writes all others see.

A shop is a LanceDB table of its own, a row a picture, and a line of the table `shops` says which: nothing that is asked
of one shop can meet the rows of another. Lists and vector searches are exact and run on a snapshot in memory, which
reads what has changed when the version of the table has; words are searched by the table's own full-text index.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import numpy as np
from lancedb.expr import col

from shopcue.catalog.exact import Progress
from shopcue.catalog.feeds import revised, shown
from shopcue.catalog.onair import Galleries, ShopOnAir
from shopcue.catalog.queries import nearest, read_descriptions, read_pictures, read_rows, worded
from shopcue.catalog.refreshing import Snapshots
from shopcue.catalog.reindexing import reindex
from shopcue.catalog.rows import KEY, LIGHT, Embedded, schema, to_embedded, to_products, to_table
from shopcue.catalog.shelves import Shelf, Shelves, check_shop
from shopcue.catalog.snapshot import Snapshot, Wanted
from shopcue.errors import RecordError, StoreError, WeightsError
from shopcue.models.image import ImageEncoder
from shopcue.records import Floats, Gallery, Product

T = TypeVar("T")

MAX_PAGE = 1_000
_KEEP_VERSIONS = timedelta(minutes=10)  # readers of an older version are given this long to end
_MOST_WRITES, _MOST_ROWS = 64, 5_000  # before files are joined and rows are indexed
_RRF = 60.0  # of reciprocal rank fusion (Cormack et al. 2009)


@dataclass(frozen=True, slots=True)
class Page:
    """Some products of a list: how many it has in all, and what the next page goes on from, empty at the end."""

    products: tuple[Product, ...]
    total: int
    next: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A product that a search found, and how well it fits: higher is better."""

    product_id: str
    score: float


def open_store(uri: str, storage_options: Mapping[str, str] | None = None, *, create: bool = True) -> CatalogStore:
    """Open the catalogues in a folder or at an address such as s3://bucket/prefix; raises StoreError.

    storage_options: keys and addresses of the object storage; what is not given comes from the environment (AWS_...).
    create: whether a folder that is not there is made.
    """
    return CatalogStore(Shelves(uri, storage_options, create=create))


class CatalogStore:
    """The catalogues of many shops: see `open_store`. May be used by many threads.

    vector_bytes: how much memory the vectors of all shops together may take; a shop that alone has more is searched on
    the disk, as exactly and ten times as slowly.
    """

    def __init__(self, shelves: Shelves, *, vector_bytes: int = 1 << 30) -> None:
        self.uri = shelves.uri
        self._shelves = shelves
        self._snapshots = Snapshots(shelves, vector_bytes)
        self._lock = threading.Lock()
        self._loose: dict[str, tuple[int, int]] = {}  # writes to a shop, and rows of them, since it was optimized
        self._galleries: WeakValueDictionary[tuple[str, str, int], Galleries] = WeakValueDictionary()

    # ---- shops ---------------------------------------------------------------------------------------------------

    def shops(self) -> tuple[str, ...]:
        """Return the names of all shops, in order."""
        return tuple(sorted(shop for shop, shelf in self._shelves.read(self._shelves.every).items() if shelf.name))

    def shelf(self, shop: str) -> Shelf | None:
        """Return which table holds a shop and which encoder made its vectors, None while it holds nothing."""
        shelf = self._shelves.read(self._shelves.every).get(check_shop(shop))
        return shelf if shelf is not None and shelf.name else None

    def version(self, shop: str) -> int:
        """Return a number that grows at every change of a shop; cheap to ask for."""
        return self._shelves.read(lambda: self._snapshots.version(check_shop(shop)))

    def check(self, shop: str, fingerprint: str) -> None:
        """Raise WeightsError unless a shop is empty or its vectors were made by the encoder `fingerprint`."""
        shelf = self.shelf(shop)
        if shelf is not None and shelf.fingerprint != fingerprint:
            raise WeightsError(
                f"the shop {shop} was embedded by {shelf.fingerprint}, this encoder is {fingerprint}; "
                f"run: shopcue catalog reindex --store {self.uri} --shop {shop}"
            )

    def drop_shop(self, shop: str) -> None:
        """Delete a shop and all that is its; one that is not there is left alone."""
        if shelf := self.shelf(shop):
            self._shelves.put(replace(shelf, generation=shelf.generation + 1, name=""))
            self._shelves.drop_tables(shop)

    # ---- writing -------------------------------------------------------------------------------------------------

    def upsert(self, shop: str, items: Sequence[Embedded], fingerprint: str) -> None:
        """Add products, or put them in the place of those with the same ids, all in one step that all others see.

        fingerprint: of the encoder that made the vectors. Raises WeightsError where the shop's are of another.
        """
        items = tuple({item.product.product_id: item for item in items}.values())
        if not items:
            return
        dims = {item.vectors.shape[1] for item in items}
        if len(dims) != 1:
            raise RecordError(f"the vectors have {sorted(dims)} numbers, expected those of one encoder")
        dim = dims.pop()
        self._settled(
            shop, lambda: self._open_shelf(shop, fingerprint, dim), lambda shelf: self._write(shelf, items), len(items)
        )

    def revise(self, shop: str, product_id: str, texts: Mapping[str, str]) -> Product | None:
        """Change some of what a product says, and return it as it is then; None where it is not there.

        texts: by the names of the fields of `Product`. Raises FeedError for what a feed may not say either.
        """

        def change(shelf: Shelf) -> Product | None:
            for item in self.embedded(shop, [product_id]):
                product = revised(item.product, texts)
                if product != item.product:
                    self._write(shelf, [replace(item, product=product)])
                return product
            return None

        return self._settled(shop, lambda: self.shelf(shop), change, 1)

    def delete(self, shop: str, product_ids: Collection[str]) -> int:
        """Delete products and return how many of them were there."""
        there = self.snapshot(shop).index
        ids = [product_id for product_id in dict.fromkeys(product_ids) if product_id in there]
        if ids:
            condition = col("product_id").isin(ids)
            self._settled(
                shop,
                lambda: self.shelf(shop),
                lambda shelf: self._shelves.write(self._shelves.table(shelf.name).delete, condition),
                0,
            )
        return len(ids)

    def reindex(
        self,
        shop: str,
        encoder: ImageEncoder,
        progress: Progress | None = None,
    ) -> None:
        """Embed all pictures of a shop anew by another encoder: see `reindexing.reindex`."""
        if shelf := self.shelf(shop):
            reindex(self._shelves, shelf, encoder, progress)

    def optimize(self, shop: str | None = None) -> None:
        """Compact the files of a shop, or of all, bring its indices up to date, and drop versions ten minutes old.

        Writes see to it from time to time.
        """
        for name in (shop,) if shop is not None else self.shops():
            self._loose.pop(name, None)
            if shelf := self.shelf(name):
                self._shelves.write(self._shelves.table(shelf.name).optimize, cleanup_older_than=_KEEP_VERSIONS)

    # ---- reading -------------------------------------------------------------------------------------------------

    def products(
        self,
        shop: str,
        *,
        q: str = "",
        category: str = "",
        brand: str = "",
        availability: str = "",
        ids: Collection[str] | None = None,
        but: Collection[str] = (),
        after: str = "",
        limit: int = 50,
    ) -> Page:
        """Return a page of the products that fit, in order of title; see `Wanted` for what fits.

        after: `Page.next` of the page before. limit: at most 1,000. Raises StoreError for a page that never was.
        """
        wanted = Wanted(q, category, brand, availability, ids, but)
        snapshot = self.snapshot(shop)
        places, total, following = snapshot.page(wanted, after, min(max(1, limit), MAX_PAGE))
        return Page(self._complete(shop, [snapshot.ids[place] for place in places]), total, following)

    def get(self, shop: str, product_id: str) -> Product | None:
        """Return a product, or None."""
        return next(iter(self._complete(shop, [product_id])), None)

    def embedded(self, shop: str, product_ids: Collection[str]) -> tuple[Embedded, ...]:
        """Return those of the products that are there with their vectors and pictures, in the order asked for."""
        columns = (*LIGHT, "description", "vector", "picture")
        found = self._ask(shop, lambda table: to_embedded(read_rows(table, list(product_ids), columns)))
        items = {item.product.product_id: item for item in found}
        return tuple(items[product_id] for product_id in dict.fromkeys(product_ids) if product_id in items)

    def picture(self, shop: str, product_id: str, position: int = 0) -> bytes:
        """Return a picture of a product as a JPEG file; raises StoreError where there is none."""
        columns = ("product_id", "position", "picture")
        pictures = self._ask(shop, lambda table: read_rows(table, [product_id], columns)["picture"].to_pylist())
        if not 0 <= position < len(pictures):
            raise StoreError(f"{shown(product_id)} has no picture {position} in the shop {shop}; look up its images")
        return bytes(pictures[position])

    def search(
        self,
        shop: str,
        *,
        vector: Floats | None = None,
        fingerprint: str = "",
        text: str = "",
        category: str = "",
        brand: str = "",
        availability: str = "",
        k: int = 10,
    ) -> list[Hit]:
        """Return the k products that fit a unit vector, words, or both, and all filters, best first.

        vector: float32 (D,), made by the encoder `fingerprint`; the score is the cosine similarity of the picture most
        like it. text: words; the score is BM25 over titles, brands and categories. Both: their ranks are fused (Cormack
        et al. 2009). Raises WeightsError where the shop's vectors are of another encoder.
        """
        wanted = Wanted("", category, brand, availability)
        depth = k if vector is None or not text.strip() else max(100, 4 * k)
        ranked = []
        if vector is not None:
            self.check(shop, fingerprint)
            ranked.append(self._nearest(shop, vector, wanted, depth))
        if text.strip():
            found = self._ask(shop, lambda table: worded(table, text, wanted, depth))
            ranked.append([Hit(*pair) for pair in found])
        return ranked[0] if len(ranked) == 1 else _fuse(ranked)[:k]

    def gallery(self, shop: str, fingerprint: str, *, picture_bytes: int = 1 << 30) -> Gallery:
        """Return a shop as one exact matrix in memory, the same as `build_gallery` makes of its feed.

        fingerprint: of the encoder whose vectors will be searched for. picture_bytes: as in `build_gallery`. Raises
        WeightsError where the shop was embedded by another, FeedError while it holds no products.
        """
        return self.on_air(shop, fingerprint, picture_bytes=picture_bytes).gallery

    def on_air(self, shop: str, fingerprint: str, *, picture_bytes: int = 1 << 30) -> ShopOnAir:
        """Return the gallery of a shop in a form that follows its changes; raises as `gallery` does.

        All that ask for the same shop share its memory.
        """
        key = (check_shop(shop), fingerprint, picture_bytes)
        with self._lock:
            galleries = self._galleries.get(key)
            if galleries is None:
                galleries = self._galleries[key] = Galleries(self, *key)
        return ShopOnAir(galleries)

    def descriptions(self, shop: str) -> dict[str, str]:
        """Return what the products say at length, by product; those that say nothing are left out."""
        return dict(self._ask(shop, read_descriptions))

    def thumbnails(self, shop: str, stamps: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Yield the pictures of rows by their stamps in any order, as JPEG files; rows that are gone are left out."""
        shelf = self.shelf(shop)
        return iter(()) if shelf is None else read_pictures(self._shelves.table(shelf.name), stamps)

    def snapshot(self, shop: str, *, vectors: bool = False, whole: bool = False) -> Snapshot:
        """Return a shop as it is now; empty for a shop that is not there.

        vectors: whether they are wanted, too; whole: even if they take more memory than this store may have.
        """
        return self._shelves.read(lambda: self._snapshots.get(check_shop(shop), vectors=vectors, whole=whole))

    # ---- the parts -----------------------------------------------------------------------------------------------

    def _open_shelf(self, shop: str, fingerprint: str, dim: int) -> Shelf:
        self.check(shop, fingerprint)
        if shelf := self.shelf(shop):
            if shelf.dim != dim:
                raise RecordError(f"the vectors have {dim} numbers, those of the shop {shop} have {shelf.dim}")
            return shelf
        dropped = self._shelves.every().get(shop)
        generation = dropped.generation + 1 if dropped else 1
        shelf = Shelf(shop, generation, f"{shop}.{generation}", fingerprint, dim)
        self._shelves.make_table(shelf.name, schema(dim))
        self._shelves.put(shelf)
        return shelf

    def _settled(
        self, shop: str, place: Callable[[], Shelf | None], write: Callable[[Shelf], T], rows: int
    ) -> T | None:
        """Write where a shop is, again if it moved to another table meanwhile; None where it holds nothing."""
        while shelf := place():
            done = write(shelf)
            if self.shelf(shop) in (shelf, None):
                self._tidy(shop, rows)
                return done
        return None

    def _tidy(self, shop: str, rows: int) -> None:
        """From time to time, seldom in a large shop: index the rows that were written, and join small files.

        Joining writes all rows anew, pictures and all; the work of both stays in proportion to what was written.
        """
        writes, loose = self._loose.get(shop, (0, 0))
        self._loose[shop] = (writes + 1, loose + rows)
        shelf, total = self.shelf(shop), self.snapshot(shop).rows.num_rows
        with suppress(StoreError):  # the write is done; the next one tries again
            if writes + 1 >= max(_MOST_WRITES, total // 500):
                self.optimize(shop)
            elif shelf is not None and loose + rows >= max(_MOST_ROWS, total // 8):
                self._shelves.index(shelf.name)
                self._loose[shop] = (writes + 1, 0)

    def _write(self, shelf: Shelf, items: Sequence[Embedded]) -> None:
        snapshot = self.snapshot(shelf.shop)
        taken = np.asarray(snapshot.products["place"], np.int64)
        known = snapshot.index
        end = int(taken.max(initial=-1)) + 1
        ids = [item.product.product_id for item in items]
        places = [int(taken[known[each]]) if each in known else end + i for i, each in enumerate(ids)]
        rows = to_table(items, places, shelf.dim)
        merge = (
            self._shelves.table(shelf.name).merge_insert(KEY).when_matched_update_all().when_not_matched_insert_all()
        )
        pictures = np.diff(snapshot.starts, append=snapshot.rows.num_rows)
        if any(
            each in known and pictures[known[each]] > len(item.vectors) for each, item in zip(ids, items, strict=True)
        ):
            # Their last pictures go in the same step. It reads the whole table, so that only who needs it pays for it.
            merge = merge.when_not_matched_by_source_delete(col("product_id").isin(ids))
        self._shelves.write(merge.execute, rows)

    def _ask(self, shop: str, question: Callable[[Any], Sequence[T]]) -> Sequence[T]:
        """Return what a shop's table answers, nothing where there is none."""

        def ask() -> Sequence[T]:
            shelf = self.shelf(shop)
            return question(self._shelves.table(shelf.name)) if shelf else ()

        return self._shelves.read(ask)

    def _complete(self, shop: str, ids: Sequence[str]) -> tuple[Product, ...]:
        """Return products with all that they say, in the order of their ids."""
        found = self._ask(shop, lambda table: to_products(read_rows(table, ids, (*LIGHT, "description"))))
        products = {product.product_id: product for product in found}
        return tuple(products[each] for each in ids if each in products)

    def _nearest(self, shop: str, vector: Floats, wanted: Wanted, k: int) -> list[Hit]:
        snapshot = self.snapshot(shop, vectors=True)
        if snapshot.vectors is None and len(snapshot):
            return [Hit(*pair) for pair in self._ask(shop, lambda table: nearest(table, vector, wanted, k))]
        return [Hit(snapshot.ids[i], score) for i, score in snapshot.nearest(vector, wanted, k)]


def _fuse(ranked: Sequence[Sequence[Hit]]) -> list[Hit]:
    """Return the hits of several searches by the sum of 1 / (60 + rank), the best first."""
    scores: dict[str, float] = {}
    for hits in ranked:
        for rank, hit in enumerate(hits, 1):
            scores[hit.product_id] = scores.get(hit.product_id, 0.0) + 1.0 / (_RRF + rank)
    return sorted((Hit(*pair) for pair in scores.items()), key=lambda hit: -hit.score)
