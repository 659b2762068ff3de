"""What is traded where, by today's names: looked up once in a while for all who ask.

Here: the markets that have records, and finding one by the name a person gives it. Not here: how a
name is read (serving/market.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.candles import CANDLES
from crypto_platform.feeds.instruments import INSTRUMENTS, Instrument, ListedKind
from crypto_platform.feeds.order_books import ORDER_BOOKS
from crypto_platform.feeds.trades import TRADES
from crypto_platform.serving.currencies import CurrencyCodes
from crypto_platform.serving.failover import Reads, Source
from crypto_platform.serving.market import Place, find_market, name_markets
from crypto_platform.stores.base import Store
from crypto_platform.stores.market import Market

CATALOGUE_EVERY_S = 5.0
MARKET_FEEDS = (TRADES.name, ORDER_BOOKS.name, CANDLES.name)


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All markets at one moment.

    Attributes:
        markets: By feed.
        instruments: What venues say of them, by venue and its symbol.
    """

    source: Source
    markets: Mapping[str, Sequence[Market]]
    instruments: Mapping[tuple[str, str], Instrument]

    def find(self, feed_name: str, place: Place) -> Market:
        """The market a person means; see find_market."""
        return find_market(self.markets[feed_name], place, what=feed_name)

    def list_all(self) -> list[tuple[Market, list[str]]]:
        """Each market, and the feeds that have records of it."""
        feeds: dict[Market, list[str]] = {}
        for name, markets in self.markets.items():
            for market in markets:
                feeds.setdefault(market, []).append(name)
        return sorted(feeds.items(), key=lambda each: each[0][:2])


def read_catalogue(reads: Reads, codes: CurrencyCodes) -> Catalogue:
    """All markets as they are mapped now.

    Raises:
        StoreUnavailableError: No store answered.
    """
    feeds = [FEED_BY_NAME[name] for name in MARKET_FEEDS]

    def question(store: Store) -> tuple[list[Instrument], dict[str, list[Market]]]:
        listed = [each for each in store.read_instruments() if isinstance(each, Instrument)]
        return listed, {feed.name: store.list_markets(feed) for feed in feeds}

    answered = reads.ask(question, [*feeds, INSTRUMENTS])
    listed, markets = answered.value
    return Catalogue(
        source=answered.source,
        markets={name: name_markets(codes, listed, own) for name, own in markets.items()},
        instruments={
            (each.source, each.native_id): each
            for each in listed
            if each.kind == ListedKind.INSTRUMENT
        },
    )
