"""`portfolio`: what the wallets of one user are worth, now or day by day.

Here: arguments, tables for people. Not here: what anything is worth (serving/accounts.py, now;
serving/reports.py, at a day's end), other forms (sheet.py).
"""

from datetime import datetime
from functools import partial
from pathlib import Path

import click

from crypto_platform.cli.accounts import echo_answer, say_nothing, user_option
from crypto_platform.cli.options import data_dir_option
from crypto_platform.cli.sheet import Form, echo_form, echo_source, form_options
from crypto_platform.cli.sparkline import LOW, draw_sparkline
from crypto_platform.cli.text import align_points, format_table, printable
from crypto_platform.domain.readable import UNKNOWN, format_price
from crypto_platform.serving.account_sheets import build_holdings, build_portfolio_days
from crypto_platform.serving.accounts import VALUE_CURRENCY, Portfolio, read_portfolio
from crypto_platform.serving.failover import Source, open_reads
from crypto_platform.serving.reports import PortfolioHistory, read_portfolio_history
from crypto_platform.serving.sheets import build_source
from crypto_platform.settings import Settings, load_settings

_DAY = click.DateTime(formats=["%Y-%m-%d"])
_SPARKLINE_WIDTH = 60


@click.command()
@user_option
@click.option("--history", "is_history", is_flag=True, help="What they were worth day by day.")
@click.option("--from", "first_day", type=_DAY, help="First day [default: of his first event].")
@click.option("--to", "last_day", type=_DAY, help="Last day [default: today, so far].")
@click.option("--currency", default=None, help="Of a history's values, such as EUR [default: USD].")
@click.option("--time-zone", default=None, help="In which a history's days end [default: UTC].")
@form_options
@data_dir_option
def portfolio_command(
    *,
    user_id: str,
    is_history: bool,
    first_day: datetime | None,
    last_day: datetime | None,
    currency: str | None,
    time_zone: str | None,
    form: Form,
    data_dir: Path | None,
) -> None:
    """Show what the wallets of a user are worth in US dollars, at the newest quote or trade.

    With --history their value at each day's end, by what was stored of prices and official rates
    then, with what he gained (as a tax report counts it, first in first out) and paid in fees since
    his first event. What has no price is shown as unknown and left out of the sums.

    Example: crypto-platform portfolio --user u000001 --history --from 2026-01-01 --currency EUR
    """
    settings = load_settings(data_dir)
    if is_history:
        with open_reads(settings) as reads:
            source, history = read_portfolio_history(
                reads,
                settings,
                user_id,
                None if first_day is None else first_day.date(),
                None if last_day is None else last_day.date(),
                currency or VALUE_CURRENCY,
                time_zone=time_zone or "UTC",
            )
        _echo_history(form, source, history)
    elif any((first_day, last_day, currency, time_zone)):
        message = "--from, --to, --currency and --time-zone are of --history"
        raise click.UsageError(message)
    else:
        _echo_now(form, settings, user_id)


def _echo_now(form: Form, settings: Settings, user_id: str) -> None:
    with open_reads(settings) as reads:
        answered = read_portfolio(reads, settings, user_id)
    portfolio = answered.value
    totals: dict[str, object] = {
        "value_currency": VALUE_CURRENCY,
        "value": f"{portfolio.value:f}",
        "unpriced": list(portfolio.unpriced),
    }
    if portfolio.prices_from is not None:
        echo_prices_source(portfolio.prices_from)
        totals["prices_from"] = build_source(portfolio.prices_from)
    sheet = build_holdings(portfolio)
    lines = partial(format_portfolio, portfolio)
    echo_answer(form, answered, user_id, sheet, "holdings", lines, **totals)
    if not portfolio.holdings:
        say_nothing(f"no wallet of {printable(user_id)} is stored")


def _echo_history(form: Form, source: Source, history: PortfolioHistory) -> None:
    echo_source(source)
    document = {
        **build_source(source),
        "user_id": history.user,
        "currency": history.currency,
        "time_zone": history.time_zone,
    }
    echo_form(form, build_portfolio_days(history.days), document, name="days")
    if form.is_for_people:
        click.echo("\n".join(format_history(history)))


def format_history(history: PortfolioHistory) -> list[str]:
    """Lines of a table, a line of the values' course below."""
    days = history.days
    rows = [
        (
            day.day.isoformat(),
            f"{day.value:z,.2f}",
            f"{day.realized_gain:+z,.2f}",
            f"{day.unrealized_gain:+z,.2f}",
            f"{day.fees:z,.2f}",
            ", ".join(map(printable, sorted({*day.unvalued, *day.gains_without}))),
        )
        for day in days
    ]
    header = ("day", f"value {history.currency}", "realized", "unrealized", "fees", "unknown of")
    values = [day.value for day in days]
    line = draw_sparkline(values, width=_SPARKLINE_WIDTH, flat=LOW)
    bounds = f"{min(values):z,.2f} to {max(values):z,.2f} {history.currency}"
    return [
        *format_table(header, rows, right=frozenset({1, 2, 3, 4})),
        "",
        f"{line}  {bounds}",
    ]


def echo_prices_source(source: Source) -> None:
    """Of prices, which are at home in another store than wallets."""
    if source.problems:
        click.echo("prices:", err=True)
    echo_source(source)


def format_portfolio(portfolio: Portfolio) -> list[str]:
    """Lines of a table, the sum below; prices and values shortened."""
    quantities = align_points([f"{each.quantity:f}" for each in portfolio.holdings])
    rows = [
        (
            printable(each.wallet.currency),
            quantity,
            format_price(None if each.price is None else each.price.price),
            UNKNOWN if each.value is None else f"{each.value:z,.2f}",
            UNKNOWN if each.price is None else each.price.source,
        )
        for each, quantity in zip(portfolio.holdings, quantities, strict=True)
    ]
    header = ("currency", "quantity", f"price {VALUE_CURRENCY}", "value", "by")
    lines = format_table(header, rows, right=frozenset({2, 3}))
    left_out = ", ".join(map(printable, portfolio.unpriced))
    note = f" without {left_out}, whose price is unknown" if left_out else ""
    return [*lines, "", f"{portfolio.value:z,.2f} {VALUE_CURRENCY}{note}"]
