"""Documents read back: what their bytes say is what was published, or why not."""

from collections.abc import Callable
from typing import Any

import bson
import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64

from crypto_platform.feeds import FEEDS, Feed, Record
from crypto_platform.feeds.codec import to_columns
from crypto_platform.feeds.order_books import ORDER_BOOKS
from crypto_platform.stores.contents import StoredContent
from crypto_platform.stores.mongo.contents import proofs_of
from crypto_platform.stores.mongo.documents import ArrivalEncoder, Documents
from crypto_platform.stores.mongo.layout import Raw
from tests.feed_samples import build_record
from tests.store_steps import NOON, TOPIC_ID


def derive(
    feed: Feed[Record], record: Record, change: Callable[[dict[str, Any]], object] | None = None
) -> StoredContent:
    """What the record's document says, after it was changed by hand."""
    arrivals = ArrivalEncoder(TOPIC_ID, 0).encode([1], [NOON])
    [body] = Documents(feed).encode(to_columns([record]), arrivals)
    if change is not None:
        document: dict[str, Any] = bson.decode(body)
        change(document)
        body = bson.encode(document)
    return proofs_of(feed).derive(Raw(body, 0, len(body)))


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_a_document_with_a_field_of_tomorrow_says_the_same(feed: Feed[Record]) -> None:
    """It is read another way, field by field; both must give the hash that was published."""
    record = build_record(feed)
    later = derive(feed, record, lambda document: document.update(later=Int64(1)))
    assert later == derive(feed, record)
    assert later.derived_hash == record.content_hash


def test_a_changed_level_changes_the_hash() -> None:
    """Of a list every digit and its place are content."""
    book = build_record(ORDER_BOOKS)

    def swap(document: dict[str, Any]) -> None:
        prices = document["bid_prices"]
        prices[0], prices[1] = prices[1], prices[0]

    def add_zero(document: dict[str, Any]) -> None:
        document["bid_prices"][0] = Decimal128("1.100")

    for change in (swap, add_zero, lambda document: document["bid_prices"].pop()):
        changed = derive(ORDER_BOOKS, book, change)
        assert changed.problem is None
        assert changed.derived_hash not in {None, book.content_hash}


def test_a_level_of_a_wrong_type_is_named() -> None:
    """A float among the prices looks right until somebody compares two of them."""
    book = build_record(ORDER_BOOKS)

    def make_float(document: dict[str, Any]) -> None:
        document["bid_prices"][1] = 1.5

    found = derive(ORDER_BOOKS, book, make_float)
    assert (found.derived_hash, found.problem) == (
        None,
        "bid_prices.1 is a double (1.5), not a decimal",
    )
