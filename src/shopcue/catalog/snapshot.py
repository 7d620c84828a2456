"""One shop of a store as it was at one moment, in memory: exact lists and searches without a read.

Everything but descriptions, pictures and, until they are asked for, vectors. A later snapshot takes over what has not
changed since.
"""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shopcue.catalog.exact import greatest, top
from shopcue.catalog.rows import LIGHT
from shopcue.errors import StoreError
from shopcue.records import Floats, Indices

Mask = NDArray[np.bool_]

_KEY_CHARACTERS = 64
_END = "\x1f"  # in no title and in no id: feeds lose their control characters


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which products are asked for; what is empty asks for nothing.

    q: words, each of which must occur in the title, brand, category or id, however it is written. category: one, with
    all below it (`Clothes` has `Clothes > Coats`). ids: only these; but: none of these.
    """

    q: str = ""
    category: str = ""
    brand: str = ""
    availability: str = ""
    ids: Collection[str] | None = None
    but: Collection[str] = ()


@dataclass(frozen=True)
class Snapshot:
    """A shop at one of its versions.

    rows: the columns `LIGHT`, in order of place, product and position. vectors: float32 (M, D), one for each row, or
    None before they are needed.
    """

    version: int
    rows: pa.Table
    vectors: Floats | None = None

    @classmethod
    def of(cls, version: int, rows: pa.Table) -> Snapshot:
        """Return the snapshot of rows that come in any order."""
        order = [("place", "ascending"), ("product_id", "ascending"), ("position", "ascending")]
        return cls(version, rows.select(LIGHT).sort_by(order).combine_chunks())

    @cached_property
    def stamps(self) -> Indices:
        """What tells rows from all others, int64 (M,)."""
        return np.asarray(self.rows["stamp"], np.int64)

    @cached_property
    def starts(self) -> Indices:
        """The first row of each product, int64 (P,)."""
        return np.flatnonzero(np.asarray(self.rows["position"]) == 0)

    @cached_property
    def owner(self) -> Indices:
        """The product of each row, int64 (M,)."""
        return np.cumsum(np.asarray(self.rows["position"]) == 0) - 1

    @cached_property
    def products(self) -> pa.Table:
        """The first row of each product, in order of place."""
        return self.rows.take(pa.array(self.starts)).combine_chunks()

    @cached_property
    def ids(self) -> list[str]:
        """The ids of the products, in order of place."""
        return list(self.products["product_id"].to_pylist())

    @cached_property
    def index(self) -> dict[str, int]:
        """Where each product stands: product_id -> index into `products`."""
        return {product_id: i for i, product_id in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.starts)

    def wanted(self, what: Wanted) -> Mask:
        """Tell which products are asked for. bool (P,)."""
        products = self.products
        mask = np.ones(len(self), np.bool_)
        for name in ("brand", "availability"):
            if value := getattr(what, name):
                mask &= _mask(pc.equal(products[name], value))
        if what.category:
            below = pc.starts_with(products["category"], f"{what.category} > ")
            mask &= _mask(pc.or_(pc.equal(products["category"], what.category), below))
        if what.ids is not None:
            mask &= _mask(pc.is_in(products["product_id"], pa.array(list(what.ids), pa.string())))
        if what.but:
            mask &= ~_mask(pc.is_in(products["product_id"], pa.array(list(what.but), pa.string())))
        for word in sorted(what.q.lower().split(), key=len, reverse=True):
            if mask.all():
                mask = _mask(pc.match_substring(self._written, word)).copy()
                continue
            left = np.flatnonzero(mask)  # few, where filters or a longer word have been before
            mask[left] = _mask(pc.match_substring(self._written.take(pa.array(left)), word))
        return mask

    def page(self, what: Wanted, after: str, limit: int) -> tuple[Indices, int, str]:
        """Return the next products in order of title: their indices, how many there are in all, and what follows.

        after: empty for the first page, and then what the page before it named as the next; raises StoreError for
        anything else. The order holds while products come and go: none is shown twice or left out for it.
        """
        order, keys = self._by_title
        found = np.flatnonzero(self.wanted(what)[order])
        begin = int(np.searchsorted(found, bisect_right(keys, _from_cursor(after)))) if after else 0
        some = found[begin : begin + limit]
        more = len(some) > 0 and begin + limit < len(found)
        return order[some], len(found), _to_cursor(keys[some[-1]]) if more else ""

    def nearest(self, vector: Floats, what: Wanted, k: int) -> list[tuple[int, float]]:
        """Return the k wanted products most like a unit vector (D,), best first: (index, cosine similarity)."""
        if self.vectors is None or not len(self):
            return []
        alike = greatest((self.vectors @ vector)[:, None], self.starts)[:, 0]
        places = np.flatnonzero(self.wanted(what))
        return [(int(places[i]), float(alike[places[i]])) for i in top(alike[places], k)]

    @cached_property
    def _written(self) -> pa.ChunkedArray:
        """What the words of a list are looked for in, in small letters."""
        products = self.products
        texts = [products[name] for name in ("title", "brand", "category", "product_id")]
        return pc.utf8_lower(pc.binary_join_element_wise(*texts, _END))

    @cached_property
    def _by_title(self) -> tuple[Indices, list[str]]:
        """The products in order of title, int64 (P,), and the keys by which they stand so."""
        titles = pc.utf8_lower(pc.utf8_slice_codeunits(self.products["title"], 0, _KEY_CHARACTERS))
        keys = pc.binary_join_element_wise(titles, self.products["product_id"], _END)
        order = pc.sort_indices(keys)
        return np.asarray(order, np.int64), keys.take(order).to_pylist()


def _mask(values: pa.ChunkedArray | pa.Array) -> Mask:
    return np.asarray(values, np.bool_)


def _to_cursor(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _from_cursor(cursor: str) -> str:
    try:
        return base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise StoreError("the page to go on from is none of this list; give `next` of the page before it") from None
