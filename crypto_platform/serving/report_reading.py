"""What a report reads: a user's events, official rates, prices; each from its home or the mirror.

Here: those questions, and where the answers came from. Not here: which store answers (failover.py),
what is made of it (reports.py), which record is a price (prices.py).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from crypto_platform.domain.exchange_rates import DAYS_BACK_MAX, MONEY, OfficialRates
from crypto_platform.domain.hours import MICROSECONDS_PER_DAY
from crypto_platform.domain.tax_events import Exchange, TaxEvent, TransferIn, TransferOut
from crypto_platform.domain.valuation import Money, PriceFunction
from crypto_platform.errors import PlatformError
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.feeds.accounts import AccountEvent
from crypto_platform.feeds.exchange_rates import EXCHANGE_RATES
from crypto_platform.serving.failover import Reads, Source
from crypto_platform.serving.prices import (
    PRICE_FEEDS,
    Moment,
    Prices,
    build_price_book,
    build_with_prices,
)
from crypto_platform.serving.rates import build_rates, check_rates
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.market import Span

EVENTS_PAGE = 10_000
READ_S_MAX = 600.0
"""Longest wait for all events of a user: a million take minutes."""
_RATES_BEFORE_US = (DAYS_BACK_MAX + 2) * MICROSECONDS_PER_DAY
"""So much earlier than the first event rates may be asked for, in any time zone."""
_PRICED_IN = "USD"
"""What nearly all stored prices are in: to value a coin takes its official rate."""

T = TypeVar("T")


class UnknownUserError(PlatformError):
    """Nothing is stored of a user."""


class ReportReading:
    """One report's questions, and where their answers came from."""

    def __init__(self, settings: Settings, reads: Reads) -> None:
        self._settings = settings
        self._reads = reads
        self._accounts: Source | None = None
        self._market: list[Source] = []

    @property
    def source(self) -> Source:
        """Where the events come from, with what is wrong with that of rates and prices."""
        assert self._accounts is not None, "events were read"
        problems = [
            f"rates and prices: {problem}" for each in self._market for problem in each.problems
        ]
        return replace(
            self._accounts, problems=(*self._accounts.problems, *dict.fromkeys(problems))
        )

    def read_events(self, user: str) -> Sequence[AccountEvent]:
        """All of a user, the oldest first."""
        answered = self._reads.ask(
            lambda store: _read_events(store, user), [ACCOUNT_EVENTS], answer_s_max=READ_S_MAX
        )
        self._accounts = answered.source
        if not answered.value:
            message = (
                f"nothing is stored of a user {user!r}: the table accounts.wallet has those there "
                "are, and `crypto-platform status` says whether the stores are behind"
            )
            raise UnknownUserError(message)
        return answered.value

    def read_rates(self, events: Sequence[TaxEvent], reporting: str) -> OfficialRates:
        """Official rates, where money or a coin is to be valued in other money."""
        currencies = _list_currencies(events)
        money = currencies & MONEY
        needed = money | {_PRICED_IN} if currencies - MONEY else money
        span = Span(max(_find_first_us(events) - _RATES_BEFORE_US, 0), None)
        answered = self._reads.ask(
            lambda store: store.read_exchange_rates(span), [FEED_BY_NAME[EXCHANGE_RATES.name]]
        )
        self._market.append(answered.source)
        simulated = {name for name, own in self._settings.sources.items() if own.simulated}
        rates = build_rates(answered.value, simulated=simulated)
        check_rates(rates, reporting=reporting, money=needed)
        return rates

    def build_with_prices(self, build: Callable[[PriceFunction], T], *, preferred: str) -> T:
        """What needs prices, with those that are stored."""
        book = build_price_book(self._settings, preferred=preferred)

        def read(moments: Sequence[Moment]) -> Prices:
            answered = self._reads.ask(
                lambda store: book.read(store, moments), PRICE_FEEDS, answer_s_max=READ_S_MAX
            )
            self._market.append(answered.source)
            return answered.value

        return build_with_prices(build, read)


def _read_events(store: Store, user: str) -> Sequence[AccountEvent]:
    found: list[AccountEvent] = []
    before: int | None = None
    while True:
        page = store.read_transactions(user, before_sequence=before, records_max=EVENTS_PAGE)
        found += page
        if len(page) < EVENTS_PAGE:
            return found[::-1]
        before = page[-1].sequence


def _find_first_us(events: Sequence[TaxEvent]) -> int:
    """The first time at which something is to be valued."""
    times = [event.ts_event for event in events]
    times += [
        event.origin.ts_acquired
        for event in events
        if isinstance(event, TransferIn) and event.origin is not None
    ]
    return min(times, default=0)


def _list_currencies(events: Iterable[TaxEvent]) -> set[str]:
    """All that occur, origins' costs included."""
    found: set[str] = set()
    for event in events:
        monies: list[Money | None] = []
        match event:
            case Exchange():
                monies = [event.sold, event.bought, event.fee]
            case TransferIn():
                monies = [event.received, event.origin.cost if event.origin else None]
            case TransferOut():
                monies = [event.sent, event.fee]
            case _:
                pass
        found |= {money.currency for money in monies if money is not None}
    return found
