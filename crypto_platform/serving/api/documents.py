"""The documents of each endpoint, for OpenAPI: schema and example.

Here: what FastAPI is told as `responses`. Not here: how schemas are made (schemas.py).
"""

from http import HTTPStatus

from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.candles import Candle
from crypto_platform.feeds.quotes import Quote
from crypto_platform.feeds.record import Record
from crypto_platform.feeds.trades import Trade
from crypto_platform.serving.api.schemas import (
    AMOUNT,
    TEXT,
    TIME,
    answers,
    describe_list,
    describe_object,
    describe_page,
    describe_rows,
)
from crypto_platform.serving.market_sheets import QUOTE_COLUMNS
from crypto_platform.serving.sheets import build_sheet

_UNKNOWN = (HTTPStatus.NOT_FOUND,)
_MARKET = dict.fromkeys(("venue", "venue_symbol", "symbol"), TEXT)
_EXAMPLE_MARKET = {"venue": "coinbase", "venue_symbol": "BTC-USD", "symbol": "BTC/USD"}
_LEVELS = describe_list(describe_object({"price": AMOUNT, "quantity": AMOUNT}))


def _describe_records(feed_name: str, record: type[Record]) -> dict[str, object]:
    return describe_rows(build_sheet(FEED_BY_NAME[feed_name], []).columns, record)


HEALTH = answers(
    describe_object({"status": {"type": "string"}, "stores": {"type": "object"}}),
    {"status": "ok", "stores": {"postgres": {"answers": True}, "mongo": {"answers": True}}},
)

MARKETS = answers(
    describe_object(
        {
            "markets": describe_list(
                describe_object(
                    {
                        **_MARKET,
                        "feeds": describe_list({"type": "string"}),
                        "simulated": {"type": "boolean"},
                        "status": TEXT,
                        "price_step": AMOUNT,
                        "quantity_step": AMOUNT,
                    }
                )
            )
        }
    ),
    {
        "markets": [
            {
                **_EXAMPLE_MARKET,
                "feeds": ["trades", "order_books", "candles"],
                "simulated": False,
                "status": "online",
                "price_step": "0.01",
                "quantity_step": "0.00000001",
            }
        ]
    },
)

QUOTES = answers(
    describe_object({"quotes": describe_rows(QUOTE_COLUMNS, Quote)}),
    {
        "quotes": [
            {
                "source": "coincap",
                "currency_id": "bitcoin",
                "quote_currency": "USD",
                "price": "64250.1234",
                "market_cap_rank": 1,
                "ts_event": "2026-01-31T14:30:00.000000Z",
                "currency": "BTC",
                "simulated": False,
            }
        ]
    },
    refusals=_UNKNOWN,
)

TRADES = answers(
    describe_page("trades", _describe_records("trades", Trade), **_MARKET),
    {
        **_EXAMPLE_MARKET,
        "trades": [
            {
                "trade_id": "74592",
                "price": "64250.12",
                "quantity": "0.015",
                "taker_side": "buy",
                "ts_event": "2026-01-31T14:30:00.123456Z",
            }
        ],
        "next": "q8Zt3vB1…",
    },
    refusals=_UNKNOWN,
)

CANDLES = answers(
    describe_page("candles", _describe_records("candles", Candle), **_MARKET),
    {
        **_EXAMPLE_MARKET,
        "candles": [
            {
                "interval": "1m",
                "ts_event": "2026-01-31T14:30:00.000000Z",
                "open": "64250.12",
                "high": "64260.00",
                "low": "64249.50",
                "close": "64255.01",
                "base_volume": "3.25",
            }
        ],
        "next": None,
    },
    refusals=_UNKNOWN,
)

BOOK = answers(
    describe_object(
        {
            **_MARKET,
            "sequence": TEXT,
            "ts_event": TIME,
            "timed_by": {**TEXT, "description": "Whose time ts_event is: venue or platform."},
            "mid_price": AMOUNT,
            "spread": AMOUNT,
            "bids": _LEVELS,
            "asks": _LEVELS,
        }
    ),
    {
        **_EXAMPLE_MARKET,
        "sequence": "1234567",
        "ts_event": "2026-01-31T14:30:00.000000Z",
        "timed_by": "venue",
        "mid_price": "64250.115",
        "spread": "0.01",
        "bids": [{"price": "64250.11", "quantity": "0.5"}],
        "asks": [{"price": "64250.12", "quantity": "0.25"}],
    },
    refusals=_UNKNOWN,
)
