"""What each source's own currency ids mean, for joins of quotes in SQL."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply it; every migration fills it anew."""
    op.create_table(
        "currency_alias",
        sa.Column("source", sa.Text(collation="C"), nullable=False),
        sa.Column("currency_id", sa.Text(collation="C"), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source", "currency_id"),
        schema="market",
        comment="Unified codes by source and its own currency id, as the settings had them at the "
        "last start; what is unmapped is not here.",
    )


def downgrade() -> None:
    """Take it back; the next upgrade fills it again."""
    op.drop_table("currency_alias", schema="market")
