"""State that is derived from a feed's records: what is current, each thing once.

Here: what a feed declares of it, and the fold of records into states, which is the same whatever
their order and however often one comes: of a thing the state with the highest sequence stays, and
of its parts each once. In columns, as loads work. Not here: where states are kept (stores/), which
there are (accounts.py).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter, itemgetter
from typing import Any, TypeVar

from crypto_platform.feeds.record import Field, Index, State, list_fields

Key = tuple[str, ...]
"""What a state is of, by its projection's key_names."""

Columns = Sequence[Sequence[Any]]
"""Values by field, in declared order, all equally long."""

Named = Mapping[str, Sequence[Any]]
"""Values by field name, all equally long."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Pieces of a state that come one by one, each with a record of its own: an order's fills.

    They are read from the records when they are asked for (a view): that has no bound, costs no
    write and cannot differ.

    Attributes:
        name: Of all of them, plural.
        part: Their struct, whose fields are the record's; its `sequence` orders them.
        key_name: The field that tells one of a state's from another; a record without it is none.
        owner_names: Fields of record and state in which a part and its state agree.
    """

    name: str
    part: type[State]
    key_name: str
    owner_names: tuple[str, ...]

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """Of a part."""
        return list_fields(self.part)

    def owner_of(self, state: State) -> Key:
        """What a state and its parts agree in."""
        return tuple([getattr(state, name) for name in self.owner_names])


@dataclass(frozen=True, kw_only=True)
class Derived:
    """States, each as one record leaves it.

    What a state takes over from its record is not copied: stores have it encoded with the records.

    Attributes:
        records: What they were derived from.
        places: Of each state, which record it is of.
        own: What is not that record's field of the same name.
    """

    records: Named
    places: Sequence[int]
    own: Named

    def column(self, name: str) -> Sequence[Any]:
        """One field of all states."""
        own = self.own.get(name)
        return pick(self.records[name], self.places) if own is None else own

    def take(self, chosen: Sequence[int]) -> "Derived":
        """Only these states."""
        return Derived(
            records=self.records,
            places=pick(self.places, chosen),
            own={name: pick(column, chosen) for name, column in self.own.items()},
        )


@dataclass(frozen=True, kw_only=True)
class Projection:
    """One kind of state that a feed's records give.

    Attributes:
        schema, table: PostgreSQL's names, singular.
        collection: MongoDB's name, plural.
        state: The struct.
        key_names: Fields that tell one thing from another, the most general first.
        derive: The states of some records, each as its record leaves it, in any order.
        list_names: Of a state's fields, those that a record lists, an element a state, and the
            record's field; all others are the record's own.
        parts: What belongs to a state piece by piece; the state's key is one field then.
        indexes: Beside the key.
    """

    schema: str
    table: str
    collection: str
    state: type[State]
    key_names: tuple[str, ...]
    derive: Callable[[Named], Derived]
    list_names: Mapping[str, str] = field(default_factory=dict[str, str], compare=False)
    parts: Parts | None = None
    indexes: tuple[Index, ...] = ()

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """Of a state, in declared order."""
        return list_fields(self.state)

    def key_of(self, state: State) -> Key:
        """Of which thing it is the state."""
        return tuple([getattr(state, name) for name in self.key_names])

    def keys_of(self, derived: Derived) -> Sequence[Key]:
        """Of which things they are the states."""
        return list(zip(*map(derived.column, self.key_names), strict=True))

    def columns_of(self, derived: Derived) -> Columns:
        """Their fields."""
        return [derived.column(field.name) for field in self.fields]


_FEW = 2
_sequence = attrgetter("sequence")


def fold(projection: Projection, records: Named) -> Derived:
    """The last state of each thing that the records are about, in any order."""
    derived = projection.derive(records)
    last = _find_last(projection.keys_of(derived), derived.column("sequence"))
    whole = len(last) == len(derived.places)
    return derived if whole else derived.take(list(last.values()))


def arrange_parts(parts: Parts, state: State, found: Iterable[State]) -> tuple[State, ...]:
    """One state's by their sequence; of one that was told again, what was told last.

    What came after the state was read is left out.
    """
    last: dict[object, State] = {}
    for part in sorted(found, key=_sequence):
        if part.sequence <= state.sequence:
            last[getattr(part, parts.key_name)] = part
    return tuple(sorted(last.values(), key=_sequence))


def pick(column: Sequence[T], places: Sequence[int]) -> Sequence[T]:
    """Only these of its values, in the given order."""
    if len(places) < _FEW:  # of one, itemgetter gives no tuple
        return [column[place] for place in places]
    return itemgetter(*places)(column)


def _find_last(keys: Sequence[Key], sequences: Sequence[int]) -> dict[Key, int]:
    """Where each key stands with its highest sequence."""
    last: dict[Key, int] = {}
    for place, key in enumerate(keys):
        known = last.setdefault(key, place)
        if sequences[known] < sequences[place]:
            last[key] = place
    return last
