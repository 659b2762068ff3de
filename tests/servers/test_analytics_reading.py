"""Candles made of trades, as people read them: the same from either store, never behind the trades.

PostgreSQL answers with what it keeps and what has changed since; MongoDB keeps none.
"""

import json
import threading
from collections.abc import Sequence
from decimal import Decimal

import pytest

from crypto_platform.analytics.pipeline import catch_up
from crypto_platform.domain.hours import MICROSECONDS_PER_DAY, day_of, hour_of
from crypto_platform.feeds.candles import Interval
from crypto_platform.feeds.trades import TRADES, Trade
from crypto_platform.serving.analytics import MadeCandle, reading_built_candles
from crypto_platform.serving.market import Place
from crypto_platform.stores.market import ALWAYS, Span
from tests.analytics_steps import (
    DAY,
    HOUR,
    INTERVALS,
    MIDNIGHT,
    MINUTE,
    Stored,
    build_all,
    make_tape,
    trade,
)
from tests.platform_harness import Platform, clock
from tests.servers.test_cli_servers import REFUSED, run
from tests.waiting import eventually

ANALYST_URL = "CRYPTO_PLATFORM_POSTGRES__ANALYST_URL"
PLACE = Place("simulated", "BTC/USD")
BEYOND = 100_000 * DAY


def keep(platform: Platform) -> None:
    """A run that catches up, now."""
    catch_up(platform.settings, clock=clock, stop=threading.Event())


def bring(platform: Platform, trades: Sequence[Trade]) -> None:
    platform.publish(TRADES, trades)
    platform.load_both()


def read(
    platform: Platform,
    interval: Interval,
    span: Span = ALWAYS,
    *,
    newest: int | None = None,
) -> tuple[str, list[MadeCandle]]:
    """Which store answers, and what."""
    with reading_built_candles(platform.settings, PLACE, interval, span, newest=newest) as answer:
        return answer.source.store, [candle for page in answer.pages for candle in page]


def figures(candles: Sequence[MadeCandle]) -> Stored:
    """As analytics_steps has them."""
    names = ("open", "high", "low", "close", "base_volume", "quote_volume", "trade_count")
    return {
        (each.venue, each.venue_symbol, each.interval.value, each.ts_event - MIDNIGHT): tuple(
            Decimal(getattr(each, name)) for name in names
        )
        for each in candles
    }


def expect(trades: Sequence[Trade], interval: Interval) -> Stored:
    """All candles of the market, the open ones too."""
    return {
        key: row
        for key, row in build_all(trades, as_of=BEYOND, intervals=(interval,)).items()
        if key[:2] == ("simulated", "BTC-USD")
    }


@pytest.fixture
def begins() -> int:
    """Of the day before yesterday, since MIDNIGHT."""
    return day_of(clock()) - 2 * MICROSECONDS_PER_DAY - MIDNIGHT


def test_both_stores_say_what_the_trades_say_whatever_is_kept_yet(
    platform: Platform, begins: int
) -> None:
    """A chart that changes with the store, or lags behind the trades, is believed by nobody."""
    tape = make_tape(1, 300, days=2, begins=begins)
    now = trade(1_000_001, at=clock() - MIDNIGHT, price="77")
    late = trade(1_000_002, at=begins + HOUR, price="78")
    stages = [(tape[:200], True), (tape[200:], False), ([now], True), ([late], False)]
    known: list[Trade] = []
    for trades, is_kept in stages:
        bring(platform, trades)
        known += trades
        if is_kept:
            keep(platform)
        for interval in Interval:
            store, candles = read(platform, interval)
            assert store == "postgres"
            assert figures(candles) == expect(known, interval)
            assert [each.ts_event for each in candles] == sorted(each.ts_event for each in candles)
    url = platform.variables[ANALYST_URL]
    platform.reload(**{ANALYST_URL: REFUSED})
    for interval in Interval:
        store, candles = read(platform, interval)
        assert (store, figures(candles)) == ("mongo", expect(known, interval))
    platform.reload(**{ANALYST_URL: url})
    assert platform.audit().whole


def test_the_newest_and_spans_are_cut_alike_from_either_store(
    platform: Platform, begins: int
) -> None:
    """Whoever pages through a chart must meet each candle once."""
    tape = make_tape(2, 300, days=2, begins=begins)
    bring(platform, tape[:250])
    keep(platform)
    bring(platform, tape[250:])
    day = MIDNIGHT + begins
    spans = [
        Span(day + 10 * HOUR + 30_000_000, day + DAY + 3 * HOUR),
        Span(None, day + 12 * HOUR + 1),
        Span(day + 12 * HOUR, None),
        Span(day + 5 * DAY, None),
    ]
    url = platform.variables[ANALYST_URL]
    for answer in (url, REFUSED):
        platform.reload(**{ANALYST_URL: answer})
        for interval in Interval:
            every = sorted(expect(tape, interval))
            for span in spans:
                _, candles = read(platform, interval, span)
                wanted = [
                    key
                    for key in every
                    if (span.begins_us or 0) <= key[3] + MIDNIGHT < (span.ends_us or 2**62)
                ]
                assert sorted(figures(candles)) == wanted
            for newest in (1, 3, 7, 1000):
                _, candles = read(platform, interval, newest=newest)
                assert sorted(figures(candles)) == every[-newest:]


def test_an_hour_whose_trades_are_gone_is_shown_as_it_was(platform: Platform) -> None:
    """A late trade of last year must not stand for the whole hour it fell into."""
    old = day_of(clock()) - 100 * MICROSECONDS_PER_DAY - MIDNIGHT
    bring(platform, [trade(number, at=old + number) for number in range(1, 6)])
    keep(platform)
    store = platform.store("postgres")
    assert store.remove_before(TRADES, clock() - 40 * MICROSECONDS_PER_DAY, run_id="x") == 5
    bring(platform, [trade(9, at=old + 9, price="666")])
    for interval in INTERVALS:
        _, [candle] = read(platform, interval)
        assert (candle.trade_count, candle.high) == (5, "10")


def test_the_command_shows_them_with_all_digits(platform: Platform) -> None:
    """And says whether the last one is over."""
    eventually(lambda: clock() % HOUR < HOUR - MINUTE, within_s=70)  # the hour goes on
    now = clock()
    hour = hour_of(now) - MIDNIGHT
    prices = [
        (hour - 2 * HOUR, "10.10"),
        (hour - 2 * HOUR + MINUTE, "10.30"),
        (now - MIDNIGHT, "9"),
    ]
    bring(
        platform,
        [trade(n, at=at, price=price, quantity="0.50") for n, (at, price) in enumerate(prices)],
    )
    keep(platform)
    said = run(
        platform,
        *("candles", "simulated", "BTC/USD", "--interval", "1h", "--made-of", "trades", "--json"),
    )
    assert said.returncode == 0, said.stderr
    first, last = json.loads(said.stdout)["candles"]
    assert {name: first[name] for name in ("open", "high", "close", "quote_volume")} == {
        "open": "10.10",
        "high": "10.30",
        "close": "10.30",
        "quote_volume": "10.2000",
    }
    assert (first["is_closed"], first["trade_count"]) == (True, 2)
    assert (last["is_closed"], last["close"]) == (False, "9")
    table = run(platform, "candles", "simulated", "BTC-USD", "--made-of", "trades").stdout
    assert "10.30" in table
