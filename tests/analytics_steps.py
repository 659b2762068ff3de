"""Trades in PostgreSQL and what is derived of them, in a few words.

Here: trades on a made-up tape, loading them as a load does, a catch-up in this process or in one of
its own that is killed (`python -m tests.analytics_steps AS_OF`, settings from the environment), and
candles as they are stored or must be. Not here: servers (store_harness.py), expectations.
"""

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from itertools import count
from pathlib import Path

import psycopg

from crypto_platform.analytics.pipeline import OnDay, RunEnd, catch_up
from crypto_platform.domain.candles import BuiltCandle, Match, build_candles
from crypto_platform.domain.hours import to_time_us
from crypto_platform.feeds.candles import Interval
from crypto_platform.feeds.trades import TRADES, Trade, seal_trade
from crypto_platform.settings import Settings, load_settings
from crypto_platform.stores import open_store
from crypto_platform.stores.postgres.analytics_candles import STORED_INTERVALS
from tests.store_harness import PostgresUrls
from tests.store_steps import P0, claim, piece

DAY = 86_400_000_000
HOUR = 3_600_000_000
MINUTE = 60_000_000
MIDNIGHT = 1_763_769_600_000_000
"""2025-11-22 00:00:00 UTC."""
INTERVALS = (Interval.MINUTE, *(interval for interval, _ in STORED_INTERVALS))

Stored = dict[tuple[str, str, str, int], tuple[Decimal, ...]]
"""Open, high, low, close, base and quote volume, count by venue, symbol, interval, open time."""


def settings_of(urls: PostgresUrls, folder: Path) -> Settings:
    """Settings that know PostgreSQL and nothing else."""
    return load_settings(folder, environment=environment_of(urls))


def environment_of(urls: PostgresUrls, **more: str) -> dict[str, str]:
    return {
        "CRYPTO_PLATFORM_POSTGRES__LOADER_URL": urls.loader,
        "CRYPTO_PLATFORM_POSTGRES__ANALYST_URL": urls.analyst,
        **more,
    }


def trade(
    number: int | str,
    *,
    at: int,
    price: str = "10",
    quantity: str = "1",
    venue: str = "simulated",
    symbol: str = "BTC-USD",
) -> Trade:
    """One trade; `at` in microseconds since MIDNIGHT."""
    draft = Trade(
        venue=venue,
        venue_symbol=symbol,
        symbol=symbol.replace("-", "/"),
        trade_id=str(number),
        price=price,
        quantity=quantity,
        ts_event=MIDNIGHT + at,
        ts_ingest=MIDNIGHT + at,
    )
    return seal_trade(draft)


def make_tape(seed: int, trades: int, *, days: int = 2, begins: int = 0) -> list[Trade]:
    """Trades of three markets; many share their microsecond, and amounts differ in scale.

    Args:
        begins: Microseconds since MIDNIGHT.
    """
    dice = random.Random(seed)
    markets = (("simulated", "BTC-USD"), ("simulated", "ETH-USD"), ("kraken", "A:B"))
    made: list[Trade] = []
    for number in range(1, trades + 1):
        venue, symbol = dice.choice(markets)
        # bursts: a third of the trades falls into one minute of each day
        second = dice.choice((43_210, dice.randrange(86_400), dice.randrange(86_400)))
        made.append(
            trade(
                number,
                at=begins
                + dice.randrange(days) * DAY
                + second * 1_000_000
                + dice.choice((0, 0, 1, 999_999)),
                price=f"{dice.uniform(0.1, 99_999):.{dice.choice((0, 2, 8))}f}",
                quantity=f"{dice.uniform(0.001, 10):.{dice.choice((3, 8, 18))}f}",
                venue=venue,
                symbol=symbol,
            )
        )
    return made


_runs = count(1)


def load(settings: Settings, trades: Sequence[Trade]) -> None:
    """Store trades as a load does, in this order of arrival."""
    with closing(open_store("postgres", settings)) as store:
        [own] = claim(store, P0, run_id=f"load-{next(_runs)}", feed=TRADES)
        store.commit([piece(own, trades)], run_id="load")


def catch_up_as_of(
    settings: Settings,
    as_of: int,
    *,
    on_day: OnDay = lambda _: None,
    names: Collection[str] = ("candles",),
) -> RunEnd:
    """One run; `as_of` in microseconds since MIDNIGHT."""
    return catch_up(
        settings,
        clock=lambda: MIDNIGHT + as_of,
        stop=threading.Event(),
        on_day=on_day,
        names=names,
    )


def catch_up_and_die(urls: PostgresUrls, as_of: int, *, crash_at: str) -> None:
    """One run in a process of its own, which kills itself at that point."""
    environment = environment_of(urls, CRYPTO_PLATFORM_CRASH_AT=crash_at)
    child = subprocess.run(
        [sys.executable, "-m", "tests.analytics_steps", str(as_of)],
        cwd=Path(__file__).parent.parent,
        env={"PATH": os.defpath, **environment},
        check=False,
    )
    assert child.returncode == -signal.SIGKILL


def read_stored(urls: PostgresUrls) -> Stored:
    """All candles that are stored; times in microseconds since MIDNIGHT."""
    with psycopg.connect(urls.analyst) as connection:
        rows = connection.execute(
            'SELECT venue, venue_symbol, "interval", open_time, open, high, low, close, '
            "base_volume, quote_volume, trade_count FROM analytics.candle"
        )
        return {
            (venue, symbol, interval, to_time_us(opens) - MIDNIGHT): tuple(map(Decimal, figures))
            for venue, symbol, interval, opens, *figures in rows
        }


def build_all(
    trades: Iterable[Trade], *, as_of: int, intervals: Iterable[Interval] = INTERVALS
) -> Stored:
    """All candles that are closed by then, by the pure functions."""
    by_market: dict[tuple[str, str], list[Match]] = {}
    for each in trades:
        by_market.setdefault((each.venue, each.venue_symbol), []).append(
            Match(each.ts_event, each.trade_id, Decimal(each.price), Decimal(each.quantity))
        )
    return {
        (*market, interval.value, candle.open_time_us - MIDNIGHT): _figures(candle)
        for market, matches in by_market.items()
        for interval in intervals
        for candle in build_candles(matches, length_us=interval.length_us).values()
        if candle.open_time_us + interval.length_us <= MIDNIGHT + as_of
    }


def _figures(candle: BuiltCandle) -> tuple[Decimal, ...]:
    return (
        candle.open,
        candle.high,
        candle.low,
        candle.close,
        candle.base_volume,
        candle.quote_volume,
        Decimal(candle.trade_count),
    )


def list_pending(
    urls: PostgresUrls, names: Collection[str] = ("candles",)
) -> Iterator[tuple[str, str, int]]:
    """Computation, key and hour of what is due of these, in order; microseconds since MIDNIGHT."""
    with psycopg.connect(urls.analyst) as connection:
        for computation, key, hour in connection.execute(
            "SELECT computation, key, event_hour FROM analytics.pending "
            "WHERE computation = ANY(%s) ORDER BY 1, 2, 3",
            [list(names)],
        ):
            yield computation, key, to_time_us(hour) - MIDNIGHT


if __name__ == "__main__":
    catch_up_as_of(load_settings(Path("/nonexistent")), int(sys.argv[1]))
