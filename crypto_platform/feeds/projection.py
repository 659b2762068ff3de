"""State that is derived from a feed's records: what is current, each thing once.

Here: what a feed declares of it, and the fold of records into states, which is the same whatever
their order and however often one comes: of a thing the state with the highest sequence stays, and
its parts are a set. Not here: where states are kept (stores/), which there are (accounts.py).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

from crypto_platform.feeds.record import Field, Index, State, list_fields

Key = tuple[str, ...]
"""What a state is of, by its projection's key_names."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Pieces of a state that come one by one, each with an event of its own: an order's fills.

    Attributes:
        name: Of the list that holds them in the state's document; a table has none, for there the
            records themselves tell (a view).
        part: Their struct; it has a `sequence`, which orders them.
        key_name: The field that tells one from another.
        derive: Those of one record; they belong to the state it gives.
    """

    name: str
    part: type[State]
    key_name: str
    derive: Callable[[Any], Iterable[State]]

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """Of a part."""
        return list_fields(self.part)


@dataclass(frozen=True, kw_only=True)
class Projection:
    """One kind of state that a feed's records give.

    Attributes:
        schema, table: PostgreSQL's names, singular.
        collection: MongoDB's name, plural.
        state: The struct.
        key_names: Fields that tell one thing from another, the most general first.
        derive: The states of one record, as it leaves them.
        parts: What belongs to a state piece by piece.
        indexes: Beside the key.
    """

    schema: str
    table: str
    collection: str
    state: type[State]
    key_names: tuple[str, ...]
    derive: Callable[[Any], Iterable[State]]
    parts: Parts | None = None
    indexes: tuple[Index, ...] = ()

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """Of a state, in declared order."""
        return list_fields(self.state)

    def key_of(self, state: State) -> Key:
        """Of which thing it is the state."""
        return tuple([getattr(state, name) for name in self.key_names])


@dataclass(frozen=True, kw_only=True)
class Folded:
    """What some records say of each thing.

    Attributes:
        states: The last one of each.
        parts: Of some of them, by their own key.
    """

    states: Mapping[Key, State] = field(default_factory=dict[Key, State])
    parts: Mapping[Key, Mapping[str, State]] = field(default_factory=dict[Key, Mapping[str, State]])


def fold(projection: Projection, records: Iterable[msgspec.Struct]) -> Folded:
    """What records say of each thing, in any order."""
    states: dict[Key, State] = {}
    parts: dict[Key, dict[str, State]] = {}
    for record in records:
        for state in projection.derive(record):
            key = projection.key_of(state)
            known = states.get(key)
            if known is None or known.sequence < state.sequence:
                states[key] = state
            if projection.parts is not None:
                for part in projection.parts.derive(record):
                    parts.setdefault(key, {})[getattr(part, projection.parts.key_name)] = part
    return Folded(states=states, parts=parts)


def merge(folds: Sequence[Folded]) -> Folded:
    """What several folds say together."""
    if len(folds) == 1:
        return folds[0]
    states: dict[Key, State] = {}
    parts: dict[Key, dict[str, State]] = {}
    for each in folds:
        for key, state in each.states.items():
            known = states.get(key)
            if known is None or known.sequence < state.sequence:
                states[key] = state
        for key, own in each.parts.items():
            parts.setdefault(key, {}).update(own)
    return Folded(states=states, parts=parts)


def order_parts(parts: Iterable[State]) -> list[State]:
    """By their sequence."""
    return sorted(parts, key=_sequence)


def _sequence(state: State) -> int:
    return state.sequence
