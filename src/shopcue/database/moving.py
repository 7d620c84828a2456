"""Moving everything from one database to another: `python -m shopcue.database.moving FROM TO`, with the server stopped.

From SQLite to PostgreSQL when one machine is no longer enough, and back.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from sqlalchemy import Table, func, insert, select, text
from sqlalchemy.orm import Session

from shopcue.database.sessions import open_database
from shopcue.database.tables import Row
from shopcue.errors import Conflict, ShopcueError

_AT_ONCE = 1_000


def move_database(source_url: str, target_url: str) -> dict[str, int]:
    """Copy every row of one database into another, empty one, and return how many each table had.

    All of it is copied or nothing; the source stays as it is. Numbers of events and reviews go on where they were.
    Raises Conflict if the target is not empty, StateError if either cannot be opened.
    """
    source, target = open_database(source_url), open_database(target_url)
    try:
        with source.read() as reading, target.write() as writing:
            tables = Row.metadata.sorted_tables  # what is referred to comes first
            for table in tables:
                if writing.scalar(select(func.count()).select_from(table)):
                    raise Conflict(f"the table {table.name} of {target.url} has rows already; give an empty database")
            counts = {table.name: _copy(table, reading, writing) for table in tables}
            _go_on_counting(writing, _counters(reading))
        return counts
    finally:
        source.close()
        target.close()


def _copy(table: Table, reading: Session, writing: Session) -> int:
    count = 0
    found = reading.execute(select(table), execution_options={"yield_per": _AT_ONCE})
    for rows in found.mappings().partitions():
        writing.execute(insert(table), [dict(row) for row in rows])
        count += len(rows)
    return count


def _numbered() -> Iterator[tuple[str, str]]:
    """Yield the tables whose rows the database numbers, with the columns of the numbers."""
    for table in Row.metadata.sorted_tables:
        column = table.autoincrement_column
        if column is not None:
            yield table.name, column.name


def _counters(session: Session) -> dict[str, int]:
    """Return the last number that each table gave out, also to rows that are there no more."""
    sqlite = session.get_bind().dialect.name == "sqlite"
    last: dict[str, int] = {}
    for table, column in _numbered():
        highest = session.scalar(text(f'SELECT max("{column}") FROM "{table}"')) or 0  # noqa: S608 - names of ours
        if sqlite:
            given = session.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table}) or 0
        else:
            sequence = session.scalar(text("SELECT pg_get_serial_sequence(:table, :column)"), _named(table, column))
            given = session.scalar(text(f"SELECT last_value FROM {sequence}"))  # noqa: S608 - named by PostgreSQL
        last[table] = max(int(highest), int(given or 0))
    return last


def _go_on_counting(session: Session, last: Mapping[str, int]) -> None:
    """Let each table number its next row after the last number that was given out."""
    sqlite = session.get_bind().dialect.name == "sqlite"
    for table, column in _numbered():
        if not sqlite:
            place = "pg_get_serial_sequence(:table, :column)"
            session.execute(
                text(f"SELECT setval({place}, :last)"), {**_named(table, column), "last": max(last[table], 1)}
            )
        elif session.scalar(
            text("SELECT count(*) FROM sqlite_master WHERE name = :name AND sql LIKE '%AUTOINC%'"), {"name": table}
        ):
            session.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": table})
            values = {"name": table, "last": last[table]}
            session.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), values)


def _named(table: str, column: str) -> dict[str, str]:
    return {"table": table, "column": column}


def main(arguments: list[str]) -> int:
    """Run from the command line; returns the exit status: 0, or 2 after one line about what is wrong."""
    if len(arguments) != 2:
        print("usage: python -m shopcue.database.moving FROM TO, two addresses of databases", file=sys.stderr)
        return 2
    try:
        counts = move_database(*arguments)
    except ShopcueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("moved: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
