"""Ask a venue for one symbol after another: one that fails holds up no other.

Here: which errors are a symbol's own, what is in hand when the venue can be asked no further, and
where the next round begins. Not here: what is asked (venue_polls.py, the dialects).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from crypto_platform.errors import (
    SourceError,
    SourceMalformedError,
    SourceRefusedError,
    SourceUnavailableError,
)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Round(Generic[T]):
    """What one round gave.

    Attributes:
        answers: In the order of asking.
        faults: By name, the errors that are a symbol's own.
        interruption: Why those behind were not asked; None where all were.
        next_place: Where the next round begins.
    """

    answers: Sequence[T]
    faults: Mapping[str, SourceError]
    interruption: SourceUnavailableError | None = None
    next_place: int = 0

    def check(self) -> None:
        """See that there is something in hand.

        Raises:
            SourceError: Of what was asked nothing was answered; what ended the round, else what is
                wrong with its first symbol.
        """
        if not self.answers:
            raise self.interruption or next(iter(self.faults.values()))


def ask_each(names: Sequence[str], ask: Callable[[str], T], *, first_place: int = 0) -> Round[T]:
    """Ask for each name once, from one of them on and round to those before it.

    A source that can be asked no further (over its budget, away) ends the round; the next one
    begins where it ended. One that ended at its very first symbol is followed by one that begins
    behind it: should this symbol alone be what fails, the others still have their turn.

    Args:
        names: At least one.
        ask: For one of them.
        first_place: Which of them is asked first.
    """
    answers: list[T] = []
    faults: dict[str, SourceError] = {}
    for turn in range(len(names)):
        place = (first_place + turn) % len(names)
        try:
            answers.append(ask(names[place]))
        except (SourceRefusedError, SourceMalformedError) as error:
            faults[names[place]] = error
        except SourceUnavailableError as error:
            next_place = place if turn else (place + 1) % len(names)
            return Round(answers=answers, faults=faults, interruption=error, next_place=next_place)
    return Round(answers=answers, faults=faults)
