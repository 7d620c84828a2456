"""What all tables share: finding a row by its id, and reading a long list page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from shopcue.database.tables import Row
from shopcue.database.texts import clean
from shopcue.errors import Missing

R = TypeVar("R", bound=Row)
MAX_LIMIT = 1_000


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """A piece of a list. next: what to ask for to go on, None at the end."""

    rows: list[R]
    next: str | None


def get_row(session: Session, kind: type[R], key: object) -> R:
    """Return the row with this primary key as it is now; raises Missing."""
    row = session.get(kind, clean(key))
    if row is None:
        raise Missing(f"there is no {kind.__name__.lower()} {str(key)[:80]!r}")
    return row


def newest_first(
    session: Session,
    kind: type[R],
    query: Select[R],
    order: tuple[InstrumentedAttribute[float], InstrumentedAttribute[str]],
    limit: int,
    before: str | None,
) -> Page[R]:
    """Return the newest rows of `query` older than the one with the id `before`.

    order: the columns of time and id by which rows are told apart. Raises Missing if nothing has the id `before`.
    """
    time, key = order
    if before is not None:
        mark = get_row(session, kind, before)
        query = query.where(_older(time, key, mark))
    limit = max(1, min(limit, MAX_LIMIT))
    rows = list(session.scalars(query.order_by(time.desc(), key.desc()).limit(limit + 1)))
    more = len(rows) > limit
    return Page(rows[:limit], getattr(rows[limit - 1], key.key) if more else None)


def _older(time: InstrumentedAttribute[float], key: InstrumentedAttribute[str], mark: Any) -> ColumnElement[bool]:
    return tuple_(time, key) < tuple_(getattr(mark, time.key), getattr(mark, key.key))
