"""Facts read back hash to what was hashed when they were published."""

import pytest

from crypto_platform.feeds import FEEDS
from crypto_platform.feeds.facts import encode_facts, facts_type, hash_encoded, list_facts
from crypto_platform.feeds.feed import Feed, FieldKind, Record, hash_content

VALUES: dict[FieldKind, object] = {
    FieldKind.TEXT: 'quote " backslash \\ newline \n bell \x07 and Ünïcödé €',
    FieldKind.AMOUNT: "0.00000001054",
    FieldKind.AMOUNTS: ("1.10", "0"),
    FieldKind.TIME_US: 1_763_812_800_000_001,
    FieldKind.INTEGER: 7,
    FieldKind.BYTES: b"\x00\xff",
}


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
@pytest.mark.parametrize("is_known", [True, False])
def test_facts_hash_as_they_did_when_they_were_published(
    feed: Feed[Record], is_known: bool
) -> None:
    """Another encoding of one field would call every row of the feed changed."""
    facts = list_facts(feed)
    values = [VALUES[field.kind] if is_known or not field.nullable else None for field in facts]
    published = hash_content(dict(zip([field.name for field in facts], values, strict=True)))
    assert hash_encoded(encode_facts(facts_type(feed)(*values))) == published
