"""Facts read back hash to what was hashed when they were published."""

import pytest

from crypto_platform.feeds import FEEDS
from crypto_platform.feeds.facts import derive_hash, encode_facts, facts_type, list_facts
from crypto_platform.feeds.feed import Feed, Field, FieldKind, Record, hash_content

VALUES: dict[FieldKind, object] = {
    FieldKind.TEXT: 'quote " backslash \\ newline \n bell \x07 and Ünïcödé € ,"symbol":"x"',
    FieldKind.AMOUNT: "0.00000001054",
    FieldKind.AMOUNTS: ("1.10", "0"),
    FieldKind.TIME_US: 1_763_812_800_000_001,
    FieldKind.TEXTS: ('quote "', ""),
    FieldKind.INTEGER: 7,
    FieldKind.FLAG: False,
    FieldKind.BYTES: b"\x00\xff",
}

each_feed = pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
each_knowledge = pytest.mark.parametrize("is_known", [True, False])


def values_of(feed: Feed[Record], *, is_known: bool) -> list[tuple[Field, object]]:
    """A value for each fact, and for what was one; None for what may be unknown if not is_known."""
    return [
        (field, VALUES[field.kind] if is_known or not field.nullable else None)
        for field in list_facts(feed)
    ]


@each_feed
@each_knowledge
def test_facts_hash_as_they_did_when_they_were_published(
    feed: Feed[Record], *, is_known: bool
) -> None:
    """Another encoding of one field would call every row of the feed changed."""
    values = values_of(feed, is_known=is_known)
    encoded = encode_facts(facts_type(feed)(*[value for _, value in values]))
    published = hash_content({each.name: value for each, value in values if each.is_fact})
    assert derive_hash(feed, encoded, content_hash=published) == published
    assert derive_hash(feed, encoded, content_hash=7) == published


@each_feed
@each_knowledge
def test_what_was_published_while_all_was_content_is_right_as_well(
    feed: Feed[Record], *, is_known: bool
) -> None:
    """A data folder of then would have every trade called changed by the deep audit."""
    values = values_of(feed, is_known=is_known)
    encoded = encode_facts(facts_type(feed)(*[value for _, value in values]))
    published = hash_content({each.name: value for each, value in values})
    assert derive_hash(feed, encoded, content_hash=published) == published
