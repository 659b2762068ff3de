"""Where things are traded, as far as Coinbase's dialect has to know it.

Here: what a place of trade must tell (Floor), and the simulated market as one. Not here: paths and
parameters (exchange.py), field names (exchange_fields.py), the company's books (company/).
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from crypto_platform.simulation.books import Book, Books
from crypto_platform.simulation.candles import Candle, Charts
from crypto_platform.simulation.currencies import Currency
from crypto_platform.simulation.trades import Tape


class Listed(Protocol):
    """A product against the US dollar, with the decimals of its figures."""

    @property
    def product_id(self) -> str:
        """BTC-USD."""
        ...

    @property
    def currency(self) -> Currency:
        """What is traded."""
        ...

    @property
    def price_decimals(self) -> int:
        """Of a price; prices are counted in ticks of the last one."""
        ...

    @property
    def quantity_decimals(self) -> int:
        """Of a quantity; quantities are counted in lots of the last one."""
        ...


class Match(Protocol):
    """A public trade."""

    @property
    def trade_id(self) -> int:
        """From 1, without gaps."""
        ...

    @property
    def time_us(self) -> int:
        """Microseconds since 1970, UTC."""
        ...

    @property
    def price(self) -> int:
        """In ticks."""
        ...

    @property
    def quantity(self) -> int:
        """In lots."""
        ...

    @property
    def maker_side(self) -> str:
        """What who waited did: buy or sell."""
        ...


class Floor(Protocol):
    """A place of trade."""

    @property
    def products(self) -> Mapping[str, Listed]:
        """What is traded, by id, in the order of the list."""
        ...

    def read_trades(
        self, product_id: str, *, now_us: int, limit: int, before: int | None, after: int | None
    ) -> Sequence[Match]:
        """The newest trades, newest first; with ids above `before` and below `after`."""
        ...

    def read_book(self, product_id: str, *, now_us: int, levels: int) -> Book:
        """What waits, so many levels a side."""
        ...

    def list_candles(
        self, product_id: str, *, granularity_s: int, first_s: int, last_s: int, now_us: int
    ) -> Sequence[Candle]:
        """Candles that open in a stretch, newest first."""
        ...


class MarketFloor:
    """The simulated market."""

    def __init__(self, tape: Tape) -> None:
        """Tell of the trades of `tape` and what follows from them."""
        self.products = tape.products
        self._tape = tape
        self._books = Books(tape)
        self._charts = Charts(tape)

    def read_trades(
        self, product_id: str, *, now_us: int, limit: int, before: int | None, after: int | None
    ) -> Sequence[Match]:
        """See Tape.read_trades."""
        return self._tape.read_trades(
            self.products[product_id], now_us=now_us, limit=limit, before=before, after=after
        )

    def read_book(self, product_id: str, *, now_us: int, levels: int) -> Book:
        """See Books.read_book."""
        return self._books.read_book(self.products[product_id], now_us=now_us, levels=levels)

    def list_candles(
        self, product_id: str, *, granularity_s: int, first_s: int, last_s: int, now_us: int
    ) -> Sequence[Candle]:
        """See Charts.list_candles."""
        return self._charts.list_candles(
            self.products[product_id],
            granularity_s=granularity_s,
            first_s=first_s,
            last_s=last_s,
            now_us=now_us,
        )
