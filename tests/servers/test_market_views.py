"""What people ask of the market, answered from indexes: the latest revisions, and as of a time.

The tables hold three months of two venues, so that a plan that walks over all of it is dearer than
one that does not; then a plan with a walk means that there was no other way.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from crypto_platform.feeds.candles import Interval
from crypto_platform.stores.postgres.session import Connection
from tests.store_harness import PostgresServer, PostgresUrls, empty_database, migrate

PARTITIONS = (
    *((table, "month", f"2026-{month:02d}-01") for table in ("trade", "candle_revision")
      for month in (1, 2, 3)),
    *(("order_book", "day", f"2026-01-{day:02d}") for day in (1, 2, 3, 4)),
)  # fmt: skip

# Each symbol trades every 100 s at the number of the trade; arrival in order of time.
TRADES = """
INSERT INTO market.trade (event_id, content_hash, ts_ingest, venue, venue_symbol, trade_id, price,
  quantity, ts_event, arrival_topic_id, arrival_part, arrival_offset, ts_append)
SELECT format('%s:%s:%s', venue, symbol, n), 1, at, venue, symbol, n, n, 1, at,
  '11111111-1111-1111-1111-111111111111', 0, n, at
FROM unnest(ARRAY['one', 'two']) AS venue, unnest(ARRAY['BTC-USD', 'ETH-USD']) AS symbol,
  generate_series(0, 77759) AS n,
  LATERAL (SELECT timestamptz '2026-01-01 00:00 UTC' + n * interval '100 s' AS at) AS times
"""

CANDLES = """
INSERT INTO market.candle_revision (event_id, content_hash, ts_ingest, venue, venue_symbol,
  "interval", open, high, low, close, base_volume, ts_event, arrival_topic_id, arrival_part,
  arrival_offset, ts_append)
SELECT format('%s:%s:%s', venue, symbol, n), 1, at, venue, symbol, '15m', n, n, n, n, 1, at,
  '11111111-1111-1111-1111-111111111111', 0, n, at
FROM unnest(ARRAY['one', 'two']) AS venue, unnest(ARRAY['BTC-USD', 'ETH-USD']) AS symbol,
  generate_series(0, 8639) AS n,
  LATERAL (SELECT timestamptz '2026-01-01 00:00 UTC' + n * interval '15 min' AS at) AS times
"""

BOOKS = """
INSERT INTO market.order_book (event_id, content_hash, ts_ingest, venue, venue_symbol, depth,
  bid_prices, bid_quantities, ask_prices, ask_quantities, timed_by, ts_event, arrival_topic_id,
  arrival_part, arrival_offset, ts_append)
SELECT format('%s:%s:%s', venue, symbol, n), 1, at, venue, symbol, 1, ARRAY[n], ARRAY[1],
  ARRAY[n + 1], ARRAY[1], 'venue', at, '11111111-1111-1111-1111-111111111111', 0, n, at
FROM unnest(ARRAY['one', 'two']) AS venue, unnest(ARRAY['BTC-USD', 'ETH-USD']) AS symbol,
  generate_series(0, 11519) AS n,
  LATERAL (SELECT timestamptz '2026-01-01 00:00 UTC' + n * interval '30 s' AS at) AS times
"""

INSTRUMENTS = """
INSERT INTO market.instrument_revision (event_id, content_hash, ts_ingest, source, kind, native_id,
  status, arrival_topic_id, arrival_part, arrival_offset, ts_append)
SELECT format('%s:%s:%s', kind, id, n), 1, at, 'one', kind, format('I%s', id), format('r%s', n),
  '11111111-1111-1111-1111-111111111111', 0, n, at
FROM unnest(ARRAY['instrument', 'currency']) AS kind, generate_series(1, 500) AS id,
  generate_series(1, 20) AS n,
  LATERAL (SELECT timestamptz '2026-01-01 00:00 UTC' + n * interval '1 h' AS at) AS times
"""


@pytest.fixture(scope="module")
def filled(postgres_server: PostgresServer) -> Iterator[PostgresUrls]:
    """A database with three months in it; no test here changes what others see."""
    with empty_database(postgres_server, "test_market_views") as urls:
        migrate(urls)
        with psycopg.connect(urls.migrator) as connection:
            for table, step, begins in PARTITIONS:
                connection.execute(
                    "SELECT platform.make_partition('market', %s, %s, %s)",
                    [table, step, f"{begins} UTC"],
                )
            for statement in (TRADES, CANDLES, BOOKS, INSTRUMENTS):
                connection.execute(statement)
            connection.execute(
                "ANALYZE market.trade, market.candle_revision, market.order_book, "
                "market.instrument_revision"
            )
        yield urls


@pytest.fixture
def analyst(filled: PostgresUrls) -> Iterator[Connection]:
    """As people reach it; a session in another time zone than ours, with a clock change."""
    with psycopg.connect(filled.analyst, options="-c timezone=Europe/Berlin") as connection:
        yield connection


@dataclass(frozen=True, kw_only=True)
class Reads:
    """What a plan touched.

    Attributes:
        tables: Partitions that were really read.
        walks: Those of them that were read from end to end.
    """

    tables: frozenset[str]
    walks: frozenset[str]


def explain(connection: Connection, question: "Question", *, plan: str) -> Reads:
    """Ask a question and tell what of the tables that read.

    Args:
        connection: Whose session is over afterwards.
        question: Prepared, as a service does.
        plan: force_custom_plan (made for these values) or force_generic_plan (before any is known).
    """
    values = sql.SQL(", ").join(map(sql.Literal, question.values))
    connection.execute("SELECT set_config('plan_cache_mode', %s, false)", [plan])
    connection.execute(sql.SQL("PREPARE ask AS ") + sql.SQL(question.statement))
    [(answer,)] = connection.execute(
        sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) EXECUTE ask ({})").format(values)
    ).fetchall()
    nodes = [node for node in _walk(answer[0]["Plan"]) if node["Actual Loops"]]
    read = [node for node in nodes if "Relation Name" in node]
    return Reads(
        tables=frozenset(node["Relation Name"] for node in read),
        walks=frozenset(n["Relation Name"] for n in read if n["Node Type"] == "Seq Scan"),
    )


def _walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _walk(child)


@dataclass(frozen=True)
class Question:
    """A statement, values for its parameters, and the partitions that it has to read."""

    statement: LiteralString
    values: tuple[str | int, ...]
    tables: frozenset[str]


ONE = ("one", "BTC-USD")
DAY = ("2026-02-10 UTC", "2026-02-11 UTC")
QUESTIONS = (
    Question(
        """SELECT * FROM market.candle WHERE venue = $1 AND venue_symbol = $2
           AND "interval" = $3 AND open_time >= $4 AND open_time < $5""",
        (*ONE, "15m", *DAY),
        frozenset({"candle_revision_2026_02"}),
    ),
    Question(
        "SELECT * FROM market.candles_between($1, $2, $3, $4, $5)",
        (*ONE, "15m", *DAY),
        frozenset({"candle_revision_2026_02"}),
    ),
    Question(
        "SELECT * FROM market.trades_between($1, $2, $3, $4)",
        (*ONE, *DAY),
        frozenset({"trade_2026_02"}),
    ),
    Question(
        "SELECT * FROM market.trades_latest($1, $2, $3)", (*ONE, 50), frozenset({"trade_2026_03"})
    ),
    Question(
        "SELECT * FROM market.trade_as_of($1, $2, $3)", (*ONE, DAY[0]), frozenset({"trade_2026_02"})
    ),
    Question(
        "SELECT * FROM market.order_book_as_of($1, $2, $3)",
        (*ONE, "2026-01-02 12:00 UTC"),
        frozenset({"order_book_2026_01_02"}),
    ),
    Question(
        "SELECT * FROM market.instrument WHERE venue = $1 AND venue_symbol = $2",
        ("one", "I7"),
        frozenset({"instrument_revision"}),
    ),
    Question(
        "SELECT * FROM market.currency WHERE source = $1 AND currency_id = $2",
        ("one", "I7"),
        frozenset({"instrument_revision"}),
    ),
)


@pytest.mark.parametrize("plan", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.statement[14:40])
def test_a_question_reads_its_own_partition_by_an_index(
    analyst: Connection, question: Question, plan: str
) -> None:
    """A year of trades would be walked over for each point of somebody's chart."""
    reads = explain(analyst, question, plan=plan)
    assert reads == Reads(tables=question.tables, walks=frozenset())


def test_the_price_as_of_a_time_is_that_of_the_last_trade_before_or_at_it(
    analyst: Connection,
) -> None:
    """One trade too late is a valuation that looked into the future."""
    ask = "SELECT market.price_as_of('one', 'BTC-USD', %s)"
    for at, price in (
        ("2026-01-01 00:01:39.999999 UTC", 0),
        ("2026-01-01 00:01:40 UTC", 1),
        ("2026-02-01 00:00:00 UTC", 26784),
        ("2027-01-01 UTC", 77759),
        ("2025-12-31 23:59:59 UTC", None),
    ):
        assert analyst.execute(ask, [at]).fetchone() == (price,), at


def test_trades_of_a_symbol_come_newest_first_or_in_their_order(analyst: Connection) -> None:
    """Others' trades among them would be other prices."""
    latest = analyst.execute(
        "SELECT trade_id, venue, venue_symbol FROM market.trades_latest('two', 'ETH-USD', 2)"
    ).fetchall()
    assert latest == [("77759", "two", "ETH-USD"), ("77758", "two", "ETH-USD")]
    between = analyst.execute(
        "SELECT trade_id FROM market.trades_between('two', 'ETH-USD', '2026-01-31 23:58:20 UTC', "
        "'2026-02-01 00:01:40 UTC')"
    ).fetchall()
    assert between == [("26783",), ("26784",)]


def test_the_order_book_as_of_a_time_is_the_one_that_stood_then(analyst: Connection) -> None:
    """Not the one after it, and the day before's where the day is still empty."""
    ask = "SELECT bid_prices, ask_prices FROM market.order_book_as_of('one', 'BTC-USD', %s)"
    assert analyst.execute(ask, ["2026-01-01 00:00:59 UTC"]).fetchall() == [
        ([Decimal(1)], [Decimal(2)])
    ]
    assert analyst.execute(ask, ["2026-01-09 UTC"]).fetchall() == [
        ([Decimal(11519)], [Decimal(11520)])
    ]
    assert analyst.execute(ask, ["2025-12-31 UTC"]).fetchall() == []


REVISION = """
INSERT INTO market.candle_revision (event_id, content_hash, ts_ingest, venue, venue_symbol,
  "interval", open, high, low, close, base_volume, ts_event, arrival_offset)
VALUES (%s, 1, %s, 'three', 'BTC-USD', %s, 1, 1, 1, %s, 1, '2026-03-29 00:00 UTC', %s)
"""


def test_a_candle_is_its_youngest_revision(filled: PostgresUrls) -> None:
    """Which one came last counts, not which one was written last: replays write old ones anew."""
    with psycopg.connect(filled.migrator) as connection:
        for event_id, at, close, offset in (
            ("second", "2026-03-30 00:01 UTC", 20, 5),
            ("third", "2026-03-30 00:01 UTC", 30, 6),
            ("first", "2026-03-30 00:00 UTC", 10, 9),
        ):
            connection.execute(REVISION, [event_id, at, "1h", close, offset])
        rows = connection.execute(
            "SELECT close, revision, event_id FROM market.candle WHERE venue = 'three'"
        ).fetchall()
        connection.rollback()
    assert rows == [(30, 3, "third")]


@pytest.mark.parametrize("interval", Interval)
def test_a_candle_closes_when_its_interval_is_over(
    filled: PostgresUrls, interval: Interval
) -> None:
    """On the day the clocks change too, in whatever zone the session is."""
    with psycopg.connect(filled.migrator, options="-c timezone=Europe/Berlin") as connection:
        connection.execute(REVISION, ["one", "2026-03-30 UTC", interval.value, 1, 1])
        found = connection.execute(
            "SELECT open_time, close_time FROM market.candle WHERE venue = 'three'"
        ).fetchone()
        connection.rollback()
    assert found is not None
    times: tuple[datetime, datetime] = found
    assert (times[1].timestamp() - times[0].timestamp()) * 1_000_000 == interval.length_us


def test_instruments_and_currencies_are_their_latest_revisions(analyst: Connection) -> None:
    """A delisted instrument would stay open for ever in everybody's list."""
    with analyst.cursor(row_factory=dict_row) as cursor:
        instruments = cursor.execute("SELECT * FROM market.instrument").fetchall()
        currencies = cursor.execute("SELECT * FROM market.currency").fetchall()
    assert len(instruments) == len(currencies) == 500
    assert {row["status"] for row in [*instruments, *currencies]} == {"r20"}
    assert {row["venue_symbol"] for row in instruments} == {
        row["currency_id"] for row in currencies
    }
