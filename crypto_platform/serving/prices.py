"""What currencies cost at past times, read from a store: quotes, trades and candles as of then.

Here: which of what is stored is a currency's price, and reading many of them in few statements. Not
here: what is done with a price (domain/valuation.py), official rates of money (rates.py).

For each time it is the last quote, else the last trade, else the last candle that had closed, none
older than PRICE_AGE_S_MAX. Of several a real source goes before a simulated one, a price in money
before one in another coin, the newest before an older one.

A report says by itself which prices it needs: it is built with those that are known, what it asked
for beside them is read all at once, and it is built again. A price in USDT asks for that of USDT,
so there may be several rounds.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, TypeVar

from crypto_platform.domain.exchange_rates import MONEY
from crypto_platform.domain.valuation import Price, PriceFunction
from crypto_platform.feeds import FEED_BY_NAME, Feed, Record
from crypto_platform.feeds.candles import CANDLES, Candle, Interval
from crypto_platform.feeds.quotes import QUOTES, Quote
from crypto_platform.feeds.trades import TRADES, Trade
from crypto_platform.serving.currencies import CurrencyCodes
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.market import AsOf, Market

PRICE_AGE_S_MAX = 86_400
"""An older price says nothing of a time; then it is unknown."""

PRICE_FEEDS: Sequence[Feed[Record]] = tuple(
    FEED_BY_NAME[feed.name] for feed in (QUOTES, TRADES, CANDLES)
)

T = TypeVar("T")


class Moment(NamedTuple):
    """A currency at a time, microseconds since 1970."""

    currency: str
    time_us: int


Prices = Mapping[Moment, Price | None]
"""None: looked for, and there is none."""


def build_with_prices(
    build: Callable[[PriceFunction], T], read: Callable[[Sequence[Moment]], Prices]
) -> T:
    """Build something that needs prices, and read those that it turns out to need.

    Args:
        build: The same for the same prices; called once more than `read`.
        read: An answer for each moment.
    """
    known: dict[Moment, Price | None] = {}
    missing: set[Moment] = set()

    def find(currency: str, time_us: int) -> Price | None:
        moment = Moment(currency, time_us)
        if moment not in known:
            missing.add(moment)
        return known.get(moment)

    while True:
        built = build(find)
        if not missing:
            return built
        known |= dict.fromkeys(missing) | dict(read(sorted(missing)))
        missing.clear()


@dataclass(frozen=True, kw_only=True)
class PriceBook:
    """What of a store's records is whose price.

    Attributes:
        codes: What sources' own ids mean.
        simulated: Names of simulated sources.
        preferred: The currency that prices are best in.
    """

    codes: CurrencyCodes
    simulated: frozenset[str]
    preferred: str

    def read(self, store: Store, moments: Sequence[Moment]) -> Prices:
        """The price at each moment, from one store."""
        found: dict[Moment, Price | None] = dict.fromkeys(moments)
        for read in (self._read_quoted, self._read_traded, self._read_candles):
            missing = [moment for moment, price in found.items() if price is None]
            if missing:
                found |= read(store, missing)
        return found

    def _read_quoted(self, store: Store, moments: Sequence[Moment]) -> Prices:
        ids: dict[str, list[tuple[str, ...]]] = {}
        for source, currency_id, code in self.codes.list_all():
            ids.setdefault(code, []).append((source, currency_id))
        asked = [
            _Asked(moment, _as_of(names, moment.time_us))
            for moment in moments
            for names in ids.get(moment.currency, ())
        ]
        return self._read_best(store, QUOTES, asked, _price_quote)

    def _read_traded(self, store: Store, moments: Sequence[Moment]) -> Prices:
        markets = _group_by_base(store.list_markets(FEED_BY_NAME[TRADES.name]))
        asked = [
            _Asked(moment, _as_of((market.venue, market.venue_symbol), moment.time_us), quote)
            for moment in moments
            for market, quote in markets.get(moment.currency, ())
        ]
        return self._read_best(store, TRADES, asked, _price_trade)

    def _read_candles(self, store: Store, moments: Sequence[Moment]) -> Prices:
        markets = _group_by_base(store.list_markets(FEED_BY_NAME[CANDLES.name]))
        asked = [
            _Asked(
                moment,
                # one that is open at that time knows more than anybody did
                _as_of(
                    (market.venue, market.venue_symbol, interval.value),
                    moment.time_us - interval.length_us,
                ),
                quote,
            )
            for moment in moments
            for market, quote in markets.get(moment.currency, ())
            for interval in Interval
        ]
        return self._read_best(store, CANDLES, asked, _price_candle)

    def _read_best(
        self,
        store: Store,
        feed: Feed[Record],
        asked: "Sequence[_Asked]",
        price_of: "Callable[[Record, str], _Found | None]",
    ) -> Prices:
        records = store.read_as_of(FEED_BY_NAME[feed.name], [each.as_of for each in asked])
        found: dict[Moment, list[_Found]] = {}
        for each, record in zip(asked, records, strict=True):
            price = None if record is None else price_of(record, each.quote_currency)
            if price is not None:
                found.setdefault(each.moment, []).append(price)
        return {moment: self._choose(prices) for moment, prices in found.items()}

    def _choose(self, prices: "Iterable[_Found]") -> Price:
        best = min(prices, key=self._order)
        name = f"{best.source} (simulated)" if best.source in self.simulated else best.source
        return Price(Decimal(best.price), best.quote_currency, best.time_us, name)

    def _order(self, found: "_Found") -> tuple[bool, int, int, str, str]:
        return (
            found.source in self.simulated,
            0
            if found.quote_currency == self.preferred
            else 1 + (found.quote_currency not in MONEY),
            -found.time_us,
            found.source,
            found.price,
        )


class _Asked(NamedTuple):
    moment: Moment
    as_of: AsOf
    quote_currency: str = ""
    """Of a market; a quote says its own."""


class _Found(NamedTuple):
    price: str
    quote_currency: str
    time_us: int
    source: str


def _as_of(names: tuple[str, ...], time_us: int) -> AsOf:
    return AsOf(names, max(time_us - PRICE_AGE_S_MAX * 1_000_000, 0), max(time_us, 0))


def _group_by_base(markets: Iterable[Market]) -> dict[str, list[tuple[Market, str]]]:
    """Markets by the currency whose price they tell, each with what it is told in.

    Those that deliver later (BTC/USDT:USDT) trade something else.
    """
    grouped: dict[str, list[tuple[Market, str]]] = {}
    for market in markets:
        base, _, quote = (market.symbol or "").partition("/")
        if quote and ":" not in quote:
            grouped.setdefault(base, []).append((market, quote))
    return grouped


def _price_quote(record: Record, _: str) -> _Found | None:
    assert isinstance(record, Quote), "of this feed"
    if record.price is None:
        return None
    time_us = record.ts_ingest if record.ts_event is None else record.ts_event
    return _Found(record.price, record.quote_currency, time_us, record.source)


def _price_trade(record: Record, quote_currency: str) -> _Found:
    assert isinstance(record, Trade), "of this feed"
    return _Found(record.price, quote_currency, record.ts_event, record.venue)


def _price_candle(record: Record, quote_currency: str) -> _Found:
    assert isinstance(record, Candle), "of this feed"
    closed_us = record.ts_event + record.interval.length_us
    return _Found(record.close, quote_currency, closed_us, record.venue)


def build_price_book(settings: Settings, *, preferred: str) -> PriceBook:
    """The book of these settings; nothing is asked."""
    return PriceBook(
        codes=CurrencyCodes(settings),
        simulated=frozenset(name for name, own in settings.sources.items() if own.simulated),
        preferred=preferred,
    )
