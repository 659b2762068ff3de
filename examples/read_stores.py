"""Read a market's trades from PostgreSQL and from MongoDB into pandas, and compare them.

    python examples/read_stores.py simulated_exchange BTC-USD

Both stores hold every record once, amounts with all their digits: as Decimal they are equal, and
become floats only where somebody calculates with pandas. Run it beside a running stack (or with
`crypto-platform exec -- python examples/read_stores.py ...`); it reads as the analyst.
"""

import argparse
from pathlib import Path

import pandas as pd
import sqlalchemy as sa
from pymongo import MongoClient

from crypto_platform.settings import Settings, load_settings

COLUMNS = ["trade_id", "ts_event", "price", "quantity"]


def read_postgres(settings: Settings, venue: str, symbol: str) -> pd.DataFrame:
    """The newest 1,000 trades, oldest first; price and quantity are Decimals."""
    url = settings.postgres.analyst_url
    assert url is not None, "start the stack first: crypto-platform up"
    engine = sa.create_engine(
        sa.make_url(url.get_secret_value()).set(drivername="postgresql+psycopg")
    )
    statement = sa.text("SELECT * FROM market.trades_latest(:venue, :symbol, 1000)")
    with engine.connect() as connection:
        asked = {"venue": venue, "symbol": symbol}
        # pandas would make floats of all numbers
        found = pd.read_sql(statement, connection, params=asked, coerce_float=False)
    engine.dispose()
    return found[COLUMNS][::-1].reset_index(drop=True)


def read_mongo(settings: Settings, venue: str, symbol: str) -> pd.DataFrame:
    """The same from MongoDB."""
    url = settings.mongo.analyst_url
    assert url is not None, "start the stack first: crypto-platform up"
    with MongoClient(url.get_secret_value(), tz_aware=True) as client:
        trades = client[settings.mongo.database]["trades"]
        wanted = {"venue": venue, "venue_symbol": symbol}
        documents = list(trades.find(wanted, sort=[("ts_event_us", -1)], limit=1000))
    for each in documents:
        each["price"] = each["price"].to_decimal()
        each["quantity"] = each["quantity"].to_decimal()
    return pd.DataFrame(documents, columns=COLUMNS)[::-1].reset_index(drop=True)


def main() -> None:
    """Print trades by the minute, and whether the stores agree."""
    parser = argparse.ArgumentParser(description="Compare a market's trades in both stores.")
    parser.add_argument("venue")
    parser.add_argument("symbol", help="as the venue writes it: BTC-USD")
    parser.add_argument("--data-dir", type=Path)
    asked = parser.parse_args()
    settings = load_settings(asked.data_dir)
    trades = read_postgres(settings, asked.venue, asked.symbol)
    mirror = read_mongo(settings, asked.venue, asked.symbol)

    numbers = trades.astype({"price": float, "quantity": float}).set_index("ts_event")
    minutes = numbers.resample("1min").agg(
        trades=("price", "size"), close=("price", "last"), volume=("quantity", "sum")
    )
    print(minutes[minutes.trades > 0].tail(10).to_string())

    both = trades.merge(mirror, on="trade_id", suffixes=("", "_mirror"))
    differ = both[(both.price != both.price_mirror) | (both.quantity != both.quantity_mirror)]
    print(f"{len(both)} trades are in both stores, {len(differ)} of them differ")


if __name__ == "__main__":
    main()
