"""What is asked of the table of one shop: rows by the ids of products, vectors, and the searches that read the disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from lancedb.expr import col
from lancedb.query import FullTextOperator, MatchQuery
from numpy.typing import NDArray

from shopcue.catalog.rows import terms, to_vectors
from shopcue.catalog.snapshot import Snapshot, Wanted
from shopcue.records import Floats, Indices

Found = list[tuple[str, float]]
"""Product ids and scores, the best first."""

_MOST_IN = 5_000  # values in one condition
_PICTURES_AT_ONCE = 512
_MOST_TERMS = 64  # of a search by words


def read_rows(table: Any, ids: Sequence[str], columns: Sequence[str]) -> pa.Table:
    """Return the rows of products, each product's together and in order of position.

    columns: `product_id` and `position` among them.
    """
    found = [
        table.search().where(col("product_id").isin(some)).select(list(columns)).to_arrow() for some in _parts(ids)
    ]
    order = [("product_id", "ascending"), ("position", "ascending")]
    return pa.concat_tables(found).sort_by(order).combine_chunks()


def with_vectors(table: Any, snapshot: Snapshot, dim: int, known: Snapshot | None = None) -> Snapshot:
    """Return a snapshot with its vectors: those that a former one has from there, only the others are read."""
    stamps = snapshot.stamps
    vectors = np.empty((len(stamps), dim), np.float32)
    missing = np.ones(len(stamps), np.bool_)
    if known is not None and known.vectors is not None and len(known.stamps) and len(stamps):
        spots, there = _places(known.stamps, stamps)
        np.take(known.vectors, spots, axis=0, out=vectors, mode="clip")
        missing = ~there
    wanted = stamps[missing]
    query = table.search().select(["stamp", "vector"])
    if len(wanted) <= _MOST_IN:
        query = query.where(col("stamp").isin(wanted.tolist()))
    for batch in query.to_batches() if len(wanted) else ():
        spots, there = _places(stamps, np.asarray(batch["stamp"], np.int64))
        vectors[spots[there]] = to_vectors(batch["vector"])[there]
        missing[spots[there]] = False
    if missing.any():
        raise RuntimeError("the shop changed while it was read")  # and is read again
    return replace(snapshot, vectors=vectors)


def _places(stamps: Indices, wanted: Indices) -> tuple[Indices, NDArray[np.bool_]]:
    """Return where in `stamps` each of the wanted ones stands, and whether it is there at all."""
    order = np.argsort(stamps)
    spots = order[np.searchsorted(stamps, wanted, sorter=order).clip(max=len(stamps) - 1)]
    return spots, stamps[spots] == wanted


def read_descriptions(table: Any) -> list[tuple[str, str]]:
    """Return (product id, description) of the products that have one."""
    rows = table.search().where("position = 0 AND description <> ''").select(["product_id", "description"]).to_arrow()
    return list(zip(rows["product_id"].to_pylist(), rows["description"].to_pylist(), strict=True))


def read_pictures(table: Any, stamps: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Yield (stamp, JPEG file) of rows, a few hundred in memory at a time; those that are gone are left out."""
    for start in range(0, len(stamps), _PICTURES_AT_ONCE):
        some = stamps[start : start + _PICTURES_AT_ONCE]
        rows = table.search().where(col("stamp").isin(some)).select(["stamp", "picture"]).to_arrow()
        yield from zip(rows["stamp"].to_pylist(), rows["picture"].to_pylist(), strict=True)


def nearest(table: Any, vector: Floats, wanted: Wanted, k: int) -> Found:
    """Return what `Snapshot.nearest` does, by reading all vectors: for shops that do not fit into the memory."""
    limit = 2 * k
    while True:  # products with many pictures like the vector may fill the list: then ask for a longer one
        query = table.search(vector).distance_type("dot").bypass_vector_index().limit(limit)
        rows = _filtered(query.select(["product_id", "_distance"]), wanted).to_arrow().to_pylist()
        best: dict[str, float] = {}
        for row in rows:
            best.setdefault(row["product_id"], 1.0 - row["_distance"])
        if len(best) >= k or len(rows) < limit:
            return list(best.items())[:k]
        limit *= 4


def worded(table: Any, text: str, wanted: Wanted, k: int) -> Found:
    """Return the products whose titles, brands and categories fit words best, by BM25."""
    words = " ".join(terms(text)[:_MOST_TERMS])
    if not words:
        return []
    match: Any = MatchQuery  # its arguments have defaults that its types do not know
    query = table.search(match(words, "text", operator=FullTextOperator.OR)).limit(k)
    rows = _filtered(query.select(["product_id", "_score"]), wanted).to_arrow().to_pylist()
    return [(row["product_id"], row["_score"]) for row in rows]


def _filtered(query: Any, wanted: Wanted) -> Any:
    """Return a query that looks at nothing but what passes the filters."""
    parts = [f"{name} = {_quoted(value)}" for name in ("brand", "availability") if (value := getattr(wanted, name))]
    if wanted.category:
        below = f"starts_with(category, {_quoted(wanted.category + ' > ')})"
        parts.append(f"(category = {_quoted(wanted.category)} OR {below})")
    return query.where(" AND ".join(parts), prefilter=True) if parts else query


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"  # as in standard SQL, backslashes mean themselves


def _parts(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut values into parts for one condition each; there is one part at least."""
    for start in range(0, max(1, len(values)), _MOST_IN):
        yield values[start : start + _MOST_IN] or ("",)  # the id of no product: a condition needs a value
