"""Quotes for people and their tools, from whichever store answers.

Here: the newest quote per source and currency, finding currencies by code, id or ticker. Not here:
which store answers (failover.py), SQL and BSON (stores/), text (cli/).
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from crypto_platform.errors import PlatformError
from crypto_platform.feeds import Record
from crypto_platform.feeds.quotes import QUOTES, Quote
from crypto_platform.serving.currencies import CurrencyCodes
from crypto_platform.serving.failover import Reads, Source
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store

RECORDS_MAX = 10_000
NEAREST_MAX = 5


@dataclass(frozen=True, kw_only=True)
class QuotesAnswer:
    """Quotes and where they came from.

    Attributes:
        source: Which store answered.
        quotes: Best market_cap_rank first.
    """

    source: Source
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
        as_of_us: int | None = None,
    ) -> None:
        """Nothing is connected yet.

        Args:
            settings: With the stores' addresses.
            currency_ids: The sources' own ids; empty is all.
            records_max: At most so many quotes, the best ranks.
            as_of_us: What was known at this time, in microseconds; None is now.
        """

        def question(store: Store) -> Sequence[Record]:
            return store.read_latest_quotes(
                currency_ids, records_max=records_max, as_of_us=as_of_us
            )

        self._question = question
        self._reads = Reads(settings)

    def read(self) -> QuotesAnswer:
        """The newest quote per source and currency, from home or its mirror.

        Raises:
            StoreUnavailableError: None did; holds what each said.
        """
        answered = self._reads.ask(self._question, [QUOTES])
        quotes = tuple(record for record in answered.value if isinstance(record, Quote))
        return QuotesAnswer(source=answered.source, quotes=quotes)

    def close(self) -> None:
        """Give back connections."""
        self._reads.close()


def read_quotes(
    settings: Settings,
    currency_ids: Sequence[str] = (),
    *,
    records_max: int = RECORDS_MAX,
    as_of_us: int | None = None,
) -> QuotesAnswer:
    """`QuoteReader.read`, once."""
    reader = QuoteReader(settings, currency_ids, records_max=records_max, as_of_us=as_of_us)
    try:
        return reader.read()
    finally:
        reader.close()


def find_quotes(
    quotes: Sequence[Quote], currencies: Sequence[str], *, codes: CurrencyCodes
) -> list[Quote]:
    """Those of the currencies named, in the order of the quotes.

    A unified code (BTC) and a source's id (bitcoin) name a currency; a ticker names all that are
    called so, and is looked for only where nothing has that code or id.

    Args:
        quotes: All there are.
        currencies: Each a code, an id or a ticker, in any case; empty is all.
        codes: What is mapped.

    Raises:
        UnknownCurrencyError: One of them is nothing; the text names the nearest there are.
    """
    if not currencies:
        return list(quotes)
    found: set[str] = set()
    for currency in currencies:
        wanted = currency.lower()
        own = [
            quote.event_id
            for quote in quotes
            if wanted in {quote.currency_id.lower(), (codes.of_quote(quote) or "").lower()}
        ] or [quote.event_id for quote in quotes if wanted in names_of(quote)]
        if not own:
            raise UnknownCurrencyError(_explain_unknown(currency, quotes))
        found.update(own)
    return [quote for quote in quotes if quote.event_id in found]


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


def choose_quotes(
    quotes: Sequence[Quote], *, codes: CurrencyCodes, simulated: frozenset[str], count: int
) -> list[Quote]:
    """One quote a currency for a short list: a real source's before a simulated one's.

    Args:
        quotes: Best rank first.
        codes: What is mapped; what is not, is a currency of its own.
        simulated: Names of simulated sources.
        count: How many at most.
    """
    chosen: dict[str, Quote] = {}
    for quote in quotes:
        name = codes.of_quote(quote) or f"{quote.source}:{quote.currency_id}"
        there = chosen.get(name)
        if there is None or (there.source in simulated and quote.source not in simulated):
            chosen[name] = quote
    ranked = sorted(chosen.values(), key=lambda quote: quote.market_cap_rank or RECORDS_MAX)
    return ranked[:count]
