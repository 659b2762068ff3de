"""What a sensor remembers between its ticks, out of the cursor that Dagster keeps for it."""

from typing import TypeVar

import msgspec

Kept = TypeVar("Kept")
Default = TypeVar("Default")


def read_cursor(text: str | None, kind: type[Kept], *, default: Default) -> Kept | Default:
    """What was remembered; the default at the first tick, and where it was written otherwise.

    Args:
        text: As JSON; another release may have written it.
    """
    if not text:
        return default
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError:
        return default
