"""Users' orders and wallets as they are now, and what their events say row by row.

States are tables, written with the facts. Fills, postings and transactions are views of the facts,
which never change: a view cannot differ from them.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

FILL = """
CREATE VIEW accounts.fill AS
SELECT e.order_id, e.trade_id, e.user_id, e.venue_symbol, e.side, e.fill_price, e.fill_quantity,
  e.liquidity, e.fill_fee, e.fill_fee_currency, e.ts_event, e.sequence, e.event_id
FROM accounts.event AS e
WHERE e.trade_id IS NOT NULL
"""

LEDGER_POSTING = """
CREATE VIEW accounts.ledger_posting AS
SELECT e.sequence, p.leg, e.user_id, p.account, p.currency, p.amount, e.kind, e.order_id,
  e.trade_id, e.ts_event, e.event_id
FROM accounts.event AS e
CROSS JOIN LATERAL unnest(e.posting_accounts, e.posting_currencies, e.posting_amounts)
  WITH ORDINALITY AS p(account, currency, amount, leg)
"""

TRANSACTION = """
CREATE VIEW accounts.transaction AS
SELECT e.user_id, e.sequence, e.user_sequence, e.ts_event, e.kind, w.currency,
  coalesce(p.available_change, 0) AS available_change, coalesce(p.locked_change, 0) AS locked_change,
  w.available, w.locked, e.order_id, e.venue_symbol, e.side, e.trade_id, e.fill_price,
  e.fill_quantity, e.event_id
FROM accounts.event AS e
CROSS JOIN LATERAL unnest(e.wallet_currencies, e.wallet_available, e.wallet_locked)
  AS w(currency, available, locked)
LEFT JOIN LATERAL (
  SELECT sum(u.amount) FILTER (WHERE u.account = 'available') AS available_change,
    sum(u.amount) FILTER (WHERE u.account = 'locked') AS locked_change
  FROM unnest(e.posting_accounts, e.posting_currencies, e.posting_amounts)
    AS u(account, currency, amount)
  WHERE u.currency = w.currency) AS p ON true
"""

COMMENTS = {
    "VIEW accounts.fill": "Each half of a match, by order.",
    "VIEW accounts.ledger_posting": "Each leg of the double entry, signed.",
    "VIEW accounts.transaction": "What each event changed in each wallet of its user, and what was "
    "there after it.",
}

BALANCES_AT = """
CREATE FUNCTION accounts.balances_at(user_id text, ts timestamptz)
RETURNS TABLE (currency text, available numeric, locked numeric, sequence bigint,
  ts_event timestamptz)
LANGUAGE sql STABLE AS $$
  SELECT DISTINCT ON (w.currency) w.currency, w.available, w.locked, e.sequence, e.ts_event
  FROM accounts.event AS e
  CROSS JOIN LATERAL unnest(e.wallet_currencies, e.wallet_available, e.wallet_locked)
    AS w(currency, available, locked)
  WHERE e.user_id = balances_at.user_id AND e.ts_event <= balances_at.ts
  ORDER BY w.currency, e.sequence DESC
$$
"""

STATEMENTS = (
    *(FILL, LEDGER_POSTING, TRANSACTION),
    *(f"COMMENT ON {name} IS '{comment}'" for name, comment in COMMENTS.items()),
    BALANCES_AT,
)
"""Of views and the function; they go with a table that somebody drops, and are made again with it."""


def upgrade() -> None:
    """Apply it."""
    op.create_table(
        "order",
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=True),
        sa.Column("venue_symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("order_type", sa.Text(), nullable=False),
        sa.Column("time_in_force", sa.Text(), nullable=False),
        sa.Column("post_only", sa.Boolean(), nullable=False),
        sa.Column("limit_price", sa.Numeric(), nullable=True),
        sa.Column("order_quantity", sa.Numeric(), nullable=True),
        sa.Column("order_funds", sa.Numeric(), nullable=True),
        sa.Column("filled_quantity", sa.Numeric(), nullable=False),
        sa.Column("filled_notional", sa.Numeric(), nullable=False),
        sa.Column("order_fees", sa.Numeric(), nullable=False),
        sa.Column("order_fee_currency", sa.Text(), nullable=True),
        sa.Column("order_status", sa.Text(), nullable=False),
        sa.Column("order_reason", sa.Text(), nullable=True),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("ts_created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ts_event", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("order_id"),
        schema="accounts",
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "order_user_id",
        "order",
        ["user_id"],
        unique=False,
        schema="accounts",
        postgresql_where=sa.text("is_open"),
    )
    op.create_table(
        "wallet",
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.Text(collation="C"), nullable=False),
        sa.Column("currency", sa.Text(collation="C"), nullable=False),
        sa.Column("available", sa.Numeric(), nullable=False),
        sa.Column("locked", sa.Numeric(), nullable=False),
        sa.Column("ts_event", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "currency"),
        schema="accounts",
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "event_fills",
        "event",
        ["order_id"],
        unique=False,
        schema="accounts",
        postgresql_where=sa.text("trade_id IS NOT NULL"),
    )
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Take it back; states are lost, and a replay of all events writes them again."""
    op.execute("DROP FUNCTION accounts.balances_at")
    for view in ("transaction", "ledger_posting", "fill"):
        op.execute(f"DROP VIEW accounts.{view}")
    op.drop_index("event_fills", table_name="event", schema="accounts")
    op.drop_table("wallet", schema="accounts")
    op.drop_table("order", schema="accounts")
