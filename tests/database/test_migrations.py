"""Migrations: they make exactly the tables that the code works with, and carry what is there along."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("alembic")

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    MetaData,
    Numeric,
    Table,
    Text,
    create_engine,
    insert,
    make_url,
    select,
)

from shopcue.database import open_database
from shopcue.database.migrating import alembic_config, latest_revision, migrate
from shopcue.database.shops import delete_shop, put_shop
from shopcue.database.tables import Row
from shopcue.database.uploads import add_upload, list_uploads
from shopcue.database.videos import get_video


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    return new_url()


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    place = make_url(url)
    driver = "postgresql+psycopg" if place.get_backend_name() == "postgresql" else "sqlite"
    engine = create_engine(place.set(drivername=driver))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_the_migrations_make_the_tables_of_the_code(url: str, connection: Connection) -> None:
    open_database(url).close()
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    assert compare_metadata(context, Row.metadata) == []


def test_the_comparison_would_see_a_difference(url: str, connection: Connection) -> None:
    open_database(url).close()
    connection.exec_driver_sql("ALTER TABLE shops ADD COLUMN surplus TEXT")
    context = MigrationContext.configure(connection)
    assert len(compare_metadata(context, Row.metadata)) == 1


def test_what_the_first_revision_holds_is_there_after_the_last(url: str, connection: Connection) -> None:
    with connection.begin():
        migrate(connection, "0001")
        before = fill(connection)
    open_database(url).close()
    assert before
    assert rows(connection, before) == before


def test_streams_of_before_recordings_are_recorded_from_now_on(url: str, connection: Connection) -> None:
    with connection.begin():
        migrate(connection, "0002")
        video_id = fill(connection)["videos"]["video_id"]
    database = open_database(url)
    with database.read() as session:
        video = get_video(session, video_id)
        assert (video.recorded, video.health) == (True, None)
    database.close()


def test_a_table_that_is_made_anew_takes_nothing_along(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = open_database(url)
    with database.write() as session:
        put_shop(session, "demo", "Demo")
        add_upload(session, "demo", "feed", "f.csv", 1)
    database.close()

    def make_anew(connection: Connection) -> None:
        change = Operations(MigrationContext.configure(connection))
        with change.batch_alter_table("shops", recreate="always" if url.startswith("sqlite") else "auto") as shops:
            shops.add_column(Column("colour", Text()))

    monkeypatch.setattr("shopcue.database.sessions.migrate", make_anew)
    database = open_database(url)
    with database.write() as session:
        assert [upload.name for upload in list_uploads(session, "demo")] == ["f.csv"]
        delete_shop(session, "demo")
        assert list_uploads(session) == []
    database.close()


def test_the_revisions_are_one_line_that_never_goes_back(connection: Connection) -> None:
    scripts = ScriptDirectory.from_config(alembic_config(connection))
    line = [script.revision for script in scripts.walk_revisions()]
    assert line[0] == latest_revision()
    assert line == sorted(line, reverse=True)
    assert line[-1] == "0001"


def fill(connection: Connection) -> dict[str, dict[str, Any]]:
    """Put a row into each table; returns them by table."""
    metadata = MetaData()
    metadata.reflect(connection)
    made: dict[str, dict[str, Any]] = {}
    for table in metadata.sorted_tables:
        if table.name != "alembic_version":
            made[table.name] = {column.name: value(table, column.name, made) for column in table.columns}
            connection.execute(insert(table), made[table.name])
    return made


def value(table: Table, name: str, made: dict[str, dict[str, Any]]) -> Any:
    column = table.columns[name]
    for reference in column.foreign_keys:
        there = reference.column
        return made[there.table.name][there.name]
    if isinstance(column.type, JSON):
        return {"of": [name]}
    if isinstance(column.type, Boolean):
        return True
    return f"{table.name} {name}" if isinstance(column.type, Text) else 1.5 if isinstance(column.type, Numeric) else 7


def rows(connection: Connection, columns: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The first row of each table, of the columns that are asked for."""
    metadata = MetaData()
    metadata.reflect(connection)
    found: dict[str, dict[str, Any]] = {}
    for name, wanted in columns.items():
        table = metadata.tables[name]
        row = connection.execute(select(*(table.columns[column] for column in wanted))).one()
        found[name] = dict(row._mapping)
    return found
