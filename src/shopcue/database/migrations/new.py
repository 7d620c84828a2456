"""For who changes the tables: `python -m shopcue.database.migrations.new WHAT CHANGES` writes the next revision.

It holds what is different between the tables of the code and those that the migrations make. Read it before it is kept:
a column that was renamed looks like one that went and one that came.
"""

from __future__ import annotations

import sys
import tempfile

from alembic import command
from sqlalchemy import create_engine

from shopcue.database.migrating import alembic_config, latest_revision, migrate


def write_revision(message: str) -> str:
    """Write the next revision beside the others and return its name."""
    name = f"{int(latest_revision()) + 1:04}"
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{folder}/made.db")
        with engine.begin() as connection:
            migrate(connection)
            command.revision(alembic_config(connection), message, autogenerate=True, rev_id=name)
        engine.dispose()
    return name


if __name__ == "__main__":
    print(write_revision(" ".join(sys.argv[1:]) or "Change the tables"))
