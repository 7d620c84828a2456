"""The snapshots of a store's shops, each taken anew when its shop has changed, within a bound of memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace

from shopcue.catalog.queries import with_vectors
from shopcue.catalog.rows import LIGHT, schema
from shopcue.catalog.shelves import Shelf, Shelves
from shopcue.catalog.snapshot import Snapshot

_GENERATION_BITS = 32  # of a version, above which the generation of its table stands
_MOST = 1_000  # shops that are remembered


class Snapshots:
    """What is in memory of each shop. May be used by many threads.

    vector_bytes: how much the vectors of all shops together may take; those that were asked for last are kept.
    """

    def __init__(self, shelves: Shelves, vector_bytes: int) -> None:
        self._shelves = shelves
        self._vector_bytes = vector_bytes
        self._lock = threading.Lock()
        self._busy: dict[str, threading.Lock] = {}
        self._held: OrderedDict[str, Snapshot] = OrderedDict()

    def version(self, shop: str) -> int:
        """Return a number that grows at every change of a shop, 0 for one that never was."""
        shelf = self._shelves.every().get(shop)
        if shelf is None:
            return 0
        version = self._shelves.table(shelf.name).version if shelf.name else 0
        return (shelf.generation << _GENERATION_BITS) + int(version)

    def get(self, shop: str, *, vectors: bool = False, whole: bool = False) -> Snapshot:
        """Return a shop as it is now; empty for one that is not there.

        vectors: whether they are wanted, too; whole: even if they take more than `vector_bytes`. Raises RuntimeError
        for a shop that changes while it is read: ask again.
        """
        with self._lock:
            busy = self._busy.setdefault(shop, threading.Lock())
        with busy:  # one thread reads what all wait for
            version, shelf = self.version(shop), self._shelves.every().get(shop)
            if shelf is None or not shelf.name:
                self._held.pop(shop, None)
                return Snapshot.of(version, schema(1).empty_table())
            snapshot = self._refreshed(version, shelf)
            fits = whole or snapshot.rows.num_rows * shelf.dim * 4 <= self._vector_bytes
            if vectors and snapshot.vectors is None and fits:
                snapshot = with_vectors(self._shelves.table(shelf.name), snapshot, shelf.dim)
            self._keep(shop, snapshot)
            return snapshot

    def _refreshed(self, version: int, shelf: Shelf) -> Snapshot:
        """Return a shop at its version, with its vectors if they were known."""
        known = self._held.get(shelf.shop)
        if known is not None and known.version == version:
            return known
        table = self._shelves.table(shelf.name)
        snapshot = Snapshot.of(version, table.search().select(list(LIGHT)).to_arrow())
        same_table = known is not None and known.version >> _GENERATION_BITS == shelf.generation
        if known is None or known.vectors is None or not same_table:
            return snapshot
        return with_vectors(table, snapshot, shelf.dim, known)

    def _keep(self, shop: str, snapshot: Snapshot) -> None:
        """Remember a snapshot, and forget the vectors of those that were not asked for the longest."""
        with self._lock:
            self._held[shop] = snapshot
            self._held.move_to_end(shop)
            bytes_held = sum(0 if each.vectors is None else each.vectors.nbytes for each in self._held.values())
            for name, each in list(self._held.items())[:-1]:
                if bytes_held > self._vector_bytes and each.vectors is not None:
                    bytes_held -= each.vectors.nbytes
                    self._held[name] = replace(each, vectors=None)
            while len(self._held) > _MOST:
                self._held.popitem(last=False)
