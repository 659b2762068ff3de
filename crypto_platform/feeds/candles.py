"""candles: a venue's own open, high, low, close and volume of an interval that is over.

A venue corrects what it has published; a correction is a new revision of the candle, never a
conflict, and the youngest one counts (the view market.candle). What a live poll sees change has the
time of that poll in its id, so a correction back to an earlier content is a revision too. Whoever
reads a candle without having seen it before (a history run, a first poll) cannot tell a correction
from a repeat: its id is that of the content alone. Not here: candles made of trades (analytics).
"""

from enum import StrEnum

from crypto_platform.domain.hours import MICROSECONDS_PER_MINUTE
from crypto_platform.feeds.feed import (
    Amount,
    Count,
    Feed,
    Index,
    MappedText,
    Record,
    Step,
    Text,
    TimeUs,
    seal,
)


class Interval(StrEnum):
    """How long a candle lasts; each begins at a multiple of it since 1970, UTC."""

    MINUTE = "1m"
    FIVE_MINUTES = "5m"
    QUARTER_HOUR = "15m"
    HOUR = "1h"
    SIX_HOURS = "6h"
    DAY = "1d"

    @property
    def length_us(self) -> int:
        """Microseconds."""
        return _MINUTES[self] * MICROSECONDS_PER_MINUTE


_MINUTES = {
    Interval.MINUTE: 1,
    Interval.FIVE_MINUTES: 5,
    Interval.QUARTER_HOUR: 15,
    Interval.HOUR: 60,
    Interval.SIX_HOURS: 360,
    Interval.DAY: 1440,
}


class Candle(Record, frozen=True, kw_only=True, tag=1):
    """One closed candle.

    Attributes:
        venue: Where it traded: the source's name in the settings.
        venue_symbol: The venue's own (BTC-USD); part of the id.
        symbol: Unified by ccxt's grammar (BTC/USD), as it was mapped when the candle was published;
            None where nobody mapped it. No part of the content.
        interval: Its length.
        ts_event: Its open time, inclusive; ts_event + interval, exclusive, is its close time.
        open: Price of its first trade, quote currency for one unit of base.
        high: Highest price.
        low: Lowest price.
        close: Price of its last trade.
        base_volume: Units of base that traded.
        quote_volume: The same in quote currency; None where the venue does not say.
        vwap: Volume-weighted average price; None where the venue does not say.
        trade_count: Trades in it; None where the venue does not say.
    """

    venue: Text
    venue_symbol: Text
    symbol: MappedText | None = None
    interval: Interval
    ts_event: TimeUs
    open: Amount
    high: Amount
    low: Amount
    close: Amount
    base_volume: Amount
    quote_volume: Amount | None = None
    vwap: Amount | None = None
    trade_count: Count | None = None


def seal_candle(draft: Candle, *, is_correction: bool = False) -> Candle:
    """Give a candle its hash and its id: venue, symbol, interval, open time, content.

    Args:
        draft: With all its facts.
        is_correction: It was seen to differ from what was published last; then when that was
            noticed is in the id too.
    """
    identity = (draft.venue, draft.venue_symbol, draft.interval, draft.ts_event)
    noticed = (draft.ts_ingest,) if is_correction else ()
    return seal(draft, identity=(*identity, *noticed), content_in_id=True)


CANDLES = Feed(
    name="candles",
    topic="market.candles",
    partitions=3,
    record=Candle,
    versions=Candle,
    key_of=lambda candle: f"{candle.venue}:{candle.venue_symbol}:{candle.interval}",
    schema="market",
    table="candle_revision",
    partition_step=Step.MONTH,
    pace_s_min=15,
    collection="candles",
    indexes=(Index(fields=("venue", "venue_symbol", "interval", "-ts_event")),),
    description="A venue's own open, high, low, close and volume of an interval that is over.",
)
