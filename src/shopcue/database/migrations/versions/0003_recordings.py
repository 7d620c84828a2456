"""Whether a stream is recorded, and how it fares.

Revision 0003, after 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns; the streams that are there already are recorded from now on."""
    # Not in a batch, which on SQLite makes the table anew: both kinds of database can add these columns in place.
    op.add_column("videos", sa.Column("recorded", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("videos", sa.Column("health", sa.JSON(), nullable=True))
    op.add_column("videos", sa.Column("reached_at", sa.Double(), nullable=True))
