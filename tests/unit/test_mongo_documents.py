"""Documents: every digit and microsecond survives the way to BSON and back."""

from dataclasses import replace

import bson
import pytest
from bson.decimal128 import Decimal128

from crypto_platform.errors import Reason
from crypto_platform.feeds import FEEDS, Record
from crypto_platform.feeds.codec import to_columns
from crypto_platform.feeds.feed import Feed
from crypto_platform.feeds.incidents import INCIDENTS
from crypto_platform.feeds.order_books import ORDER_BOOKS
from crypto_platform.feeds.quotes import QUOTES, Quote, seal_quote
from crypto_platform.feeds.rejected import REJECTED, build_rejected
from crypto_platform.stores.mongo.documents import NO_ARRIVAL, ArrivalEncoder, Documents
from crypto_platform.stores.mongo.schema import build_indexes, build_validator
from tests.feed_samples import build_record


def quote(**facts: object) -> Quote:
    draft = Quote(source="s", currency_id="bitcoin", quote_currency="USD", ts_ingest=1)
    return seal_quote(replace_facts(draft, **facts))


def replace_facts(draft: Quote, **facts: object) -> Quote:
    return Quote(**{name: getattr(draft, name) for name in draft.__struct_fields__} | facts)


def through_bson(feed: Feed[Record], record: Record) -> tuple[dict[str, object], Record]:
    documents = Documents(feed)
    [encoded] = documents.encode(to_columns([record]), [NO_ARRIVAL])
    document = bson.decode(encoded)
    return document, documents.decode(document)


@pytest.mark.parametrize(
    "amount",
    [
        "0",
        "0.00",
        "1.10",
        "-1.10",
        "1000",
        "-0.00000000000000000001",
        "9999999999999999999999999999999999",
        "-9999999999999999999999999999999999",
        "1.234567890123456789012345678901234",
        "0.0000000000000000000000000000000001234567890123456789012345678901234",
    ],
)
def test_an_amount_keeps_value_scale_and_sign(amount: str) -> None:
    """A digit lost here makes the mirror differ from PostgreSQL, and wallets from their sum."""
    document, back = through_bson(QUOTES, quote(price=amount))
    assert document["price"] == Decimal128(amount)
    assert back == quote(price=amount)


@pytest.mark.parametrize("length", [0, 1, 9, 10, 11, 40, 101])
def test_a_list_of_amounts_keeps_its_order_and_its_ends(length: int) -> None:
    """An array's keys are its places as text: from the tenth on they take more bytes."""
    prices = tuple(f"{place}.{place:03d}" for place in range(1, length + 1))
    record = build_record(
        ORDER_BOOKS, **dict.fromkeys(("bid_prices", "bid_quantities"), prices), ask_prices=()
    )
    document, back = through_bson(ORDER_BOOKS, record)
    assert document["bid_prices"] == [Decimal128(price) for price in prices]
    assert document["ask_prices"] == []
    assert back == record


def test_a_time_keeps_its_microseconds_beside_a_date() -> None:
    """A BSON date holds milliseconds only: two quotes 1 us apart would look the same."""
    document, back = through_bson(QUOTES, quote(ts_event=1_621_094_383_867_123))
    assert document["ts_event_us"] == 1_621_094_383_867_123
    assert str(document["ts_event"]) == "2021-05-15 15:59:43.867000"
    assert back == quote(ts_event=1_621_094_383_867_123)


def test_what_is_unknown_is_null_and_stays_unknown() -> None:
    """0 in its place would be a supply of nothing."""
    document, back = through_bson(QUOTES, quote())
    assert document["max_supply"] is None
    assert (document["ts_event"], document["ts_event_us"]) == (None, None)
    assert back == quote()


def test_integers_are_64_bits_wide_whatever_their_value() -> None:
    """The driver's own encoder would choose int32 for small ones, and the validator refuse them."""
    document, _ = through_bson(QUOTES, quote(market_cap_rank=1))
    assert type(document["market_cap_rank"]).__name__ == "Int64"
    assert type(document["content_hash"]).__name__ == "Int64"


def test_bytes_and_text_beyond_ascii_survive() -> None:
    """A rejected page is kept to be looked at: as it was, not as something decoded."""
    record = build_rejected(
        source="größer",
        feed="quotes",
        reason=Reason.UNDECODABLE,
        error="é",
        raw=b"\x00\xff",
        ts_ingest=1,
    )
    document, back = through_bson(REJECTED, record)
    assert document["raw"] == b"\x00\xff"
    assert back == record


def test_the_arrival_stands_behind_the_record() -> None:
    """The audit finds a record by topic, partition and offset."""
    arrivals = ArrivalEncoder("topic", 3).encode([7], [1_700_000_000_000_001])
    [encoded] = Documents(QUOTES).encode(to_columns([quote()]), arrivals)
    document = bson.decode(encoded)
    assert list(document)[-5:] == [
        "arrival_topic_id",
        "arrival_part",
        "arrival_offset",
        "ts_append_us",
        "ts_append",
    ]
    assert (document["arrival_topic_id"], document["arrival_part"]) == ("topic", 3)
    assert (document["arrival_offset"], document["ts_append_us"]) == (7, 1_700_000_000_000_001)


def test_a_feed_whose_field_is_named_like_the_arrival_is_refused() -> None:
    """Two elements of one name in a document: which one is read back is anybody's guess."""
    renamed = replace(INCIDENTS.fields[0], name="arrival_part")
    feed = replace(INCIDENTS, name="other")
    feed.__dict__["fields"] = (renamed,)
    with pytest.raises(TypeError, match="arrival_part"):
        Documents(feed)


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_every_feed_has_its_index_by_arrival(feed: Feed[Record]) -> None:
    """Without it the audit of one hour reads the whole collection."""
    assert {
        "arrival_topic_id": 1,
        "arrival_part": 1,
        "arrival_offset": 1,
    } in build_indexes(feed)


def test_only_the_platforms_own_feeds_may_lack_their_arrival() -> None:
    """An incident is written before Kafka has it; a quote without one would escape the audit."""
    assert build_validator(QUOTES)["arrival_offset"] == {"$type": "long"}
    assert "arrival_offset" not in build_validator(INCIDENTS)
