"""A record of any feed in the catalogue, made of what its fields are.

A feed is named here only where its fields have to go together (GO_TOGETHER).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, get_args, get_type_hints

import msgspec

from crypto_platform.feeds.feed import Feed, FieldKind, Record, seal

SAMPLES: dict[FieldKind, Any] = {
    FieldKind.TEXT: "Zürich ₿ \"quoted\" \\ \n 'x' ; -- %s",
    FieldKind.AMOUNT: "-1234567890.123456789012345678901234",
    FieldKind.AMOUNTS: ("1.10", "-0.000000000000000000001", "0.00", "1.10", "9" * 34),
    FieldKind.TEXTS: ("Zürich ₿", '"quoted" \\ \n \t', "'x'; -- %s {NULL,}", "", "NULL"),
    FieldKind.TIME_US: 1_767_268_800_123_456,
    FieldKind.INTEGER: 2**53,
    FieldKind.FLAG: True,
    FieldKind.BYTES: b"\x00\xff{raw}",
}
POSITIVE_SAMPLES: dict[FieldKind, Any] = {
    FieldKind.AMOUNT: "1234567890.123456789012345678901234",
    FieldKind.AMOUNTS: ("1.10", "0.000000000000000000001", "2.00", "1.10", "9" * 34),
}
GO_TOGETHER: Mapping[str, Mapping[str, Any]] = {
    "account_events": {
        "posting_accounts": ("available", "clearing", "available", "fees", "outside"),
        "posting_currencies": ("", "", "NULL", "NULL", "NULL"),
        "posting_amounts": (
            "-1.10",
            "1.1",
            "0.000000000000000000003",
            "-0.000000000000000000003",
            "0.00",
        ),
        "wallet_available": POSITIVE_SAMPLES[FieldKind.AMOUNTS],
        "wallet_locked": POSITIVE_SAMPLES[FieldKind.AMOUNTS],
    }
}
"""What a feed's own rule asks of its fields (Feed.find_odd)."""

LISTS = (FieldKind.AMOUNTS, FieldKind.TEXTS)


def build_record(feed: Feed[Record], /, **changes: object) -> Record:
    """A sealed record with every field filled; `changes` are facts to have instead."""
    facts: dict[str, Any] = {
        field.name: (POSITIVE_SAMPLES if field.name in feed.positive_names else SAMPLES)[field.kind]
        for field in feed.fields
        if field.name not in {"event_id", "content_hash"}
    }
    for name, hint in get_type_hints(feed.record).items():
        for choice in (hint, *get_args(hint)):
            if isinstance(choice, type) and issubclass(choice, StrEnum):
                facts[name] = list(choice)[-1]
    facts |= GO_TOGETHER.get(feed.name, {}) | changes
    return seal(feed.record(**facts), identity=("made", "by", "hand"))


def leave_out_unknown(feed: Feed[Record]) -> Record:
    """A sealed record that knows no more than it has to, its lists empty."""
    unknown: dict[str, object] = {field.name: None for field in feed.fields if field.nullable}
    empty: dict[str, object] = {field.name: () for field in feed.fields if field.kind in LISTS}
    return build_record(feed, **(empty | unknown))


def renamed(record: Record, event_id: str) -> Record:
    """The same under another id."""
    return msgspec.structs.replace(record, event_id=event_id)
