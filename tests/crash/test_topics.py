"""What may happen to a topic while loads are behind: open transactions, more partitions, poison."""

import json

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions

from crypto_platform.errors import Reason
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.kafka.connection import client_config
from crypto_platform.stores import STORES
from tests.fault_steps import assert_whole, ids_of, numbered_quotes, read_topic, stored_ids
from tests.platform_harness import Platform
from tests.waiting import eventually


def test_a_transaction_left_open_hides_records_for_seconds_and_then_nothing(
    platform: Platform,
) -> None:
    """Fault 15: its producer is gone for good; lag must come back to 0 without it."""
    platform.publish(QUOTES, numbered_quotes(1, 9))
    lost = Producer(
        client_config(platform.settings)
        | {
            "transactional.id": f"{platform.name}.lost",
            "transaction.timeout.ms": 2000,
            "socket.timeout.ms": 2000,
        }
    )
    lost.init_transactions(30)
    lost.begin_transaction()
    for record in numbered_quotes(10, 19):
        lost.produce(platform.topic(QUOTES), key=QUOTES.key_of(record), value=encode(record))
    assert lost.flush(30) == 0
    platform.publish(QUOTES, numbered_quotes(20, 29))
    sent = numbered_quotes(1, 9) + numbered_quotes(20, 29)

    def is_loaded() -> bool:
        platform.load_both()
        return all(stored_ids(platform, store) == ids_of(sent) for store in STORES)

    eventually(is_loaded, within_s=30)
    assert_whole(platform, sent)


def test_partitions_added_to_a_topic_are_loaded_like_the_others(platform: Platform) -> None:
    """Fault 16: what a load was started with must not be all that it ever reads."""
    quotes = numbered_quotes(1, 30)
    platform.publish(QUOTES, quotes)
    platform.load_both()
    admin = AdminClient(client_config(platform.settings))
    [future] = admin.create_partitions([NewPartitions(platform.topic(QUOTES), 6)]).values()
    future.result(timeout=30)
    eventually(platform.has_leaders, within_s=60)
    # a publisher learns of them with its next look at the topic; a new one looks at once
    platform.close_publishers()
    # the same records again: their keys may now lead to another partition than before
    platform.publish(QUOTES, quotes + numbered_quotes(31, 60))
    assert all(read_topic(platform)[part] for part in (3, 4, 5))

    platform.load_both()

    assert_whole(platform, numbered_quotes(1, 60))


GOOD = json.loads(encode(numbered_quotes(1, 1)[0]))


def spoiled(**changes: object) -> bytes:
    """A sound quote with something changed; a name given None is left out."""
    fields = {k: v for k, v in (GOOD | changes).items() if not (k in changes and v is None)}
    return json.dumps(fields).encode()


def nested(depth: int) -> bytes:
    """A sound quote with an unknown field of lists within lists; json.dumps would not make it."""
    return json.dumps(GOOD)[:-1].encode() + b',"unknown":' + b"[" * depth + b"]" * depth + b"}"


POISON = {
    "bad JSON": (b'{"v":1,', Reason.UNDECODABLE),
    "not UTF-8": (b"\xff\xfe", Reason.UNDECODABLE),
    "a tombstone": (None, Reason.UNDECODABLE),
    "NUL in a text": (spoiled(currency_name="a\x00b"), Reason.INVARIANT),
    "900 KB": (spoiled(currency_name="x" * 900_000), Reason.TOO_LARGE),
    "NaN": (spoiled(price="NaN"), Reason.INVARIANT),
    "Infinity": (spoiled(price="Infinity"), Reason.INVARIANT),
    "NaN as a JSON number": (json.dumps(GOOD | {"price": float("nan")}).encode(), None),
    "60 digits": (spoiled(price="1" * 60), Reason.INVARIANT),
    "a wrong type": (spoiled(price=[1]), Reason.INVARIANT),
    "no id": (spoiled(event_id=None), Reason.INVARIANT),
    "no time of receipt": (spoiled(ts_ingest=None), Reason.INVARIANT),
    "an unknown version": (spoiled(v=9), Reason.UNKNOWN_SCHEMA),
    "no version": (spoiled(v=None), Reason.UNKNOWN_SCHEMA),
    "100,000 deep where nobody looks": (nested(100_000), Reason.UNDECODABLE),
}


@pytest.mark.parametrize("store", STORES)
def test_poison_of_every_kind_is_quarantined_where_it_lies_and_stops_nobody(
    platform: Platform, store: str
) -> None:
    """Fault 20: one bad value must not cost its neighbours, its topic or its speed."""
    one_partition = numbered_quotes(1, 2 * len(POISON), currency_id="bitcoin")
    key = QUOTES.key_of(one_partition[0])
    values: list[tuple[bytes | None, Reason | None]] = []
    for number, (poison, reason) in enumerate(POISON.values()):
        values.append((encode(one_partition[2 * number]), None))
        values.append((poison, reason or Reason.UNDECODABLE))
        values.append((encode(one_partition[2 * number + 1]), None))
    platform.publish_raw([(QUOTES, key, value) for value, _ in values])

    report = platform.load(store)

    # all of it in a few transactions, as if nothing were wrong
    assert report.progress.commits <= 3
    assert report.progress.stored_records == {"quotes": 2 * len(POISON)}
    reader = platform.store(store, role="analyst")
    entries = list(reader.read_quarantine())
    expected = [(n, value, reason) for n, (value, reason) in enumerate(values) if reason]
    assert [(entry.offset, entry.value, entry.reason) for entry in entries] == expected
    platform.load_both()
    assert_whole(platform, one_partition, quarantined=len(POISON))
