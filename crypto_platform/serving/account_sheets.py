"""What a user reads as tables: transactions, holdings, what they were worth day by day.

Here: rows for other programs and for people alike. Not here: reading (accounts.py), text (cli/).
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from crypto_platform.domain import exact
from crypto_platform.domain.ledger import sum_by_currency
from crypto_platform.domain.portfolio_history import PortfolioDay
from crypto_platform.feeds.accounts import Account, AccountEvent
from crypto_platform.feeds.feed import FieldKind
from crypto_platform.serving.accounts import Portfolio
from crypto_platform.serving.sheets import Column, Sheet, print_amount

TRANSACTION_COLUMNS = (
    Column("sequence", FieldKind.INTEGER),
    Column("ts_event", FieldKind.TIME_US),
    Column("kind", FieldKind.TEXT),
    Column("currency", FieldKind.TEXT),
    *(
        Column(name, FieldKind.AMOUNT)
        for name in ("available_change", "locked_change", "available", "locked")
    ),
    *(Column(name, FieldKind.TEXT) for name in ("order_id", "venue_symbol", "side", "trade_id")),
    *(Column(name, FieldKind.AMOUNT) for name in ("fill_price", "fill_quantity")),
)

HOLDING_COLUMNS = (
    Column("currency", FieldKind.TEXT),
    *(Column(name, FieldKind.AMOUNT) for name in ("available", "locked", "quantity")),
    *(Column(name, FieldKind.AMOUNT) for name in ("price", "value")),
    Column("price_source", FieldKind.TEXT),
    Column("price_ts_event", FieldKind.TIME_US),
)


def build_transactions(events: Sequence[AccountEvent], *, currency: str | None) -> Sheet:
    """A row an event and wallet that it touched."""
    rows: list[Sequence[Any]] = []
    for event in events:
        changes = {
            account: sum_by_currency(
                (posted, amount)
                for own, posted, amount in zip(
                    event.posting_accounts,
                    event.posting_currencies,
                    event.posting_amounts,
                    strict=True,
                )
                if own == account
            )
            for account in (Account.AVAILABLE, Account.LOCKED)
        }
        rows += [
            (
                event.sequence,
                event.ts_event,
                f"{event.kind}",
                own,
                f"{changes[Account.AVAILABLE].get(own, Decimal(0)):f}",
                f"{changes[Account.LOCKED].get(own, Decimal(0)):f}",
                available,
                locked,
                event.order_id,
                event.venue_symbol,
                None if event.side is None else f"{event.side}",
                event.trade_id,
                event.fill_price,
                event.fill_quantity,
            )
            for own, available, locked in zip(
                event.wallet_currencies, event.wallet_available, event.wallet_locked, strict=True
            )
            if currency in (None, own)
        ]
    return Sheet(TRANSACTION_COLUMNS, rows)


def build_holdings(portfolio: Portfolio) -> Sheet:
    """A row a wallet; what is not known is empty."""
    rows = [
        (
            each.wallet.currency,
            each.wallet.available,
            each.wallet.locked,
            f"{each.quantity:f}",
            None if each.price is None else each.price.price,
            print_amount(each.value),
            None if each.price is None else each.price.source,
            None if each.price is None else each.price.ts_event,
        )
        for each in portfolio.holdings
    ]
    return Sheet(HOLDING_COLUMNS, rows)


_DAY_AMOUNTS = ("value", "realized_gain", "unrealized_gain", "fees")
DAY_COLUMNS = (
    Column("day", FieldKind.TEXT),
    *(Column(name, FieldKind.AMOUNT) for name in _DAY_AMOUNTS),
    *(Column(name, FieldKind.TEXTS) for name in ("unvalued", "gains_without")),
)


def build_portfolio_days(days: Sequence[PortfolioDay]) -> Sheet:
    """A row a day; `unvalued` and `gains_without` name what the sums leave out."""
    rows = [
        (
            day.day.isoformat(),
            # sums leave zeros behind their last digit
            *(f"{exact.EXACT.normalize(getattr(day, name)):f}" for name in _DAY_AMOUNTS),
            day.unvalued,
            day.gains_without,
        )
        for day in days
    ]
    return Sheet(DAY_COLUMNS, rows)
