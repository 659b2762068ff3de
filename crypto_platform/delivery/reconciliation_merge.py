"""Streams in the order of their keys, side by side: nothing is held but what is compared.

Here: neighbours of one key together, several streams in lockstep. Not here: what the values mean.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any


def group(values: Iterable[Any], key: Callable[[Any], str]) -> Iterator[tuple[str, list[Any]]]:
    """Neighbours of one key together."""
    for name, members in groupby(values, key):
        yield name, list(members)


def merge(streams: Sequence[Iterator[tuple[str, Any]]]) -> Iterator[tuple[str, list[Any]]]:
    """Each key with every stream's value of it, None where a stream has none.

    Args:
        streams: Each by rising keys, byte by byte, which is how Python orders text.
    """
    heads = [next(stream, None) for stream in streams]
    while keys := [head[0] for head in heads if head is not None]:
        key = min(keys)
        values: list[Any] = [None] * len(heads)
        for place, head in enumerate(heads):
            if head is not None and head[0] == key:
                values[place] = head[1]
                heads[place] = next(streams[place], None)
        yield key, values
