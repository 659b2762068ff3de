"""The company's own books and trades, told as a floor (../floor.py) to Coinbase's dialect."""

from collections.abc import Sequence

from crypto_platform.simulation.books import Book
from crypto_platform.simulation.candles import Candle
from crypto_platform.simulation.company.company import Company
from crypto_platform.simulation.company.events import Trade
from crypto_platform.simulation.company.products import Product

_MS_US = 1000


class CompanyFloor:
    """What trades at the company, in public."""

    def __init__(self, company: Company, products: Sequence[Product]) -> None:
        """List some of its products."""
        self.products = {product.product_id: product for product in products}
        self._company = company

    def read_trades(
        self, product_id: str, *, now_us: int, limit: int, before: int | None, after: int | None
    ) -> Sequence[Trade]:
        """The newest trades, newest first, those of the running millisecond included."""
        return self._company.journal.tape.read_trades(
            product_id, now_us=now_us + _MS_US - 1, limit=limit, before=before, after=after
        )

    def read_book(self, product_id: str, *, now_us: int, levels: int) -> Book:
        """What waits now: a book of the past is not kept, whatever time is asked for."""
        del now_us
        book = self._company.engine.books[product_id]
        return Book(
            sequence=book.sequence,
            bids=book.list_levels("buy", levels),
            asks=book.list_levels("sell", levels),
        )

    def list_candles(
        self, product_id: str, *, granularity_s: int, first_s: int, last_s: int, now_us: int
    ) -> Sequence[Candle]:
        """Candles that open in a stretch, newest first."""
        return self._company.journal.tape.list_candles(
            product_id, granularity_s=granularity_s, first_s=first_s, last_s=last_s, now_us=now_us
        )
