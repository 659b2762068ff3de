"""Indicators, overview and venues as people ask for them: from either store, to the last trade."""

import json
import time
from decimal import Decimal

import msgspec

from crypto_platform.domain.indicator_catalogue import calculate, parse_indicators
from crypto_platform.domain.indicators import CandleColumns
from crypto_platform.domain.volatility import Close, find_volatility
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.candles import Candle, Interval, seal_candle
from crypto_platform.feeds.order_books import OrderBook, TimedBy, seal_order_book
from crypto_platform.feeds.trades import Trade, seal_trade
from crypto_platform.serving.analytics import MadeOf
from crypto_platform.serving.failover import open_reads
from crypto_platform.serving.indicators import read_indicators
from crypto_platform.serving.market import Place
from crypto_platform.serving.movements import read_correlations, read_volatility
from crypto_platform.stores.market import Span
from tests.platform_harness import Platform
from tests.servers.test_cli_servers import REFUSED, run

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
THIS_HOUR = time.time_ns() // 1000 // HOUR * HOUR
PLACE = Place("coinbase", "BTC/USD")
NAMES = "sma:3,ema:3,rsi:2,vwap"


def trade(number: int, *, at: int, price: str, venue: str = "coinbase") -> Trade:
    return seal_trade(
        Trade(
            venue=venue,
            venue_symbol="BTC-USD",
            symbol="BTC/USD",
            trade_id=str(number),
            price=price,
            quantity="2",
            ts_event=at,
            ts_ingest=at,
        )
    )


def make_hours(count: int) -> list[Trade]:
    """A trade in each of the hours before this one, and one in this one."""
    return [
        trade(number, at=THIS_HOUR - (count - number) * HOUR + 1, price=f"{100 + number % 5}")
        for number in range(count + 1)
    ]


def minute_candle(
    at: int, price: str, *, high: str | None = None, low: str | None = None
) -> Candle:
    """The venue's own."""
    return seal_candle(
        Candle(
            venue="coinbase",
            venue_symbol="BTC-USD",
            symbol="BTC/USD",
            interval=Interval.MINUTE,
            ts_event=at,
            open=price,
            high=high or price,
            low=low or price,
            close=price,
            base_volume="7",
            ts_ingest=at,
        )
    )


def load(platform: Platform, **records: list[Trade] | list[OrderBook] | list[Candle]) -> None:
    for name, each in records.items():
        platform.publish(FEED_BY_NAME[name], each)
    platform.load_both()


def test_a_range_has_the_values_of_the_whole_in_either_store(platform: Platform) -> None:
    """Where one begins to look must not change what one sees."""
    trades = make_hours(60)
    load(platform, trades=trades)
    indicators = parse_indicators(NAMES)
    prices = [Decimal(each.price) for each in trades]
    times = [each.ts_event - 1 for each in trades]
    whole = CandleColumns(
        begins_us=times[0],
        open_times=times,
        highs=prices,
        lows=prices,
        closes=prices,
        base_volumes=[Decimal(2)] * len(prices),
        quote_volumes=[2 * price for price in prices],
    )
    expected = {name: v for each in indicators for name, v in calculate(each, whole).items()}
    for _ in range(2):
        span = Span(times[40], times[50])
        found = read_indicators(
            platform.settings, PLACE, Interval.HOUR, span, indicators, newest=None
        )
        assert [candle.open_time_us for candle in found.candles] == times[40:50]
        assert found.missing == []
        for name, values in found.columns.items():
            for value, wanted in zip(values, expected[name][40:50], strict=True):
                assert value is not None
                assert wanted is not None
                assert abs(value - wanted) < Decimal("1e-6"), name
        platform.reload(CRYPTO_PLATFORM_POSTGRES__ANALYST_URL=REFUSED)


def test_what_is_not_known_at_first_is_said_with_what_it_needs(platform: Platform) -> None:
    """An empty column without a reason looks like a fault."""
    load(platform, trades=make_hours(5))
    ended = run(platform, "indicators", *PLACE, "--names", "sma:3,rsi:14,vwap", "--json")
    assert ended.returncode == 0
    rows = json.loads(ended.stdout)["indicators"]
    assert [row["sma_3"] for row in rows] == [
        *(None, None, "101"),
        *("102", "103", "102.33333333"),
    ]
    assert {row["rsi_14"] for row in rows} == {None}
    assert [row["is_closed"] for row in rows[:5]] == [True] * 5
    assert (
        "rsi:14 is not known at first: it needs 14 candles before the first one, 0" in ended.stderr
    )
    ended = run(platform, "indicators", *PLACE, "--names", "smaa")
    assert ended.returncode == 1
    assert "there are sma:20" in ended.stderr


def test_movements_are_the_same_of_trades_and_of_the_venues_own_candles(
    platform: Platform,
) -> None:
    """The figures of the tables, made of what is stored now; without PostgreSQL as well."""
    times = range(THIS_HOUR - 26 * HOUR, THIS_HOUR, 5 * MINUTE)
    prices = [str(100 + number * number % 7) for number in range(len(times))]
    trades = [trade(n, at=at, price=p) for n, (at, p) in enumerate(zip(times, prices, strict=True))]
    candles = [minute_candle(at, price) for at, price in zip(times, prices, strict=True)]
    twins = [
        seal_trade(msgspec.structs.replace(each, venue_symbol="XBT-USD", symbol="XBT/USD"))
        for each in trades
    ]
    twin_candles = [
        seal_candle(msgspec.structs.replace(each, venue_symbol="XBT-USD", symbol="XBT/USD"))
        for each in candles
    ]
    load(platform, trades=[*trades, *twins], candles=[*candles, *twin_candles])
    closes = [Close(at + 5 * MINUTE, Decimal(p)) for at, p in zip(times, prices, strict=True)]
    begins = [hours * 12 for hours in (1, 2)]
    wanted = [find_volatility(closes[first - 1 : first + 288]) for first in begins]
    for made_of in (MadeOf.TRADES, MadeOf.VENUE):
        with open_reads(platform.settings) as reads:
            found = read_volatility(reads, platform.settings, PLACE, hours=2)
            together = read_correlations(reads, platform.settings, PLACE, hours=1)
        assert found.made_of is made_of
        assert [tuple(row) for row in found.rows] == [
            (THIS_HOUR - HOUR, wanted[0]),
            (THIS_HOUR, wanted[1]),
        ]
        assert [(r.as_of_us, r.other.venue_symbol, *r.correlation) for r in together.rows] == [
            (THIS_HOUR, "XBT-USD", 1, 288)
        ]
        platform.reload(CRYPTO_PLATFORM_POSTGRES__ANALYST_URL=REFUSED)
    ended = run(platform, "volatility", *PLACE)
    assert (ended.returncode, "288" in ended.stdout) == (0, True)
    assert "made of the venues' own candles" in ended.stderr
    assert run(platform, "correlations", *PLACE, "--csv").stdout.count("XBT-USD") == 24


def test_an_overview_reaches_to_the_last_trade(platform: Platform) -> None:
    """Also what no run of analytics has made; without PostgreSQL of the venues' own candles."""
    now = time.time_ns() // 1000
    week = trade(900, at=now - 7 * DAY - HOUR - MINUTE, price="55")
    yesterday = trade(901, at=now - DAY - 10 * MINUTE, price="100")
    recent = trade(902, at=now - 2 * HOUR, price="120")
    last = trade(903, at=now - MINUTE, price="110")
    opens = now - 2 * HOUR - (now - 2 * HOUR) % MINUTE
    own = minute_candle(opens, "120", high="121", low="119")
    load(platform, trades=[week, yesterday, recent, last], candles=[own])
    ended = run(platform, "overview", "--json")
    [row] = json.loads(ended.stdout)["markets"]
    assert (row["last_price"], row["change_24h_pct"], row["change_7d_pct"]) == (
        *("110", "10.000000", "100.000000"),
    )
    assert (row["high_24h"], row["base_volume_24h"], row["made_of"]) == ("120", "4", "trades")
    platform.reload(CRYPTO_PLATFORM_POSTGRES__ANALYST_URL=REFUSED)
    ended = run(platform, "overview", "--json")
    [row] = json.loads(ended.stdout)["markets"]
    assert (row["last_price"], row["high_24h"], row["base_volume_24h"]) == ("110", "121", "7")
    assert (row["change_24h_pct"], row["made_of"]) == (None, "venue")
    assert "the venues' own candles" in ended.stderr
    assert "coinbase" in run(platform, "overview").stdout


def test_venues_of_a_symbol_are_compared_from_either_store(platform: Platform) -> None:
    """In any case of letters; what nobody has says what there is."""
    now = time.time_ns() // 1000
    book = seal_order_book(
        OrderBook(
            venue="kraken",
            venue_symbol="XXBTZUSD",
            symbol="BTC/USD",
            depth=1,
            bid_prices=("101.99",),
            bid_quantities=("1",),
            ask_prices=("102.01",),
            ask_quantities=("1",),
            ts_event=now - MINUTE,
            ts_ingest=now,
            timed_by=TimedBy.VENUE,
        )
    )
    load(platform, trades=[trade(1, at=now - MINUTE, price="100")], order_books=[book])
    for store in ("postgres", "mongo"):
        ended = run(platform, "venues", "btc/usd", "--json")
        document = json.loads(ended.stdout)
        assert document["store"] == store
        assert document["reference_price"] == "101.0000"
        assert [(row["venue"], row["price"], row["price_of"]) for row in document["venues"]] == [
            ("coinbase", "100", "trade"),
            ("kraken", "102.000", "book"),
        ]
        assert document["gap"] is None
        platform.reload(CRYPTO_PLATFORM_POSTGRES__ANALYST_URL=REFUSED)
    ended = run(platform, "venues", "ETH/USD")
    assert ended.returncode == 1
    assert "no venue has 'ETH/USD'; there are BTC/USD" in ended.stderr
