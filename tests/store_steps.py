"""Short words for what store tests say again and again: a quote, a slice, a claim.

Here: builders with literal defaults. Not here: servers (store_harness.py), expectations.
"""

from collections.abc import Sequence

import msgspec

from crypto_platform.errors import Reason
from crypto_platform.feeds import FEED_BY_NAME, Feed, Record
from crypto_platform.feeds.quotes import Quote, seal_quote
from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import Claim, TopicPart
from crypto_platform.stores.slices import Arrival, Refusal, Slice, build_arrivals

TOPIC_ID = "11111111-2222-3333-4444-555555555555"
OTHER_TOPIC_ID = "99999999-2222-3333-4444-555555555555"
NOON = 1_763_812_800_000_000
"""2025-11-22 12:00:00 UTC, a full hour."""
HOUR = 3_600_000_000

QUOTES = FEED_BY_NAME["quotes"]
REJECTED = FEED_BY_NAME["rejected"]
INCIDENTS = FEED_BY_NAME["incidents"]

P0 = TopicPart(TOPIC_ID, 0)
P1 = TopicPart(TOPIC_ID, 1)


def quote(number: int, *, price: str = "1.5", currency_id: str = "bitcoin") -> Quote:
    """A quote that is one second later than the one before; equal arguments, equal quote."""
    return seal_quote(
        Quote(
            source="simulated",
            currency_id=currency_id,
            quote_currency="USD",
            price=price,
            ts_event=NOON + number * 1_000_000,
            ts_ingest=NOON,
        )
    )


def contradict(record: Quote) -> Quote:
    """The same id with other content, which no honest source gives."""
    return msgspec.structs.replace(record, price="666", content_hash=record.content_hash ^ 1)


def claim(
    store: Store,
    *partitions: TopicPart,
    run_id: str = "run-a",
    feed: Feed[Record] = QUOTES,
) -> list[Claim]:
    """Claim partitions of one feed's topic."""
    return store.claim([(feed, feed.topic, part) for part in partitions], run_id=run_id)


def piece(
    own: Claim,
    records: Sequence[Record],
    *,
    first_offset: int | None = None,
    next_offset: int | None = None,
    hour: int = NOON,
    leader_epoch: int | None = None,
    refusals: Sequence[Refusal] = (),
) -> Slice:
    """A slice whose records lie one behind the other, from the claim's next_offset on."""
    first = own.next_offset if first_offset is None else first_offset
    arrivals = [Arrival(r, first + i, hour + first + i) for i, r in enumerate(records)]
    end = first + len(records) + len(refusals) if next_offset is None else next_offset
    return Slice(
        claim=own,
        hour=hour,
        first_offset=first,
        next_offset=end,
        max_ts_append=hour + end,
        leader_epoch=leader_epoch,
        arrivals=build_arrivals(arrivals, feed=own.feed),
        refusals=refusals,
    )


def each_record(own: Slice) -> list[tuple[Record, int]]:
    """A slice's records and their offsets, in order."""
    return [(arrival.record, arrival.offset) for arrival in own.arrivals]


def refusal(offset: int, *, value: bytes | None = b"\x00\xffnot json") -> Refusal:
    """A Kafka value that is no record."""
    return Refusal(
        offset=offset,
        ts_append=NOON + offset,
        reason=Reason.UNDECODABLE,
        error="line 1: not JSON \x00",
        key=b"simulated:bitcoin",
        value=value,
    )
