"""Which currency a source's id means, for readers that join several sources; and what is unmapped.

Here: the mapping of every source in the settings, and what sources list beside it. Not here: the
table itself (domain/currencies.py), text (cli/).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crypto_platform.domain.currencies import map_currencies
from crypto_platform.feeds.instruments import Instrument, ListedKind
from crypto_platform.feeds.quotes import Quote
from crypto_platform.settings import Settings


class CurrencyCodes:
    """Unified codes by source and its own currency id."""

    def __init__(self, settings: Settings) -> None:
        """Read from the settings and the shipped table; nothing is asked."""
        self._by_source = {
            name: map_currencies(source.dialect, source.currencies)
            for name, source in settings.sources.items()
        }

    def find(self, source: str, currency_id: str) -> str | None:
        """The unified code; None where unmapped, or where the source is not in the settings."""
        return self._by_source.get(source, {}).get(currency_id)

    def of_quote(self, quote: Quote) -> str | None:
        """Whose price a quote is."""
        return self.find(quote.source, quote.currency_id)

    def list_all(self) -> list[tuple[str, str, str]]:
        """Source, currency id, code: all that is mapped, in order."""
        return sorted(
            (source, currency_id, code)
            for source, mapped in self._by_source.items()
            for currency_id, code in mapped.items()
        )


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What a source lists, and what it is mapped to.

    Attributes:
        native_id: The source's own id.
        unified: BASE/QUOTE of an instrument, the code of a currency; None where unmapped.
        unmapped_ids: The source's own currency ids that would have to be mapped.
        name, status: As the source writes them; None where it does not.
    """

    source: str
    kind: str
    native_id: str
    unified: str | None
    unmapped_ids: tuple[str, ...] = ()
    name: str | None = None
    status: str | None = None


def find_symbol(codes: CurrencyCodes, instrument: Instrument) -> str | None:
    """What an instrument or a currency is called by the mapping of today.

    Its record's own name holds as long as the mapping says the same, for that may have more than
    base and quote (BTC/USDT:USDT); and where today's mapping says nothing.
    """
    source = instrument.source
    if instrument.kind == ListedKind.CURRENCY:
        return codes.find(source, instrument.native_id) or instrument.symbol
    base, quote = (
        None if own is None else codes.find(source, own)
        for own in (instrument.base_id, instrument.quote_id)
    )
    is_new = (base, quote) != (instrument.base_currency, instrument.quote_currency)
    if base and quote and (is_new or instrument.symbol is None):
        return f"{base}/{quote}"
    return instrument.symbol


def list_symbols(
    codes: CurrencyCodes, instruments: Iterable[Instrument], quotes: Iterable[Quote]
) -> list[Listed]:
    """All that sources list, by source, kind and id: currencies of quotes count as listed.

    A mapping of today goes before what the record was given when it was published, see find_symbol.
    """
    found = {
        (listed.source, listed.kind, listed.native_id): listed
        for listed in [
            *(_of_quote(codes, quote) for quote in quotes),
            *(_of_instrument(codes, instrument) for instrument in instruments),
        ]
    }
    return [found[key] for key in sorted(found)]


def _of_quote(codes: CurrencyCodes, quote: Quote) -> Listed:
    code = codes.of_quote(quote)
    return Listed(
        source=quote.source,
        kind=ListedKind.CURRENCY.value,
        native_id=quote.currency_id,
        unified=code,
        unmapped_ids=() if code else (quote.currency_id,),
        name=quote.currency_name,
    )


def _of_instrument(codes: CurrencyCodes, instrument: Instrument) -> Listed:
    ids: Sequence[str | None] = (
        [instrument.native_id]
        if instrument.kind == ListedKind.CURRENCY
        else [instrument.base_id, instrument.quote_id]
    )
    unified = find_symbol(codes, instrument)
    unmapped = [own for own in ids if own and not codes.find(instrument.source, own)]
    return Listed(
        source=instrument.source,
        kind=f"{instrument.kind}",
        native_id=instrument.native_id,
        unified=unified,
        unmapped_ids=() if unified else tuple(unmapped),
        name=instrument.name,
        status=instrument.status,
    )
