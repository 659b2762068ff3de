"""Figures of the market in PostgreSQL: what the pure functions say, whatever came when."""

import random
import threading
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from crypto_platform.analytics import ANALYTICS
from crypto_platform.analytics.indicators import CHOSEN
from crypto_platform.analytics.pipeline import make_days
from crypto_platform.analytics.retention import (
    count_old_figures,
    plan_figure_cuts,
    remove_old_figures,
)
from crypto_platform.domain.candles import BuiltCandle, Match, build_candles
from crypto_platform.domain.hours import to_time_us
from crypto_platform.domain.indicator_catalogue import calculate
from crypto_platform.domain.indicators import CandleColumns
from crypto_platform.domain.market_overview import LastPrice, summarize_market
from crypto_platform.domain.volatility import Close, find_volatility
from crypto_platform.feeds.candles import Interval
from crypto_platform.feeds.order_books import ORDER_BOOKS, OrderBook, TimedBy, seal_order_book
from crypto_platform.feeds.trades import Trade
from crypto_platform.settings import Settings
from crypto_platform.stores import open_analytics, open_store
from crypto_platform.stores.postgres.analytics_figures import FIGURE_TABLES, FigureTable
from tests import analytics_steps as steps
from tests.analytics_steps import (
    DAY,
    HOUR,
    MIDNIGHT,
    MINUTE,
    list_pending,
    load,
    settings_of,
    trade,
)
from tests.store_harness import PostgresUrls
from tests.store_steps import P1, claim, piece

LATER = 12 * DAY
FIVE = Interval.FIVE_MINUTES.length_us


@pytest.fixture
def settings(postgres_urls: PostgresUrls, tmp_path: Path) -> Settings:
    return settings_of(postgres_urls, tmp_path)


def make_walk(seed: int, *, symbol: str = "BTC-USD", venue: str = "simulated") -> list[Trade]:
    """Two days of a trade every other minute or so, some hours without any."""
    dice = random.Random(f"{seed}{symbol}{venue}")
    price, made, at = Decimal(100), list[Trade](), 0
    while at < 2 * DAY:
        at += dice.choice((30, 60, 120, 240)) * 1_000_000
        price = max(price + Decimal(dice.randint(-100, 100)) / 100, Decimal(1))
        if at // HOUR % 7 != 3:
            made.append(
                trade(
                    len(made) + 1,
                    at=at,
                    price=f"{price}",
                    quantity=f"0.{dice.randint(1, 999)}",
                    symbol=symbol,
                    venue=venue,
                )
            )
    return made


def book(*, at: int, bid: str, ask: str, venue: str = "simulated") -> OrderBook:
    """One level a side, of two that were asked for."""
    return seal_order_book(
        OrderBook(
            venue=venue,
            venue_symbol="BTC-USD",
            symbol="BTC/USD",
            depth=2,
            bid_prices=(bid,),
            bid_quantities=("3",),
            ask_prices=(ask,),
            ask_quantities=("1",),
            ts_event=MIDNIGHT + at,
            ts_ingest=MIDNIGHT + at,
            timed_by=TimedBy.VENUE,
        )
    )


def catch_up_as_of(settings: Settings, as_of: int) -> None:
    """One run of all computations."""
    steps.catch_up_as_of(settings, as_of, names=list(ANALYTICS))


def load_books(settings: Settings, books: Sequence[OrderBook]) -> None:
    with closing(open_store("postgres", settings)) as store:
        [own] = claim(store, P1, run_id=f"books-{books[0].event_id}", feed=ORDER_BOOKS)
        store.commit([piece(own, books)], run_id="load")


def read_table(urls: PostgresUrls, table: FigureTable, *names: str) -> list[tuple[object, ...]]:
    """Rows in the order of their keys; times in microseconds since MIDNIGHT."""
    columns = names or tuple(column.name for column in table.columns)
    statement = sql.SQL("SELECT {} FROM {} ORDER BY {}").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.Identifier("analytics", table.name),
        sql.SQL(", ").join(sql.Identifier(column.name) for column in table.keys),
    )
    with psycopg.connect(urls.analyst) as connection:
        return [
            tuple(
                to_time_us(value) - MIDNIGHT if hasattr(value, "tzinfo") else value for value in row
            )
            for row in connection.execute(statement)
        ]


def table_of(name: str) -> FigureTable:
    return next(table for table in FIGURE_TABLES if table.name == name)


def build(trades: Sequence[Trade], interval: Interval) -> list[BuiltCandle]:
    """Candles of one market, oldest first."""
    matches = [Match(t.ts_event, t.trade_id, Decimal(t.price), Decimal(t.quantity)) for t in trades]
    return [c for _, c in sorted(build_candles(matches, length_us=interval.length_us).items())]


def test_each_hours_figures_are_what_the_pure_functions_say(
    settings: Settings, postgres_urls: PostgresUrls
) -> None:
    """A figure read from a window one candle too long looks right, and is not."""
    tape = make_walk(1)
    load(settings, tape)
    catch_up_as_of(settings, LATER)
    fives, hours = build(tape, Interval.FIVE_MINUTES), build(tape, Interval.HOUR)
    ends = [MIDNIGHT + number * HOUR for number in range(1, 73)]
    overview, volatility = [], []
    for end in ends:
        short = [c for c in fives if end - DAY - FIVE <= c.open_time_us < end]
        long = [c for c in hours if end - 8 * DAY <= c.open_time_us < end]
        newest = max(c.close for c in long if c.open_time_us == long[-1].open_time_us)
        found = summarize_market(LastPrice(newest, end), short, long, as_of_us=end)
        overview.append(
            (
                end - MIDNIGHT,
                newest,
                found.change_24h_pct,
                found.high_24h,
                found.base_volume_24h,
                found.volatility_24h_pct,
            )
        )
        closes = [Close(c.open_time_us + FIVE, c.close) for c in short]
        if closes:
            volatility.append((end - MIDNIGHT, *find_volatility(closes)))
    stored = read_table(
        postgres_urls,
        table_of("market_overview"),
        *("as_of", "last_price", "change_24h_pct", "high_24h", "base_volume_24h"),
        "volatility_24h_pct",
    )
    assert stored[:72] == overview
    assert (
        read_table(postgres_urls, table_of("volatility"), "as_of", "annualised_pct", "returns")
        == volatility
    )


def test_each_hours_indicators_are_what_the_catalogue_says(
    settings: Settings, postgres_urls: PostgresUrls
) -> None:
    """Made in pieces, with what lies before each of them."""
    tape = make_walk(2)
    today = [each for each in tape if each.ts_event < MIDNIGHT + DAY]
    load(settings, today)
    catch_up_as_of(settings, LATER)
    load(settings, tape[len(today) :])
    catch_up_as_of(settings, LATER)
    hours = build(tape, Interval.HOUR)
    columns = CandleColumns(
        begins_us=hours[0].open_time_us,
        open_times=[c.open_time_us for c in hours],
        highs=[c.high for c in hours],
        lows=[c.low for c in hours],
        closes=[c.close for c in hours],
        base_volumes=[c.base_volume for c in hours],
        quote_volumes=[c.quote_volume for c in hours],
    )
    expected = {name: v for each in CHOSEN for name, v in calculate(each, columns).items()}
    stored = read_table(postgres_urls, table_of("indicator"), "open_time", *expected)
    times = [c.open_time_us - MIDNIGHT for c in hours]
    assert stored == list(zip(times, *expected.values(), strict=True))
    assert stored[0][1] is None
    assert stored[-1][1] is not None


def test_late_trades_in_pieces_give_what_a_backfill_gives(
    settings: Settings, postgres_urls: PostgresUrls
) -> None:
    """What looks a day back has to be made again a day ahead, and not only where it was touched."""
    tape = [*make_walk(3), *make_walk(3, symbol="ETH-USD"), *make_walk(3, venue="kraken")]
    random.Random(3).shuffle(tape)
    third = len(tape) // 3
    for first in range(0, len(tape), third):
        load(settings, tape[first : first + third])
        catch_up_as_of(settings, LATER)
    names = [name for name in ANALYTICS if name not in {"candles", "book_metrics"}]
    tables = [table for table in FIGURE_TABLES if table.name != "book_metrics"]
    piecemeal = [read_table(postgres_urls, table) for table in tables]
    assert all(piecemeal)
    with psycopg.connect(postgres_urls.admin, autocommit=True) as connection:
        for table in tables:
            connection.execute(
                sql.SQL("TRUNCATE {}").format(sql.Identifier("analytics", table.name))
            )
    days = [MIDNIGHT + number * DAY for number in range(11)]
    make_days(settings, names, days, clock=lambda: MIDNIGHT + LATER, stop=threading.Event())
    for table, rows in zip(tables, piecemeal, strict=True):
        anew = dict.fromkeys(read_table(postgres_urls, table))
        assert [row for row in rows if row not in anew] == [], table.name
    assert list(list_pending(postgres_urls, list(ANALYTICS))) == []


def test_an_hour_that_is_not_over_has_no_figures(
    settings: Settings, postgres_urls: PostgresUrls
) -> None:
    """A day that ends in half an hour would be another one at every look."""
    load(settings, [trade(n, at=10 * HOUR + n * MINUTE, price=f"{n}") for n in range(1, 50)])
    catch_up_as_of(settings, 11 * HOUR - 1)
    for table in FIGURE_TABLES:
        assert read_table(postgres_urls, table) == []
    catch_up_as_of(settings, 11 * HOUR)
    assert read_table(postgres_urls, table_of("market_overview"), "as_of", "last_price") == [
        (11 * HOUR, 49)
    ]
    assert read_table(postgres_urls, table_of("indicator"), "open_time", "close") == [
        (10 * HOUR, 49)
    ]


def test_the_last_book_of_a_minute_counts_also_where_it_came_late(
    settings: Settings, postgres_urls: PostgresUrls
) -> None:
    """And its figures stay when the book has gone."""
    first = book(at=10 * HOUR + 1, bid="99", ask="101")
    last = book(at=10 * HOUR + MINUTE - 1, bid="99.5", ask="100.5")
    other = book(at=10 * HOUR + MINUTE, bid="98", ask="102")
    columns = ("minute", "mid_price", "spread_bps", "imbalance_ratio", "bid_base_50bps")

    def read() -> list[tuple[object, ...]]:
        return read_table(postgres_urls, table_of("book_metrics"), *columns)

    load_books(settings, [first])
    catch_up_as_of(settings, 10 * HOUR + MINUTE - 1)
    assert read() == []
    catch_up_as_of(settings, 10 * HOUR + MINUTE)
    assert read() == [(10 * HOUR, 100, 200, Decimal("0.5"), 0)]
    load_books(settings, [other, last])
    catch_up_as_of(settings, 10 * HOUR + 2 * MINUTE)
    wide = (10 * HOUR + MINUTE, 100, 400, Decimal("0.5"), 0)
    assert read() == [(10 * HOUR, 100, 100, Decimal("0.5"), 3), wide]
    with psycopg.connect(postgres_urls.admin, autocommit=True) as connection:
        connection.execute("TRUNCATE market.order_book")
    make_days(
        settings,
        ["book_metrics"],
        [MIDNIGHT],
        clock=lambda: MIDNIGHT + LATER,
        stop=threading.Event(),
    )
    assert read() == [(10 * HOUR, 100, 100, Decimal("0.5"), 3), wide]


def test_a_minutes_book_says_what_orders_would_lose(
    settings: Settings, postgres_urls: PostgresUrls
) -> None:
    """1,000 at a mid of 1,000 is one unit, ten basis points away; of ten there are not enough."""
    load_books(settings, [book(at=10 * HOUR, bid="999", ask="1001")])
    catch_up_as_of(settings, 11 * HOUR)
    names = [f"{side}_{size}_slippage_bps" for size in (1_000, 10_000) for side in ("buy", "sell")]
    assert read_table(postgres_urls, table_of("book_metrics"), *names) == [(10, 10, None, None)]


def test_figures_go_at_their_age_and_no_others(
    settings: Settings, postgres_urls: PostgresUrls
) -> None:
    """A row a minute and market fills a disk; what is kept for good stays."""
    times = (HOUR, DAY + HOUR, 2 * DAY + HOUR)
    load_books(settings, [book(at=at, bid="99", ask="101") for at in times])
    load(settings, [trade(number, at=at) for number, at in enumerate(times)])
    catch_up_as_of(settings, LATER)
    names = [table.name for table in FIGURE_TABLES if table.name != "book_metrics"]
    others = [read_table(postgres_urls, table_of(name)) for name in names]
    kept = {"retention_days": {"book_metrics": 3}}
    told = settings.model_copy(update={"analytics": settings.analytics.model_copy(update=kept)})
    cuts = plan_figure_cuts(told, now_us=MIDNIGHT + 5 * DAY - 1)
    assert [(each.cut.computation, each.rows) for each in count_old_figures(told, cuts)] == [
        ("book_metrics", 1)
    ]
    assert [each.rows for each in remove_old_figures(told, cuts)] == [1]
    assert read_table(postgres_urls, table_of("book_metrics"), "minute") == [
        (DAY + HOUR,),
        (2 * DAY + HOUR,),
    ]
    assert [read_table(postgres_urls, table_of(name)) for name in names] == others
    assert [each.rows for each in remove_old_figures(told, cuts)] == [0]


def test_venues_of_a_symbol_stand_beside_each_other(
    settings: Settings, postgres_urls: PostgresUrls
) -> None:
    """Each at the same moment; a symbol of one venue has nobody to compare with."""
    load(
        settings,
        [
            trade(1, at=10 * HOUR, price="90", quantity="3", venue="kraken"),
            trade(2, at=11 * HOUR - 1, price="99", quantity="1"),
            trade(3, at=10 * HOUR, price="7", symbol="ETH-USD"),
        ],
    )
    load_books(settings, [book(at=11 * HOUR - 2, bid="101.99", ask="102.01")])
    catch_up_as_of(settings, 11 * HOUR)
    stored = read_table(
        postgres_urls,
        table_of("venue_comparison"),
        *("symbol", "venue", "price", "price_of", "age_s", "is_fresh", "reference_price"),
        *("difference_bps", "base_volume_24h", "volume_share_ratio"),
    )
    assert stored == [
        (
            *("BTC/USD", "kraken", 90, "trade", 3540, False, 102),
            *(Decimal("-1176.470588"), 3, Decimal("0.75")),
        ),
        ("BTC/USD", "simulated", 102, "book", 0, True, 102, 0, 1, Decimal("0.25")),
    ]


def test_markets_that_move_together_are_said_to(
    settings: Settings, postgres_urls: PostgresUrls
) -> None:
    """The same tape twice, at one venue."""
    tape = make_walk(5)
    twin = [
        trade(t.trade_id, at=t.ts_event - MIDNIGHT, price=t.price, symbol="XBT-USD") for t in tape
    ]
    load(settings, [*tape, *twin])
    catch_up_as_of(settings, LATER)
    stored = read_table(
        postgres_urls,
        table_of("correlation"),
        *("venue_symbol", "other_venue_symbol", "as_of", "correlation", "pairs"),
    )
    assert {row[:2] for row in stored} == {("BTC-USD", "XBT-USD")}
    [noon] = [row for row in stored if row[2] == 36 * HOUR]
    assert noon[3] == 1
    assert isinstance(noon[4], int)
    assert noon[4] > 100


def test_each_figure_has_a_picture_of_its_day(
    settings: Settings, postgres_urls: PostgresUrls
) -> None:
    """A day is looked at in the UI before anybody asks for a table."""
    load(settings, [*make_walk(6), *make_walk(6, symbol="ETH-USD"), *make_walk(6, venue="kraken")])
    books = [book(at=hour * HOUR, bid="99", ask=f"{101 + hour}") for hour in range(24)]
    load_books(settings, books)
    catch_up_as_of(settings, LATER)
    keys = ["kraken:BTC-USD", "simulated:BTC-USD", "simulated:ETH-USD"]
    drawn = {}
    with closing(open_analytics(settings, role="analyst")) as store, store.reading() as connection:
        for name, computation in ANALYTICS.items():
            assert computation.draw is not None
            assert computation.draw(connection, keys, MIDNIGHT + 20 * DAY) is None
            drawn[name] = computation.draw(connection, keys, MIDNIGHT + DAY)
    assert {name for name, picture in drawn.items() if picture is None} == {"book_metrics"}
    titles = {name: picture.title for name, picture in drawn.items() if picture is not None}
    assert titles["correlations"] == "mean correlation of 1 pairs"
    assert titles["market_overview"] == "mean change in 24 hours of 3 markets, %"
    assert titles["venue_comparison"].startswith("BTC/USD, farthest from the other venues")
    assert titles["volatility"].endswith("the most volatile, % a year")
    lengths = {name: len(picture.bars) for name, picture in drawn.items() if picture is not None}
    assert lengths["volatility"] == lengths["correlations"] == 24
