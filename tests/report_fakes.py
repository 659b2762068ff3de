"""A store in memory, as much of it as reports read, and what it was asked.

Here: records as lists, the last of each as of a time. Not here: expectations.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from crypto_platform.errors import StoreUnavailableError
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.accounts import AccountEvent
from crypto_platform.feeds.exchange_rates import ExchangeRates, seal_exchange_rates
from crypto_platform.feeds.quotes import Quote, seal_quote
from crypto_platform.feeds.trades import Trade, seal_trade
from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import StoredOffset, TopicPart
from crypto_platform.stores.market import ALWAYS, AsOf, Market, Span

DAY = 86_400_000_000


def build_rates(day: int, *, source: str = "ecb", **rates: str) -> ExchangeRates:
    """Of so many days since 1970."""
    return seal_exchange_rates(
        ExchangeRates(
            source=source,
            base_currency="EUR",
            ts_event=day * DAY,
            currencies=tuple(sorted(rates)),
            rates=tuple(rates[name] for name in sorted(rates)),
            ts_ingest=1,
        )
    )


def build_quote(
    currency_id: str, price: str | None, at: int, *, source: str = "coingecko", quote: str = "USD"
) -> Quote:
    return seal_quote(
        Quote(
            source=source,
            currency_id=currency_id,
            quote_currency=quote,
            price=price,
            ts_event=at,
            ts_ingest=at,
        )
    )


def build_trade(symbol: str, price: str, at: int, *, venue: str = "coinbase") -> Trade:
    return seal_trade(
        Trade(
            venue=venue,
            venue_symbol=symbol.replace("/", "-"),
            symbol=symbol,
            trade_id=f"{at}",
            price=price,
            quantity="1",
            ts_event=at,
            ts_ingest=at,
        )
    )


@dataclass
class FakeStore:
    """What is in it, and how it is.

    Attributes:
        asked: Of how many records at once of which feed.
        is_down: Nothing is answered.
    """

    name: str = "postgres"
    events: Sequence[AccountEvent] = ()
    rates: Sequence[ExchangeRates] = ()
    records: Sequence[Record] = ()
    asked: list[str] = field(default_factory=list[str])
    is_down: bool = False

    def check_readable(self) -> None:
        if self.is_down:
            message = f"{self.name} is down"
            raise StoreUnavailableError(message)

    def read_offsets(self) -> list[StoredOffset]:
        return [
            StoredOffset(
                topic=topic,
                partition=TopicPart("id", 0),
                next_offset=5,
                leader_epoch=None,
                max_ts_append=1,
                epoch=1,
                owner_run_id=None,
                claimed_at=None,
                updated_at=None,
                blocked_by=None,
            )
            for topic in ("accounts.events", "market.exchange_rates", "market.quotes")
        ]

    def read_transactions(
        self, user_id: str, *, before_sequence: int | None, records_max: int
    ) -> list[AccountEvent]:
        self.check_readable()
        own = [
            event
            for event in self.events
            if event.user_id == user_id
            and (before_sequence is None or event.sequence < before_sequence)
        ]
        return own[::-1][:records_max]

    def read_exchange_rates(self, span: Span = ALWAYS) -> list[ExchangeRates]:
        self.check_readable()
        first = span.begins_us or 0
        return [day for day in self.rates if first <= day.ts_event]

    def list_markets(self, feed: Feed[Record]) -> list[Market]:
        self.check_readable()
        own = [msgspec.structs.asdict(each) for each in self.records if type(each) is feed.record]
        return [Market(*each) for each in sorted({_market_of(facts) for facts in own})]

    def read_as_of(self, feed: Feed[Record], wanted: Sequence[AsOf]) -> list[Record | None]:
        self.check_readable()
        self.asked.append(f"{len(wanted)} {feed.name}")
        return [self._find(feed, each) for each in wanted]

    def _find(self, feed: Feed[Record], wanted: AsOf) -> Record | None:
        names, time = feed.last_by
        own = [
            each
            for each in self.records
            if type(each) is feed.record
            and tuple(str(getattr(each, name)) for name in names) == wanted.names
            and wanted.first_us <= getattr(each, time) <= wanted.last_us
        ]
        return max(own, key=lambda each: getattr(each, time), default=None)

    def close(self) -> None:
        pass


def _market_of(facts: dict[str, object]) -> tuple[object, object, object]:
    return facts["venue"], facts["venue_symbol"], facts["symbol"]


def as_store(fake: object) -> Store:
    return fake  # pyright: ignore[reportReturnType] - as much of a store as it needs


def opener(**fakes: FakeStore) -> Callable[[str], Store]:
    """By name, for Reads."""
    return lambda name: as_store(fakes[name])
