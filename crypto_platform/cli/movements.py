"""`volatility`, `correlations`: how much a market moves, and what moves with it.

Here: arguments, text. Not here: figures (serving/movements.py).
"""

import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import click

from crypto_platform.cli.market import symbol_argument, venue_argument
from crypto_platform.cli.options import data_dir_option
from crypto_platform.cli.sheet import Form, echo_form, echo_source, form_options
from crypto_platform.cli.sparkline import draw_sparkline
from crypto_platform.cli.text import format_minute, format_table, printable
from crypto_platform.domain.hours import TimeUs
from crypto_platform.domain.readable import UNKNOWN
from crypto_platform.serving.analytics import MadeOf
from crypto_platform.serving.failover import open_reads
from crypto_platform.serving.market import Place
from crypto_platform.serving.movements import (
    HOURS_MAX,
    CorrelationAnswer,
    VolatilityAnswer,
    build_correlations,
    build_volatility,
    read_correlations,
    read_volatility,
)
from crypto_platform.serving.sheets import Sheet, build_source
from crypto_platform.settings import load_settings
from crypto_platform.stores.market import Market

HOURS = 24
SPARKLINE_WIDTH = 60
PAIR_WIDTH = 24

Answer = TypeVar("Answer", VolatilityAnswer, CorrelationAnswer)


def _hours_option(command: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        *("-n", "--last", "hours"),
        type=click.IntRange(min=1, max=HOURS_MAX),
        default=HOURS,
        show_default=True,
        help="The newest so many full hours; each looks back on 24.",
    )(command)


@click.command()
@venue_argument
@symbol_argument
@_hours_option
@form_options
@data_dir_option
def volatility_command(
    *, venue: str, symbol: str, hours: int, form: Form, data_dir: Path | None
) -> None:
    """Show the realised volatility of SYMBOL at VENUE, per cent a year, newest last.

    Each of five-minute closes of the 24 hours before a full hour; unknown of fewer than ten
    returns.

    Example: crypto-platform volatility coinbase BTC/USD --last 48
    """
    settings = load_settings(data_dir)
    with open_reads(settings) as reads:
        answer = read_volatility(reads, settings, Place(venue, symbol), hours=hours)
    _echo(form, answer, build_volatility, format_volatility, name="volatility")


@click.command()
@venue_argument
@symbol_argument
@_hours_option
@form_options
@data_dir_option
def correlations_command(
    *, venue: str, symbol: str, hours: int, form: Form, data_dir: Path | None
) -> None:
    """Show how SYMBOL moves with each other market of VENUE, the closest first.

    Pearson's of five-minute log returns of the 24 hours before a full hour, -1 to 1; unknown of
    fewer than 30 pairs. The table has the newest hour, and the course as a line; the other forms
    have every hour.

    Example: crypto-platform correlations coinbase BTC/USD --csv
    """
    settings = load_settings(data_dir)
    with open_reads(settings) as reads:
        answer = read_correlations(reads, settings, Place(venue, symbol), hours=hours)
    _echo(form, answer, build_correlations, format_correlations, name="correlations")


def _echo(
    form: Form,
    answer: Answer,
    build: Callable[[Answer], Sheet],
    format_lines: Callable[[Answer], list[str]],
    *,
    name: str,
) -> None:
    """In the form that was asked for; nothing at all is exit 1."""
    echo_source(answer.source)
    if answer.made_of is MadeOf.VENUE:
        click.echo("made of the venues' own candles", err=True)
    market = answer.market._asdict()
    described = {**build_source(answer.source), **market, "made_of": answer.made_of.value}
    echo_form(form, build(answer), described, name=name)
    if not answer.rows:
        click.echo("nothing is stored of the hours before: `crypto-platform status`", err=True)
        sys.exit(1)
    if form.is_for_people:
        click.echo("\n".join(format_lines(answer)))


def format_volatility(answer: VolatilityAnswer) -> list[str]:
    """Lines for people: the course as a line, then a table."""
    figures = [each.volatility for each in answer.rows]
    line = draw_sparkline([each.annualised_pct for each in figures], width=SPARKLINE_WIDTH)
    rows = [
        (
            format_minute(as_of_us),
            UNKNOWN if found.annualised_pct is None else f"{found.annualised_pct:.1f} %",
            str(found.returns),
        )
        for as_of_us, found in answer.rows
    ]
    title = f"{answer.market.venue} {_name(answer.market)}  {line}"
    header = ("as of", "volatility", "returns")
    return [title, "", *format_table(header, rows, right=frozenset({1, 2}))]


def format_correlations(answer: CorrelationAnswer) -> list[str]:
    """Lines of a table: each other market at the newest hour, and its course."""
    times = sorted({each.as_of_us for each in answer.rows})
    courses: dict[Market, dict[TimeUs, Decimal | None]] = {}
    pairs: dict[Market, int] = {}
    for each in answer.rows:
        courses.setdefault(each.other, {})[each.as_of_us] = each.correlation.value
        if each.as_of_us == times[-1]:
            pairs[each.other] = each.correlation.pairs
    now = {other: course.get(times[-1]) for other, course in courses.items()}
    known = sorted((value, other) for other, value in now.items() if value is not None)[::-1]
    order = [other for _, other in known] + [each for each in courses if now[each] is None]
    rows = [
        (
            _name(other),
            UNKNOWN if (value := now[other]) is None else f"{value:+.2f}",
            str(pairs.get(other, 0)),
            draw_sparkline([courses[other].get(at) for at in times], width=PAIR_WIDTH),
        )
        for other in order
    ]
    title = f"{answer.market.venue} {_name(answer.market)}, as of {format_minute(times[-1])}"
    header = ("with", "correlation", "pairs", f"{len(times)} h")
    return [title, "", *format_table(header, rows, right=frozenset({1, 2}))]


def _name(market: Market) -> str:
    return printable(market.symbol or market.venue_symbol)
