"""What is removed is written down for the same range in both stores."""

from collections.abc import Sequence

from alembic import op

from crypto_platform.migrations.versions.r0006_retention import REMOVE_PARTITION

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Where no live range holds a row: the truncated one before the restore, then the first by offset.
BEFORE = """(o.hour, o.epoch, o.kind, o.run_id)
                < (b.hour, b.epoch, b.kind, b.run_id)"""
SINCE = """(o.kind = 'restore', lower(o.offsets), o.hour, o.epoch, o.run_id)
                < (b.kind = 'restore', lower(b.offsets), b.hour, b.epoch, b.run_id)"""
REPLACE = REMOVE_PARTITION.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


def upgrade() -> None:
    """Apply it; what was written down stays."""
    op.execute(REPLACE.replace(BEFORE, SINCE))


def downgrade() -> None:
    """Take it back."""
    op.execute(REPLACE)
