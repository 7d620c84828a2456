"""Which products of a shop a photo shows: the same search as `shopcue search`, on the shops of a running server."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from shopcue.catalog.onair import Galleries
from shopcue.catalog.pictures import decode_picture
from shopcue.records import Gallery
from shopcue.server.problems import TooMany
from shopcue.server.services import Services
from shopcue.settings import Models, Settings

if TYPE_CHECKING:
    from shopcue.looking import Examiner
    from shopcue.methods import Method

_PATIENCE_S: Final = 30.0
_MOST_SHOPS: Final = 4
_PICTURE_BYTES: Final = 256 << 20


@dataclass(slots=True)
class _Shelf:
    """A shop that was searched lately, as it was then, and what looks for its products."""

    galleries: Galleries
    gallery: Gallery | None = None
    examiner: Examiner | None = None


class PhotoSearch:
    """Searches by photo, one at a time; the networks are loaded with the first one."""

    def __init__(self, parts: Services) -> None:
        self._parts = parts
        self._settings = Settings(models=Models(threads=1))
        self._turn = threading.Lock()
        self._shelves: OrderedDict[str, _Shelf] = OrderedDict()

    def search(self, shop: str, data: bytes, k: int) -> list[tuple[str, float]]:
        """Return the k products that a photo most likely shows: (product id, probability), the best first.

        data: a picture as a file. Raises MediaError for one that cannot be read, WeightsError for a shop that another
        encoder embedded, TooMany if others are searching for too long.
        """
        photo = decode_picture(data, "the photo").image
        with self._my_turn():
            if not len(self._parts.store.snapshot(shop)):
                return []
            return self._method.search(self._examiner(shop), photo, k)

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=_PATIENCE_S):
            raise TooMany("many photos are being searched for; try again later", _PATIENCE_S)
        try:
            yield
        finally:
            self._turn.release()

    @cached_property
    def _method(self) -> Method:
        from shopcue.methods import open_method

        return open_method("two-stage", self._settings)

    def _examiner(self, shop: str) -> Examiner:
        """Return what looks for the products of a shop as it is now; made anew only if the shop has changed."""
        method = self._method
        shelf = self._shelves.get(shop)
        if shelf is None:
            shelf = self._shelves[shop] = _Shelf(
                Galleries(self._parts.store, shop, method.encoder.fingerprint, _PICTURE_BYTES // _MOST_SHOPS)
            )
        self._shelves.move_to_end(shop)
        while len(self._shelves) > _MOST_SHOPS:
            self._shelves.popitem(last=False)
        gallery = shelf.galleries.current()
        if shelf.examiner is None or gallery is not shelf.gallery:
            shelf.examiner, shelf.gallery = method.examiner(gallery), gallery
        return shelf.examiner
