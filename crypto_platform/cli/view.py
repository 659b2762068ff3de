"""The live view: how everything is, once a second, in a terminal.

Here: layout and colours of a Status and a few prices; a plain line now and then where stdout is
no terminal. Not here: reading (serving/), the rows' values (status_text.py).

A frame is lines of our own, for rich's tables measure each cell anew: 36 ms of CPU a frame, this 5
(2-core machine, 120 columns). The whole view takes 2 % of a core.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from crypto_platform.cli.stack_parts import build_read_parts
from crypto_platform.cli.status_text import (
    SOURCE_COLUMNS,
    SOURCE_NUMBERS,
    STORE_COLUMNS,
    STORE_NUMBERS,
    describe_disk,
    describe_parts,
    describe_webserver,
    source_row,
    store_row,
)
from crypto_platform.cli.text import align_cells, display_width, printable
from crypto_platform.domain.readable import format_age, format_change, format_count, format_price
from crypto_platform.errors import PlatformError
from crypto_platform.feeds.quotes import Quote
from crypto_platform.serving.currencies import CurrencyCodes
from crypto_platform.serving.health import SourceStatus, Status
from crypto_platform.serving.pauses import ask_paused
from crypto_platform.serving.reader import QuoteReader, choose_quotes
from crypto_platform.serving.status import StatusReader
from crypto_platform.settings import Settings, find_settings_file
from crypto_platform.stack.folder import LOGS_FOLDER, read_lock_holder

REFRESH_S = 1.0
PLAIN_EVERY_S = 10.0
PRICES_MAX = 8
SOURCES_MAX = 7
"""More than that would push the prices out of a window; `status` has them all."""
LINES_MAX = 23
"""Below the sources, where a terminal is too narrow to show them beside, stand as many prices as a
window of 24 lines holds."""
PRICES_MIN = 1
QUOTES_READ_MAX = 40
PRICES_EVERY_S = 2.0
"""A price list costs the store more than all else here."""
PROBLEMS_SHOWN_MAX = 5
_GAP = "    "

Line = list[tuple[str, str]]
"""Pieces of text, each with a style of rich's."""


@dataclass(frozen=True, kw_only=True)
class Onlooker:
    """Somebody who looks at each status, and whose own lines stand above the tables.

    Attributes:
        see: Called with each status as soon as it is read; may end the view.
        log: Lines in the place of what describe_controls says.
    """

    see: Callable[[Status], None]
    log: Callable[[], Sequence[Line]]


def run_live_view(
    settings: Settings,
    stop: threading.Event,
    *,
    onlooker: Onlooker | None = None,
    output: TextIO | None = None,
) -> None:
    """Show the platform until `stop` is set; a KeyboardInterrupt goes to the caller.

    Args:
        settings: Of the data folder, addresses included.
        stop: May be set by any thread; the view ends within about a second.
        onlooker: Sees all that is read, a status a second even where no terminal is.
        output: Instead of stdout.
    """
    out = output or sys.stdout
    status_reader = StatusReader(
        settings,
        read_parts=build_read_parts(settings.data_dir),
        read_paused=lambda: ask_paused(settings),
    )
    prices = Prices(settings)
    if onlooker is None:
        head = describe_controls(settings.data_dir, find_settings_file(settings.data_dir))
        onlooker = Onlooker(see=lambda _: None, log=lambda: [[(line, "dim")] for line in head])
        plain_reads = 1
    else:
        plain_reads = round(PLAIN_EVERY_S / REFRESH_S)
    try:
        if out.isatty():
            _run_live(Console(file=out), status_reader, prices, onlooker, stop)
        else:
            _run_plain(out, status_reader, prices, onlooker, stop, reads=plain_reads)
    finally:
        status_reader.close()
        prices.close()


def _run_live(
    console: Console,
    status_reader: StatusReader,
    prices: "Prices",
    onlooker: Onlooker,
    stop: threading.Event,
) -> None:
    with Live(console=console, auto_refresh=False) as live:
        while not stop.is_set():
            status = status_reader.read()
            onlooker.see(status)
            prices.read()
            frame = render(status, prices, head=onlooker.log(), columns=console.width)
            live.update(frame, refresh=True)
            stop.wait(REFRESH_S)


def _run_plain(
    output: TextIO,
    status_reader: StatusReader,
    prices: "Prices",
    onlooker: Onlooker,
    stop: threading.Event,
    *,
    reads: int,
) -> None:
    """A line now and then; of so many readings one is shown."""
    while not stop.is_set():
        for number in range(reads):
            status = status_reader.read()
            onlooker.see(status)
            if number == 0:
                prices.read()
                output.write(format_line(status, prices) + "\n")
                output.flush()
            if stop.wait(PLAIN_EVERY_S / reads):
                return


class Prices:
    """The largest currencies and whether they rose or fell since the refresh before."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is read yet."""
        sources = settings.sources.items()
        self._simulated = frozenset(name for name, source in sources if source.simulated)
        self._codes = CurrencyCodes(settings)
        self._reader = QuoteReader(settings, records_max=QUOTES_READ_MAX)
        self._due_at = 0.0
        self._before: dict[str, Decimal] = {}
        self.quotes: Sequence[Quote] = ()
        self.moves: dict[str, int] = {}
        self.problem: str | None = None

    def read(self) -> None:
        """Read anew where due; if no store answers, the old prices stay and `problem` says why."""
        now = time.monotonic()
        if now < self._due_at:
            return
        self._due_at = now + PRICES_EVERY_S - REFRESH_S / 2
        try:
            answer = self._reader.read()
        except PlatformError as error:
            self.problem = str(error)
            return
        self.problem = "; ".join(answer.source.problems) or None
        chosen = choose_quotes(
            answer.quotes, codes=self._codes, simulated=self._simulated, count=PRICES_MAX
        )
        self.take(chosen)

    def take(self, quotes: Sequence[Quote]) -> None:
        """Show these from now on; `moves` is -1, 0 or 1 by source and currency."""
        now = {_name(q): Decimal(q.price) for q in quotes if q.price is not None}
        self.moves = {
            name: (price > self._before[name]) - (price < self._before[name])
            for name, price in now.items()
            if name in self._before
        }
        self._before = now
        self.quotes = quotes

    def close(self) -> None:
        """Give back connections."""
        self._reader.close()


def _name(quote: Quote) -> str:
    return f"{quote.source}/{quote.currency_id}"


def describe_controls(data_dir: Path, settings_file: Path) -> list[str]:
    """How to stop, where logs and settings are; a line each."""
    is_ours = read_lock_holder(data_dir) == os.getpid()
    return [
        "Ctrl-C stops everything"
        if is_ours
        else "Ctrl-C ends this view, `crypto-platform down` the stack",
        f"logs      {data_dir / LOGS_FOLDER}",
        f"settings  {settings_file}",
    ]


def render(status: Status, prices: Prices, *, head: Sequence[Line], columns: int) -> Text:
    """One frame.

    Args:
        status: Just read.
        prices: Just read.
        head: Lines above the tables.
        columns: Width of the terminal.
    """
    shown = _price_lines(status, prices)
    sources = _source_lines(status)
    side_by_side = _width(sources) + len(_GAP) + _width(shown) <= columns
    above = [
        _verdict_line(status),
        [(f"Dagster UI {describe_webserver(status)}   {describe_disk(status)}", "")],
        *head,
        [],
        *_table(STORE_COLUMNS, [store_row(s) for s in status.stores], STORE_NUMBERS),
        [],
    ]
    below = shown[: max(LINES_MAX - len(above) - len(sources) - 1, PRICES_MIN + 1)]
    lines = [
        *above,
        *(_beside(sources, shown) if side_by_side else [*sources, [], *below]),
        *_trouble_lines(status),
    ]
    text = Text(no_wrap=True, overflow="ellipsis", end="")
    for line in lines:
        for piece, style in line:
            text.append(piece, style or None)
        text.append("\n")
    return text


def _source_lines(status: Status) -> list[Line]:
    """A row each of those that there is most to say of; the others by name."""
    asked = [source for source in status.sources if source.enabled]
    told = sorted(asked, key=_has_nothing_to_tell)[:SOURCES_MAX]
    shown = [source for source in asked if source in told]
    lines = _table(SOURCE_COLUMNS, [source_row(each) for each in shown], SOURCE_NUMBERS)
    for title, names in (
        ("also read", [source.name for source in asked if source not in told]),
        ("not read", [source.name for source in status.sources if not source.enabled]),
    ):
        if names:
            lines.append([(f"{title}: {', '.join(names)}", "dim")])
    return lines


def _has_nothing_to_tell(source: SourceStatus) -> tuple[bool, bool]:
    """Trouble stands before news, and news before none."""
    return not (source.failures or source.is_paused), source.poll_age_s is None


def _verdict_line(status: Status) -> Line:
    word, style = (status.word, "bold green") if status.is_good else ("NOT GOOD", "bold red")
    quarantined = [s.quarantined_records for s in status.stores if s.quarantined_records]
    rest = f"   {status.at:%H:%M:%S} UTC   {len(status.incidents)} incidents open"
    if quarantined:
        rest += f", {format_count(max(quarantined))} records in quarantine"
    down = ", Kafka DOWN" if not status.kafka_up else ""
    return [("crypto-platform ", "bold"), (word, style), (rest, ""), (down, "red")]


def _price_lines(status: Status, prices: Prices) -> list[Line]:
    if not prices.quotes:
        return [[(printable(prices.problem or "no price is stored yet"), "dim")]]
    rows = [_price_row(status, quote, prices.moves.get(_name(quote), 0)) for quote in prices.quotes]
    lines = _table(("price of", "", "", "24 h", "age", "source"), rows, frozenset({1, 3, 4}))
    for line, quote in zip(lines[1:], prices.quotes, strict=True):
        style = {1: "green", -1: "red"}.get(prices.moves.get(_name(quote), 0), "")
        line[1:3] = [(text, style) for text, _ in line[1:3]]
    return lines


def _price_row(status: Status, quote: Quote, move: int) -> tuple[str, ...]:
    age_s = status.at.timestamp() - (quote.ts_event or quote.ts_ingest) / 1_000_000
    return (
        printable(quote.currency_symbol or quote.currency_id)[:12],
        f"{format_price(quote.price)} {printable(quote.quote_currency)}",
        {1: "▲", -1: "▼"}.get(move, " "),
        format_change(quote.price_change_24h_pct),
        format_age(max(age_s, 0.0)),
        quote.source,
    )


def _trouble_lines(status: Status) -> list[Line]:
    lines: list[Line] = [[(line, "yellow")] for line in (*describe_parts(status), *status.pauses)]
    shown = status.problems[:PROBLEMS_SHOWN_MAX]
    lines += [[(f"not good: {printable(problem)}", "red")] for problem in shown]
    if len(status.problems) > len(shown):
        more = len(status.problems) - len(shown)
        lines.append([(f"and {more} more: `crypto-platform status` shows all", "red")])
    return [[], *lines] if lines else []


def _table(
    header: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int]
) -> list[Line]:
    titles, *cells = align_cells([header, *rows], right=right)
    head: Line = [(f"{title}  ", "dim") for title in titles]
    return [head, *([_style_cell(cell) for cell in row] for row in cells)]


def _style_cell(cell: str) -> tuple[str, str]:
    return f"{cell}  ", "red" if cell.strip() == "DOWN" else ""


def _beside(left: Sequence[Line], right: Sequence[Line]) -> list[Line]:
    width = _width(left)
    return [
        [*a, (" " * (width - _width([a])) + _GAP, ""), *b]
        for a, b in zip_longest(left, right, fillvalue=list[tuple[str, str]]())
    ]


def _width(lines: Sequence[Line]) -> int:
    return max(sum(display_width(text) for text, _ in line) for line in lines)


def format_line(status: Status, prices: Prices) -> str:
    """The same in one line, for logs and pipes."""
    verdict = status.word if status.is_good else f"NOT GOOD: {'; '.join(status.problems)}"
    stores = [
        f"{s.name} lag {format_count(s.lag_records)} ({format_age(s.lag_s)}), "
        f"{format_count(s.records_per_minute)}/min"
        if s.up
        else f"{s.name} DOWN"
        for s in status.stores
    ]
    shown = [
        f"{printable(q.currency_symbol or q.currency_id)} {format_price(q.price)}"
        for q in prices.quotes[:3]
    ]
    parts = [f"{status.at:%H:%M:%S} {printable(verdict)}", *stores, *describe_parts(status)]
    parts += status.pauses
    return "; ".join([*parts, ", ".join(shown)] if shown else parts)
