"""The embedded stack's own words in a Status: the one place where serving/ and stack/ meet."""

from collections.abc import Callable, Sequence
from pathlib import Path

from crypto_platform.serving.health import PartStatus
from crypto_platform.stack.state import PartState, read_state

_GOOD_STATES = frozenset({PartState.READY, PartState.DONE})


def build_read_parts(data_dir: Path) -> Callable[[], Sequence[PartStatus] | None]:
    """A function that reads what the supervisor of this folder says; None where none runs."""

    def read_parts() -> Sequence[PartStatus] | None:
        state = read_state(data_dir)
        if state is None:
            return None
        return [
            PartStatus(
                name=name,
                state=part.state.value,
                pid=part.pid,
                restarts=part.restarts,
                address=part.address,
                is_good=part.state in _GOOD_STATES,
            )
            for name, part in state.parts.items()
        ]

    return read_parts
