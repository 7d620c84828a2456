"""Bringing a database up to date, from nothing or from any earlier revision."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from shopcue.errors import StateError

_SCRIPTS = Path(__file__).parent / "migrations"


def migrate(connection: Connection, revision: str = "head") -> None:
    """Apply the migrations that are missing up to `revision`, in the transaction that `connection` is in.

    Raises StateError if the database was written by a newer Shopcue.
    """
    config = alembic_config(connection)
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        raise StateError(
            f"the database has tables that this Shopcue does not know ({error}); a newer one made it: upgrade Shopcue"
        ) from None


def latest_revision() -> str:
    """Return the name of the revision that this Shopcue works with."""
    return str(ScriptDirectory(str(_SCRIPTS)).get_current_head())


def alembic_config(connection: Connection) -> Config:
    """Return what alembic's commands need to work on `connection`."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
