"""What is asked of the market: which market, which span of time."""

from typing import NamedTuple


class Market(NamedTuple):
    """What is traded where, as a feed's records say.

    Attributes:
        symbol: Unified, as the newest of them has it; None where unmapped.
    """

    venue: str
    venue_symbol: str
    symbol: str | None


def market_name(market: Market) -> tuple[str, str]:
    """By which markets are ordered."""
    return market.venue, market.venue_symbol


class Span(NamedTuple):
    """A stretch of time in microseconds: its begin inclusive, its end exclusive, None is open."""

    begins_us: int | None = None
    ends_us: int | None = None


ALWAYS = Span()

MARKET_PAGE_RECORDS = 10_000
"""In a page of `Store.read_market`: about 10 MB of trades."""


class AsOf(NamedTuple):
    """Whose last record is meant, and of when.

    Attributes:
        names: Of what, by the names in Feed.last_by.
        first_us, last_us: Between these two, both inclusive.
    """

    names: tuple[str, ...]
    first_us: int
    last_us: int


AS_OF_MAX = 5_000
"""In one statement of `Store.read_as_of`."""
