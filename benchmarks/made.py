"""Records made up for the benchmarks, as alike to real ones as their cost asks for.

Here: for each feed, the record of a number: the same number and random numbers, the same record;
another number, another record. Not here: publishing them (load.py).
"""

import random
from collections.abc import Callable, Mapping

import msgspec

from crypto_platform.feeds.account_events import ACCOUNT_EVENTS, seal_account_event
from crypto_platform.feeds.accounts import (
    AccountEvent,
    EventKind,
    Liquidity,
    OrderStatus,
    OrderType,
)
from crypto_platform.feeds.candles import CANDLES, Candle, Interval, seal_candle
from crypto_platform.feeds.feed import Feed, Record
from crypto_platform.feeds.instruments import (
    INSTRUMENTS,
    Instrument,
    ListedKind,
    TradeNumbering,
    seal_instrument,
)
from crypto_platform.feeds.order_books import ORDER_BOOKS, OrderBook, TimedBy, seal_order_book
from crypto_platform.feeds.trades import TRADES, Side, Trade, seal_trade

SYMBOLS = 20
LISTED = 500
DEPTH = 20
START_US = 1_764_000_000_000_000
_MINUTE_US = 60_000_000


def _make_trade(number: int, rng: random.Random) -> Record:
    """50 a millisecond and symbol."""
    symbol = number % SYMBOLS
    at_us = START_US + number * 1_000
    return seal_trade(
        Trade(
            venue="simulated",
            venue_symbol=f"C{symbol:02d}-USD",
            symbol=f"C{symbol:02d}/USD",
            trade_id=str(100_000_000 + number // SYMBOLS),
            price=f"{rng.uniform(1, 99_999):.2f}",
            quantity=f"{rng.uniform(0.0001, 10):.8f}",
            taker_side=Side.BUY if rng.random() < 0.5 else Side.SELL,
            ts_event=at_us,
            ts_ingest=at_us - at_us % 1_000_000 + 1_000_000,
        )
    )


def _make_order_book(number: int, rng: random.Random) -> Record:
    """All symbols every second; prices on a grid that stays, quantities that do not."""
    symbol, second = number % SYMBOLS, number // SYMBOLS
    at_us = START_US + second * 1_000_000 + symbol
    middle = 5_000_000 + symbol * 10_000 + second % 100
    quantities = [f"{rng.uniform(0.0001, 10):.8f}" for _ in range(2 * DEPTH)]
    return seal_order_book(
        OrderBook(
            venue="simulated",
            venue_symbol=f"C{symbol:02d}-USD",
            symbol=f"C{symbol:02d}/USD",
            depth=DEPTH,
            sequence=str(100_000_000 + number),
            bid_prices=tuple(_price(middle - level) for level in range(DEPTH)),
            bid_quantities=tuple(quantities[:DEPTH]),
            ask_prices=tuple(_price(middle + level) for level in range(1, DEPTH + 1)),
            ask_quantities=tuple(quantities[DEPTH:]),
            ts_event=at_us,
            ts_ingest=START_US + (second + 1) * 1_000_000,
            timed_by=TimedBy.VENUE,
        )
    )


def _price(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def _make_candle(number: int, rng: random.Random) -> Record:
    """All symbols every minute."""
    symbol, minute = number % SYMBOLS, number // SYMBOLS
    prices = sorted(rng.uniform(1, 99_999) for _ in range(4))
    return seal_candle(
        Candle(
            venue="simulated",
            venue_symbol=f"C{symbol:02d}-USD",
            symbol=f"C{symbol:02d}/USD",
            interval=Interval.MINUTE,
            ts_event=START_US + minute * _MINUTE_US,
            open=f"{prices[1]:.2f}",
            high=f"{prices[3]:.2f}",
            low=f"{prices[0]:.2f}",
            close=f"{prices[2]:.2f}",
            base_volume=f"{rng.uniform(0.1, 1_000):.8f}",
            ts_ingest=START_US + (minute + 1) * _MINUTE_US,
        )
    )


def _make_instrument(number: int, rng: random.Random) -> Record:
    """A whole list every hour, all of it changed."""
    listed, hour = number % LISTED, number // LISTED
    return seal_instrument(
        Instrument(
            source="simulated",
            kind=ListedKind.INSTRUMENT,
            native_id=f"C{listed:03d}-USD",
            symbol=f"C{listed:03d}/USD",
            name=f"Currency {listed}/US dollar",
            base_id=f"C{listed:03d}",
            quote_id="USD",
            base_currency=f"C{listed:03d}",
            quote_currency="USD",
            status="online" if rng.random() < 0.9 else "delisted",
            price_step="0.01",
            quantity_step="0.00000001",
            quantity_min=f"{rng.uniform(0.0001, 1):.4f}",
            notional_min="1",
            trade_numbering=TradeNumbering.GAPLESS,
            ts_ingest=START_US + hour * 60 * _MINUTE_US,
        )
    )


USERS = 10_000
MAKERS = 100
"""Market makers beside them, each on one market."""
RESTING = 1_000
"""Matches until a resting order is met."""


def _make_account_event(number: int, rng: random.Random) -> Record:
    """Four a match: a market maker's order comes to rest, a user's meets an older one, both fill.

    States are such as follow from the numbers alone, so wallets do not add up over events.
    """
    match, step = divmod(number, 4)
    resting = match - RESTING if step == 2 else match
    is_taker, is_fill = step in {1, 3}, step >= 2
    if resting < 0:
        resting, is_fill = match + 500_000_000, False
    user = f"u{resting * 7_919 % USERS:06d}" if is_taker else f"m{resting % MAKERS:06d}"
    at_us = START_US + number * 250
    symbol, side = f"C{resting % SYMBOLS:02d}", Side.BUY if is_taker else Side.SELL
    price, quantity = f"{rng.uniform(1, 999):.2f}", f"{rng.uniform(0.001, 9):.6f}"
    notional, fee = f"{rng.uniform(1, 9_999):.8f}", f"{rng.uniform(0.01, 9):.8f}"
    spent = "USD" if is_taker else symbol
    gained = symbol if is_taker else "USD"
    legs = [("available", spent, f"-{notional}"), ("locked", spent, notional)]
    if is_fill:
        legs = [
            ("locked", spent, f"-{notional}"),
            ("clearing", spent, notional),
            ("available", gained, quantity),
            ("clearing", gained, f"-{quantity}"),
            ("available", "USD", f"-{fee}"),
            ("fees", "USD", fee),
        ]
    wallets = [spent, gained] if is_fill else [spent]
    draft = AccountEvent(
        user_id=user,
        sequence=number + 1,
        user_sequence=number + 1,
        kind=EventKind.ORDER_FILLED if is_fill else EventKind.ORDER_ACCEPTED,
        ts_event=at_us,
        order_id=f"o-{resting:012d}-{'t' if is_taker else 'm'}",
        venue_symbol=f"{symbol}-USD",
        side=side,
        order_type=OrderType.LIMIT,
        time_in_force="gtc",
        post_only=not is_taker,
        limit_price=price,
        order_quantity=quantity,
        filled_quantity=quantity if is_fill else "0",
        filled_notional=notional if is_fill else "0",
        order_fees=fee if is_fill else "0",
        order_fee_currency="USD",
        order_status=OrderStatus.FILLED if is_fill else OrderStatus.ACCEPTED,
        ts_created=at_us,
        posting_accounts=tuple([account for account, _, _ in legs]),
        posting_currencies=tuple([currency for _, currency, _ in legs]),
        posting_amounts=tuple([amount for _, _, amount in legs]),
        wallet_currencies=tuple(wallets),
        wallet_available=tuple([f"{rng.uniform(0, 99_999):.8f}" for _ in wallets]),
        wallet_locked=tuple([f"{rng.uniform(0, 9_999):.8f}" for _ in wallets]),
        ts_ingest=at_us - at_us % 1_000_000 + 1_000_000,
    )
    if is_fill:
        draft = msgspec.structs.replace(
            draft,
            trade_id=str(100_000_000 + match),
            fill_price=price,
            fill_quantity=quantity,
            liquidity=Liquidity.TAKER if is_taker else Liquidity.MAKER,
            fill_fee=fee,
            fill_fee_currency="USD",
        )
    return seal_account_event(draft, event_id=f"ev-{number + 1:020d}")


Make = Callable[[int, random.Random], Record]

MADE: Mapping[str, tuple[Feed[Record], Make]] = {
    TRADES.name: (TRADES, _make_trade),
    ORDER_BOOKS.name: (ORDER_BOOKS, _make_order_book),
    CANDLES.name: (CANDLES, _make_candle),
    INSTRUMENTS.name: (INSTRUMENTS, _make_instrument),
    ACCOUNT_EVENTS.name: (ACCOUNT_EVENTS, _make_account_event),
}
"""By feed."""
