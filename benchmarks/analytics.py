"""How fast a day of trades becomes candles and indicators, store to store: ours, polars, pandas.

Here: a made-up day of 50 symbols (Zipf: the k-th has 1/k of the first one's), stored as a load
leaves it; then, in turns, the run of analytics as the sensor asks for it, and the same by polars
and by pandas. Each reads what is in PostgreSQL and ends with the 1m, 5m, 1h and 1d candles and the
indicators of the hours (by TA-Lib, all of them) in tables with the same keys there. The others may
do what we may not: they calculate in floats, know that the tables were empty, and keep nothing for
a run that is killed. They read by COPY as CSV, the quickest way that they have without another
driver.
"""

import io
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from typing import Any, LiteralString

import click
import numpy as np
import pandas as pd
import polars as pl
import psycopg
import talib
from numpy.typing import NDArray
from psycopg import sql

from crypto_platform.analytics.pipeline import catch_up
from crypto_platform.domain.hours import to_time_us
from crypto_platform.feeds.trades import TRADES
from crypto_platform.migrations import migrate
from crypto_platform.settings import Settings
from crypto_platform.stack.embedded import embedded_servers
from crypto_platform.stores.postgres.rows import columns_of, format_time

VENUE = "coinbase"
SYMBOLS = tuple(f"C{number:02}-USD" for number in range(1, 51))
BEGINS = to_time_us(datetime(2026, 1, 16, tzinfo=UTC))
DAY = 86_400_000_000
TOPIC_ID = "11111111-2222-3333-4444-555555555555"
BLOCK_ROWS = 20_000
INTERVALS = {"1m": "1min", "5m": "5min", "1h": "1h", "1d": "1D"}
"""As polars and as pandas write them."""

_READ = """
COPY (SELECT venue_symbol, ts_event AT TIME ZONE 'UTC' AS ts_event, trade_id, price, quantity
  FROM market.trade WHERE ts_event >= '2026-01-16 00:00+00' AND ts_event < '2026-01-17 00:00+00')
TO STDOUT (FORMAT csv, HEADER)
"""
_WRITE = """
COPY other.candle (venue, venue_symbol, "interval", open_time, open, high, low, close, base_volume,
  quote_volume, trade_count) FROM STDIN (FORMAT csv)
"""
_WRITE_INDICATORS = """
COPY other.indicator (venue, venue_symbol, "interval", open_time, close, sma_20, ema_20, rsi_14,
  macd_12_26_9, macd_12_26_9_signal, macd_12_26_9_histogram, bbands_20_2_upper, bbands_20_2_middle,
  bbands_20_2_lower, atr_14, vwap) FROM STDIN (FORMAT csv)
"""
_TOUCH = """
INSERT INTO platform.touched (feed, key, event_hour, version)
SELECT 'trades', 'coinbase:' || s, h, nextval('platform.touched_version')
FROM unnest(%s::text[]) AS s,
  generate_series(timestamptz '2026-01-16 00:00+00', '2026-01-16 23:00+00', '1 hour') AS h
ON CONFLICT (feed, key, event_hour) DO UPDATE SET version = excluded.version
"""

Owner = psycopg.Connection[tuple[Any, ...]]
Floats = NDArray[np.float64]


@click.command()
@click.option("--trades", type=click.IntRange(min=10_000), default=5_000_000, show_default=True)
@click.option("--rounds", default=3, show_default=True, help="How often each of them does it.")
@click.option("--seed", default=7, show_default=True, help="Of the trades.")
def analytics(*, trades: int, rounds: int, seed: int) -> None:
    """Time how a day of trades becomes candles and indicators, beside polars and pandas."""
    with tempfile.TemporaryDirectory(prefix="crypto_platform_analytics_") as name:
        Path(name).chmod(0o755)
        folder = Path(name) / "data"
        with embedded_servers(folder, parts=("postgres",)) as settings:
            migrate(settings, progress=lambda line: click.echo(line, err=True))
            migrator_url = settings.postgres.migrator_url
            assert migrator_url is not None, "the stack writes it"
            with psycopg.connect(migrator_url.get_secret_value(), autocommit=True) as owner:
                _fill(owner, trades, random.Random(seed))  # noqa: S311 (made-up trades)
                _compare(owner, settings, rounds)


def _compare(owner: Owner, settings: Settings, rounds: int) -> None:
    ways: Mapping[str, Callable[[], None]] = {
        "analytics": lambda: _derive(settings),
        "polars": lambda: _resample_by_polars(owner),
        "pandas": lambda: _resample_by_pandas(owner),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, way in ways.items():
            _empty(owner)
            began = time.monotonic()
            way()
            seconds[name].append(time.monotonic() - began)
            click.echo(f"round {number + 1}, {name}: {seconds[name][-1]:.1f} s", err=True)
            schema = "analytics" if name == "analytics" else "other"
            query = f"""SELECT count(*), sum(trade_count), (SELECT count(*) FROM {schema}.indicator)
                FROM {schema}.candle"""
            [(candles, counted, hours)] = owner.execute(query.encode()).fetchall()
            each = f"{int(counted) // 4:,} trades in each interval"
            click.echo(f"  {candles:,} candles, {each}, {hours:,} hours with indicators", err=True)
    own = statistics.median(seconds["analytics"])
    click.echo(f"{'':12}{'seconds':>9}{'of ours':>9}   all rounds")
    for name, took in seconds.items():
        median = statistics.median(took)
        each = " ".join(f"{one:.1f}" for one in took)
        click.echo(f"{name:12}{median:9.1f}{median / own:9.2f}   {each}")


def _empty(owner: Owner) -> None:
    owner.execute("TRUNCATE analytics.candle, analytics.indicator, analytics.pending")
    owner.execute("TRUNCATE other.candle, other.indicator")
    owner.execute(_TOUCH, [list(SYMBOLS)])


def _derive(settings: Settings) -> None:
    catch_up(
        settings,
        clock=lambda: BEGINS + 10 * DAY,
        stop=threading.Event(),
        names=["candles", "indicators"],
    )


def _resample_by_polars(owner: Owner) -> None:
    schema = {"price": pl.Float64, "quantity": pl.Float64, "trade_id": pl.Int64}
    trades = (
        pl.read_csv(_read(owner), schema_overrides=schema)
        .with_columns(pl.col("ts_event").str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us"))
        .sort("venue_symbol", "ts_event", "trade_id")
        .with_columns(notional=pl.col("price") * pl.col("quantity"))
    )
    for interval in INTERVALS:
        candles = trades.group_by("venue_symbol", pl.col("ts_event").dt.truncate(interval)).agg(
            open=pl.col("price").first(),
            high=pl.col("price").max(),
            low=pl.col("price").min(),
            close=pl.col("price").last(),
            base_volume=pl.col("quantity").sum(),
            quote_volume=pl.col("notional").sum(),
            trade_count=pl.len(),
        )
        named = candles.with_columns(venue=pl.lit(VENUE), interval=pl.lit(interval))
        ordered = named.select(
            *("venue", "venue_symbol", "interval", "ts_event", "open", "high", "low", "close"),
            *("base_volume", "quote_volume", "trade_count"),
        )
        _write(owner, _WRITE, ordered.write_csv(include_header=False))
        if interval == "1h":
            markets = ordered.sort("venue_symbol", "ts_event").partition_by("venue_symbol")
            rows = pl.concat(
                market.select(
                    "venue", "venue_symbol", "interval", "ts_event", "close"
                ).with_columns(**_reckon({name: market[name].to_numpy() for name in _RECKONED_OF}))
                for market in markets
            )
            _write(owner, _WRITE_INDICATORS, rows.fill_nan(None).write_csv(include_header=False))


def _resample_by_pandas(owner: Owner) -> None:
    trades = pd.read_csv(_read(owner), engine="pyarrow", parse_dates=["ts_event"])
    trades = trades.sort_values(["venue_symbol", "ts_event", "trade_id"])
    trades["notional"] = trades["price"] * trades["quantity"]
    for interval, rule in INTERVALS.items():
        opens = trades["ts_event"].dt.floor(rule)
        candles = trades.groupby(["venue_symbol", opens]).agg(
            open=("price", "first"),
            high=("price", "max"),
            low=("price", "min"),
            close=("price", "last"),
            base_volume=("quantity", "sum"),
            quote_volume=("notional", "sum"),
            trade_count=("price", "size"),
        )
        named = candles.reset_index()
        named.insert(0, "venue", VENUE)
        named.insert(2, "interval", interval)
        _write(owner, _WRITE, named.to_csv(index=False, header=False))
        if interval == "1h":
            rows = pd.concat(
                market[["venue", "venue_symbol", "interval", "ts_event", "close"]].assign(
                    **_reckon({name: market[name].to_numpy() for name in _RECKONED_OF})
                )
                for _, market in named.groupby("venue_symbol")
            )
            _write(owner, _WRITE_INDICATORS, rows.to_csv(index=False, header=False))


_RECKONED_OF = ("high", "low", "close", "base_volume", "quote_volume")


def _reckon(candles: Mapping[str, Floats]) -> dict[str, Floats]:
    """The indicators of a market's day, in the order of _WRITE_INDICATORS."""
    high, low, close, base_volume, quote_volume = (candles[name] for name in _RECKONED_OF)
    macd, signal, histogram = talib.MACD(close, 12, 26, 9)
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    return {
        "sma_20": talib.SMA(close, 20),
        "ema_20": talib.EMA(close, 20),
        "rsi_14": talib.RSI(close, 14),
        "macd": macd,
        "signal": signal,
        "histogram": histogram,
        "upper": upper,
        "middle": middle,
        "lower": lower,
        "atr_14": talib.ATR(high, low, close, 14),
        "vwap": np.cumsum(quote_volume) / np.cumsum(base_volume),
    }


def _read(owner: Owner) -> io.BytesIO:
    body = io.BytesIO()
    with owner.cursor() as cursor, cursor.copy(_READ) as copy:
        for block in copy:
            body.write(block)
    body.seek(0)
    return body


def _write(owner: Owner, statement: LiteralString, rows: str) -> None:
    with owner.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(rows)


def _fill(owner: Owner, trades: int, dice: random.Random) -> None:
    began = time.monotonic()
    owner.execute("SET maintenance_work_mem = '512MB'")
    owner.execute("SELECT platform.make_partition('market', 'trade', 'month', '2026-01-01 00:00Z')")
    names = sql.SQL(", ").join(map(sql.Identifier, columns_of(TRADES)))
    statement = sql.SQL("COPY market.trade ({}) FROM STDIN").format(names)
    with owner.cursor() as cursor, cursor.copy(statement) as copy:
        for block in _make_trades(trades, dice):
            copy.write(block)
    owner.execute("VACUUM ANALYZE market.trade")
    owner.execute("CREATE SCHEMA other")
    for table in ("candle", "indicator"):
        owner.execute(f"CREATE TABLE other.{table} (LIKE analytics.{table} INCLUDING ALL)")
        owner.execute(f"ALTER TABLE other.{table} ALTER updated_at SET DEFAULT clock_timestamp()")
    click.echo(f"{trades:,} trades stored in {time.monotonic() - began:.0f} s", err=True)


def _make_trades(count: int, dice: random.Random) -> Iterator[str]:
    """Blocks of rows for COPY, in order of time, all symbols mixed; prices walk."""
    weights = list(accumulate(1 / rank for rank in range(1, len(SYMBOLS) + 1)))
    cents = dict.fromkeys(SYMBOLS, 9_000_000)
    step = DAY / count
    for start in range(0, count, BLOCK_ROWS):
        rows = range(start, min(start + BLOCK_ROWS, count))
        lines = []
        for number, symbol in zip(
            rows, dice.choices(SYMBOLS, cum_weights=weights, k=len(rows)), strict=True
        ):
            at = format_time(BEGINS + int(number * step))
            cents[symbol] += number * 7919 % 201 - 100
            lines.append(
                f"{VENUE}:{symbol}:{number}\t{number}\t{at}\t{VENUE}\t{symbol}\t"
                f"{symbol.replace('-', '/')}\t{number}\t{cents[symbol] / 100:.2f}\t"
                f"0.{number % 9973 + 1:08}\tbuy\t{at}\t\\N\t{TOPIC_ID}\t0\t{number}\t{at}\n"
            )
        yield "".join(lines)
