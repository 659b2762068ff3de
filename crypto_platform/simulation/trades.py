"""The simulated market's products and single trades: the same for everybody, in the past as now.

Here: which products trade, how often, at which best bid and ask, and what was traded in all over a
stretch. Not here: the way of a price (paths.py), the rest of the book (books.py), candles
(candles.py), HTTP and Coinbase's field names (exchange.py).

A product's time is cut into slots of one length, counted from 2026 on, and each slot has one trade.
So a trade's number says its slot, a moment says the newest number, and nothing has to be stored. A
slot has one best bid and one best ask, and its trade takes one of them. Quantities are sums out of
two short tables, so that those of any stretch add up without looking at its trades.

Prices are counted in ticks (the product's smallest step), quantities in lots.
"""

import hashlib
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from crypto_platform.simulation.currencies import Currency
from crypto_platform.simulation.market import DAY_S, MARKET_VOLATILITY_PCT, Market
from crypto_platform.simulation.paths import CELL_S, Bridges

FIRST_SECOND = 1_767_225_600
"""2026-01-01 00:00:00 UTC, when trade 1 of each product came. Before it nothing was traded."""

SECOND_US = 1_000_000
SPREAD_RATIO = 0.0001
"""The best ask lies above the best bid by up to this part of the product's base price."""

_UINT32_VALUES = 2**32
_CELLS_REMEMBERED_MAX = 8192
"""Fixed prices of more than a year: a page of days asks for 6,300."""
_SLOTS_CACHED_MAX = 8192
_TABLE_LENGTHS = (1021, 1024)
"""Without a common divisor: their sums come again after a million trades."""

# currency id, seconds a trade, decimals of the price, decimals and median of the quantity. Slots
# are powers of two, so that a cell of paths.py holds a whole number of them.
_LISTED = (
    ("bitcoin", 0.5, 2, 8, 0.01),
    ("ethereum", 0.5, 2, 8, 0.2),
    ("solana", 1, 2, 8, 5.0),
    ("xrp", 1, 4, 6, 300.0),
    ("dogecoin", 1, 5, 1, 4000.0),
    ("cardano", 1, 4, 8, 900.0),
    ("chainlink", 1, 3, 2, 30.0),
    ("avalanche", 2, 2, 8, 30.0),
    ("bitcoin-cash", 2, 2, 8, 1.0),
    ("litecoin", 2, 2, 8, 4.0),
    ("stellar", 2, 6, 8, 1500.0),
    ("hedera-hashgraph", 2, 5, 1, 2500.0),
    ("sui", 2, 4, 1, 250.0),
    ("uniswap", 2, 3, 6, 50.0),
    ("shiba-inu", 4, 8, 0, 40_000_000.0),
    ("polkadot", 4, 3, 8, 150.0),
    ("near-protocol", 4, 3, 3, 150.0),
    ("internet-computer", 4, 3, 4, 60.0),
    ("aave", 4, 2, 3, 2.0),
    ("ethereum-classic", 4, 2, 8, 25.0),
    # so quiet that many a minute has no trade, and no candle
    ("filecoin", 128, 3, 3, 150.0),
)


class Trade(NamedTuple):
    """One match.

    Attributes:
        trade_id: From 1, without gaps.
        time_us: Microseconds since 1970, UTC; rises with the id.
        price: The best ask of its moment where the taker bought, else the best bid; in ticks.
        quantity: In lots, positive.
        maker_side: buy or sell.
    """

    trade_id: int
    time_us: int
    price: int
    quantity: int
    maker_side: str


class Slot(NamedTuple):
    """What holds for as long as a slot lasts.

    Attributes:
        best_bid, best_ask: In ticks, the ask above the bid.
        rest: A number from 0 up to 1 that says how much waits at them beside what is traded.
        trade: The slot's only one, somewhere within it.
    """

    best_bid: int
    best_ask: int
    rest: float
    trade: Trade


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Product:
    """One currency against the US dollar; each tape has its own.

    Attributes:
        product_id: BTC-USD.
        place: Of its currency in the market's list.
        slot_us: One trade in so many microseconds.
        price_decimals, quantity_decimals: Printed, always all of them.
        quantity: What changes hands at a time, give or take.
        spread_max: In ticks.
    """

    product_id: str
    currency: Currency
    place: int
    slot_us: int
    price_decimals: int
    quantity_decimals: int
    quantity: float
    spread_max: int


class Tape:
    """The trades of all products."""

    def __init__(self, *, seed: int, currencies: Sequence[Currency]) -> None:
        """List the products of these currencies, which are the market's, in its order."""
        places = {currency.currency_id: place for place, currency in enumerate(currencies)}
        listed = [row for row in _LISTED if row[0] in places]
        self.products = {
            product.product_id: product
            for product in (_list_product(row, places, currencies) for row in listed)
        }
        self.seed = seed
        # The first currencies of a shorter list have the same prices, and cost less.
        last = max((product.place for product in self.products.values()), default=-1)
        self._market = Market(seed=seed, currencies=currencies[: last + 1])
        self._read_pins = lru_cache(maxsize=_CELLS_REMEMBERED_MAX)(self._make_pins)
        self._bridges = {name: self._span(product) for name, product in self.products.items()}
        self._sizes = {name: self._weigh(product) for name, product in self.products.items()}
        self.read_slot = lru_cache(maxsize=_SLOTS_CACHED_MAX)(self._make_slot)

    def find_newest_id(self, product: Product, now_us: int) -> int:
        """The id of the last trade at or before a moment; 0 where there is none."""
        trade_id = self.find_slot(product, now_us)
        if trade_id < 1:
            return 0
        return trade_id if self._find_time(product, trade_id) <= now_us else trade_id - 1

    def find_slot(self, product: Product, now_us: int) -> int:
        """The slot of a moment, by its trade's id; below 1 before the first."""
        return (now_us - FIRST_SECOND * SECOND_US) // product.slot_us + 1

    def read_trades(
        self,
        product: Product,
        *,
        now_us: int,
        limit: int,
        before: int | None = None,
        after: int | None = None,
    ) -> list[Trade]:
        """The newest trades of a product, newest first.

        Args:
            product: One of `products`.
            now_us: Nothing later is told.
            limit: Trades at most, the newest ones.
            before: Only ids above this one (Coinbase's word for newer).
            after: Only ids below this one (its word for older).
        """
        newest = self.find_newest_id(product, now_us)
        if after is not None:
            newest = min(newest, after - 1)
        oldest = max(newest - limit + 1, 1, 1 if before is None else before + 1)
        return [self.read_trade(product, i) for i in range(newest, oldest - 1, -1)]

    def read_trade(self, product: Product, trade_id: int) -> Trade:
        """One trade by its id, which is 1 or more; told of the future too, so ask with care."""
        return self.read_slot(product, trade_id).trade

    def _make_slot(self, product: Product, trade_id: int) -> Slot:
        """One slot by its trade's id, 1 or more; `read_slot` keeps what polls ask for again."""
        middle = self._bridges[product.product_id].read_value(_find_place(product, trade_id))
        place, side, distance, rest = self._make_noise(product, trade_id)
        best_bid, best_ask = _quote(product, middle, distance)
        takes_ask = side < 1 / 2
        trade = Trade(
            trade_id=trade_id,
            time_us=_find_start(product, trade_id) + int(place * product.slot_us),
            price=best_ask if takes_ask else best_bid,
            quantity=self._sizes[product.product_id].read(trade_id),
            maker_side="sell" if takes_ask else "buy",
        )
        return Slot(best_bid=best_bid, best_ask=best_ask, rest=rest, trade=trade)

    def sum_quantities(self, product: Product, first_id: int, last_id: int) -> int:
        """What all trades of a stretch of ids, both inclusive, traded; in lots."""
        return self._sizes[product.product_id].sum(first_id, last_id)

    def find_high(self, product: Product, first_id: int, last_id: int) -> int:
        """The highest price of the trades of a stretch of ids, both inclusive; in ticks."""
        return self._find_most(product, first_id, last_id, sign=1)

    def find_low(self, product: Product, first_id: int, last_id: int) -> int:
        """The lowest price of the trades of a stretch of ids, both inclusive; in ticks."""
        return self._find_most(product, first_id, last_id, sign=-1)

    def _find_most(self, product: Product, first_id: int, last_id: int, *, sign: int) -> int:
        first = _find_place(product, 1)

        def measure(place: int, middle: float) -> int:
            _, side, distance, _ = self._make_noise(product, place - first + 1)
            best_bid, best_ask = _quote(product, middle, distance)
            return best_ask if side < 1 / 2 else best_bid

        return self._bridges[product.product_id].find_most(
            first + first_id - 1,
            first + last_id - 1,
            measure=measure,
            slack=product.spread_max / 2 + 1,  # what _quote adds or takes, rounding included
            sign=sign,
        )

    def _make_pins(self, cell: int) -> list[float]:
        return self._market.read_prices(cell * CELL_S)

    def _span(self, product: Product) -> Bridges:
        currency = product.currency
        volatility_pct = math.hypot(
            currency.beta * MARKET_VOLATILITY_PCT, currency.own_volatility_pct
        )
        ticks = 10**product.price_decimals
        return Bridges(
            name=f"{self.seed}:{product.product_id}",
            places=CELL_S * SECOND_US // product.slot_us,
            volatility=volatility_pct / 100 / math.sqrt(DAY_S),
            read_pin=lambda cell: self._read_pins(cell)[product.place] * ticks,
        )

    def _weigh(self, product: Product) -> "_Sizes":
        name = f"{self.seed}:{product.product_id}"
        lots = product.quantity * 10**product.quantity_decimals
        small, large = (_make_numbers(f"{name}:{length}", length) for length in _TABLE_LENGTHS)
        # cubed: many small trades and a few large ones; a trade of 0 is no trade
        return _Sizes(
            [max(round(lots * number), 1) for number in small],
            [round(6 * lots * number**3) for number in large],
        )

    def _find_time(self, product: Product, trade_id: int) -> int:
        place, *_ = self._make_noise(product, trade_id)
        return _find_start(product, trade_id) + int(place * product.slot_us)

    def _make_noise(self, product: Product, trade_id: int) -> list[float]:
        """Four numbers from 0 up to but below 1."""
        return _make_numbers(f"{self.seed}:{product.product_id}:{trade_id}", 4)


class _Sizes:
    """Quantities by trade id: each a sum out of two tables that are read round and round."""

    def __init__(self, *tables: list[int]) -> None:
        self._tables = tables
        self._sums = [[0, *accumulate(table)] for table in tables]

    def read(self, trade_id: int) -> int:
        return sum(table[trade_id % len(table)] for table in self._tables)

    def sum(self, first_id: int, last_id: int) -> int:
        return self._sum_below(last_id + 1) - self._sum_below(first_id)

    def _sum_below(self, trade_id: int) -> int:
        total = 0
        for sums in self._sums:
            rounds, rest = divmod(trade_id, len(sums) - 1)
            total += rounds * sums[-1] + sums[rest]
        return total


def print_steps(steps: int, decimals: int) -> str:
    """Write a figure counted in its smallest steps, with all its decimals."""
    if decimals == 0:
        return str(steps)
    text = str(steps).rjust(decimals + 1, "0")
    return f"{text[:-decimals]}.{text[-decimals:]}"


def _list_product(
    row: tuple[str, float, int, int, float],
    places: dict[str, int],
    currencies: Sequence[Currency],
) -> Product:
    currency_id, slot_s, price_decimals, quantity_decimals, quantity = row
    currency = currencies[places[currency_id]]
    ticks = float(currency.price_usd) * 10**price_decimals
    return Product(
        product_id=f"{currency.symbol}-USD",
        currency=currency,
        place=places[currency_id],
        slot_us=int(slot_s * SECOND_US),
        price_decimals=price_decimals,
        quantity_decimals=quantity_decimals,
        quantity=quantity,
        spread_max=max(int(ticks * SPREAD_RATIO), 1),
    )


def _find_start(product: Product, trade_id: int) -> int:
    return FIRST_SECOND * SECOND_US + (trade_id - 1) * product.slot_us


def _find_place(product: Product, trade_id: int) -> int:
    """Slots counted from 1970 on: the first second is a multiple of every slot."""
    return FIRST_SECOND * SECOND_US // product.slot_us + trade_id - 1


def _quote(product: Product, middle: float, distance: float) -> tuple[int, int]:
    """The best bid and the best ask around a price, in ticks."""
    spread = 1 + int(distance * product.spread_max)
    best_bid = max(math.floor(middle - spread / 2), 1)
    return best_bid, best_bid + spread


def _make_numbers(name: str, count: int) -> list[float]:
    """Numbers from 0 up to but below 1, always the same of a name."""
    digest = hashlib.shake_128(name.encode()).digest(4 * count)
    return [number / _UINT32_VALUES for number in struct.unpack(f"<{count}I", digest)]
