"""Catalogue stores from the command line and from programs: feeds in, lists out, shops that are searched.

Needs the extra `store`. A store is a folder or an address such as s3://bucket/prefix, and holds many shops.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shopcue.catalog.archives import is_archive, unpack
from shopcue.catalog.cache import DownloadCache, EmbeddingCache
from shopcue.catalog.exact import Progress
from shopcue.catalog.feeds import ItemReport, first_reasons, read_feed, shown
from shopcue.catalog.fetch import HttpFetcher
from shopcue.errors import FeedError, SettingsError, StoreError
from shopcue.methods import make_encoder
from shopcue.models.image import ImageEncoder
from shopcue.records import Product
from shopcue.settings import Models

if TYPE_CHECKING:
    from shopcue.catalog.onair import ShopOnAir
    from shopcue.catalog.store import CatalogStore

Update = Callable[[str, float, float], None]
Note = Callable[[str], None]

_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class StoredShop:
    """A shop of a store: its name, how many products and pictures it has, and the encoder that embedded them."""

    shop: str
    products: int
    pictures: int
    encoder: str


def import_feed(
    feed: str | Path,
    store: str,
    shop: str,
    *,
    delete_missing: bool = False,
    models: Models | None = None,
    update: Update | None = None,
    note: Note | None = None,
) -> Iterator[ItemReport]:
    """Bring a feed, or a zip archive of one with its pictures, into a shop of a store, which is made if need be.

    Yields the report line of each item once it is written. delete_missing: at the end delete the products that the feed
    does not name. Raises a ShopcueError for bad input, and FeedError at the end if no product of the feed can be used.
    """
    with tempfile.TemporaryDirectory(prefix="shopcue-feed-") as folder:
        path = Path(feed)
        if path.is_file() and is_archive(path):
            path = unpack(path, Path(folder) / path.stem)
        read = read_feed(path)
        encoder = make_encoder(models or Models())
        opened = _open(store, shop, create=True)
        with closing(EmbeddingCache.default()) as vectors, closing(DownloadCache.default()) as downloads:
            from shopcue.catalog.ingest import ingest

            refused: list[ItemReport] = []
            used = 0
            for line in ingest(
                opened,
                shop,
                read,
                encoder,
                delete_missing=delete_missing,
                fetcher=HttpFetcher(cache=downloads),
                cache=vectors,
                progress=_progress(update),
            ):
                used += line.status != "refused"
                refused += [line] if line.status == "refused" and len(refused) < 10 else []
                yield line
            for trouble in filter(None, (vectors.trouble, downloads.trouble)):
                if note is not None:
                    note(trouble)
    if not used:
        raise FeedError(f"the feed has no product with a usable picture: {first_reasons(refused)}")


def list_shops(store: str) -> list[StoredShop]:
    """Return the shops of a store, by name; raises StoreError."""
    opened = _open(store)
    found = []
    for shop in opened.shops():
        shelf, snapshot = opened.shelf(shop), opened.snapshot(shop)
        if shelf is not None:
            found.append(StoredShop(shop, len(snapshot), snapshot.rows.num_rows, shelf.fingerprint))
    return found


def list_products(
    store: str, shop: str, *, q: str = "", category: str = "", brand: str = "", availability: str = ""
) -> Iterator[Product]:
    """Yield the products of a shop that fit, by title: see `catalog.snapshot.Wanted`. Raises StoreError."""
    opened = _open_shop(store, shop)
    after = ""
    while True:
        filters = {"q": q, "category": category, "brand": brand, "availability": availability}
        page = opened.products(shop, **filters, after=after, limit=_PAGE)
        yield from page.products
        after = page.next
        if not after:
            return


def remove_products(store: str, shop: str, product_ids: Sequence[str]) -> int:
    """Delete products and return how many of them were there; raises StoreError."""
    return _open_shop(store, shop).delete(shop, product_ids)


def remove_shop(store: str, shop: str) -> None:
    """Delete a shop and all that is its; raises StoreError."""
    _open_shop(store, shop).drop_shop(shop)


def reindex(store: str, shop: str, *, models: Models | None = None, update: Update | None = None) -> None:
    """Embed all pictures of a shop anew by the encoder of `models`; work that was broken off goes on where it was."""
    _open_shop(store, shop).reindex(shop, make_encoder(models or Models()), _progress(update))


def on_air(store: str, shop: str, encoder: ImageEncoder) -> ShopOnAir:
    """Return the gallery of a shop in a form that follows its changes.

    Raises StoreError for a store or shop that is not there, WeightsError where it was embedded by another encoder.
    """
    return _open_shop(store, shop).on_air(shop, encoder.fingerprint)


def is_store(place: str | Path) -> bool:
    """Tell whether a place is a catalogue store and no feed, by its look alone."""
    return str(place).startswith(("s3://", "gs://", "az://")) or Path(place, "shops.lance").is_dir()


def _open_shop(store: str, shop: str) -> CatalogStore:
    opened = _open(store, shop)
    if opened.shelf(shop) is None:
        there = ", ".join(opened.shops()[:10]) or "none"
        raise StoreError(f"the store {shown(store)} has no shop {shown(shop)!r}; its shops: {there}")
    return opened


def _open(store: str, shop: str | None = None, *, create: bool = False) -> CatalogStore:
    """Open a store; the name of a shop is checked first, before anything is made."""
    try:
        from shopcue.catalog.shelves import check_shop
        from shopcue.catalog.store import open_store
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"a store needs {error.name}, which is not installed: pip install 'shopcue[store]'"
        ) from error
    if shop is not None:
        check_shop(shop)
    return open_store(store, create=create)


def _progress(update: Update | None) -> Progress | None:
    return None if update is None else lambda done, total: update("catalogue", done, total)
