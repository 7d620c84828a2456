"""A feed -> a shop of a store: products are there for all as soon as they are embedded, and nothing is made twice.

An item is reported once its product is written for good, so that what was broken off at any point is done again without
loss: the second time, pictures whose files are the same are neither decoded nor embedded. Pictures whose host does not
answer are tried again after all others.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256

import numpy as np

from shopcue.catalog.cache import EmbeddingCache, Key
from shopcue.catalog.exact import (
    BATCH,
    Progress,
    embed_images,
    in_batches,
    judge_pictures,
    load_ahead,
    pixels_name,
)  # fmt: skip
from shopcue.catalog.feeds import Feed, ItemReport
from shopcue.catalog.fetch import Fetcher, Unreachable
from shopcue.catalog.pictures import decode_picture, load_bytes, picture_name
from shopcue.catalog.rows import Embedded, text_digest
from shopcue.catalog.snapshot import Snapshot
from shopcue.catalog.store import CatalogStore
from shopcue.catalog.thumbnails import encode_thumbnail
from shopcue.errors import ShopcueError, StoreError
from shopcue.models.image import ImageEncoder, trim_margins
from shopcue.records import Floats, Image, Product

COMMIT_PICTURES = 500
COMMIT_S = 3.0
RETRY_PAUSES_S = (2.0, 10.0, 30.0)
_PREPARATION = "1"  # another number when pictures are prepared in another way: then all are made again


@dataclass(frozen=True, slots=True)
class _Stored:
    """What a shop has of a product: a name for its texts, and its references and contents, picture by picture."""

    digest: str
    images: tuple[str, ...]
    contents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Loaded:
    """One picture of a product: new (image, thumbnail), as the store has it (content alone), or why it cannot be used.

    later: a problem that may pass.
    """

    product: int
    reference: str
    content: str = ""
    image: Image | None = None
    thumbnail: bytes = b""
    problem: str = ""
    later: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    """One picture that a product will have; without a vector where the store has it."""

    reference: str
    content: str
    vector: Floats | None = None
    thumbnail: bytes = b""


@dataclass(slots=True)
class _Item:
    """What the pictures of one product have become so far. kept: why some are those of an earlier import."""

    product: int
    looked_at: int = 0
    parts: list[_Part] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    later: bool = False


def ingest(
    store: CatalogStore,
    shop: str,
    feed: Feed,
    encoder: ImageEncoder,
    *,
    delete_missing: bool = False,
    fetcher: Fetcher | None = None,
    cache: EmbeddingCache | None = None,
    progress: Progress | None = None,
    threads: int = 4,
    retry_pauses_s: Sequence[float] = RETRY_PAUSES_S,
) -> Iterator[ItemReport]:
    """Write the products of a feed into a shop, and yield the report line of each item once its product is written.

    Products that are in the shop are replaced, and left alone where their texts and the files of their pictures are the
    same; a product of whose pictures none can be used is refused, and one in the shop stays as it was. delete_missing:
    at the end delete those that the feed does not name. progress: told how many pictures are done, and of how many;
    what it raises ends the import, and what was reported stays. Raises WeightsError where the shop was embedded by
    another encoder.
    """
    store.check(shop, encoder.fingerprint)
    run = _Import(store, shop, feed, encoder, cache or EmbeddingCache(None), fetcher, progress, threads)
    yield from (line for line in feed.report if line.status == "refused")
    waiting: Sequence[int] = range(len(feed.products))
    for pause_s in (*retry_pauses_s, None):
        deferred: list[int] = []
        yield from run.write(waiting, None if pause_s is None else deferred)
        waiting = deferred
        if not waiting or pause_s is None:
            break
        run.wait(pause_s)
    if delete_missing:
        store.delete(shop, run.known.keys() - {line.product_id for line in feed.report})
    run.optimize()


class _Import:
    """The work of one import. known: what the shop has of each product."""

    def __init__(
        self,
        store: CatalogStore,
        shop: str,
        feed: Feed,
        encoder: ImageEncoder,
        cache: EmbeddingCache,
        fetcher: Fetcher | None,
        progress: Progress | None,
        threads: int,
    ) -> None:
        self.known = _stored(store.snapshot(shop))
        self._store, self._shop, self._feed, self._encoder = store, shop, feed, encoder
        self._cache, self._fetcher, self._progress, self._threads = cache, fetcher, progress, threads
        self._lines = {line.product_id: line for line in feed.report}
        self._total = sum(len(product.images) for product in feed.products)
        self._done = 0
        self._written = False

    def write(self, products: Iterable[int], deferred: list[int] | None) -> Iterator[ItemReport]:
        """Write products of the feed, a few hundred at a time, and yield their report lines.

        deferred: takes those with a picture that may be there later; None: they do without it.
        """
        pending: list[_Item] = []
        begun_s, pictures = time.monotonic(), 0
        for item in self._items(products):
            if item.later and deferred is not None:
                deferred.append(item.product)
                continue
            pending.append(item)
            pictures += len(item.parts)
            if pictures >= COMMIT_PICTURES or time.monotonic() - begun_s > COMMIT_S:
                yield from self._commit(pending)
                pending, begun_s, pictures = [], time.monotonic(), 0
        yield from self._commit(pending)

    def wait(self, pause_s: float) -> None:
        """Do nothing for a while, but listen."""
        until_s = time.monotonic() + pause_s
        while (left_s := until_s - time.monotonic()) > 0:
            self._tell()
            time.sleep(min(left_s, 0.2))

    def optimize(self) -> None:
        """Bring the files of the shop in order, if any were written; the import does not depend on it."""
        if self._written:
            with suppress(StoreError):
                self._store.optimize(self._shop)

    # ---- pictures ------------------------------------------------------------------------------------------------

    def _items(self, products: Iterable[int]) -> Iterator[_Item]:
        """Yield products as soon as all their pictures have been looked at."""
        wanted = ((product, reference) for product in products for reference in self._feed.products[product].images)
        item = _Item(-1)
        for batch in in_batches(load_ahead(self._load, wanted, self._threads), BATCH):
            images = {
                (pixels_name(each.image), self._encoder.fingerprint): each.image
                for each in batch
                if each.image is not None
            }
            vectors = embed_images(images, self._encoder, self._cache)
            self._done += len(batch)
            self._tell()
            for each in batch:
                item = item if item.product == each.product else _Item(each.product)
                self._add(item, each, vectors)
                if item.looked_at == len(self._feed.products[item.product].images):
                    yield item

    def _load(self, place: tuple[int, str]) -> _Loaded:
        """Load one picture of a product; nothing is decoded that the store has already."""
        product, reference = place
        stored = self.known.get(self._feed.products[product].product_id)
        try:
            data = load_bytes(reference, self._feed.folder, self._fetcher)
            content = f"{_PREPARATION}-{sha256(data).hexdigest()}"
            if stored is not None and content in stored.contents:
                return _Loaded(product, reference, content)
            image = np.ascontiguousarray(trim_margins(decode_picture(data, picture_name(reference)).image))
        except ShopcueError as error:
            return _Loaded(product, reference, problem=str(error), later=isinstance(error, Unreachable))
        return _Loaded(product, reference, content, image, encode_thumbnail(image))

    def _add(self, item: _Item, loaded: _Loaded, vectors: Mapping[Key, Floats]) -> None:
        item.looked_at += 1
        item.later |= loaded.later
        if loaded.image is not None:
            vector = vectors[pixels_name(loaded.image), self._encoder.fingerprint]
            item.parts.append(_Part(loaded.reference, loaded.content, vector, loaded.thumbnail))
        elif not loaded.problem:
            item.parts.append(_Part(loaded.reference, loaded.content))
        elif loaded.later and (content := self._kept(item.product, loaded.reference)):
            item.parts.append(_Part(loaded.reference, content))
            item.kept.append(loaded.problem)
        else:
            item.problems.append(loaded.problem)

    def _kept(self, product: int, reference: str) -> str:
        """Return what the store has of a picture that cannot be fetched now, empty for nothing."""
        stored = self.known.get(self._feed.products[product].product_id)
        return dict(zip(stored.images, stored.contents, strict=True)).get(reference, "") if stored else ""

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(min(self._done, self._total), self._total)

    # ---- products ------------------------------------------------------------------------------------------------

    def _commit(self, items: Sequence[_Item]) -> Iterator[ItemReport]:
        """Write what has changed of some products in one step, then yield the lines of all."""
        changed = [item for item in items if item.parts and self._changed(item)]
        if changed:
            self._store.upsert(self._shop, self._embedded(changed), self._encoder.fingerprint)
            self._written = True
        yield from map(self._line, items)

    def _changed(self, item: _Item) -> bool:
        product = self._product(item)
        contents = tuple(part.content for part in item.parts)
        return self.known.get(product.product_id) != _Stored(text_digest(product), product.images, contents)

    def _embedded(self, items: Sequence[_Item]) -> list[Embedded]:
        """Return products with their vectors, those of old pictures from the store."""
        old = [self._product(item).product_id for item in items if any(part.vector is None for part in item.parts)]
        known = {
            (found.product.product_id, content): _Part("", content, vector, thumbnail)
            for found in self._store.embedded(self._shop, old)
            for content, vector, thumbnail in zip(found.contents, found.vectors, found.pictures, strict=True)
        }
        made = []
        for item in items:
            product = self._product(item)
            key = product.product_id
            parts = [part if part.vector is not None else known.get((key, part.content), part) for part in item.parts]
            vectors = [part.vector for part in parts if part.vector is not None]
            if len(vectors) < len(parts):
                raise StoreError(f"{key} was changed by somebody else while it was imported; import the feed again")
            pictures, contents = tuple(part.thumbnail for part in parts), tuple(part.content for part in parts)
            made.append(Embedded(product, np.stack(vectors), pictures, contents))
        return made

    def _product(self, item: _Item) -> Product:
        return replace(self._feed.products[item.product], images=tuple(part.reference for part in item.parts))

    def _line(self, item: _Item) -> ItemReport:
        product = self._feed.products[item.product]
        line = judge_pictures(
            self._lines[product.product_id], len(product.images), item.problems, usable=bool(item.parts)
        )
        if item.kept:
            note = f"{len(item.kept)} pictures of an earlier import stay in use: {item.kept[0]}"
            return replace(line, status="partial", reason="; ".join(filter(None, (line.reason, note))))
        if not item.parts and product.product_id in self.known:
            return replace(line, reason=f"{line.reason}; the product stays as it was")
        return line


def _stored(snapshot: Snapshot) -> dict[str, _Stored]:
    """Return what a shop has of each of its products."""
    images, contents = snapshot.rows["image"].to_pylist(), snapshot.rows["content"].to_pylist()
    digests, starts = snapshot.products["digest"].to_pylist(), snapshot.starts.tolist()
    ends = [*starts[1:], len(images)][: len(starts)]
    return {
        product_id: _Stored(digest, tuple(images[start:end]), tuple(contents[start:end]))
        for product_id, digest, start, end in zip(snapshot.ids, digests, starts, ends, strict=True)
    }
