"""`overview`, `venues`: all markets at a glance; one symbol at all its venues.

Here: text. Not here: figures (serving/overview.py, serving/venue_comparison.py).
"""

import sys
from decimal import Decimal
from pathlib import Path

import click

from crypto_platform.cli.options import data_dir_option
from crypto_platform.cli.sheet import Form, echo_form, echo_source, form_options
from crypto_platform.cli.sparkline import draw_sparkline
from crypto_platform.cli.text import format_table, printable
from crypto_platform.domain.hours import TimeUs
from crypto_platform.domain.readable import (
    UNKNOWN,
    format_age,
    format_change,
    format_money,
    format_price,
)
from crypto_platform.serving.analytics import MadeOf
from crypto_platform.serving.failover import open_reads
from crypto_platform.serving.overview import Overview, build_overview, read_overview
from crypto_platform.serving.sheets import build_source, print_time
from crypto_platform.serving.venue_comparison import (
    VenueAnswer,
    build_venues,
    read_venue_comparison,
)
from crypto_platform.settings import load_settings

SPARKLINE_WIDTH = 24


@click.command()
@form_options
@data_dir_option
def overview_command(*, form: Form, data_dir: Path | None) -> None:
    """Show the last day and week of every market, the largest volume first.

    Volumes, high, low and volatility (realised, per cent a year) are those of 24 hours. The table
    shortens amounts; --json, --csv and --parquet keep every digit, as strings.

    Example: crypto-platform overview
    """
    settings = load_settings(data_dir)
    with open_reads(settings) as reads:
        overview = read_overview(reads, settings)
    echo_source(overview.source)
    document = {**build_source(overview.source), "as_of": print_time(overview.as_of_us)}
    echo_form(form, build_overview(overview), document, name="markets")
    if any(row.made_of is MadeOf.VENUE for row in overview.rows):
        click.echo("volumes, highs and lows are those of the venues' own candles", err=True)
    if form.is_for_people and overview.rows:
        click.echo("\n".join(format_overview(overview)))
    if not overview.rows:
        click.echo("no trades are stored yet: `crypto-platform status` says why", err=True)
        sys.exit(1)


def format_overview(overview: Overview) -> list[str]:
    """Lines of a table, amounts shortened."""
    rows = [
        (
            printable(row.market.symbol or row.market.venue_symbol),
            row.market.venue,
            UNKNOWN if found.last is None else _price(found.last.price),
            _change(found.change_24h_pct),
            _change(found.change_7d_pct),
            _price(found.low_24h),
            _price(found.high_24h),
            UNKNOWN
            if found.quote_volume_24h is None
            else format_money(f"{found.quote_volume_24h:f}"),
            UNKNOWN if found.volatility_24h_pct is None else f"{found.volatility_24h_pct:.0f} %",
            draw_sparkline(found.sparkline, width=SPARKLINE_WIDTH),
            UNKNOWN if found.last is None else _age(overview.as_of_us - found.last.time_us),
        )
        for row in overview.rows
        for found in [row.summary]
    ]
    header = (
        *("market", "venue", "last", "24 h", "7 d", "low", "high"),
        *("volume, quote", "volatility", "24 h", "age"),
    )
    return format_table(header, rows, right=frozenset({2, 3, 4, 5, 6, 7, 8, 10}))


@click.command()
@click.argument("symbol")
@form_options
@data_dir_option
def venues_command(*, symbol: str, form: Form, data_dir: Path | None) -> None:
    """Compare the price of SYMBOL (unified: BTC/USD) at all its venues.

    A difference is from the median of the prices that are fresh; a price is the middle of best bid
    and best ask, or that of the last trade.

    Example: crypto-platform venues BTC/USD
    """
    settings = load_settings(data_dir)
    with open_reads(settings) as reads:
        answer = read_venue_comparison(reads, settings, symbol)
    echo_source(answer.source)
    reference, gap = answer.comparison.reference_price, answer.comparison.gap
    document = {
        **build_source(answer.source),
        "as_of": print_time(answer.as_of_us),
        "reference_price": None if reference is None else f"{reference:f}",
        "gap": None
        if gap is None
        else {**gap._asdict(), "ask": f"{gap.ask:f}", "bid": f"{gap.bid:f}", "bps": f"{gap.bps:f}"},
    }
    echo_form(form, build_venues(answer), document, name="venues")
    if form.is_for_people:
        click.echo("\n".join(format_venues(answer)))


def format_venues(answer: VenueAnswer) -> list[str]:
    """Lines for people, amounts shortened."""
    found = answer.comparison
    rows = [
        (
            row.market.venue,
            _price(row.price),
            "-" if row.price_of is None else row.price_of.value,
            _bps(row.difference_bps),
            UNKNOWN if row.spread_bps is None else f"{row.spread_bps:.2f} bp",
            UNKNOWN if row.volume_share_ratio is None else f"{100 * row.volume_share_ratio:.1f} %",
            UNKNOWN if row.age_us is None else _age(row.age_us),
            "" if row.is_fresh else "old",
        )
        for row in found.rows
    ]
    header = ("venue", "price", "of", "difference", "spread", "volume", "age", "")
    lines = [
        f"{answer.symbol}  median {_price(found.reference_price)}",
        "",
        *format_table(header, rows, right=frozenset({1, 3, 4, 5, 6})),
    ]
    if found.gap is not None:
        gap = found.gap
        where = f"buy at {gap.buy_at} for {_price(gap.ask)}, sell at {gap.sell_at} for"
        lines += ["", f"{where} {_price(gap.bid)}: {_bps(gap.bps)} before fees"]
    return lines


def _price(price: Decimal | None) -> str:
    return UNKNOWN if price is None else format_price(f"{price:f}")


def _change(percent: Decimal | None) -> str:
    return UNKNOWN if percent is None else format_change(f"{percent:f}")


def _bps(bps: Decimal | None) -> str:
    return UNKNOWN if bps is None else f"{bps:+.2f} bp"


def _age(age_us: TimeUs) -> str:
    return format_age(max(age_us, 0) / 1_000_000)
