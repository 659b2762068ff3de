"""Quarantine keeps why an entry was discarded, and knows entries of a log that was cut."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_CONSTRAINT = "quarantine_state_is_known"


def upgrade() -> None:
    """Apply it."""
    op.add_column("quarantine", sa.Column("note", sa.Text(), nullable=True), schema="platform")
    op.drop_constraint(_CONSTRAINT, "quarantine", schema="platform", type_="check")
    op.create_check_constraint(
        _CONSTRAINT,
        "quarantine",
        "state IN ('open', 'released', 'discarded', 'truncated')",
        schema="platform",
    )


def downgrade() -> None:
    """Take it back; an entry of a log that was cut counts as discarded."""
    op.execute("UPDATE platform.quarantine SET state = 'discarded' WHERE state = 'truncated'")
    op.drop_constraint(_CONSTRAINT, "quarantine", schema="platform", type_="check")
    op.create_check_constraint(
        _CONSTRAINT,
        "quarantine",
        "state IN ('open', 'released', 'discarded')",
        schema="platform",
    )
    op.drop_column("quarantine", "note", schema="platform")
