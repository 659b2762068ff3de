"""Several load runs of one store beside each other: each takes the partitions of its shard.

A partition's number decides, so runs never have to agree on anything. Where two runs count the
shards otherwise (a setting has changed), they want the same partitions: the younger claim fences
the older one, as in every hand-over, and nothing is lost or stored twice. Pure.
"""

from typing import NamedTuple


class Shard(NamedTuple):
    """One of `shards` equal parts of every topic; the first is number 0.

    Written 0/2: partitions 0, 2, 4, …
    """

    number: int
    shards: int

    def __str__(self) -> str:
        return f"{self.number}/{self.shards}"

    def holds(self, part: int) -> bool:
        """Whether a partition of this number is its."""
        return part % self.shards == self.number


EVERYTHING = Shard(0, 1)


def list_shards(count: int) -> list[Shard]:
    """All of them."""
    return [Shard(number, count) for number in range(count)]


def parse_shard(text: str) -> Shard:
    """The shard that `str` wrote.

    Raises:
        ValueError: It is none.
    """
    number, _, count = text.partition("/")
    shard = Shard(int(number), int(count))
    if not 0 <= shard.number < shard.shards:
        message = f"{text} is no shard: 0/2 and 1/2 are the two halves"
        raise ValueError(message)
    return shard
