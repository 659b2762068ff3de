"""Would two moving averages have made money? A backtest in thirty lines of pandas.

    python examples/backtest_moving_average.py simulated_exchange BTC-USD --interval 1m

Be in the market while the fast average of closes is above the slow one. A signal is known when its
candle has closed, so what it earns is the candle after it: without that shift the backtest would
trade on prices that nobody had. Fees are paid on every change. It shows how to read the data; it is
no advice, and the simulated market is a random walk.
"""

import argparse
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from crypto_platform.settings import Settings, load_settings

CLOSES = """
SELECT open_time, close FROM analytics.candle
WHERE venue = :venue AND venue_symbol = :symbol AND "interval" = :interval
ORDER BY open_time
"""


def read_closes(settings: Settings, venue: str, symbol: str, interval: str) -> "pd.Series[float]":
    """All closes of a market, oldest first."""
    url = settings.postgres.analyst_url
    assert url is not None, "start the stack first: crypto-platform up"
    engine = sa.create_engine(
        sa.make_url(url.get_secret_value()).set(drivername="postgresql+psycopg")
    )
    with engine.connect() as connection:
        asked = {"venue": venue, "symbol": symbol, "interval": interval}
        found = pd.read_sql(sa.text(CLOSES), connection, params=asked)
    engine.dispose()
    return found.set_index("open_time").close.astype(float)


def backtest(closes: "pd.Series[float]", *, fast: int, slow: int, fee_bps: float) -> pd.DataFrame:
    """Position, fees and value (1 at the beginning) after each candle.

    Args:
        closes: Oldest first.
        fast, slow: Candles of the averages; until the slow one is known nothing is bought.
        fee_bps: Of the value, at every purchase and every sale.
    """
    signal = closes.rolling(fast).mean() > closes.rolling(slow).mean()
    position = signal.astype(float).shift(1, fill_value=0.0)
    fees = position.diff().abs().fillna(position) * fee_bps / 10_000
    earned = closes.pct_change().fillna(0.0)
    value = ((1 + position * earned) * (1 - fees)).cumprod()
    return pd.DataFrame({"close": closes, "position": position, "fees": fees, "value": value})


def main() -> None:
    """Print what came of it, beside buying once and holding."""
    parser = argparse.ArgumentParser(description="Backtest two moving averages.")
    parser.add_argument("venue")
    parser.add_argument("symbol", help="as the venue writes it: BTC-USD")
    parser.add_argument("--interval", choices=["1m", "5m", "1h", "1d"], default="5m")
    parser.add_argument("--fast", type=int, default=12)
    parser.add_argument("--slow", type=int, default=48)
    parser.add_argument("--fee-bps", type=float, default=10.0)
    parser.add_argument("--data-dir", type=Path)
    asked = parser.parse_args()
    if asked.fast >= asked.slow:
        parser.error("--fast has to be less than --slow")
    settings = load_settings(asked.data_dir)
    closes = read_closes(settings, asked.venue, asked.symbol, asked.interval)
    if len(closes) <= asked.slow:
        raise SystemExit(
            f"{len(closes)} candles of {asked.interval} are there, more than {asked.slow} are "
            "needed: take a shorter --interval or averages of fewer candles (--slow)"
        )
    found = backtest(closes, fast=asked.fast, slow=asked.slow, fee_bps=asked.fee_bps)
    changes = int((found.position.diff().abs() > 0).sum())
    print(f"{len(found)} candles of {asked.interval}, {changes} purchases and sales")
    print(f"moving averages: {found.value.iloc[-1] - 1:+.2%}")
    print(f"buy and hold:    {closes.iloc[-1] / closes.iloc[0] - 1:+.2%}")


if __name__ == "__main__":
    main()
