"""WHAT flows: the catalogue. A new feed is one file here and one line in FEEDS."""

from collections.abc import Mapping

from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.feeds.api_keys import API_KEYS
from crypto_platform.feeds.candles import CANDLES
from crypto_platform.feeds.exchange_rates import EXCHANGE_RATES
from crypto_platform.feeds.feed import Feed, Record
from crypto_platform.feeds.incidents import INCIDENTS
from crypto_platform.feeds.instruments import INSTRUMENTS
from crypto_platform.feeds.order_books import ORDER_BOOKS
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.feeds.rejected import REJECTED
from crypto_platform.feeds.trades import TRADES

FEEDS: tuple[Feed[Record], ...] = (
    QUOTES,
    TRADES,
    ORDER_BOOKS,
    CANDLES,
    INSTRUMENTS,
    EXCHANGE_RATES,
    ACCOUNT_EVENTS,
    API_KEYS,
    REJECTED,
    INCIDENTS,
)

FEED_BY_NAME: Mapping[str, Feed[Record]] = {feed.name: feed for feed in FEEDS}
