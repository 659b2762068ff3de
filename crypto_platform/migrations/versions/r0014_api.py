"""Keys of the HTTP API, and what its role reads of accounts: one user's own rows.

The role sees no table of accounts, only these views, and they show the rows of the user that the
transaction has named. Each has an order, the one its readers ask for: below a security barrier an
index gives no other.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

USER_ID = """
CREATE FUNCTION accounts.own_user_id() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN current_setting('crypto_platform.user_id', true)
"""

VIEWS = (
    """
CREATE VIEW accounts.own_event WITH (security_barrier) AS
SELECT * FROM accounts.event WHERE user_id = accounts.own_user_id() ORDER BY sequence DESC
""",
    """
CREATE VIEW accounts.own_order WITH (security_barrier) AS
SELECT * FROM accounts.order WHERE user_id = accounts.own_user_id()
""",
    """
CREATE VIEW accounts.own_wallet WITH (security_barrier) AS
SELECT * FROM accounts.wallet WHERE user_id = accounts.own_user_id()
""",
    """
CREATE VIEW accounts.own_api_key WITH (security_barrier) AS
SELECT * FROM accounts.api_key WHERE user_id = accounts.own_user_id()
""",
)

STATEMENTS = (USER_ID, *VIEWS)
"""Of views and the function; they go with a table that somebody drops, and are made again with it."""


def upgrade() -> None:
    """Apply it."""
    op.create_table(
        "api_key",
        sa.Column("event_id", sa.Text(collation="C"), nullable=False),
        sa.Column("content_hash", sa.BigInteger(), nullable=False),
        sa.Column("ts_ingest", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.Text(), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("arrival_topic_id", sa.Uuid(), nullable=True),
        sa.Column("arrival_part", sa.Integer(), nullable=True),
        sa.Column("arrival_offset", sa.BigInteger(), nullable=True),
        sa.Column("ts_append", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("event_id"),
        schema="accounts",
    )
    op.create_index(
        "api_key_arrival",
        "api_key",
        ["arrival_topic_id", "arrival_part", "arrival_offset"],
        unique=False,
        schema="accounts",
    )
    op.create_index(
        "api_key_user_id_key_id", "api_key", ["user_id", "key_id"], unique=False, schema="accounts"
    )
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Take it back; keys are lost."""
    for view in ("event", "order", "wallet", "api_key"):
        op.execute(f"DROP VIEW accounts.own_{view}")
    op.execute("DROP FUNCTION accounts.own_user_id")
    op.drop_table("api_key", schema="accounts")
