"""Figures of order books say what orders of a few sizes would lose."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

COLUMNS = (
    "buy_1000_slippage_bps",
    "sell_1000_slippage_bps",
    "buy_10000_slippage_bps",
    "sell_10000_slippage_bps",
    "buy_100000_slippage_bps",
    "sell_100000_slippage_bps",
)


def upgrade() -> None:
    """Apply it; of minutes that were measured before it stays unknown."""
    for name in COLUMNS:
        column = sa.Column(name, sa.Numeric(), nullable=True)
        op.add_column("book_metrics", column, schema="analytics")


def downgrade() -> None:
    """Take it back."""
    for name in reversed(COLUMNS):
        op.drop_column("book_metrics", name, schema="analytics")
