"""Which table of a store holds which shop: the plumbing between a catalogue and LanceDB.

Nothing here knows products. Several processes use one store at once: a write that meets another is tried again, and a
read whose files were swept away under it is read again.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import lancedb
import pyarrow as pa
from lancedb.index import FTS, Bitmap, BTree

from shopcue.catalog.feeds import shown
from shopcue.errors import StoreError, StoreUnavailable

T = TypeVar("T")
P = ParamSpec("P")


def key_field(name: str) -> pa.Field:
    """Return the column that names the rows of a table: of two writers that add one at once, the later replaces it."""
    return pa.field(name, pa.string(), nullable=False, metadata={"lance-schema:unenforced-primary-key": "true"})


_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_SHOPS = "shops"
_SHOPS_SCHEMA = pa.schema(
    [key_field("shop"), ("generation", pa.int64()), ("name", pa.string()), ("fingerprint", pa.string()),
     ("dim", pa.int32()), ("changed_at", pa.float64())]
)  # fmt: skip
_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
_INDEX_CACHE_BYTES, _METADATA_CACHE_BYTES = 128 << 20, 64 << 20  # of one process
_CONFLICT = re.compile(r"conflict|concurrent|retry|contention", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Shelf:
    """Which table holds a shop, and which encoder made its vectors of `dim` numbers.

    generation: grows whenever the shop moves to another table. name: empty after the shop was dropped.
    """

    shop: str
    generation: int
    name: str
    fingerprint: str
    dim: int


class Shelves:
    """The tables of one store and the list of its shops. May be used by many threads.

    uri: a folder or an address such as s3://bucket/prefix. storage_options: keys and addresses of the object storage;
    what is not given comes from the environment. create: whether a folder that is not there is made. Raises StoreError.
    """

    def __init__(self, uri: str, storage_options: Mapping[str, str] | None = None, *, create: bool = True) -> None:
        if not create and "://" not in uri and not Path(uri, f"{_SHOPS}.lance").is_dir():
            raise StoreError(f"{shown(uri)} is no catalogue store; give the one that `shopcue catalog import` filled")
        self.uri = uri
        self._lock = threading.Lock()
        self._tables: dict[str, Any] = {}
        self._known: tuple[int, dict[str, Shelf]] = (-1, {})
        with self._blamed():
            # The interval of nothing makes every read look for a newer version first.
            self._connection: Any = lancedb.connect(
                uri,
                read_consistency_interval=timedelta(0),
                storage_options=dict(storage_options or {}) or None,
                session=lancedb.Session(_INDEX_CACHE_BYTES, _METADATA_CACHE_BYTES),
            )
            self._shops = self._connection.create_table(_SHOPS, schema=_SHOPS_SCHEMA, exist_ok=True)

    def every(self) -> dict[str, Shelf]:
        """Return the shelves of all shops by name, the dropped ones too."""
        version = self._shops.version
        known_version, shelves = self._known
        if version != known_version:
            rows = self._shops.search().to_arrow().to_pylist()
            rows.sort(key=lambda row: row["generation"])
            shelves = {row["shop"]: Shelf(*(row[name] for name in Shelf.__slots__)) for row in rows}
            self._known = (version, shelves)
        return shelves

    def put(self, shelf: Shelf) -> None:
        """Write down where a shop is from now on."""
        row = {name: [getattr(shelf, name)] for name in Shelf.__slots__} | {"changed_at": [time.time()]}
        rows = pa.table(row, schema=_SHOPS_SCHEMA)
        merge = self._shops.merge_insert("shop").when_matched_update_all().when_not_matched_insert_all()
        self.write(merge.execute, rows)

    def table(self, name: str) -> Any:
        """Return an open table."""
        with self._lock:
            if name not in self._tables:
                self._tables[name] = self._connection.open_table(name)
            return self._tables[name]

    def make_table(self, name: str, schema: pa.Schema) -> Any:
        """Return a table with its indices, made if it is not there."""

        def make() -> Any:
            table = self._connection.create_table(name, schema=schema, exist_ok=True)
            indexed = {column for index in table.list_indices() for column in index.columns}
            if not indexed >= _indices().keys():
                _index(table)
            return table

        with self._lock:
            self._tables[name] = self.write(make)
            return self._tables[name]

    def index(self, name: str) -> None:
        """Index all rows of a table anew; unlike `optimize`, this moves no rows."""
        self.write(_index, self.table(name))

    def drop_tables(self, shop: str, *, but: str = "") -> None:
        """Delete the tables of a shop and their files, left-overs of broken off work among them; all but one."""
        with self._blamed():
            names = [name for name in self._names() if name.startswith(f"{shop}.") and name != but]
            for name in names:
                with self._lock:
                    self._tables.pop(name, None)
                self._connection.drop_table(name, ignore_missing=True)

    def _names(self) -> list[str]:
        page = self._connection.list_tables()
        names = list(page.tables)
        while page.page_token:
            page = self._connection.list_tables(page_token=page.page_token)
            names += page.tables
        return names

    def write(self, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Do a write, again while other writers are in its way. Raises StoreError."""
        for pause_s in _PAUSES_S:
            try:
                return work(*arguments, **options)
            except (OSError, RuntimeError, ValueError) as error:
                if not _CONFLICT.search(str(error)):
                    break
            time.sleep(pause_s)
        with self._blamed():
            return work(*arguments, **options)

    def read(self, work: Callable[[], T]) -> T:
        """Do a read, again where tables were moved or swept away under it. Raises StoreError."""
        for _ in range(2):
            try:
                return work()
            except (OSError, RuntimeError, ValueError):
                self._forget()
        with self._blamed():
            return work()

    def _forget(self) -> None:
        with self._lock:
            self._tables.clear()
            self._known = (-1, {})

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """Turn what LanceDB raises into one line."""
        try:
            yield
        except (OSError, RuntimeError, ValueError) as error:
            reason = shown(str(error).partition("\n")[0], 300)
            raise StoreUnavailable(
                f"the store {shown(self.uri)} cannot be used: {reason}; check its address and rights"
            ) from error


def check_shop(shop: str) -> str:
    """Return the name of a shop; raises StoreError unless it is one: small letters, digits and hyphens, at most 63."""
    if not _SLUG.fullmatch(shop):
        raise StoreError(f"the shop is {shown(shop)!r}, expected up to 63 of a-z, 0-9 and hyphens, such as my-shop")
    return shop


def _indices() -> dict[str, Any]:
    """Return what is searched by an index, and by which: words that were cut beforehand, ids, and filters."""
    words = FTS(base_tokenizer="whitespace", stem=True, remove_stop_words=False)
    return {"text": words, "product_id": BTree(), "brand": Bitmap(), "availability": Bitmap()}


def _index(table: Any) -> None:
    for column, config in _indices().items():
        table.create_index(column, config=config, replace=True)
