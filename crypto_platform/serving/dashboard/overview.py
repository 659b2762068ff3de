"""What the market overview shows: a row a currency, its last day as a line, all markets by venue.

Here: joining quotes, markets and their summaries; the shape of a line. Not here: the summaries
(serving/overview.py), HTML (templates/overview.html).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from crypto_platform.domain.market_overview import MarketSummary
from crypto_platform.feeds.quotes import Quote
from crypto_platform.serving.currencies import CurrencyCodes
from crypto_platform.serving.reader import choose_quotes
from crypto_platform.stores.market import Market

CURRENCIES_MAX = 100
LINE_WIDTH, LINE_HEIGHT = 100, 24

Place = tuple[str, str]
"""A venue, and the market's name there."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A price's way, as the path of an SVG of LINE_WIDTH x LINE_HEIGHT."""

    path: str
    is_rising: bool


@dataclass(frozen=True, kw_only=True)
class CurrencyRow:
    """A currency.

    Attributes:
        code: Unified; None where unmapped.
        market: Where it is traded against the quote's currency, a real venue before a simulated
            one; None where it is nowhere.
        line: Of a day, at that market; None where nothing is known of it.
    """

    quote: Quote
    code: str | None
    is_simulated: bool
    market: Market | None
    line: Line | None


def build_rows(
    quotes: Sequence[Quote],
    markets: Sequence[Market],
    summaries: Mapping[Place, MarketSummary],
    *,
    codes: CurrencyCodes,
    simulated: frozenset[str],
) -> list[CurrencyRow]:
    """One row a currency, the best ranks first. Pure."""
    best = choose_markets(markets, simulated)
    rows: list[CurrencyRow] = []
    for quote in choose_quotes(quotes, codes=codes, simulated=simulated, count=CURRENCIES_MAX):
        code = codes.of_quote(quote)
        market = best.get(f"{code}/{quote.quote_currency}")
        summary = None if market is None else summaries.get((market.venue, market.venue_symbol))
        rows.append(
            CurrencyRow(
                quote=quote,
                code=code,
                is_simulated=quote.source in simulated,
                market=market,
                line=None if summary is None else draw_line(summary.sparkline),
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


def draw_line(prices: Sequence[Decimal]) -> Line | None:
    """The line of some prices, lowest at the bottom; None of fewer than two."""
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
