"""Quotes for people and their tools, from whichever store answers.

Here: the newest quote per source and currency, failover from PostgreSQL to MongoDB, finding
currencies by id or symbol. Not here: SQL and BSON (stores/), text (cli/).
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from crypto_platform.errors import PlatformError, StoreUnavailableError
from crypto_platform.feeds import Record
from crypto_platform.feeds.quotes import Quote
from crypto_platform.serving.probe import Probe
from crypto_platform.settings import Settings
from crypto_platform.stores import open_store
from crypto_platform.stores.base import Store

READ_ORDER = ("postgres", "mongo")
"""PostgreSQL is home of market data, MongoDB its mirror."""

ANSWER_S_MAX = 2.0
"""A store that has not answered by then is left for the next one."""

RECORDS_MAX = 10_000
NEAREST_MAX = 5


@dataclass(frozen=True, kw_only=True)
class QuotesAnswer:
    """Quotes and where they came from.

    Attributes:
        store: Which store answered.
        problems: Why the stores before it did not, one line each.
        quotes: Best market_cap_rank first.
    """

    store: str
    problems: tuple[str, ...]
    quotes: tuple[Quote, ...]


class UnknownCurrencyError(PlatformError):
    """A currency that no source has named; the text holds the nearest names."""


class QuoteReader:
    """Asks one question about quotes again and again, connections kept open. For one thread."""

    def __init__(
        self,
        settings: Settings,
        currency_ids: Sequence[str] = (),
        *,
        records_max: int = RECORDS_MAX,
    ) -> None:
        """Nothing is connected yet.

        Args:
            settings: With the stores' addresses.
            currency_ids: The sources' own ids; empty is all.
            records_max: At most so many quotes, the best ranks.
        """
        self._settings = settings
        self._currency_ids = tuple(currency_ids)
        self._records_max = records_max
        self._stores: dict[str, Store] = {}
        self._probes = {name: Probe(lambda name=name: self._read(name)) for name in READ_ORDER}

    def read(self) -> QuotesAnswer:
        """The newest quote per source and currency, from the first store that answers.

        Raises:
            StoreUnavailableError: None did; holds what each said.
        """
        problems: list[str] = []
        for name, probe in self._probes.items():
            probe.ask()
            answer = probe.answer(within_s=ANSWER_S_MAX)
            if answer.value is not None:
                quotes = tuple(record for record in answer.value if isinstance(record, Quote))
                return QuotesAnswer(store=name, problems=tuple(problems), quotes=quotes)
            problems.append(f"{name}: {answer.problem}")
        message = f"no store answers: {'; '.join(problems)}"
        raise StoreUnavailableError(message)

    def close(self) -> None:
        """Give back connections."""
        for store in self._stores.values():
            store.close()

    def _read(self, name: str) -> Sequence[Record]:
        if name not in self._stores:
            self._stores[name] = open_store(name, self._settings, role="analyst")
        return self._stores[name].read_latest_quotes(
            self._currency_ids, records_max=self._records_max
        )


def read_quotes(
    settings: Settings, currency_ids: Sequence[str] = (), *, records_max: int = RECORDS_MAX
) -> QuotesAnswer:
    """`QuoteReader.read`, once."""
    reader = QuoteReader(settings, currency_ids, records_max=records_max)
    try:
        return reader.read()
    finally:
        reader.close()


def find_quotes(quotes: Sequence[Quote], currencies: Sequence[str]) -> list[Quote]:
    """Those of the currencies named, in the order of the quotes.

    Args:
        quotes: All there are.
        currencies: Each an id (bitcoin) or a symbol (BTC), in any case; empty is all.

    Raises:
        UnknownCurrencyError: One of them is neither; the text names the nearest there are.
    """
    if not currencies:
        return list(quotes)
    wanted = {currency.lower() for currency in currencies}
    found = [quote for quote in quotes if wanted & names_of(quote)]
    known = {name for quote in found for name in names_of(quote)}
    for currency in currencies:
        if currency.lower() not in known:
            raise UnknownCurrencyError(_explain_unknown(currency, quotes))
    return found


def names_of(quote: Quote) -> set[str]:
    """What a currency may be called by, lower case."""
    names = {quote.currency_id.lower()}
    return names | {quote.currency_symbol.lower()} if quote.currency_symbol else names


def _explain_unknown(currency: str, quotes: Sequence[Quote]) -> str:
    if not quotes:
        return f"{currency}: no quote is stored yet; `crypto-platform status` says what is going on"
    names = {name: name for quote in quotes for name in names_of(quote)}
    names |= {q.currency_name.lower(): q.currency_id for q in quotes if q.currency_name}
    near = difflib.get_close_matches(currency.lower(), names, n=NEAREST_MAX, cutoff=0.5)
    nearest = list(dict.fromkeys(names[name] for name in near))
    hint = f"the nearest are {', '.join(nearest)}" if nearest else "nothing there is called alike"
    return f"{currency}: no source has a currency of this id or symbol; {hint}"


def choose_quotes(quotes: Sequence[Quote], *, simulated: frozenset[str], count: int) -> list[Quote]:
    """One quote a symbol for a short list: a real source's before a simulated one's.

    Args:
        quotes: Best rank first.
        simulated: Names of simulated sources.
        count: How many at most.
    """
    chosen: dict[str, Quote] = {}
    for quote in quotes:
        name = (quote.currency_symbol or quote.currency_id).upper()
        there = chosen.get(name)
        if there is None or (there.source in simulated and quote.source not in simulated):
            chosen[name] = quote
    ranked = sorted(chosen.values(), key=lambda quote: quote.market_cap_rank or RECORDS_MAX)
    return ranked[:count]
