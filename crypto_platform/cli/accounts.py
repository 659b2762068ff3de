"""`orders`, `wallet`, `transactions`: what one user has and did.

Here: arguments, tables for people with exact digits. Not here: which store (serving/accounts.py),
what anything is worth (portfolio.py), other forms (sheet.py).
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from crypto_platform.cli.market import choose_range, range_options
from crypto_platform.cli.options import data_dir_option
from crypto_platform.cli.sheet import Form, echo_form, echo_source, form_options
from crypto_platform.cli.text import align_points, format_table, printable
from crypto_platform.domain.readable import UNKNOWN
from crypto_platform.feeds.accounts import ORDERS, WALLETS, Fill, Order, Wallet
from crypto_platform.feeds.feed import State
from crypto_platform.feeds.record import list_fields
from crypto_platform.serving.account_sheets import build_transactions
from crypto_platform.serving.accounts import (
    read_open_orders,
    read_order,
    read_transactions,
    read_wallets,
)
from crypto_platform.serving.failover import Answered, open_reads
from crypto_platform.serving.sheets import (
    Sheet,
    build_rows,
    build_source,
    build_struct_sheet,
    print_time,
)
from crypto_platform.settings import load_settings
from crypto_platform.stores.accounts import Whole

EVENTS_MAX = 100_000
"""In one answer to `transactions`."""

user_option = click.option("--user", "user_id", required=True, help="Whose.")


@click.command()
@user_option
@click.option("--order", "order_id", help="This order alone, with its fills.")
@form_options
@data_dir_option
def orders_command(
    *,
    user_id: str,
    order_id: str | None,
    form: Form,
    data_dir: Path | None,
) -> None:
    """Show the open orders of a user, newest first; with --order one of them, open or not.

    Example: crypto-platform orders --user u000001
    """
    with open_reads(load_settings(data_dir)) as reads:
        if order_id is not None:
            _echo_order(form, read_order(reads, user_id, order_id), user_id, order_id)
            return
        answered = read_open_orders(reads, user_id)
    sheet = build_struct_sheet(ORDERS.fields, answered.value)
    echo_answer(form, answered, user_id, sheet, "orders", lambda: format_orders(answered.value))
    if not answered.value:
        say_nothing(f"no order of {printable(user_id)} is open")


@click.command()
@user_option
@form_options
@data_dir_option
def wallet_command(
    *,
    user_id: str,
    form: Form,
    data_dir: Path | None,
) -> None:
    """Show what a user has of each currency: free to use, and locked for his open orders.

    Example: crypto-platform wallet --user u000001 --json
    """
    with open_reads(load_settings(data_dir)) as reads:
        answered = read_wallets(reads, user_id)
    sheet = build_struct_sheet(WALLETS.fields, answered.value)
    echo_answer(form, answered, user_id, sheet, "wallets", lambda: format_wallets(answered.value))
    if not answered.value:
        say_nothing(f"no wallet of {printable(user_id)} is stored")


@click.command()
@user_option
@click.option("--currency", help="Only what changed this wallet.")
@click.option("--before", type=click.IntRange(min=1), help="Only events before this sequence.")
@range_options
@form_options
@data_dir_option
def transactions_command(
    *,
    user_id: str,
    currency: str | None,
    before: int | None,
    last: int | None,
    begins_us: int | None,
    ends_us: int | None,
    form: Form,
    data_dir: Path | None,
) -> None:
    """Show what happened in the wallets of a user, newest last, a line a wallet that changed.

    The page before is asked for by --before and the first sequence of this one.

    Example: crypto-platform transactions --user u000001 --currency BTC --last 20
    """
    span, newest = choose_range(begins_us, ends_us, last)
    records_max = newest or EVENTS_MAX
    with open_reads(load_settings(data_dir)) as reads:
        answered = read_transactions(
            reads,
            user_id,
            span,
            currency=currency,
            before_sequence=before,
            records_max=records_max,
        )
    sheet = build_transactions(answered.value[::-1], currency=currency)
    echo_answer(form, answered, user_id, sheet, "transactions", lambda: format_transactions(sheet))
    if not answered.value:
        say_nothing(f"no such transaction of {printable(user_id)} is stored")
    if newest is None and len(answered.value) == EVENTS_MAX:
        message = f"only the newest {EVENTS_MAX:,} are given; a shorter --from, --to has all"
        raise click.ClickException(message)


def echo_answer(
    form: Form,
    answered: Answered[Any],
    user_id: str,
    sheet: Sheet,
    name: str,
    lines: Callable[[], Sequence[str]],
    **more: object,
) -> None:
    """A user's rows in the form asked for, and where they come from."""
    echo_source(answered.source)
    echo_form(form, sheet, {**build_source(answered.source), "user_id": user_id, **more}, name=name)
    if form.is_for_people and sheet.rows:
        click.echo("\n".join(lines()))


def say_nothing(message: str) -> None:
    """There is nothing to show: why, and exit code 1."""
    click.echo(message, err=True)
    sys.exit(1)


def _echo_order(form: Form, answered: Answered[list[Whole]], user_id: str, order_id: str) -> None:
    """CSV and Parquet hold the fills, a row each."""
    orders: list[State] = [whole.state for whole in answered.value]
    fills = [fill for whole in answered.value for fill in whole.parts if isinstance(fill, Fill)]
    own = build_rows(build_struct_sheet(ORDERS.fields, orders))
    sheet = build_struct_sheet(list_fields(Fill), fills)
    document = {
        **build_source(answered.source),
        "user_id": user_id,
        "order": own[0] if own else None,
    }
    echo_source(answered.source)
    echo_form(form, sheet, document, name="fills")
    if not orders:
        say_nothing(f"{printable(user_id)} has no order {printable(order_id)}")
    if form.is_for_people:
        lines = format_orders([order for order in orders if isinstance(order, Order)])
        click.echo("\n".join([*lines, "", *format_fills(fills)]))


def format_orders(orders: Sequence[Order]) -> list[str]:
    """Lines of a table, amounts with all their digits."""
    names = ("limit_price", "order_quantity", "filled_quantity")
    columns = [align_points([getattr(order, name) or "" for order in orders]) for name in names]
    rows = [
        (
            print_time(order.ts_created),
            printable(order.order_id),
            printable(order.venue_symbol),
            f"{order.side}",
            f"{order.order_type}",
            *amounts,
            f"{order.order_status}",
        )
        for order, *amounts in zip(orders, *columns, strict=True)
    ]
    header = ("created", "order", "symbol", "side", "type", "limit", "quantity", "filled", "status")
    return format_table(header, rows)


def format_fills(fills: Sequence[Fill]) -> list[str]:
    """Lines of a table, amounts with all their digits; one line where there are none."""
    if not fills:
        return ["not filled"]
    names = ("fill_price", "fill_quantity", "fill_fee")
    columns = [align_points([getattr(fill, name) for fill in fills]) for name in names]
    rows = [
        (
            print_time(fill.ts_event),
            printable(fill.trade_id),
            *amounts,
            printable(fill.fill_fee_currency or UNKNOWN),
            f"{fill.liquidity}",
        )
        for fill, *amounts in zip(fills, *columns, strict=True)
    ]
    return format_table(("time", "trade", "price", "quantity", "fee", "in", "liquidity"), rows)


def format_wallets(wallets: Sequence[Wallet]) -> list[str]:
    """Lines of a table, amounts with all their digits."""
    available = align_points([wallet.available for wallet in wallets])
    locked = align_points([wallet.locked for wallet in wallets])
    rows = [
        (printable(wallet.currency), free, held, print_time(wallet.ts_event))
        for wallet, free, held in zip(wallets, available, locked, strict=True)
    ]
    return format_table(("currency", "available", "locked", "since"), rows)


def format_transactions(sheet: Sheet) -> list[str]:
    """Lines of a table, amounts with all their digits."""
    amounts = [align_points([row[place] for row in sheet.rows]) for place in (4, 5, 6, 7)]
    rows = [
        (
            str(row[0]),
            print_time(row[1]),
            row[2],
            printable(row[3]),
            *figures,
            printable(row[8] or UNKNOWN),
        )
        for row, *figures in zip(sheet.rows, *amounts, strict=True)
    ]
    header = ("sequence", "time", "kind", "currency", "change", "locked change", "available")
    return format_table((*header, "locked", "order"), rows, right=frozenset({0}))
