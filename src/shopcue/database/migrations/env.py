"""What alembic runs: the migrations, on the connection and in the transaction of the caller."""

from alembic import context

from shopcue.database.tables import Row

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Row.metadata,
    render_as_batch=True,  # SQLite changes a table by making it anew
)
with context.begin_transaction():
    context.run_migrations()
