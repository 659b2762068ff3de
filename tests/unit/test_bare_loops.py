"""The yardsticks of the loads write what the loads write, or they would measure something else."""

import random
from dataclasses import dataclass
from typing import cast

import msgspec
import pytest
from confluent_kafka import Message

from benchmarks.bare import ARRIVAL, YARDSTICKS, Yardstick
from benchmarks.made import MADE
from crypto_platform.feeds.codec import decode, encode
from crypto_platform.feeds.feed import Feed, Record
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.mongo.documents import ArrivalEncoder, Documents
from crypto_platform.stores.postgres.rows import columns_of, encode_rows, format_fields
from crypto_platform.stores.slices import Arrival, build_arrivals
from tests.store_steps import NOON, TOPIC_ID


@dataclass(frozen=True)
class Heard:
    """What the loops ask of one of the client's messages."""

    place: int

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return self.place

    def timestamp(self) -> tuple[int, int]:
        return 2, NOON // 1000 + self.place


def make(name: str) -> tuple[Feed[Record], Yardstick, list[Record], list[Message], list[object]]:
    """Some made records of a feed, as messages and as the bare loop decodes them."""
    feed, make_one = MADE[name]
    rng = random.Random(1)
    records = [make_one(number, rng) for number in range(45)]
    bare = [msgspec.json.decode(encode(record), type=YARDSTICKS[name].record) for record in records]
    messages = [cast("Message", Heard(place)) for place in range(45)]
    return feed, YARDSTICKS[name], records, messages, bare


@pytest.mark.parametrize("name", MADE)
def test_made_records_are_taken_and_differ(name: str) -> None:
    """A benchmark of refused records, or of repeats, would praise the wrong way."""
    feed, _, records, _, _ = make(name)
    taken = [decode(feed, encode(record), record_bytes_max=100_000) for record in records]
    assert taken == records
    assert len({record.event_id for record in records}) == len(records)


@pytest.mark.parametrize("name", MADE)
def test_the_bare_loops_documents_are_those_of_the_platform(name: str) -> None:
    """To the byte."""
    feed, yardstick, records, messages, bare = make(name)
    times = [NOON + 1000 * place for place in range(len(records))]
    arrivals = ArrivalEncoder(TOPIC_ID, 3).encode(range(len(records)), times)
    columns = build_arrivals([Arrival(r, 0, NOON) for r in records], feed=feed).columns
    platform = Documents(feed).encode(columns, arrivals)
    assert yardstick.documents(TOPIC_ID)(messages, bare) == platform


@pytest.mark.parametrize("name", MADE)
def test_the_bare_loops_rows_are_those_of_the_platform(name: str) -> None:
    """In an order of columns of their own."""
    feed, yardstick, records, messages, bare = make(name)
    arrived = [Arrival(r, place, NOON + 1000 * place) for place, r in enumerate(records)]
    arrivals = build_arrivals(arrived, feed=feed)
    texts = format_fields(feed.fields, arrivals.columns)
    rows = encode_rows(texts, TopicPart(TOPIC_ID, 3), arrivals)
    platform = [
        dict(zip(columns_of(feed), line.split("\t"), strict=True))
        for line in rows.decode().splitlines()
    ]
    names = (*yardstick.record.__struct_fields__, *ARRIVAL)
    found = [
        dict(zip(names, line.removesuffix("\n").split("\t"), strict=True))
        for line in yardstick.rows(TOPIC_ID)(messages, bare)
    ]
    assert found == platform
