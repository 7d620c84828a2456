"""A shop embedded anew by another encoder, from the pictures that its store keeps.

The new vectors go into a table of their own while the old one goes on serving; then the shop moves there in one step.
Rows keep their stamps, so that what is still to be done is told by comparing the two tables: work that was broken off
goes on where it was, and what changes meanwhile is caught up with.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
from lancedb.expr import col

from shopcue.catalog.exact import THUMBNAIL_PX, Progress
from shopcue.catalog.rows import KEY, schema, vector_column
from shopcue.catalog.shelves import Shelf, Shelves
from shopcue.catalog.thumbnails import decode_thumbnail
from shopcue.models.image import ImageEncoder
from shopcue.records import Indices

_AT_ONCE = 256
_OPTIMIZE_EVERY = 20  # writes
_ROUNDS = 20  # of catching up with a shop that changes all the time, before it moves all the same


def reindex(shelves: Shelves, shelf: Shelf, encoder: ImageEncoder, progress: Progress | None = None) -> None:
    """Move a shop to a table whose vectors `encoder` makes; nothing is done where they are its own already.

    progress: told how many pictures are done; what it raises ends the work, which goes on from there when it is asked
    for again. Pictures are embedded as they are kept, with sides up to 480 pixels.
    """
    if shelf.fingerprint == encoder.fingerprint:
        return
    generation = shelf.generation + 1
    # Named by the encoder: what was begun for another one is of no use.
    name = f"{shelf.shop}.{generation}.{sha256(encoder.fingerprint.encode()).hexdigest()[:16]}"
    after = Shelf(shelf.shop, generation, name, encoder.fingerprint, encoder.dim)
    old, new = shelves.table(shelf.name), shelves.make_table(name, schema(encoder.dim))
    for _ in range(_ROUNDS):
        version = old.version
        held = _catch_up(shelves, old, new, encoder, progress)
        if old.version == version:
            break
    shelves.write(new.optimize)
    shelves.put(after)
    # Whoever wrote before the move may have written after the last look; whoever writes later finds that it moved.
    latest = _stamps(old)
    _delete(shelves, new, np.setdiff1d(held, latest))
    for rows in _embedded(old, np.setdiff1d(latest, held), encoder):
        keys = new.merge_insert(KEY)
        shelves.write(keys.when_matched_update_all().when_not_matched_insert_all().execute, rows)
    shelves.drop_tables(shelf.shop, but=name)


def _catch_up(shelves: Shelves, old: Any, new: Any, encoder: ImageEncoder, progress: Progress | None) -> Indices:
    """Bring the new table to what the old one holds, and return the stamps of that."""
    wanted, there = _stamps(old), _stamps(new)
    _delete(shelves, new, np.setdiff1d(there, wanted))
    missing = np.setdiff1d(wanted, there)
    done = len(wanted) - len(missing)
    for count, rows in enumerate(_embedded(old, missing, encoder), 1):
        shelves.write(new.add, rows)
        done += rows.num_rows
        if progress is not None:
            progress(done, len(wanted))
        if count % _OPTIMIZE_EVERY == 0:
            shelves.write(new.optimize)
    return wanted


def _stamps(table: Any) -> Indices:
    return np.asarray(table.search().select(["stamp"]).to_arrow()["stamp"], np.int64)


def _delete(shelves: Shelves, table: Any, stamps: Indices) -> None:
    for start in range(0, len(stamps), _AT_ONCE):
        shelves.write(table.delete, col("stamp").isin(stamps[start : start + _AT_ONCE].tolist()))


def _embedded(table: Any, stamps: Indices, encoder: ImageEncoder) -> Iterator[pa.Table]:
    """Yield the rows of a table a few hundred at a time, with the vectors of `encoder`."""
    columns = [name for name in schema(encoder.dim).names if name != "vector"]
    for start in range(0, len(stamps), _AT_ONCE):
        some = col("stamp").isin(stamps[start : start + _AT_ONCE].tolist())
        rows = table.search().where(some).select(columns).to_arrow()
        if rows.num_rows:
            images = [decode_thumbnail(data, THUMBNAIL_PX) for data in rows["picture"].to_pylist()]
            yield rows.append_column("vector", vector_column(encoder.encode(images)))
