"""The documents of each endpoint, for OpenAPI: schema and example.

Here: what FastAPI is told as `responses`. Not here: how schemas are made (schemas.py).
"""

from http import HTTPStatus

from crypto_platform.domain.market_overview import MarketSummary
from crypto_platform.domain.portfolio_history import PortfolioDay
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.accounts import ORDERS as ORDER_STATES
from crypto_platform.feeds.accounts import WALLETS as WALLET_STATES
from crypto_platform.feeds.accounts import Fill, Order, Wallet
from crypto_platform.feeds.candles import Candle
from crypto_platform.feeds.quotes import Quote
from crypto_platform.feeds.record import Record, list_fields
from crypto_platform.feeds.trades import Trade
from crypto_platform.serving.account_sheets import DAY_COLUMNS, HOLDING_COLUMNS, TRANSACTION_COLUMNS
from crypto_platform.serving.api.schemas import (
    AMOUNT,
    FLAG,
    TEXT,
    TIME,
    answers,
    answers_stream,
    describe_list,
    describe_object,
    describe_page,
    describe_rows,
)
from crypto_platform.serving.market_sheets import QUOTE_COLUMNS
from crypto_platform.serving.overview import OVERVIEW_COLUMNS
from crypto_platform.serving.sheets import build_sheet, build_struct_sheet

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

_OWN = (HTTPStatus.UNAUTHORIZED,)

TOKEN = answers(
    describe_object({"token": {"type": "string"}, "expires_at": TIME}),
    {"token": "eyJhbGciOiJIUzI1NiJ9…", "expires_at": "2026-01-31T14:30:00.000000Z"},
    refusals=(HTTPStatus.BAD_REQUEST, *_OWN, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
)

_ORDER_COLUMNS = build_struct_sheet(ORDER_STATES.fields, []).columns
_EXAMPLE_ORDER = {
    "order_id": "o-000017",
    "venue_symbol": "BTC-USD",
    "side": "buy",
    "order_type": "limit",
    "limit_price": "64000.00",
    "order_quantity": "0.5",
    "filled_quantity": "0.2",
    "order_status": "partially_filled",
    "ts_created": "2026-01-31T14:30:00.000000Z",
}

ORDERS = answers(
    describe_object({"orders": describe_rows(_ORDER_COLUMNS, Order)}),
    {"orders": [_EXAMPLE_ORDER]},
    refusals=_OWN,
)

ORDER = answers(
    describe_object(
        {
            "order": describe_rows(_ORDER_COLUMNS, Order)["items"],
            "fills": describe_rows(build_struct_sheet(list_fields(Fill), []).columns, Fill),
        }
    ),
    {
        "order": _EXAMPLE_ORDER,
        "fills": [{"trade_id": "77", "fill_price": "64000.00", "fill_quantity": "0.2"}],
    },
    refusals=(*_OWN, *_UNKNOWN),
)

WALLETS = answers(
    describe_object(
        {"wallets": describe_rows(build_struct_sheet(WALLET_STATES.fields, []).columns, Wallet)}
    ),
    {"wallets": [{"currency": "BTC", "available": "0.25", "locked": "0.5"}]},
    refusals=_OWN,
)

TRANSACTIONS = answers(
    describe_page("transactions", describe_rows(TRANSACTION_COLUMNS)),
    {
        "transactions": [
            {
                "sequence": 4711,
                "ts_event": "2026-01-31T14:30:00.000000Z",
                "kind": "order_filled",
                "currency": "BTC",
                "available_change": "0.2",
                "locked_change": "0",
                "available": "0.45",
                "locked": "0",
            }
        ],
        "next": None,
    },
    refusals=_OWN,
)

PORTFOLIO = answers(
    describe_object(
        {
            "value_currency": {"type": "string"},
            "value": AMOUNT,
            "unpriced": describe_list({"type": "string"}),
            "holdings": describe_rows(HOLDING_COLUMNS),
        }
    ),
    {
        "value_currency": "USD",
        "value": "48187.59",
        "unpriced": [],
        "holdings": [
            {"currency": "BTC", "quantity": "0.75", "price": "64250.12", "value": "48187.59"}
        ],
    },
    refusals=_OWN,
)

STREAM = answers_stream(refusals=_UNKNOWN)
OWN_STREAM = answers_stream(refusals=_OWN)

OVERVIEW = answers(
    describe_object({"as_of": TIME, "markets": describe_rows(OVERVIEW_COLUMNS, MarketSummary)}),
    {
        "as_of": "2026-01-31T14:30:00.000000Z",
        "markets": [{**_EXAMPLE_MARKET, "change_24h_pct": "-2.78", "made_of": "trades"}],
    },
)

INDICATORS = answers(
    describe_object(
        {
            **_MARKET,
            "interval": {"type": "string"},
            "made_of": {"type": "string", "enum": ["trades", "venue"]},
            "indicators": describe_list(
                {
                    **describe_object({"ts_event": TIME, "close": AMOUNT, "is_closed": FLAG}),
                    "additionalProperties": AMOUNT,
                }
            ),
        }
    ),
    {
        **_EXAMPLE_MARKET,
        "interval": "1m",
        "made_of": "trades",
        "indicators": [
            {
                "ts_event": "2026-01-31T14:30:00.000000Z",
                "close": "64250.12",
                "is_closed": True,
                "sma:20": "64248.7",
            }
        ],
    },
    refusals=_UNKNOWN,
)

PORTFOLIO_HISTORY = answers(
    describe_object(
        {
            "currency": {"type": "string"},
            "time_zone": {"type": "string"},
            "days": describe_rows(DAY_COLUMNS, PortfolioDay),
        }
    ),
    {
        "currency": "EUR",
        "time_zone": "UTC",
        "days": [{"day": "2026-01-31", "value": "48187.59", "realized_gain": "120.5"}],
    },
    refusals=(*_OWN, *_UNKNOWN),
)

TAX_REPORT = answers(
    describe_object({"user": TEXT, "year": {"type": "integer"}, "disposals": {"type": "array"}}),
    {"user": "u000001", "year": 2026, "reporting_currency": "EUR", "disposals": []},
    refusals=(*_OWN, *_UNKNOWN, HTTPStatus.NOT_IMPLEMENTED),
)
