"""A shop of a store as one exact gallery in memory, which follows every change of the shop."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from shopcue.catalog.exact import THUMBNAIL_PX, picture_side_px
from shopcue.catalog.pictures import shrink
from shopcue.catalog.rows import to_products
from shopcue.catalog.snapshot import Snapshot
from shopcue.errors import FeedError, MediaError
from shopcue.records import Catalog, Gallery, Image, Indices

if TYPE_CHECKING:
    from shopcue.catalog.store import CatalogStore

_JPEG_QUALITY = 92
_THREADS = 2


class ShopOnAir:
    """The gallery of a shop, kept as the shop is.

    fingerprint: of the encoder whose vectors will be searched for. picture_bytes: as in `build_gallery`; 0 keeps no
    pictures. Raises WeightsError where the shop was embedded by another, FeedError while it holds no products.
    """

    def __init__(self, store: CatalogStore, shop: str, fingerprint: str, *, picture_bytes: int = 1 << 30) -> None:
        self.shop = shop
        self._store = store
        self._fingerprint = fingerprint
        self._picture_bytes = picture_bytes
        self._version = -1
        self._side_px = 0
        self._stamps: Indices = np.empty(0, np.int64)
        self._pictures: dict[int, Image] = {}  # by the stamps of their rows
        self.refresh()

    @property
    def gallery(self) -> Gallery:
        """The shop as it was when it was last looked at, in the order in which its products came."""
        return self._gallery

    @property
    def version(self) -> int:
        """The version of the shop that `gallery` shows."""
        return self._version

    def refresh(self) -> bool:
        """Look whether the shop has changed, cheap while it has not; True: `gallery` is another now.

        What has not changed is not read again. Raises as the constructor does; the gallery then stays as it was.
        """
        if self._store.version(self.shop) == self._version:
            return False
        self._store.check(self.shop, self._fingerprint)
        snapshot = self._store.snapshot(self.shop, vectors=True, whole=True)
        if not len(snapshot) or snapshot.vectors is None:
            raise FeedError(f"the shop {self.shop} holds no products; import a feed: shopcue catalog import")
        changed = not np.array_equal(snapshot.stamps, self._stamps)
        if changed:
            gallery = self._make_gallery(snapshot)
            if gallery is None:
                return False  # it changed again while it was read; the next look sees that
            self._gallery, self._stamps = gallery, snapshot.stamps
        self._version = snapshot.version
        return changed

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


def encode_thumbnail(image: Image) -> bytes:
    """Return a picture as the JPEG file that a store keeps. RGB uint8 (H, W, 3)."""
    small = cv2.cvtColor(shrink(image, THUMBNAIL_PX), cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))[1])


def decode_thumbnail(data: bytes, side_px: int) -> Image:
    """Return the picture in a file that `encode_thumbnail` made, with sides up to side_px; raises MediaError."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise MediaError("a picture of the store is damaged; import the feed again")
    return shrink(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8), side_px)
