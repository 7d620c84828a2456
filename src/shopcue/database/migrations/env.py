"""What alembic runs: the migrations, on the connection and in the transaction of the caller."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

from shopcue.database.tables import CleanJson, CleanText, Row


def render_plainly(kind: str, value: Any, _: AutogenContext) -> str | Literal[False]:
    """Name the type that a database knows: a migration must not change when our types do."""
    if kind == "type" and isinstance(value, CleanText):
        return "sa.Text()"
    return "sa.JSON()" if kind == "type" and isinstance(value, CleanJson) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Row.metadata,
    render_as_batch=True,  # SQLite changes a table by making it anew
    render_item=render_plainly,
)
with context.begin_transaction():
    context.run_migrations()
