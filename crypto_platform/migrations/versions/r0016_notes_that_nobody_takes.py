"""Hours were noted of feeds that analytics makes nothing of; loads do so no more."""

from collections.abc import Sequence

from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply it."""
    op.execute("DELETE FROM platform.touched WHERE feed NOT IN ('trades', 'order_books')")


def downgrade() -> None:
    """Nothing comes back: an older release notes what changes from then on."""
