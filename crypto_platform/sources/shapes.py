"""How an answer differs from what its dialect reads: fields nobody reads, and fields that are gone.

Here: the keys of what is decoded beside those of its wire struct, while somebody watches
(`sources check`). Not here: decoding (pages.py). What has no keys is not compared: arrays that are
read by place (most candles), and what ccxt reads.

A venue adds a field without a word, and msgspec passes over it; a field that is gone becomes None
in every record. Neither is an error, and both are what a person wants to know of a dialect.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, cast, get_args, get_origin

import msgspec


@dataclass
class _Seen:
    """One object of an answer, as all structs together that it was decoded into read it."""

    keys: frozenset[str]
    read: set[str] = field(default_factory=set[str])


@dataclass
class Shapes:
    """What was decoded while somebody watched."""

    _seen: dict[tuple[bytes, str], _Seen] = field(default_factory=dict[tuple[bytes, str], _Seen])

    def note(self, wire_type: object, body: bytes) -> None:
        """Compare an answer, or an item of one, with the type it is decoded into."""
        # what is no JSON is refused where it is decoded
        with contextlib.suppress(msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            self._visit(wire_type, msgspec.json.decode(body), body, "")

    def _visit(self, wire_type: object, value: object, body: bytes, path: str) -> None:
        if isinstance(wire_type, type) and issubclass(wire_type, msgspec.Struct):
            if isinstance(value, dict):
                self._visit_object(wire_type, cast("dict[str, object]", value), body, path)
            return
        inner = get_args(wire_type)
        if get_origin(wire_type) is dict and isinstance(value, dict):
            for key, each in cast("dict[str, object]", value).items():
                self._visit(inner[1], each, body, f"{path}[{key}]")
        elif get_origin(wire_type) is list and isinstance(value, list):
            for place, each in enumerate(cast("list[object]", value)):
                self._visit(inner[0], each, body, f"{path}[{place}]")
        else:
            # a union, an annotated type
            for each in inner:
                self._visit(each, value, body, path)

    def _visit_object(
        self, wire_type: type[msgspec.Struct], value: dict[str, Any], body: bytes, path: str
    ) -> None:
        seen = self._seen.setdefault((body, path), _Seen(keys=frozenset(value)))
        for each in msgspec.structs.fields(wire_type):
            seen.read.add(each.encode_name)
            if each.encode_name in value:
                self._visit(each.type, value[each.encode_name], body, f"{path}.{each.encode_name}")

    @property
    def unread(self) -> dict[str, int]:
        """Fields that the answers have and the dialect does not read, in how many objects."""
        return self._count(lambda seen: seen.keys - seen.read)

    @property
    def missing(self) -> dict[str, int]:
        """Fields that the dialect reads and the answers do not have, in how many objects."""
        return self._count(lambda seen: seen.read - seen.keys)

    def _count(self, choose: Callable[[_Seen], Iterable[str]]) -> dict[str, int]:
        counts = Counter(
            f"{_PLACE.sub('[]', path)}.{key}".lstrip(".")
            for (_, path), seen in self._seen.items()
            for key in choose(seen)
        )
        return dict(sorted(counts.items()))


_PLACE = re.compile(r"\[[^\]]*\]")
_WATCHING: ContextVar[Shapes | None] = ContextVar("shapes", default=None)


@contextlib.contextmanager
def watch_shapes() -> Generator[Shapes]:
    """Compare whatever this thread decodes meanwhile."""
    shapes = Shapes()
    token = _WATCHING.set(shapes)
    try:
        yield shapes
    finally:
        _WATCHING.reset(token)


def note_shape(wire_type: object, body: bytes) -> None:
    """Compare an answer with its type, where somebody watches."""
    shapes = _WATCHING.get()
    if shapes is not None:
        shapes.note(wire_type, body)
