"""Ask whichever store answers: PostgreSQL first, MongoDB where that is deaf or down.

Here: one question put to one store after the other, each in a thread with a deadline. Not here:
what is asked (reader.py, market.py), SQL and BSON (stores/).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from crypto_platform.errors import StoreUnavailableError
from crypto_platform.serving.probe import Answer, Probe
from crypto_platform.settings import Settings
from crypto_platform.stores import open_store
from crypto_platform.stores.base import Store

T = TypeVar("T")

READ_ORDER = ("postgres", "mongo")
"""PostgreSQL is home of market data, MongoDB its mirror."""

ANSWER_S_MAX = 2.0
"""A store that has not answered by then is left for the next one."""


@dataclass(frozen=True, kw_only=True)
class Answered(Generic[T]):
    """What a store said.

    Attributes:
        store: Which one.
        problems: Why the stores before it did not, one line each.
    """

    store: str
    problems: tuple[str, ...]
    value: T


class Failover(Generic[T]):
    """Puts one question again and again, connections kept open. For one thread."""

    def __init__(
        self,
        settings: Settings,
        question: Callable[[Store], T],
        *,
        order: Sequence[str] = READ_ORDER,
        answer_s_max: float = ANSWER_S_MAX,
    ) -> None:
        """Nothing is connected yet.

        Args:
            settings: With the stores' addresses.
            question: Called in another thread, never twice at once on one store.
            order: In which the stores are asked.
            answer_s_max: Longest wait for a store that is there; one that is not shows by its
                ping, within ANSWER_S_MAX.
        """
        self._settings = settings
        self._order = order
        self._answer_s_max = answer_s_max
        self._stores: dict[str, Store] = {}
        self._pings = {name: Probe(lambda name=name: self._open(name).ping()) for name in order}
        self._probes = {name: Probe(lambda name=name: question(self._open(name))) for name in order}

    def read(self) -> Answered[T]:
        """The answer of the first store that gives one.

        Raises:
            StoreUnavailableError: None did; holds what each said.
        """
        problems: list[str] = []
        for name in self._order:
            answer = self._ask(name)
            if answer.value is not None:
                return Answered(store=name, problems=tuple(problems), value=answer.value)
            problems.append(f"{name}: {answer.problem}")
        message = f"no store answers: {'; '.join(problems)}"
        raise StoreUnavailableError(message)

    def close(self) -> None:
        """Give back connections."""
        for store in self._stores.values():
            store.close()

    def _ask(self, name: str) -> Answer[T]:
        probe = self._probes[name]
        if not probe.is_open:
            ping = self._pings[name]
            ping.ask()
            pong = ping.answer(within_s=ANSWER_S_MAX)
            if pong.value is None:
                return Answer(problem=pong.problem)
        probe.ask()
        return probe.answer(within_s=self._answer_s_max)

    def _open(self, name: str) -> Store:
        if name not in self._stores:
            self._stores[name] = open_store(name, self._settings, role="analyst")
        return self._stores[name]


def ask_once(
    settings: Settings,
    question: Callable[[Store], T],
    *,
    order: Sequence[str] = READ_ORDER,
    answer_s_max: float = ANSWER_S_MAX,
) -> Answered[T]:
    """`Failover.read`, once."""
    failover = Failover(settings, question, order=order, answer_s_max=answer_s_max)
    try:
        return failover.read()
    finally:
        failover.close()
