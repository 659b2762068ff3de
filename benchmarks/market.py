"""How fast people read the market where a month of trades is stored: latest, as of, ranges.

Here: generated trades of 20 symbols (Zipf: the k-th has 1/k of the first one's) over 30 days and
their minutes' candles, COPYed into partitions that are attached when their indexes stand, as a load
leaves them; then each question again and again, at other symbols and times. Timed is what a reader
waits for: statement, answer, records. The plan of each question is looked at: nothing may be read
from end to end, and only the partitions of its own time.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from typing import Any

import click
import psycopg
from psycopg import sql

from crypto_platform.domain.hours import to_time_us
from crypto_platform.feeds import FEED_BY_NAME, Feed, Record
from crypto_platform.feeds.candles import Interval
from crypto_platform.migrations import migrate
from crypto_platform.stack.embedded import embedded_servers
from crypto_platform.stores import open_store
from crypto_platform.stores.base import Store
from crypto_platform.stores.market import MARKET_PAGE_RECORDS, Market, Span
from crypto_platform.stores.postgres.markets import READ_CANDLES, READ_NEWEST, READ_OLDEST
from crypto_platform.stores.postgres.reader import on_table
from crypto_platform.stores.postgres.rows import columns_of, format_time

TRADES, CANDLES = FEED_BY_NAME["trades"], FEED_BY_NAME["candles"]
VENUE = "coinbase"
SYMBOLS = tuple(f"C{number:02}-USD" for number in range(1, 21))
MEDIAN = len(SYMBOLS) // 2
BEGINS = to_time_us(datetime(2026, 1, 16, tzinfo=UTC))
MONTHS = ("2026-01-01", "2026-02-01", "2026-03-01")
"""Where the two partitions begin and end: 16 days in the first, 14 in the second."""
DAY, HOUR, MINUTE = 86_400_000_000, 3_600_000_000, 60_000_000
DAYS = 30
P95_MS_MAX = 50.0
TRADES_MIN = 200_000
"""With fewer, the last 1,000 of the median symbol do not lie within one partition."""
TOPIC_ID = "11111111-2222-3333-4444-555555555555"
BLOCK_ROWS = 20_000

Values = dict[str, str | int]


@dataclass(frozen=True, kw_only=True)
class Question:
    """Something people ask.

    Attributes:
        ask: Once, at a place of its own choice; returns how many records came.
        statement, values: The same as SQL, for one place whose partition is `table`.
    """

    name: str
    ask: Callable[[], int]
    statement: bytes
    values: Values
    table: str


@click.command()
@click.option(
    "--trades",
    type=click.IntRange(min=TRADES_MIN),
    default=20_000_000,
    show_default=True,
    help="How many are stored.",
)
@click.option("--rounds", default=200, show_default=True, help="How often each question is asked.")
@click.option("--seed", default=7, show_default=True, help="Of trades and questions.")
def market(*, trades: int, rounds: int, seed: int) -> None:
    """Time what people ask of the market in PostgreSQL, and look at the plans."""
    dice = random.Random(seed)  # noqa: S311 (made-up trades)
    with tempfile.TemporaryDirectory(prefix="crypto_platform_market_") as name:
        Path(name).chmod(0o755)
        folder = Path(name) / "data"
        with embedded_servers(folder, parts=("postgres",)) as settings:
            migrate(settings, progress=lambda line: click.echo(line, err=True))
            store = open_store("postgres", settings, role="analyst")
            migrator_url = settings.postgres.migrator_url
            assert migrator_url is not None, "the stack writes it"
            with psycopg.connect(migrator_url.get_secret_value(), autocommit=True) as owner:
                _fill(owner, trades, dice)
                questions = _list_questions(store, owner, dice)
                click.echo(f"{trades:,} trades, {rounds} times each; milliseconds")
                click.echo(f"{'':32}{'p50':>8}{'p95':>8}{'records':>9}  plan")
                good = [_report(question, owner, rounds) for question in questions]
            store.close()
    if not all(good):
        raise SystemExit(1)


def _fill(owner: "psycopg.Connection[Any]", trades: int, dice: random.Random) -> None:
    half = trades * 16 // DAYS
    ends = to_time_us(datetime(2026, 2, 1, tzinfo=UTC))
    last = BEGINS + DAYS * DAY
    for number, (begins, until, count) in enumerate(
        ((BEGINS, ends, half), (ends, last, trades - half))
    ):
        first = 1 + number * half
        rows = _make_trades(first, count, begins, until, dice)
        _copy(owner, TRADES, MONTHS[number : number + 2], rows)
        _copy(owner, CANDLES, MONTHS[number : number + 2], _make_candles(begins, until))
    owner.execute("VACUUM ANALYZE market.trade, market.candle_revision")


def _copy(
    owner: "psycopg.Connection[Any]", feed: Feed[Record], months: Sequence[str], rows: Iterator[str]
) -> None:
    """Fill one partition beside the table, then index and attach it."""
    began = time.monotonic()
    parent = sql.Identifier(feed.schema, feed.table)
    partition = sql.Identifier(feed.schema, f"{feed.table}_{months[0][:7].replace('-', '_')}")
    owner.execute(sql.SQL("CREATE TABLE {} (LIKE {})").format(partition, parent))
    names = sql.SQL(", ").join(map(sql.Identifier, columns_of(feed)))
    with (
        owner.cursor() as cursor,
        cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(partition, names)) as copy,
    ):
        for block in rows:
            copy.write(block)
    owner.execute("SET maintenance_work_mem = '512MB'")
    # the keys that it lacks are made by attaching it
    attach = "ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})"
    bounds = [sql.Literal(f"{month} UTC") for month in months]
    owner.execute(sql.SQL(attach).format(parent, partition, *bounds))
    click.echo(f"{feed.name} from {months[0]}: {time.monotonic() - began:.0f} s", err=True)


def _make_trades(
    first: int, count: int, begins: int, ends: int, dice: random.Random
) -> Iterator[str]:
    """Blocks of rows for COPY, in order of time, all symbols mixed."""
    weights = list(accumulate(1 / rank for rank in range(1, len(SYMBOLS) + 1)))
    step = (ends - begins) / max(count, 1)
    ingested = format_time(begins)
    for start in range(0, count, BLOCK_ROWS):
        rows = range(start, min(start + BLOCK_ROWS, count))
        symbols = dice.choices(SYMBOLS, cum_weights=weights, k=len(rows))
        lines = []
        for row, symbol in zip(rows, symbols, strict=True):
            number, at = first + row, format_time(begins + int(row * step))
            price = f"{90_000 + number % 997}.{number % 100:02}"
            lines.append(
                f"{VENUE}:{symbol}:{number}\t{number}\t{ingested}\t{VENUE}\t{symbol}\t"
                f"{symbol.replace('-', '/')}\t{number}\t{price}\t0.{number % 9973 + 1:08}\tbuy\t"
                f"{at}\t\\N\t{TOPIC_ID}\t0\t{number}\t{at}\n"
            )
        yield "".join(lines)


def _make_candles(begins: int, ends: int) -> Iterator[str]:
    for minute in range(begins, ends, MINUTE):
        at, number = format_time(minute), minute // MINUTE
        yield "".join(
            f"{VENUE}:{symbol}:1m:{minute}\t1\t{at}\t{VENUE}\t{symbol}\t{symbol.replace('-', '/')}"
            f"\t1m\t{at}\t1.10\t2\t1\t1.{number % 1000:03}\t12.5\t\\N\t\\N\t7\t{TOPIC_ID}\t0\t"
            f"{number}\t{at}\n"
            for symbol in SYMBOLS
        )


def _list_questions(
    store: Store, owner: "psycopg.Connection[Any]", dice: random.Random
) -> list[Question]:
    median = Market(VENUE, SYMBOLS[MEDIAN], None)
    hour = Span(BEGINS + DAY, BEGINS + DAY + HOUR)
    day = Span(BEGINS + DAY, BEGINS + 2 * DAY)
    as_of = on_table("SELECT market.price_as_of(%(venue)s, %(venue_symbol)s, %(begins)s)", TRADES)
    # what that one does inside: PostgreSQL does not show the plan of a function of one value
    inside = on_table(
        "SELECT t.price FROM market.trade_as_of(%(venue)s, %(venue_symbol)s, %(begins)s) AS t",
        TRADES,
    )

    def any_market() -> Market:
        return Market(VENUE, dice.choice(SYMBOLS), None)

    def any_span(length_us: int) -> Span:
        begins = BEGINS + dice.randrange((DAYS * DAY - length_us) // HOUR) * HOUR
        return Span(begins, begins + length_us)

    def ask_price() -> int:
        values = _values(any_market(), Span(BEGINS + dice.randrange(DAYS * DAY), None))
        return len(owner.execute(as_of, values).fetchall())

    return [
        Question(
            name="last 1,000 trades",
            ask=lambda: len(store.read_newest(TRADES, any_market(), records_max=1000)),
            statement=on_table(READ_NEWEST, TRADES),
            values=_values(median, Span(), records_max=1000),
            table="trade_2026_02",
        ),
        Question(
            name="price as of a time",
            ask=ask_price,
            statement=inside,
            values=_values(median, hour),
            table="trade_2026_01",
        ),
        Question(
            name="an hour of the median symbol",
            ask=lambda: len(_read_all(store.read_market(TRADES, median, any_span(HOUR)))),
            statement=on_table(READ_OLDEST, TRADES),
            values=_values(median, hour, records_max=MARKET_PAGE_RECORDS),
            table="trade_2026_01",
        ),
        Question(
            name="a day of 1-minute candles",
            ask=lambda: len(
                _read_all(
                    store.read_market(
                        CANDLES, any_market(), any_span(DAY), interval=Interval.MINUTE
                    )
                )
            ),
            statement=on_table(READ_CANDLES, CANDLES),
            values=_values(median, day, records_max=MARKET_PAGE_RECORDS) | {"interval": "1m"},
            table="candle_revision_2026_01",
        ),
        Question(
            name="which markets there are",
            ask=lambda: len(store.list_markets(TRADES)),
            statement=b"",
            values={},
            table="",
        ),
    ]


def _values(market: Market, span: Span, *, records_max: int = 1) -> Values:
    begins, ends = span
    return {
        "venue": market.venue,
        "venue_symbol": market.venue_symbol,
        "begins": "-infinity" if begins is None else format_time(begins),
        "ends": "infinity" if ends is None else format_time(ends),
        "records_max": records_max,
        "after_offset": -1,
        "after_id": "",
    }


def _read_all(pages: Iterator[Sequence[Record]]) -> list[Record]:
    return [record for page in pages for record in page]


def _report(question: Question, owner: "psycopg.Connection[Any]", rounds: int) -> bool:
    """A line of figures; whether they and the plan are as they should be."""
    question.ask()
    seconds: list[float] = []
    records = 0
    for _ in range(rounds):
        began = time.perf_counter()
        records += question.ask()
        seconds.append(time.perf_counter() - began)
    ms = [1000 * second for second in seconds]
    p50, p95 = statistics.median(ms), statistics.quantiles(ms, n=20)[-1]
    plan, is_good = _look_at_plan(question, owner)
    click.echo(f"{question.name:32}{p50:8.1f}{p95:8.1f}{records // rounds:9,}  {plan}")
    return is_good and p95 <= P95_MS_MAX


def _look_at_plan(question: Question, owner: "psycopg.Connection[Any]") -> tuple[str, bool]:
    if not question.statement:
        return "two probes a market and partition", True
    statement = b"EXPLAIN (ANALYZE, FORMAT JSON) " + question.statement
    [(answer,)] = owner.execute(statement, question.values).fetchall()
    nodes = [node for node in _walk(answer[0]["Plan"]) if node["Actual Loops"]]
    read = [node for node in nodes if "Relation Name" in node]
    tables = {node["Relation Name"] for node in read}
    is_pruned = tables == {question.table}
    has_index = all("Index" in node["Node Type"] or "Bitmap" in node["Node Type"] for node in read)
    how = "index" if has_index else "WALKS"
    where = "its partition only" if is_pruned else f"READS {', '.join(sorted(tables)) or 'nothing'}"
    return f"{how}, {where}", has_index and is_pruned


def _walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _walk(child)
