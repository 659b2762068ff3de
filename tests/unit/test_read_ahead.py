"""ReadAhead: batches of what was read, in order, and what the broker no longer has."""

from collections.abc import Mapping
from typing import cast

import pytest

from crypto_platform.delivery.ahead import Batch, ReadAhead
from crypto_platform.kafka.reader import PartitionReader, PartRead, PositionDoubtedError
from crypto_platform.kafka.watermarks import Part
from crypto_platform.settings import LoadSettings
from tests.unit.test_slices import claim, raw, read_of

PART = Part("market.quotes", 0)


class SilentReader:
    """Brings nothing, or the error it was given, and notes what is dropped."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.dropped: list[Part] = []

    def read(self, **limits: float) -> Mapping[Part, PartRead]:
        del limits
        if self.error is not None:
            raise self.error
        return {}

    def drop(self, parts: list[Part]) -> None:
        self.dropped += parts


def read_ahead(reader: SilentReader, first: PartRead) -> ReadAhead:
    """Of one partition, which begins at 10."""
    return ReadAhead(
        cast("PartitionReader", reader),
        {PART: claim(next_offset=10)},
        {PART: first},
        encode=lambda slice_: slice_,
        limits=LoadSettings(),
    )


def test_what_was_read_before_its_place_was_lost_still_comes() -> None:
    """Retention may overtake a slow load: what is in hand by then is not lost."""
    reader = SilentReader(PositionDoubtedError("gone"))
    with read_ahead(reader, read_of(raw(10), raw(11), next_offset=12)) as ahead:
        batch = ahead.take(wait_s=5, records_max=100) or Batch()
        assert [(each.first_offset, each.next_offset) for each in batch.slices] == [(10, 12)]
        assert batch.records == 2
        with pytest.raises(PositionDoubtedError, match="gone"):
            ahead.take(wait_s=5, records_max=100)


def test_a_partition_whose_place_is_gone_is_read_no_further() -> None:
    reader = SilentReader()
    with read_ahead(reader, PartRead(lost_position="gone")) as ahead:
        batch = ahead.take(wait_s=5, records_max=100) or Batch()
    assert (batch.slices, batch.lost) == ([], {PART: "gone"})
    assert reader.dropped == [PART]
