"""What a computation says of itself, and what it is given to do.

A computation is a function of facts (and of what is derived before it), so doing it twice gives the
same rows: it writes them by their keys, inside the transaction it is given, and nothing else. Not
here: when it is done (pipeline.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from crypto_platform.domain.hours import TimeUs
from crypto_platform.stores.postgres.analytics_candles import MarketSpan
from crypto_platform.stores.postgres.analytics_figures import FigureTable
from crypto_platform.stores.postgres.session import Connection


def split_key(key: str) -> tuple[str, str]:
    """Venue and its symbol of a Kafka key; a venue's name holds no colon, a symbol may."""
    venue, _, venue_symbol = key.partition(":")
    return venue, venue_symbol


class Stretch(NamedTuple):
    """Hours of one key of a feed that follow one another; whole hours, the end exclusive."""

    feed: str
    key: str
    begins_us: TimeUs
    ends_us: TimeUs

    @property
    def market(self) -> tuple[str, str]:
        """Venue and its symbol."""
        return split_key(self.key)

    @property
    def span(self) -> MarketSpan:
        """The same by market."""
        return MarketSpan(*self.market, self.begins_us, self.ends_us)


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be made in one transaction.

    Attributes:
        connection: In the transaction that settles the hours as well.
        stretches: Of one day, and behind it where the computation has a warm-up; sorted by key.
        as_of_us: Now: intervals that end later are not closed, and not written.
    """

    connection: Connection
    stretches: Sequence[Stretch]
    as_of_us: TimeUs


class Bar(NamedTuple):
    """One mark of a picture."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


class Picture(NamedTuple):
    """What a day looks like, for Dagster's UI."""

    title: str
    bars: Sequence[Bar]


class Origin(NamedTuple):
    """What a column says, and what it is made of.

    Attributes:
        meaning: For people, with its unit.
        of: Columns: of a feed as trades.price, of another computation's table as
            analytics.candle.close.
    """

    meaning: str
    of: tuple[str, ...]


def name_market(owner: str) -> Mapping[str, Origin]:
    """The columns that say which market, from a feed or a table that has them too."""
    return {
        "venue": Origin("Where it traded.", (f"{owner}.venue",)),
        "venue_symbol": Origin("The venue's own name.", (f"{owner}.venue_symbol",)),
        "symbol": Origin("Unified, as BTC/USD, where it is mapped.", (f"{owner}.symbol",)),
    }


@dataclass(frozen=True, kw_only=True)
class Computation:
    """One kind of rows that are derived of the market.

    Attributes:
        name: Of its asset (analytics/NAME) and of its hours in analytics.pending.
        description: For people, in the UI and the docs.
        feeds: Names of the feeds that it is made of: an hour of a key that a load changed is made
            anew. Also where rows of another computation lie between.
        after: Computations whose rows it reads; they stand before it in ANALYTICS.
        warm_up_h: Hours before an hour that its rows depend on. So many hours behind a changed one
            are made anew with it, as far as they have begun; reading back so far is its own matter.
        table: What it writes.
        columns: Of the table but `updated_at`: what each says and comes from.
        kept_days: Age at which its rows are removed, where the settings say nothing of it; None
            keeps them.
        compute: Makes the rows of all stretches; returns how many were new or changed.
        draw: A picture of one of these keys on a day; None where there is nothing to show.
    """

    name: str
    description: str
    feeds: tuple[str, ...]
    after: tuple[str, ...] = ()
    warm_up_h: int = 0
    table: FigureTable
    columns: Mapping[str, Origin]
    kept_days: int | None = None
    compute: Callable[[Work], int]
    draw: Callable[[Connection, Sequence[str], TimeUs], Picture | None] | None = None
