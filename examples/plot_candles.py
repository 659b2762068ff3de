"""Draw a market's hourly candles and their 20-hour average into an SVG file.

    python examples/plot_candles.py simulated_exchange BTC-USD candles.svg

Candles made of trades and the usual indicators lie in tables of schema `analytics`; pandas joins
them, and a few lines of SVG draw them: no plotting library is needed. Prices become floats here,
for a pixel has no use for more digits.
"""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from crypto_platform.settings import Settings, load_settings

WIDTH, HEIGHT, MARGIN = 960, 400, 20

CANDLES = """
SELECT c.open_time, c.open, c.high, c.low, c.close, i.sma_20
FROM analytics.candle AS c
LEFT JOIN analytics.indicator AS i USING (venue, venue_symbol, "interval", open_time)
WHERE c.venue = :venue AND c.venue_symbol = :symbol AND c."interval" = '1h'
ORDER BY c.open_time DESC LIMIT :hours
"""


def read_candles(settings: Settings, venue: str, symbol: str, hours: int) -> pd.DataFrame:
    """The newest hours, oldest first, as floats; an average that is not known yet is NaN."""
    url = settings.postgres.analyst_url
    assert url is not None, "start the stack first: crypto-platform up"
    engine = sa.create_engine(
        sa.make_url(url.get_secret_value()).set(drivername="postgresql+psycopg")
    )
    with engine.connect() as connection:
        asked = {"venue": venue, "symbol": symbol, "hours": hours}
        found = pd.read_sql(sa.text(CANDLES), connection, params=asked)
    engine.dispose()
    return found.set_index("open_time").sort_index().astype(float)


def draw(candles: pd.DataFrame, *, title: str) -> str:
    """An SVG: a bar from open to close, a line from high to low, the average over them."""
    low, high = candles.low.min(), candles.high.max()
    step = (WIDTH - 2 * MARGIN) / len(candles)

    def x(number: int) -> float:
        return MARGIN + (number + 0.5) * step

    def y(price: float) -> float:
        return HEIGHT - MARGIN - (price - low) / ((high - low) or 1) * (HEIGHT - 2 * MARGIN)

    marks: list[str] = []
    for number, row in enumerate(candles.itertuples()):
        color = "#1a9e6a" if row.close >= row.open else "#d6453d"
        bar = f"M{x(number):.1f} {y(row.open) - 0.5:.1f}V{y(row.close) + 0.5:.1f}"
        marks.append(
            f'<path d="M{x(number):.1f} {y(row.high):.1f}V{y(row.low):.1f}" stroke="{color}"/>'
        )
        marks.append(f'<path d="{bar}" stroke="{color}" stroke-width="{step * 0.6:.1f}"/>')
    average = [
        f"{x(number):.1f},{y(value):.1f}"
        for number, value in enumerate(candles.sma_20)
        if pd.notna(value)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}">'
        f'<title>{title}</title><rect width="100%" height="100%" fill="#fff"/>{"".join(marks)}'
        f'<polyline points="{" ".join(average)}" fill="none" stroke="#4f43dd"/></svg>\n'
    )


def main() -> None:
    """Write the file and say what is in it."""
    parser = argparse.ArgumentParser(description="Draw candles and their average.")
    parser.add_argument("venue")
    parser.add_argument("symbol", help="as the venue writes it: BTC-USD")
    parser.add_argument("file", type=Path)
    parser.add_argument("--hours", type=int, default=7 * 24)
    parser.add_argument("--data-dir", type=Path)
    asked = parser.parse_args()
    settings = load_settings(asked.data_dir)
    candles = read_candles(settings, asked.venue, asked.symbol, asked.hours)
    if candles.empty:
        over = datetime.now(UTC).replace(minute=5) + timedelta(hours=1)
        message = (
            f"no hour of {asked.venue} {asked.symbol} has been made yet, as it is not over: "
            f"try again at {over:%H:%M} UTC; see the asset analytics/candles if it is still so"
        )
        raise SystemExit(message)
    asked.file.write_text(draw(candles, title=f"{asked.venue} {asked.symbol}"), "utf-8")
    print(f"{len(candles)} hours drawn into {asked.file}")


if __name__ == "__main__":
    main()
