"""instruments: what a source lists: the instruments of a venue, the currencies of a source.

A source publishes one only where it differs from what it published before (its cursor holds the
content hash), so each record is a revision, and the youngest one counts (the views
market.instrument and market.currency). The time of the poll that noticed it is part of the id: a
venue that closes an instrument and opens it again has published three revisions.
"""

from enum import StrEnum

from crypto_platform.feeds.feed import (
    Amount,
    Feed,
    Index,
    Record,
    Text,
    TimeUs,
    seal,
)


class ListedKind(StrEnum):
    """What is listed."""

    INSTRUMENT = "instrument"
    CURRENCY = "currency"


class TradeNumbering(StrEnum):
    """What a venue's trade ids tell about trades that are missing."""

    GAPLESS = "gapless"
    """Each trade of the instrument has the next number: a hole is a missing trade."""
    RISING = "rising"
    """Later trades have higher numbers, with holes between them: a hole says nothing."""
    NONE = "none"


class Instrument(Record, frozen=True, kw_only=True, tag=1):
    """A revision of one listed instrument or currency.

    Attributes:
        source: Who lists it: a name in the settings.
        kind: Which of both it is.
        native_id: The source's own id: venue_symbol of an instrument, currency_id of a currency.
        symbol: Unified: BASE/QUOTE of an instrument, the code of a currency; None where unmapped.
        name: As the source writes it.
        base_id: Of an instrument, what is traded, by the source's own id.
        quote_id: Of an instrument, what is paid with, by the source's own id.
        base_currency: The unified code of base_id; None where unmapped.
        quote_currency: The unified code of quote_id; None where unmapped.
        status: The source's own word (online, delisted).
        price_step: Smallest step of a price, quote currency; None where the source does not say.
        quantity_step: Smallest step of a quantity, units of base (of a currency its own); None
            where the source does not say.
        quantity_min: Smallest order, units of base; None where the source does not say.
        notional_min: Smallest order, quote currency; None where the source does not say.
        trade_numbering: Of its trades; None for a currency.
        ts_listed: Since when, where the source says.
    """

    source: Text
    kind: ListedKind
    native_id: Text
    symbol: Text | None = None
    name: Text | None = None
    base_id: Text | None = None
    quote_id: Text | None = None
    base_currency: Text | None = None
    quote_currency: Text | None = None
    status: Text | None = None
    price_step: Amount | None = None
    quantity_step: Amount | None = None
    quantity_min: Amount | None = None
    notional_min: Amount | None = None
    trade_numbering: TradeNumbering | None = None
    ts_listed: TimeUs | None = None


def seal_instrument(draft: Instrument) -> Instrument:
    """Give a revision its hash and its id: source, kind, its own id, when noticed, content."""
    identity = (draft.source, draft.kind, draft.native_id, draft.ts_ingest)
    return seal(draft, identity=identity, content_in_id=True)


INSTRUMENTS = Feed(
    name="instruments",
    topic="market.instruments",
    partitions=1,
    record=Instrument,
    versions=Instrument,
    key_of=lambda instrument: instrument.source,
    schema="market",
    table="instrument_revision",
    collection="instruments",
    pace_s_min=3600,
    indexes=(Index(fields=("source", "kind", "native_id", "-ts_ingest")),),
    description="What a source lists: the instruments of a venue, the currencies of a source.",
)
