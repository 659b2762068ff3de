"""trades: public matches on a venue, one record a match.

A venue numbers its trades, so the same id can only be the same trade: other content under it is a
conflict. Not here: fills, a user's half of a match.
"""

from enum import StrEnum

from crypto_platform.feeds.feed import (
    Amount,
    Feed,
    Index,
    MappedText,
    Record,
    Step,
    Text,
    TimeUs,
    seal,
)


class Side(StrEnum):
    """Of an order, or of a trade's taker."""

    BUY = "buy"
    SELL = "sell"


class Trade(Record, frozen=True, kw_only=True, tag=1):
    """One match.

    Attributes:
        venue: Where it traded: the source's name in the settings.
        venue_symbol: The venue's own (BTC-USD); part of the id, so that a changed mapping doubles
            nothing.
        symbol: Unified by ccxt's grammar (BTC/USD), as it was mapped when the trade was published;
            None where nobody mapped it, never guessed. No part of the content.
        trade_id: The venue's own, as text.
        price: Quote currency for one unit of base.
        quantity: Units of base.
        taker_side: Who crossed; None where the venue does not say.
        ts_event: The venue's time of the match.
        ts_event_text: The venue's own text where it is finer than microseconds, else None.
    """

    venue: Text
    venue_symbol: Text
    symbol: MappedText | None = None
    trade_id: Text
    price: Amount
    quantity: Amount
    taker_side: Side | None = None
    ts_event: TimeUs
    ts_event_text: Text | None = None


def seal_trade(draft: Trade) -> Trade:
    """Give a trade its hash and its id: venue, the venue's symbol, the venue's number."""
    return seal(draft, identity=(draft.venue, draft.venue_symbol, draft.trade_id))


TRADES = Feed(
    name="trades",
    topic="market.trades",
    partitions=12,
    record=Trade,
    versions=Trade,
    key_of=lambda trade: f"{trade.venue}:{trade.venue_symbol}",
    schema="market",
    table="trade",
    partition_step=Step.MONTH,
    collection="trades",
    positive_names=("price", "quantity"),
    retention_days=90,
    indexes=(Index(fields=("venue", "venue_symbol", "-ts_event")),),
    notes_hours=True,
    description="Public matches on a venue, each once.",
)
