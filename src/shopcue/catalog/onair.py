"""A shop of a store as one exact gallery in memory, which follows every change of the shop."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from shopcue.catalog.exact import picture_side_px
from shopcue.catalog.rows import to_products
from shopcue.catalog.snapshot import Snapshot
from shopcue.catalog.thumbnails import decode_thumbnail
from shopcue.errors import FeedError, StoreError
from shopcue.records import Catalog, Gallery, Image, Indices

if TYPE_CHECKING:
    from shopcue.catalog.store import CatalogStore

_THREADS = 2
_TRIES = 5


class ShopOnAir:
    """The gallery of a shop, which its holder takes anew when the shop has changed.

    gallery: as it was when it was last looked at, in the order in which its products came.
    """

    def __init__(self, galleries: Galleries) -> None:
        self._galleries = galleries
        self.gallery = galleries.current()

    def refresh(self) -> bool:
        """Look whether the shop has changed, cheap while it has not; True: `gallery` is another now.

        Raises WeightsError, FeedError or StoreError as `Galleries.current` does; the gallery then stays as it was.
        """
        latest = self._galleries.current()
        changed = latest is not self.gallery
        self.gallery = latest
        return changed


class Galleries:
    """Makes the gallery of one shop, one for all who hold it, and makes it anew when the shop has changed.

    What has not changed is not read again. fingerprint: of the encoder whose vectors will be searched for.
    picture_bytes: as in `build_gallery`; 0 keeps no pictures. May be used by many threads.
    """

    def __init__(self, store: CatalogStore, shop: str, fingerprint: str, picture_bytes: int) -> None:
        self.shop = shop
        self._store = store
        self._fingerprint = fingerprint
        self._picture_bytes = picture_bytes
        self._lock = threading.Lock()
        self._version = -1
        self._gallery: Gallery | None = None
        self._stamps: Indices = np.empty(0, np.int64)
        self._side_px = 0
        self._pictures: dict[int, Image] = {}  # by the stamps of their rows

    def current(self) -> Gallery:
        """Return the gallery of the shop as it is now: the same object while nothing has changed.

        Raises WeightsError where the shop was embedded by another encoder, FeedError while it holds no products.
        """
        with self._lock:
            for _ in range(_TRIES):
                if self._gallery is not None and self._store.version(self.shop) == self._version:
                    return self._gallery
                if (gallery := self._read()) is not None:
                    return gallery
        raise StoreError(f"the shop {self.shop} changes faster than it can be read; try again when it is at rest")

    def _read(self) -> Gallery | None:
        """Return the gallery of the shop, None if that changed again while it was read."""
        self._store.check(self.shop, self._fingerprint)
        snapshot = self._store.snapshot(self.shop, vectors=True, whole=True)
        if not len(snapshot):
            raise FeedError(f"the shop {self.shop} holds no products; import a feed: shopcue catalog import")
        gallery = self._gallery
        if gallery is None or not np.array_equal(snapshot.stamps, self._stamps):
            gallery = self._make_gallery(snapshot)
        if gallery is not None:
            self._gallery, self._stamps, self._version = gallery, snapshot.stamps, snapshot.version
        return gallery

    def _make_gallery(self, snapshot: Snapshot) -> Gallery | None:
        said = self._store.descriptions(self.shop)
        products = [replace(each, description=said.get(each.product_id, "")) for each in to_products(snapshot.rows)]
        pictures = self._read_pictures(snapshot.stamps.tolist())
        if pictures is None or snapshot.vectors is None:
            return None
        return Gallery(Catalog(tuple(products)), snapshot.vectors, snapshot.owner, self._fingerprint, pictures)

    def _read_pictures(self, stamps: Sequence[int]) -> tuple[Image, ...] | None:
        """Return the pictures of rows, read and decoded where they are new; None where some are gone."""
        side_px = picture_side_px(len(stamps), self._picture_bytes)
        if not side_px:
            self._pictures = {}
            return ()
        kept = self._pictures if side_px == self._side_px else {}
        fresh = self._store.thumbnails(self.shop, [stamp for stamp in stamps if stamp not in kept])
        with ThreadPoolExecutor(_THREADS, "thumbnail") as pool:
            decoded = dict(pool.map(lambda pair: (pair[0], decode_thumbnail(pair[1], side_px)), fresh))
        found = {stamp: kept[stamp] if stamp in kept else decoded.get(stamp) for stamp in stamps}
        self._pictures = {stamp: image for stamp, image in found.items() if image is not None}
        self._side_px = side_px
        return tuple(self._pictures.values()) if len(self._pictures) == len(stamps) else None
