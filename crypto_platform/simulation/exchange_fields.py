"""How Coinbase Exchange's REST API writes down what a place of trade has.

Here: field names, forms of times and figures. Not here: paths and parameters (exchange.py).

Prices and quantities are text with all their decimals, but numbers in candles: there the shortest
form of a float, which says up to 15 digits exactly, more than any figure here has.

Source: Coinbase Exchange REST API, "Get all known trading pairs", "Get product book", "Get product
candles", "Get product trades", "Get all known currencies", "Get server time".
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from crypto_platform.simulation.answers import Item, Row
from crypto_platform.simulation.books import Book, Level
from crypto_platform.simulation.candles import Candle
from crypto_platform.simulation.currencies import Currency
from crypto_platform.simulation.floor import Listed, Match
from crypto_platform.simulation.trades import print_steps

CANDLE_CLOSE = 4
"""Where a candle's row has its close."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def render_trade(product: Listed, trade: Match) -> Item:
    """One match; `side` is the maker's."""
    return {
        "trade_id": trade.trade_id,
        "side": trade.maker_side,
        "size": print_steps(trade.quantity, product.quantity_decimals),
        "price": print_steps(trade.price, product.price_decimals),
        "time": render_time(trade.time_us),
    }


def render_book(product: Listed, book: Book, now_us: int) -> Item:
    """A book with aggregated levels: [price, size, number of orders]."""
    return {
        "bids": [_render_level(product, level) for level in book.bids],
        "asks": [_render_level(product, level) for level in book.asks],
        "sequence": book.sequence,
        "auction_mode": False,
        "auction": None,
        "time": render_time(now_us),
    }


def _render_level(product: Listed, level: Level) -> Row:
    return [
        print_steps(level.price, product.price_decimals),
        print_steps(level.quantity, product.quantity_decimals),
        level.orders,
    ]


def render_candle(product: Listed, candle: Candle) -> Row:
    """A row of time, low, high, open, close, volume."""
    prices = (candle.low, candle.high, candle.open, candle.close)
    return [
        candle.open_s,
        *(float(print_steps(price, product.price_decimals)) for price in prices),
        float(print_steps(candle.volume, product.quantity_decimals)),
    ]


def render_product(product: Listed) -> Item:
    """A listed product, with its smallest steps."""
    symbol = product.currency.symbol
    return {
        "id": product.product_id,
        "base_currency": symbol,
        "quote_currency": "USD",
        "quote_increment": print_steps(1, product.price_decimals),
        "base_increment": print_steps(1, product.quantity_decimals),
        "display_name": f"{symbol}/USD",
        "min_market_funds": "1",
        "margin_enabled": False,
        "post_only": False,
        "limit_only": False,
        "cancel_only": False,
        "status": "online",
        "status_message": "",
        "trading_disabled": False,
        "fx_stablecoin": False,
        "max_slippage_percentage": "0.02000000",
        "auction_mode": False,
        "high_bid_limit_percentage": "",
    }


def render_currencies(products: Iterable[Listed]) -> list[Item]:
    """What products are made of: their currencies, and the dollar."""
    known = [
        _render_currency(product.currency, print_steps(1, product.quantity_decimals), place)
        for place, product in enumerate(products, 2)
    ]
    details: Item = {"type": "fiat", "symbol": "$", "sort_order": 1, "display_name": "US Dollar"}
    return [*known, _render_any("USD", "United States Dollar", "0.01", details)]


def _render_currency(currency: Currency, step: str, place: int) -> Item:
    return _render_any(
        currency.symbol,
        currency.name,
        step,
        {
            "type": "crypto",
            "symbol": None,
            "network_confirmations": 14,
            "sort_order": place,
            "crypto_address_link": currency.explorer,
            "push_payment_methods": ["crypto"],
            "display_name": None,
        },
    )


def _render_any(currency_id: str, name: str, step: str, details: Item) -> Item:
    return {
        "id": currency_id,
        "name": name,
        "min_size": step,
        "status": "online",
        "message": "",
        "max_precision": step,
        "convertible_to": [],
        "details": details,
        "default_network": "",
        "supported_networks": [],
        "display_name": name,
    }


def render_clock(now_ms: int) -> Item:
    """The venue's own time."""
    moment = _EPOCH + timedelta(milliseconds=now_ms)
    return {
        "iso": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "epoch": now_ms / 1000,
    }


def render_time(time_us: int) -> str:
    """RFC 3339 with microseconds."""
    return f"{_EPOCH + timedelta(microseconds=time_us):%Y-%m-%dT%H:%M:%S.%fZ}"
