"""Hours that analytics has still to make say since when they wait."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TABLES = (("platform", "touched"), ("analytics", "pending"))


def upgrade() -> None:
    """Apply it; what waits already waits from now on."""
    for schema, table in TABLES:
        column = sa.Column(
            "noted_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.clock_timestamp(),
        )
        op.add_column(table, column, schema=schema)


def downgrade() -> None:
    """Take it back."""
    for schema, table in TABLES:
        op.drop_column(table, "noted_at", schema=schema)
