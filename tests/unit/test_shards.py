"""Shards deal every partition to exactly one run."""

import pytest

from crypto_platform.delivery.shards import EVERYTHING, Shard, list_shards, parse_shard


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64])
def test_every_partition_has_one_shard_whatever_their_number(count: int) -> None:
    """One without would never be loaded; one with two would go back and forth between runs."""
    for part in range(130):
        assert [shard.holds(part) for shard in list_shards(count)].count(True) == 1


def test_a_shard_is_read_back_as_it_was_written() -> None:
    """It travels in run configurations and tags."""
    assert parse_shard(str(Shard(1, 3))) == Shard(1, 3)
    assert list_shards(1) == [EVERYTHING]


@pytest.mark.parametrize("text", ["", "2/2", "-1/2", "0/0", "1", "a/b", "1/2/3"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    """Taken for something else it would load nothing, and nobody would notice."""
    with pytest.raises(ValueError, match=r"shard|int|unpack"):
        parse_shard(text)
