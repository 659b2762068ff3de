"""ReadAhead: batches of what was read, in order, and what the broker no longer has."""

from collections.abc import Mapping
from typing import cast

from crypto_platform.delivery.ahead import Batch, ReadAhead
from crypto_platform.kafka.reader import PartitionReader, PartRead
from crypto_platform.kafka.watermarks import Part
from crypto_platform.settings import LoadSettings
from tests.unit.test_slices import claim, raw, read_of

PART = Part("market.quotes", 0)


class StillReader:
    """Brings nothing more, and notes what is dropped."""

    def __init__(self) -> None:
        self.dropped: list[Part] = []

    def read(self, **limits: float) -> Mapping[Part, PartRead]:
        del limits
        return {}

    def drop(self, parts: list[Part]) -> None:
        self.dropped += parts


def test_what_was_read_before_its_place_was_lost_still_comes() -> None:
    """Retention may overtake a slow load: what is in hand by then is not lost."""
    read = read_of(raw(10), raw(11), next_offset=12)
    read.lost_position = "gone"
    reader = StillReader()
    with ReadAhead(
        cast("PartitionReader", reader),
        {PART: claim(next_offset=10)},
        {PART: read},
        encode=lambda slice_: slice_,
        limits=LoadSettings(),
    ) as ahead:
        batch = ahead.take(wait_s=5, records_max=100) or Batch()
    assert [(each.first_offset, each.next_offset) for each in batch.slices] == [(10, 12)]
    assert batch.records == 2
    assert batch.lost == {PART: "gone"}
    assert reader.dropped == [PART]
