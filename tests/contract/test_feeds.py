"""What every feed must be: a new entry in FEEDS is tested before it has a test file."""

import json
from typing import get_type_hints

import msgspec
import pytest

from crypto_platform.errors import Reason, RecordRejectedError
from crypto_platform.feeds import FEED_BY_NAME, FEEDS
from crypto_platform.feeds.codec import decode, encode
from crypto_platform.feeds.feed import Feed, FieldKind, Record, hash_facts
from crypto_platform.kafka.reader import PARTITION_FETCH_BYTES, QUEUED_BYTES_MAX
from tests.feed_samples import POSITIVE_SAMPLES, SAMPLES, build_record, leave_out_unknown

RECORD_BYTES_MAX = 100_000

each_feed = pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)


def spoil(feed: Feed[Record], /, **changes: object) -> bytes:
    return json.dumps(json.loads(encode(build_record(feed))) | changes).encode()


def refuse(feed: Feed[Record], value: bytes, *, size_max: int = RECORD_BYTES_MAX) -> Reason:
    with pytest.raises(RecordRejectedError) as refused:
        decode(feed, value, record_bytes_max=size_max)
    return refused.value.reason


def names_of(feed: Feed[Record], kind: FieldKind) -> list[str]:
    return [field.name for field in feed.fields if field.kind is kind]


def test_no_two_feeds_share_a_name_or_a_place() -> None:
    """Two feeds in one table would find each other's rows missing in every audit."""
    for places in (
        [feed.name for feed in FEEDS],
        [feed.topic for feed in FEEDS],
        [(feed.schema, feed.table) for feed in FEEDS],
        [feed.collection for feed in FEEDS],
    ):
        assert len(set(places)) == len(FEEDS)
    assert len(FEED_BY_NAME) == len(FEEDS)


@each_feed
def test_every_field_is_of_a_kind_both_stores_can_keep(feed: Feed[Record]) -> None:
    """A float, a dict or a plain int would be kept differently by each of them."""
    assert {field.kind for field in feed.fields} <= set(FieldKind)
    hints = get_type_hints(feed.record, include_extras=True)
    assert not any("float" in str(hint) for hint in hints.values())
    assert [field.name for field in feed.fields][:3] == ["event_id", "content_hash", "ts_ingest"]


@each_feed
def test_indexes_name_fields_that_exist(feed: Feed[Record]) -> None:
    """A mistyped index would fail in one store and be taken silently by the other."""
    names = {field.name for field in feed.fields}
    assert {name.lstrip("-") for index in feed.indexes for name in index.fields} <= names


@each_feed
def test_a_feed_that_forgets_can_be_cut_by_time(feed: Feed[Record]) -> None:
    """PostgreSQL drops whole partitions, MongoDB finds what is old by an index."""
    if feed.retention_days is not None:
        assert feed.partition_step is not None
        assert any(index.fields[-1] == "-ts_event" for index in feed.indexes)


@each_feed
def test_a_record_comes_back_as_it_was(feed: Feed[Record]) -> None:
    """Full or with all that may be unknown left unknown."""
    for record in (build_record(feed), leave_out_unknown(feed)):
        assert decode(feed, encode(record), record_bytes_max=RECORD_BYTES_MAX) == record


@each_feed
def test_key_and_time_can_be_told_of_any_record(feed: Feed[Record]) -> None:
    """The producer asks for the key of every record, complete or not."""
    for record in (build_record(feed), leave_out_unknown(feed)):
        assert feed.key_of(record)
        assert feed.event_time_of(record) in {None, SAMPLES[FieldKind.TIME_US]}


@each_feed
def test_id_and_hash_depend_on_the_facts_alone(feed: Feed[Record]) -> None:
    """Not on when we asked, and not on the process that computed them."""
    record = build_record(feed)
    assert build_record(feed, ts_ingest=7) == msgspec.structs.replace(record, ts_ingest=7)
    assert hash_facts(record) == record.content_hash
    for field in feed.fields:
        if field.nullable:
            other = build_record(feed, **{field.name: None})
            assert (other.content_hash == record.content_hash) is not field.is_fact, field.name


@each_feed
@pytest.mark.parametrize("version", [None, 0, 99, "1"])
def test_an_unknown_version_is_not_guessed_at(feed: Feed[Record], version: object) -> None:
    """A record of tomorrow may mean something else by the same field."""
    assert refuse(feed, spoil(feed, v=version)) is Reason.UNKNOWN_SCHEMA


@each_feed
def test_the_version_is_required(feed: Feed[Record]) -> None:
    """Without it nothing tells which schema a value follows."""
    value = json.loads(encode(build_record(feed)))
    assert value.pop("v") == 1
    assert refuse(feed, json.dumps(value).encode()) is Reason.UNKNOWN_SCHEMA


@each_feed
def test_poison_is_refused_with_its_reason(feed: Feed[Record]) -> None:
    """Fault 20: each of these once ended somebody's load."""
    whole = encode(build_record(feed))
    assert refuse(feed, whole[:-1]) is Reason.UNDECODABLE
    assert refuse(feed, b"") is Reason.UNDECODABLE
    assert refuse(feed, b"\xff") is Reason.UNDECODABLE
    assert refuse(feed, spoil(feed, ts_ingest=float("nan"))) is Reason.UNDECODABLE
    assert refuse(feed, spoil(feed, event_id="")) is Reason.INVARIANT
    assert refuse(feed, spoil(feed, event_id="nul\x00")) is Reason.INVARIANT
    assert refuse(feed, spoil(feed, ts_ingest="noon")) is Reason.INVARIANT
    assert refuse(feed, spoil(feed, ts_ingest=-1)) is Reason.INVARIANT
    assert refuse(feed, spoil(feed, content_hash=2**64)) is Reason.INVARIANT
    assert refuse(feed, whole, size_max=len(whole) - 1) is Reason.TOO_LARGE
    assert refuse(feed, spoil(feed, more="x" * 900_000)) is Reason.TOO_LARGE


@each_feed
def test_a_missing_id_is_refused(feed: Feed[Record]) -> None:
    """It is the primary key of both stores."""
    value = json.loads(encode(build_record(feed)))
    del value["event_id"]
    assert refuse(feed, json.dumps(value).encode()) is Reason.INVARIANT


@each_feed
def test_no_text_holds_a_nul_and_every_text_has_an_end(feed: Feed[Record]) -> None:
    """PostgreSQL cannot keep a NUL, MongoDB can: the two would differ."""
    for name in names_of(feed, FieldKind.TEXT):
        assert refuse(feed, spoil(feed, **{name: "a\x00b"})) is Reason.INVARIANT, name
        assert refuse(feed, spoil(feed, **{name: "x" * 5000})) is Reason.INVARIANT, name
        assert refuse(feed, spoil(feed, **{name: 7})) is Reason.INVARIANT, name


@each_feed
@pytest.mark.parametrize(
    "amount", ["NaN", "Infinity", "-Infinity", "1e5", "-0", "", " 1", "1_000", "1" * 60, 1.5, 2]
)
def test_every_amount_is_a_finite_decimal_in_stored_form(
    feed: Feed[Record], amount: object
) -> None:
    """A NaN makes every sum behind it NaN; 60 digits are rounded by a Decimal128."""
    for name in names_of(feed, FieldKind.AMOUNT):
        assert refuse(feed, spoil(feed, **{name: amount})) is Reason.INVARIANT, name
    for name in names_of(feed, FieldKind.AMOUNTS):
        others = list(POSITIVE_SAMPLES[FieldKind.AMOUNTS][1:])
        assert refuse(feed, spoil(feed, **{name: [amount, *others]})) is Reason.INVARIANT, name


@each_feed
def test_lists_that_belong_together_hold_equally_many(feed: Feed[Record]) -> None:
    """A price without its quantity moves all below it one level up."""
    for one, _ in feed.paired_names:
        assert refuse(feed, spoil(feed, **{one: ["1"]})) is Reason.INVARIANT, one


@each_feed
def test_integers_and_times_stay_within_what_stores_can_hold(feed: Feed[Record]) -> None:
    """2^63 is a double in one store and an error in the other; year 10000 ends Python's dates."""
    for name in names_of(feed, FieldKind.INTEGER):
        assert refuse(feed, spoil(feed, **{name: 2**63})) is Reason.INVARIANT, name
    for name in names_of(feed, FieldKind.TIME_US):
        assert refuse(feed, spoil(feed, **{name: 253_402_300_800_000_000})) is Reason.INVARIANT, (
            name
        )


def test_all_partitions_fit_into_one_fetch() -> None:
    """Else one feed's backlog keeps another's records waiting until it is gone."""
    partitions = sum(feed.partitions for feed in FEEDS)
    assert partitions * PARTITION_FETCH_BYTES <= QUEUED_BYTES_MAX
