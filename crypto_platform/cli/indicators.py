"""`indicators`: what a chart draws beside the candles, as a table.

Here: arguments, text. Not here: which candles (serving/indicators.py), formulas (domain/).
"""

import sys
from decimal import Decimal
from pathlib import Path

import click

from crypto_platform.cli.market import choose_range, range_options, symbol_argument, venue_argument
from crypto_platform.cli.options import data_dir_option
from crypto_platform.cli.sheet import Form, echo_form, echo_source, form_options
from crypto_platform.cli.sparkline import draw_sparkline
from crypto_platform.cli.text import format_minute, format_table, printable
from crypto_platform.domain.indicator_catalogue import CATALOGUE, parse_indicators
from crypto_platform.domain.readable import UNKNOWN, format_price
from crypto_platform.feeds.candles import Interval
from crypto_platform.serving.analytics import MadeOf
from crypto_platform.serving.indicators import (
    IndicatorAnswer,
    build_indicators,
    feed_of,
    read_indicators,
)
from crypto_platform.serving.market import Place
from crypto_platform.serving.sheets import build_source
from crypto_platform.settings import load_settings

USUAL = "sma:20,ema:20,rsi:14,macd"
SPARKLINE_WIDTH = 60


_KINDS = "; ".join(f"{kind.name}: {kind.description}" for kind in CATALOGUE.values())


@click.command(epilog=f"Indicators: {_KINDS}.")
@venue_argument
@symbol_argument
@click.option(
    "--names",
    default=USUAL,
    show_default=True,
    help="Which, with their numbers or the usual ones: sma:50,macd:12:26:9,bbands,vwap.",
)
@click.option(
    "--interval",
    type=click.Choice([interval.value for interval in Interval]),
    default=Interval.HOUR.value,
    show_default=True,
    help="Length of a candle.",
)
@click.option(
    "--made-of",
    type=click.Choice([made_of.value for made_of in MadeOf]),
    help="Candles of the stored trades, or the venue's own [default: trades where there are any].",
)
@range_options
@form_options
@data_dir_option
def indicators_command(
    *,
    venue: str,
    symbol: str,
    names: str,
    interval: str,
    made_of: str | None,
    last: int | None,
    begins_us: int | None,
    ends_us: int | None,
    form: Form,
    data_dir: Path | None,
) -> None:
    """Show indicators of SYMBOL's candles at VENUE, newest last.

    What lies before the range is read too, so that its first values are known. --from and --to are
    open times; the last candle may be open, and changes.

    Example: crypto-platform indicators coinbase BTC/USD --interval 5m --names sma:20,rsi:14
    """
    indicators = parse_indicators(names)
    span, newest = choose_range(begins_us, ends_us, last)
    settings, place = load_settings(data_dir), Place(venue, symbol)
    answer = read_indicators(
        settings,
        place,
        Interval(interval),
        span,
        indicators,
        newest=newest,
        made_of=None if made_of is None else MadeOf(made_of),
    )
    echo_source(answer.source)
    for indicator, needed, found in answer.missing:
        why = f"it needs {needed} candles before the first one, {found} are there"
        if found >= needed:
            why = "what it needs of the day or of moves is not there"
        click.echo(f"{indicator.name} is not known at first: {why}", err=True)
    document = {
        **build_source(answer.source),
        **answer.market._asdict(),
        "interval": interval,
        "made_of": answer.made_of.value,
    }
    echo_form(form, build_indicators(answer), document, name="indicators")
    if form.is_for_people and answer.candles:
        click.echo("\n".join(format_indicators(answer)))
    if not answer.candles:
        click.echo(f"no {feed_of(answer.made_of).name} of that time are stored", err=True)
        sys.exit(1)


def format_indicators(answer: IndicatorAnswer) -> list[str]:
    """Lines for people: the closes as a line, then a table; values are shortened."""
    closes = [candle.close for candle in answer.candles]
    name = printable(answer.market.symbol or answer.market.venue_symbol)
    rows = [
        (
            format_minute(candle.open_time_us),
            _short(candle.close),
            *map(_short, values),
        )
        for candle, *values in zip(answer.candles, *answer.columns.values(), strict=True)
    ]
    header = ("open time", "close", *answer.columns)
    right = frozenset(range(1, len(header)))
    line = draw_sparkline(closes, width=SPARKLINE_WIDTH)
    title = f"{answer.market.venue} {name} {answer.interval}  {line}"
    return [title, "", *format_table(header, rows, right=right)]


def _short(value: Decimal | None) -> str:
    return UNKNOWN if value is None else format_price(f"{value:f}")
