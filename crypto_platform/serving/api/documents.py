"""The documents of each endpoint, for OpenAPI: schema and example.

Here: what FastAPI is told as `responses`. Not here: how schemas are made (schemas.py).
"""

from collections.abc import Sequence
from http import HTTPStatus

from crypto_platform.analytics.book_metrics import BOOK_METRICS
from crypto_platform.analytics.computation import Computation
from crypto_platform.analytics.correlations import CORRELATIONS as COMPUTED_CORRELATIONS
from crypto_platform.analytics.volatility import VOLATILITY as COMPUTED_VOLATILITY
from crypto_platform.domain.market_overview import MarketSummary
from crypto_platform.domain.portfolio_history import PortfolioDay
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.accounts import ORDERS as ORDER_STATES
from crypto_platform.feeds.accounts import WALLETS as WALLET_STATES
from crypto_platform.feeds.accounts import AccountEvent, Fill, Order, Wallet
from crypto_platform.feeds.candles import Candle
from crypto_platform.feeds.quotes import Quote
from crypto_platform.feeds.record import Record, list_fields
from crypto_platform.feeds.trades import Trade
from crypto_platform.serving.account_sheets import DAY_COLUMNS, HOLDING_COLUMNS, TRANSACTION_COLUMNS
from crypto_platform.serving.analytics import MadeCandle
from crypto_platform.serving.api.schemas import (
    AMOUNT,
    FLAG,
    TEXT,
    TIME,
    Schema,
    answers,
    answers_stream,
    describe_list,
    describe_object,
    describe_page,
    describe_rows,
    say,
)
from crypto_platform.serving.book_metrics import METRIC_COLUMNS, ORDER_COLUMNS
from crypto_platform.serving.market_sheets import QUOTE_COLUMNS
from crypto_platform.serving.movements import CORRELATION_COLUMNS, VOLATILITY_COLUMNS
from crypto_platform.serving.overview import OVERVIEW_COLUMNS
from crypto_platform.serving.sheets import Column, build_sheet, build_struct_sheet

_UNKNOWN = (HTTPStatus.NOT_FOUND,)
_MEANING_OF_MARKET = {
    "venue": "Where it trades: a name in the settings.",
    "venue_symbol": "The venue's own (BTC-USD).",
    "symbol": "Unified (BTC/USD), as it is mapped now; null where nobody mapped it.",
}
_MARKET = {name: say(TEXT, text) for name, text in _MEANING_OF_MARKET.items()}
_MEANING_OF_DEPTH = {
    **{name: origin.meaning for name, origin in BOOK_METRICS.columns.items()},
    **_MEANING_OF_MARKET,
}
_EXAMPLE_MARKET = {"venue": "coinbase", "venue_symbol": "BTC-USD", "symbol": "BTC/USD"}
_LEVELS = describe_list(
    describe_object(
        {
            "price": say(AMOUNT, "Quote currency for one unit of base."),
            "quantity": say(AMOUNT, "Units of base that wait there."),
        }
    )
)


def _describe_records(feed_name: str, record: type[Record]) -> Schema:
    return describe_rows(build_sheet(FEED_BY_NAME[feed_name], []).columns, record)


HEALTH = answers(
    describe_object(
        {
            "status": {"type": "string", "description": "ok, or no store answers."},
            "stores": {"type": "object", "description": "By name: whether it answers."},
        }
    ),
    {"status": "ok", "stores": {"postgres": {"answers": True}, "mongo": {"answers": True}}},
    of_store=False,
)

MARKETS = answers(
    describe_object(
        {
            "markets": describe_list(
                describe_object(
                    {
                        **_MARKET,
                        "feeds": say(describe_list({"type": "string"}), "What is stored of it."),
                        "simulated": say(FLAG, "Whether nobody trades there but our simulation."),
                        "status": say(TEXT, "The venue's own word (online, delisted)."),
                        "price_step": say(AMOUNT, "Smallest step of a price, quote currency."),
                        "quantity_step": say(AMOUNT, "Smallest step of a quantity, base."),
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
    describe_object(
        {
            "quotes": describe_rows(
                QUOTE_COLUMNS,
                Quote,
                beside={
                    "currency": "The unified code; null where nobody mapped it.",
                    "simulated": "Whether nobody but our simulation says so.",
                },
            )
        }
    ),
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

_OF_MADE_CANDLES = {
    name: schema
    for name, schema in describe_rows(
        build_struct_sheet(list_fields(MadeCandle), []).columns, MadeCandle
    )["items"]["properties"].items()
    if name in {"is_closed", "trades_since"}
}


def _describe_candles() -> Schema:
    """The venue's own; what only those made of trades have need not be there."""
    rows = _describe_records("candles", Candle)
    items = {**rows["items"], "properties": {**rows["items"]["properties"], **_OF_MADE_CANDLES}}
    return describe_list(items)


CANDLES = answers(
    describe_page("candles", _describe_candles(), **_MARKET),
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
            "sequence": say(
                TEXT, "The venue's number of this state of the book, where it has one."
            ),
            "ts_event": say(TIME, "When the book was so."),
            "timed_by": say(TEXT, "Whose time ts_event is: venue or platform."),
            "mid_price": say(AMOUNT, "Middle of best bid and best ask."),
            "spread": say(AMOUNT, "Best ask less best bid, quote currency."),
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
    describe_object(
        {
            "token": {"type": "string", "description": "For the header Authorization."},
            "expires_at": say(TIME, "Until when it holds."),
        }
    ),
    {"token": "eyJhbGciOiJIUzI1NiJ9…", "expires_at": "2026-01-31T14:30:00.000000Z"},
    refusals=(HTTPStatus.BAD_REQUEST, *_OWN, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    of_store=False,
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
    describe_object({"orders": describe_rows(_ORDER_COLUMNS, AccountEvent, Order)}),
    {"orders": [_EXAMPLE_ORDER]},
    refusals=_OWN,
)

ORDER = answers(
    describe_object(
        {
            "order": describe_rows(_ORDER_COLUMNS, AccountEvent, Order)["items"],
            "fills": describe_rows(
                build_struct_sheet(list_fields(Fill), []).columns, AccountEvent, Fill
            ),
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
    describe_page(
        "transactions",
        describe_rows(
            TRANSACTION_COLUMNS,
            AccountEvent,
            beside={
                "currency": "Of which wallet.",
                "available_change": "What the event changed of what is free to use.",
                "locked_change": "What the event changed of what is set aside.",
                "available": "What is free to use after it.",
                "locked": "What is set aside for open orders after it.",
            },
        ),
    ),
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
            "value_currency": {"type": "string", "description": "Of all values."},
            "value": say(AMOUNT, "Of all holdings whose price is known."),
            "unpriced": say(describe_list({"type": "string"}), "Currencies that it leaves out."),
            "holdings": describe_rows(
                HOLDING_COLUMNS,
                Wallet,
                beside={
                    "quantity": "Both together.",
                    "price": "Of one unit; null where nobody knows it.",
                    "value": "Of all of it; null where nobody knows the price.",
                    "price_source": "Who said the price.",
                    "price_ts_event": "When it was so.",
                },
            ),
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
    describe_object(
        {
            "as_of": say(TIME, "When it was so."),
            "markets": describe_rows(
                OVERVIEW_COLUMNS,
                MarketSummary,
                beside={
                    **_MEANING_OF_MARKET,
                    "last_price": "Of the newest trade.",
                    "last_trade": "When that was.",
                    "made_of": "What the candles under the figures are made of: trades, or venue.",
                },
            ),
        }
    ),
    {
        "as_of": "2026-01-31T14:30:00.000000Z",
        "markets": [{**_EXAMPLE_MARKET, "change_24h_pct": "-2.78", "made_of": "trades"}],
    },
)

DEPTH = answers(
    describe_object(
        {
            **describe_rows(METRIC_COLUMNS, beside=_MEANING_OF_DEPTH)["items"]["properties"],
            "orders": describe_rows(
                ORDER_COLUMNS,
                beside={
                    "side": "Of the order: buy or sell.",
                    "quantity": "Units of base that were asked for.",
                    "filled": "Units of base that there are for it.",
                    "paid": "Their price together, quote currency.",
                    "average_price": "For one unit; null where the book is too thin.",
                    "slippage_bps": "How much worse than the mid price, basis points.",
                },
            ),
        }
    ),
    {
        **_EXAMPLE_MARKET,
        "ts_event": "2026-01-31T14:30:00.000000Z",
        "mid_price": "64250.115",
        "spread_bps": "0.001556",
        "bid_base_10bps": "3.2",
        "bid_is_whole_10bps": True,
        "buy_10000_slippage_bps": "0.41",
        "orders": [
            {
                "side": "buy",
                "quantity": "0.5",
                "filled": "0.5",
                "paid": "32126.4",
                "average_price": "64252.8",
                "slippage_bps": "0.417898",
            }
        ],
    },
    refusals=_UNKNOWN,
)

_MADE_OF = {
    "type": "string",
    "enum": ["trades", "venue"],
    "description": "What the candles are made of: trades, or the venue's own.",
}


def _describe_movement(name: str, computation: Computation, columns: Sequence[Column]) -> Schema:
    meaning = {name: origin.meaning for name, origin in computation.columns.items()}
    rows = describe_rows(columns, beside=meaning | _MEANING_OF_MARKET)
    return describe_object({**_MARKET, "made_of": _MADE_OF, name: rows})


VOLATILITY = answers(
    _describe_movement("volatility", COMPUTED_VOLATILITY, VOLATILITY_COLUMNS),
    {
        **_EXAMPLE_MARKET,
        "made_of": "trades",
        "volatility": [
            {
                **_EXAMPLE_MARKET,
                "as_of": "2026-01-31T14:00:00.000000Z",
                "annualised_pct": "42.180031",
                "returns": 288,
            }
        ],
    },
    refusals=_UNKNOWN,
)

CORRELATIONS = answers(
    _describe_movement("correlations", COMPUTED_CORRELATIONS, CORRELATION_COLUMNS),
    {
        **_EXAMPLE_MARKET,
        "made_of": "trades",
        "correlations": [
            {
                **_EXAMPLE_MARKET,
                "other_venue_symbol": "ETH-USD",
                "other_symbol": "ETH/USD",
                "as_of": "2026-01-31T14:00:00.000000Z",
                "correlation": "0.83",
                "pairs": 288,
            }
        ],
    },
    refusals=_UNKNOWN,
)

INDICATORS = answers(
    describe_object(
        {
            **_MARKET,
            "interval": {"type": "string", "description": "Of the candles."},
            "made_of": _MADE_OF,
            "indicators": describe_list(
                {
                    **describe_object(
                        {
                            "ts_event": say(TIME, "When the candle opened."),
                            "close": say(AMOUNT, "Its last price, quote currency."),
                            "is_closed": say(FLAG, "Whether its interval is over."),
                        }
                    ),
                    "additionalProperties": say(AMOUNT, "Each that was asked for, by its name."),
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
            "currency": {"type": "string", "description": "Of all values."},
            "time_zone": {"type": "string", "description": "In which days end."},
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
    describe_object(
        {
            "user": say(TEXT, "Whose."),
            "year": {"type": "integer", "description": "Of the time zone's calendar."},
            "disposals": {"type": "array", "description": "Each with its lots; docs/tax.md."},
            "notes": say(
                describe_list({"type": "string"}),
                "What has to be known of it: deposits of unknown cost, a year that is not over.",
            ),
        }
    ),
    {
        "user": "u000001",
        "year": 2026,
        "reporting_currency": "EUR",
        "disposals": [],
        "notes": ["2026 is not over: this is up to the last event of the user"],
    },
    refusals=(*_OWN, *_UNKNOWN, HTTPStatus.NOT_IMPLEMENTED),
)
