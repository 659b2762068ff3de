"""What earlier releases wrote into Kafka, byte for byte, read by today's code.

tests/old_values.jsonl holds two records of each feed as the release encoded them that first had the
feed, and again where a later one hashed or filled them otherwise. `python -m
tests.contract.test_old_values` adds those of a new feed; what stands there is never changed.
"""

import json
from pathlib import Path

import msgspec
import pytest

from crypto_platform.feeds import FEED_BY_NAME, FEEDS
from crypto_platform.feeds.codec import decode, encode
from crypto_platform.feeds.feed import NOT_FACTS, hash_content, hash_facts
from crypto_platform.migrations.postgres import list_revisions
from tests.feed_samples import build_record, leave_out_unknown

FILE = Path(__file__).parents[1] / "old_values.jsonl"
BYTES_MAX = 512 * 1024


class OldValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Kafka value of its time.

    Attributes:
        revision: Newest of PostgreSQL's then.
        written: The day.
    """

    revision: str
    written: str
    feed: str
    value: str


def read_old_values() -> list[OldValue]:
    """All of them, oldest first."""
    lines = FILE.read_text("utf-8").splitlines()
    return [msgspec.json.decode(line, type=OldValue) for line in lines]


OLD_VALUES = read_old_values()


@pytest.mark.parametrize("old", OLD_VALUES, ids=lambda old: f"{old.revision}-{old.feed}")
def test_a_value_of_an_earlier_release_is_read_with_nothing_lost(old: OldValue) -> None:
    """Kafka keeps account events for good: a reader that forgets a version loses them."""
    feed = FEED_BY_NAME[old.feed]
    record = decode(feed, old.value.encode(), record_bytes_max=BYTES_MAX)
    written, read = json.loads(old.value), json.loads(encode(record))
    assert {name: read.get(name) for name in written} == written
    assert all(value in (None, []) for name, value in read.items() if name not in written)


@pytest.mark.parametrize("old", OLD_VALUES, ids=lambda old: f"{old.revision}-{old.feed}")
def test_its_hash_is_one_that_the_deep_audit_accepts(old: OldValue) -> None:
    """Of its facts, or, until 2026-11-27, of the remarks and mapped names beside them too."""
    feed = FEED_BY_NAME[old.feed]
    record = decode(feed, old.value.encode(), record_bytes_max=BYTES_MAX)
    names = [field.name for field in feed.fields if field.name not in NOT_FACTS]
    everything = hash_content({name: getattr(record, name) for name in names})
    assert record.content_hash in {hash_facts(record), everything}


def test_every_feed_has_an_old_value() -> None:
    """What is not written down today cannot be proved to be readable tomorrow."""
    assert {feed.name for feed in FEEDS} == {old.feed for old in OLD_VALUES}
    assert {old.revision for old in OLD_VALUES} <= list_revisions()


if __name__ == "__main__":
    from datetime import UTC, datetime

    revision, known = max(list_revisions()), {old.feed for old in OLD_VALUES}
    with FILE.open("a", encoding="utf-8") as file:
        for feed in (feed for feed in FEEDS if feed.name not in known):
            for number, record in enumerate((build_record(feed), leave_out_unknown(feed))):
                named = msgspec.structs.replace(record, event_id=f"old:{revision}:{number}")
                old = OldValue(
                    revision=revision,
                    written=f"{datetime.now(UTC):%Y-%m-%d}",
                    feed=feed.name,
                    value=encode(named).decode(),
                )
                file.write(msgspec.json.encode(old).decode() + "\n")
