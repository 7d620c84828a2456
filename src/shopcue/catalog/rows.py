"""A product with its embedded pictures <-> the rows of a store, one for each picture.

What a product says stands in every row of it, so that one filter serves all searches; what is long, or must count once,
stands in its first row alone. A row has a `stamp`, drawn anew whenever it is written: two reads of a shop differ in
just those rows whose stamps differ.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import pyarrow as pa

from shopcue.catalog.shelves import key_field
from shopcue.errors import RecordError
from shopcue.models.text import is_unspaced, words
from shopcue.records import Floats, Product

TEXTS = ("title", "category", "price", "link", "brand", "availability")
"""What a product says in every row; its description stands in the first."""

KEY = "picture_id"
"""The column that names a row: a product and a position; stores know keys of one column only."""

LIGHT = ("product_id", "position", "place", "stamp", *TEXTS, "image", "content", "digest")
"""The columns that are kept in memory."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A product as a store keeps it.

    product: its `images` are those that could be used. vectors: float32 (M, D), unit, one for each of them. pictures: M
    JPEG files, sides up to 480 pixels. contents: M names of what they were made from, so that the same need not be made
    twice.
    """

    product: Product
    vectors: Floats
    pictures: tuple[bytes, ...]
    contents: tuple[str, ...]

    def __post_init__(self) -> None:
        count = len(self.product.images)
        if (
            not count
            or self.vectors.ndim != 2
            or {len(self.vectors), len(self.pictures), len(self.contents)} != {count}
        ):
            raise RecordError(
                f"{self.product.product_id} has {count} images, vectors {self.vectors.shape}, {len(self.pictures)} "
                f"pictures and {len(self.contents)} contents, expected one of each for every image"
            )


def schema(dim: int) -> pa.Schema:
    """Return the columns of a table whose vectors have `dim` numbers."""
    texts = [(name, pa.string()) for name in (*TEXTS, "image", "content", "digest", "description", "text")]
    return pa.schema(
        [
            key_field(KEY),
            ("product_id", pa.string()),
            ("position", pa.int32()),
            ("place", pa.int64()),
            ("stamp", pa.int64()),
            *texts,
            ("vector", pa.list_(pa.float32(), dim)),
            ("picture", pa.binary()),
            ("changed_at", pa.float64()),
        ]
    )


def to_table(items: Sequence[Embedded], places: Sequence[int], dim: int) -> pa.Table:
    """Return the rows of products. places: where in the shop each one stands."""
    rows = [(item, place, position) for item, place in zip(items, places, strict=True) for position in _positions(item)]
    products = [item.product for item, _, _ in rows]
    vectors = np.concatenate([item.vectors for item in items])
    columns = {
        KEY: pa.array([f"{position} {item.product.product_id}" for item, _, position in rows], pa.string()),
        "product_id": pa.array([product.product_id for product in products], pa.string()),
        "position": pa.array([position for _, _, position in rows], pa.int32()),
        "place": pa.array([place for _, place, _ in rows], pa.int64()),
        "stamp": pa.array(_stamps(len(rows))),
        **{name: pa.array([getattr(product, name) for product in products], pa.string()) for name in TEXTS},
        "image": pa.array([item.product.images[position] for item, _, position in rows], pa.string()),
        "content": pa.array([item.contents[position] for item, _, position in rows], pa.string()),
        "digest": pa.array([text_digest(product) for product in products], pa.string()),
        "description": _once([(item.product.description, position) for item, _, position in rows]),
        "text": _once([(_searched(item.product), position) for item, _, position in rows]),
        "vector": vector_column(vectors),
        "picture": pa.array([item.pictures[position] for item, _, position in rows], pa.binary()),
        "changed_at": pa.array(np.full(len(rows), time.time())),
    }
    return pa.table(columns, schema=schema(dim))


def vector_column(vectors: Floats) -> pa.FixedSizeListArray:
    """Return float32 (N, D) as a column."""
    numbers = np.ascontiguousarray(vectors, np.float32).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(numbers), vectors.shape[1])


def text_digest(product: Product) -> str:
    """Name all that a product says, so that a change of it shows. 32 hexadecimal digits."""
    texts = (*(getattr(product, name) for name in TEXTS), product.description)
    return sha256("\x1f".join(texts).encode("utf-8", "replace")).hexdigest()[:32]


def to_products(rows: pa.Table) -> tuple[Product, ...]:
    """Return the products of rows in which each product's rows follow one another, in order of position.

    rows: needs `product_id`, `position`, `image`, `TEXTS`; and `description`, or it stays empty.
    """
    columns = rows.to_pydict()
    starts = [i for i, position in enumerate(columns["position"]) if position == 0]
    ends = [*starts[1:], rows.num_rows][: len(starts)]
    return tuple(
        Product(
            product_id=columns["product_id"][start],
            images=tuple(columns["image"][start:end]),
            description=columns["description"][start] or "" if "description" in columns else "",
            **{name: columns[name][start] for name in TEXTS},
        )
        for start, end in zip(starts, ends, strict=True)
    )


def to_embedded(rows: pa.Table) -> tuple[Embedded, ...]:
    """Return the products of complete rows, ordered as in `to_products`."""
    products = to_products(rows)
    vectors, pictures, contents = to_vectors(rows["vector"]), rows["picture"].to_pylist(), rows["content"].to_pylist()
    found, start = [], 0
    for product in products:
        some = slice(start, start + len(product.images))
        found.append(Embedded(product, vectors[some], tuple(pictures[some]), tuple(contents[some])))
        start = some.stop
    return tuple(found)


def to_vectors(column: pa.ChunkedArray | pa.Array) -> Floats:
    """Return a column of vectors as float32 (N, D)."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return np.asarray(whole.flatten(), np.float32).reshape(len(whole), whole.type.list_size)


def terms(text: str, *, single: bool = False) -> list[str]:
    """Return what a text is searched by: its words, and of scripts that do not space them each pair of characters.

    single: also each such character, as a text that is found by one needs them.
    """
    found: list[str] = []
    for word in words(text):
        if not is_unspaced(word):
            found.append(word)
            continue
        found += [word[i : i + 2] for i in range(len(word) - 1)]
        found += word if single or len(word) == 1 else ()
    return found


def _positions(item: Embedded) -> range:
    return range(len(item.product.images))


def _stamps(count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return numbers that nobody has drawn before: of 63 bits, among which a million draws meet none twice."""
    return np.random.default_rng().integers(1, np.iinfo(np.int64).max, count)


def _once(texts: Sequence[tuple[str, int]]) -> pa.Array:
    return pa.array([text if position == 0 else None for text, position in texts], pa.string())


def _searched(product: Product) -> str:
    """Return what a search by words looks in."""
    return " ".join(terms(" \n".join((product.title, product.brand, product.category)), single=True))
