"""What the market overview shows: a row a currency, its last hour as a line.

Here: joining quotes, markets and closes; the shape of a line. Not here: HTML
(templates/overview.html), which store answers (serving/failover.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.candles import CANDLES, Candle, Interval
from crypto_platform.feeds.quotes import Quote
from crypto_platform.serving.currencies import CurrencyCodes
from crypto_platform.serving.failover import Reads
from crypto_platform.serving.reader import choose_quotes
from crypto_platform.stores.base import Market, Store

CURRENCIES_MAX = 100
LINE_CANDLES = 60
LINE_WIDTH, LINE_HEIGHT = 100, 24


@dataclass(frozen=True, kw_only=True)
class Line:
    """A price's way through the last hour, as the path of an SVG of LINE_WIDTH x LINE_HEIGHT."""

    path: str
    is_rising: bool


@dataclass(frozen=True, kw_only=True)
class CurrencyRow:
    """A currency.

    Attributes:
        code: Unified; None where unmapped.
        market: Where it is traded against the quote's currency, a real venue before a simulated
            one; None where it is nowhere.
        line: None where no candles are known.
    """

    quote: Quote
    code: str | None
    is_simulated: bool
    market: Market | None
    line: Line | None


def build_rows(
    quotes: Sequence[Quote],
    markets: Sequence[Market],
    closes: Mapping[str, Sequence[str]],
    *,
    codes: CurrencyCodes,
    simulated: frozenset[str],
) -> list[CurrencyRow]:
    """One row a currency, the best ranks first. Pure.

    Args:
        closes: Of the last hour by unified symbol, see `read_closes`.
    """
    best = choose_markets(markets, simulated)
    rows: list[CurrencyRow] = []
    for quote in choose_quotes(quotes, codes=codes, simulated=simulated, count=CURRENCIES_MAX):
        code = codes.of_quote(quote)
        symbol = f"{code}/{quote.quote_currency}"
        rows.append(
            CurrencyRow(
                quote=quote,
                code=code,
                is_simulated=quote.source in simulated,
                market=best.get(symbol),
                line=draw_line(closes.get(symbol, ())),
            )
        )
    return rows


def choose_markets(markets: Sequence[Market], simulated: frozenset[str]) -> dict[str, Market]:
    """One market a unified symbol, a real venue's before a simulated one's."""
    best: dict[str, Market] = {}
    for market in sorted(markets, key=lambda each: (each.venue in simulated, each.venue)):
        if market.symbol is not None:
            best.setdefault(market.symbol, market)
    return best


def read_closes(reads: Reads, simulated: frozenset[str]) -> dict[str, Sequence[str]]:
    """Closes of the last hour's one-minute candles, oldest first, by unified symbol.

    One question a symbol: for a page, ask seldom.

    Raises:
        StoreUnavailableError: No store answered; holds what each said.
    """
    feed = FEED_BY_NAME[CANDLES.name]

    def question(store: Store) -> dict[str, Sequence[str]]:
        markets = choose_markets(store.list_markets(feed), simulated)
        return {
            symbol: [
                candle.close
                for page in store.read_market(
                    feed, market, interval=Interval.MINUTE, newest=LINE_CANDLES
                )
                for candle in page
                if isinstance(candle, Candle)
            ]
            for symbol, market in markets.items()
        }

    return reads.ask(question, [feed]).value


def draw_line(closes: Sequence[str]) -> Line | None:
    """The line of some prices, lowest at the bottom; None of fewer than two."""
    prices = [Decimal(close) for close in closes]
    if len(prices) < 2:  # noqa: PLR2004 (a line has two ends)
        return None
    low, high = min(prices), max(prices)
    height, step = high - low, Decimal(LINE_WIDTH) / (len(prices) - 1)
    inner = Decimal(LINE_HEIGHT - 2)
    points = [
        f"{index * step:.1f} {1 + (inner * (high - price) / height if height else inner / 2):.1f}"
        for index, price in enumerate(prices)
    ]
    return Line(path=f"M{'L'.join(points)}", is_rising=prices[-1] >= prices[0])
