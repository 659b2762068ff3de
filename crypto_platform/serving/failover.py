"""Ask the home store of what is read, or its mirror where home is down or behind.

Here: one concept for every read. A feed's *home* answers (PostgreSQL for market data, MongoDB for
users' accounts) unless it does not answer, is without its tables, or has fallen behind the mirror;
then the mirror does, and the answer says so and how old its newest record is. Not here: what is
asked (reader.py, market.py), SQL and BSON (stores/).

How a store is doing is asked beside the question, by reading how far its loads have come: that
tells at once whether it lives and whether it is behind, and is remembered for CHECK_EVERY_S, so
that not every read waits for a store that is gone. A question that runs for a minute is given up as
soon as its store stops answering, not when its own limit is reached.
"""

import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar, cast

from crypto_platform.errors import PlatformError, StoreUnavailableError
from crypto_platform.feeds import Feed, Record
from crypto_platform.kafka.topics import topic_name
from crypto_platform.serving.probe import Answer, Probe
from crypto_platform.settings import Settings
from crypto_platform.stores import STORES, Role, open_store
from crypto_platform.stores.base import Store
from crypto_platform.stores.batches import RESTORING
from crypto_platform.stores.claims import StoredOffset

T = TypeVar("T")

HOME_OF_SCHEMA: Mapping[str, str] = {"accounts": "mongo"}
"""Where a feed of this schema is at home; any other is in HOME."""
HOME = "postgres"

ANSWER_S_MAX = 60.0
"""A long range takes its time; whether the store lives, its position tells."""
POSITION_S_MAX = 1.0
"""A store that has not told its position by then counts as down."""
LAST_ANSWER_S_MAX = 10.0
"""Where no store tells its position, both may just be slow: the last one is waited for so long."""
MIRROR_POSITION_S_MAX = 0.3
"""Longest wait for the mirror's position while home lives: only to know whether home is behind."""
CHECK_EVERY_S = 1.0
"""So long a position is believed; a store that was down is asked again as often."""
_STEP_S = 0.25
_WHOLLY_US = 100 * 365 * 86_400 * 1_000_000
"""Behind by everything: what is missing may be of any time."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Which store answered, and how fresh it is.

    Attributes:
        store: The one that answered.
        home: The one that should.
        problems: Why home did not, or why what it said may be old, one line each.
        newest_us: Append time of the newest record of what was asked, in that store; None where it
            has none.
        behind_s: How far the store is behind the other one; None where the other does not tell.
    """

    store: str
    home: str
    problems: tuple[str, ...] = ()
    newest_us: int | None = None
    behind_s: float | None = None

    @property
    def is_home(self) -> bool:
        """The store that should have answered did; `problems` may say more."""
        return self.store == self.home


@dataclass(frozen=True, kw_only=True)
class Answered(Generic[T]):
    """What a store said."""

    source: Source
    value: T


@dataclass(frozen=True, kw_only=True)
class Position:
    """How far a store has come in the feeds of a question, by partition."""

    rows: Mapping[tuple[str, int], StoredOffset]

    @property
    def newest_us(self) -> int | None:
        """Append time of the newest record."""
        return max((row.max_ts_append for row in self.rows.values()), default=0) or None

    def behind_s(self, other: "Position") -> float:
        """How much older its newest record is than the other's, where it is behind at all.

        Partitions under a restore lack anything, also where both stores have come equally far.
        """
        keys = {*self.rows, *other.rows}
        return max((self._behind_us(key, other.rows.get(key)) for key in keys), default=0) / 1e6

    def _behind_us(self, key: tuple[str, int], other: StoredOffset | None) -> int:
        own = self.rows.get(key)
        if own is not None and (own.blocked_by or "").startswith(RESTORING):
            return _WHOLLY_US
        if other is None or not other.next_offset:
            return 0
        if own is None:
            return _WHOLLY_US
        if own.next_offset >= other.next_offset:
            return 0
        return other.max_ts_append - own.max_ts_append


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which stores to ask, the best first.

    Attributes:
        problems: Why a store should not be believed, by store.
    """

    order: Sequence[str]
    problems: Mapping[str, str]


def home_of(feeds: Sequence[Feed[Record]]) -> str:
    """The store in which these feeds, which are read together, are at home."""
    [home] = {HOME_OF_SCHEMA.get(feed.schema, HOME) for feed in feeds}
    return home


def choose(home: str, positions: Mapping[str, Answer[Position]], *, behind_s_max: float) -> Choice:
    """Home if it lives and is not behind, else a mirror that is less so. Pure.

    A store that does not answer is asked last, for what was known of it may be over.
    """
    problems = {
        name: f"{name} does not answer ({answer.problem})"
        for name, answer in positions.items()
        if answer.value is None
    }
    order = sorted(positions, key=lambda name: (name in problems, name != home))
    own = positions[home].value
    mirror = next((name for name in order if name != home), None)
    other = None if mirror is None else positions[mirror].value
    if mirror is not None and own is not None and other is not None:
        behind_s, mirror_behind_s = own.behind_s(other), other.behind_s(own)
        if behind_s > behind_s_max:
            problems[home] = f"{home} is {_describe_s(behind_s)} behind"
        if mirror_behind_s > behind_s_max:
            problems[mirror] = f"{mirror} is {_describe_s(mirror_behind_s)} behind"
        if home in problems and mirror_behind_s < behind_s:
            order = [mirror, *(name for name in order if name != mirror)]
    return Choice(order=order, problems=problems)


def _describe_s(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < 365 * 86_400 else "wholly"


class Reads:
    """Puts questions to the store that should answer, connections kept open. Safe for threads."""

    def __init__(
        self,
        settings: Settings,
        *,
        role: Role = "analyst",
        open_: Callable[[str], Store] | None = None,
    ) -> None:
        """Nothing is connected yet.

        Args:
            settings: With the stores' addresses.
            role: As whom stores are asked.
            open_: Stands in for the stores in tests.
        """
        self._settings = settings
        self._open = open_ or partial(open_store, settings=settings, role=role)
        self._idle: dict[str, list[Store]] = {name: [] for name in STORES}
        self._watchers: dict[str, Store] = {}
        self._positions = {
            name: Probe(
                lambda name=name: self._read_rows(name),
                every_s=CHECK_EVERY_S,
                late_s_max=CHECK_EVERY_S,
            )
            for name in STORES
        }
        self._is_closed = False

    def ask(
        self,
        question: Callable[[Store], T],
        feeds: Sequence[Feed[Record]],
        *,
        answer_s_max: float = ANSWER_S_MAX,
    ) -> Answered[T]:
        """The answer of home, or of the mirror where home is down or behind.

        Args:
            question: Only reads; called in another thread, with a store of its own.
            feeds: What it reads; all of one home.
            answer_s_max: Longest wait for the answer of a store that lives.

        Raises:
            StoreUnavailableError: No store answers; holds what each said.
        """
        home = home_of(feeds)
        positions = self._find_positions(home, feeds)
        choice = self._choose(home, positions)
        failed: dict[str, str] = {}
        for name in choice.order:
            is_last = name == choice.order[-1]
            answer = self._put(name, question, answer_s_max, is_last=is_last)
            if answer.problem is not None:
                failed[name] = f"{name} does not answer ({answer.problem})"
                continue
            positions = self._look_again(positions, feeds)
            problems = self._choose(home, positions).problems
            source = _build_source(name, home, positions, {**problems, **failed})
            return Answered(source=source, value=cast("T", answer.value))  # which may be None
        problems = {**choice.problems, **failed}
        message = f"no store answers: {'; '.join(problems[name] for name in choice.order)}"
        raise StoreUnavailableError(message)

    def look(self, feeds: Sequence[Feed[Record]]) -> Mapping[str, Answer[Position]]:
        """How far each store has come in feeds of one home, or why it does not say."""
        return self._find_positions(home_of(feeds), feeds)

    def forget(self) -> None:
        """Ask both stores anew how they are doing, at the next question."""
        for probe in self._positions.values():
            probe.forget()

    def close(self) -> None:
        """Give back connections; a question that is open gives its own back when it ends."""
        self._is_closed = True
        for stores in self._idle.values():
            while stores:
                stores.pop().close()
        for name, store in self._watchers.items():
            if not self._positions[name].is_open:
                store.close()

    def _find_positions(
        self, home: str, feeds: Sequence[Feed[Record]]
    ) -> dict[str, Answer[Position]]:
        topics = {topic_name(self._settings, feed.topic) for feed in feeds}
        for probe in self._positions.values():
            probe.ask()
        found = {home: self._positions[home].answer(within_s=POSITION_S_MAX)}
        # home being down, the mirror has all the time that home had
        within_s = MIRROR_POSITION_S_MAX if found[home].value is not None else POSITION_S_MAX
        for name, probe in self._positions.items():
            if name != home:
                found[name] = probe.answer(within_s=within_s)
        return {name: _select(each, topics) for name, each in found.items()}

    def _look_again(
        self, positions: Mapping[str, Answer[Position]], feeds: Sequence[Feed[Record]]
    ) -> dict[str, Answer[Position]]:
        """With those that have come while the question was answered; waits for none."""
        topics = {topic_name(self._settings, feed.topic) for feed in feeds}
        return {
            name: each
            if each.value is not None
            else _select(self._positions[name].answer(within_s=0.0), topics)
            for name, each in positions.items()
        }

    def _choose(self, home: str, positions: Mapping[str, Answer[Position]]) -> Choice:
        return choose(home, positions, behind_s_max=self._settings.serving.behind_s_max)

    def _read_rows(self, name: str) -> Sequence[StoredOffset]:
        if name not in self._watchers:
            self._watchers[name] = self._open(name)
        try:
            self._watchers[name].check_readable()
            return self._watchers[name].read_offsets()
        finally:
            if self._is_closed:
                self._watchers[name].close()

    def _put(
        self, name: str, question: Callable[[Store], T], answer_s_max: float, *, is_last: bool
    ) -> Answer[T]:
        """One store's answer; given up when it takes too long or the store stops answering."""
        future: Future[T] = Future()
        threading.Thread(target=self._run, args=(name, question, future), daemon=True).start()
        begun = time.monotonic()
        while not wait_for([future], timeout=_STEP_S).done:
            waited_s = time.monotonic() - begun
            if waited_s >= answer_s_max:
                return Answer(problem=f"no answer for {answer_s_max:.0f} s")
            # what it said before the question says nothing of now
            self._positions[name].forget()
            self._positions[name].ask()
            position = self._positions[name].answer(within_s=POSITION_S_MAX)
            is_patient = is_last and waited_s < LAST_ANSWER_S_MAX
            if position.value is None and not is_patient and not future.done():
                return Answer(problem=position.problem)
        try:
            return Answer(value=future.result())
        except PlatformError as error:
            self._positions[name].forget()
            return Answer(problem=" ".join(str(error).split()))

    def _take(self, name: str) -> Store:
        """A store that nobody uses."""
        try:
            return self._idle[name].pop()
        except IndexError:
            return self._open(name)

    def _run(self, name: str, question: Callable[[Store], T], future: "Future[T]") -> None:
        store: Store | None = None
        idle = self._idle[name]
        try:
            store = self._take(name)
            value = question(store)
        except BaseException as error:  # noqa: BLE001 (handed to whoever asked)
            if store is not None:
                store.close()
            future.set_exception(error)
            return
        future.set_result(value)
        if self._is_closed:
            store.close()
        else:
            idle.append(store)


def _select(answer: Answer[Sequence[StoredOffset]], topics: set[str]) -> Answer[Position]:
    if answer.value is None:
        return Answer(problem=answer.problem)
    own = [row for row in answer.value if row.topic in topics]
    rows = {(row.partition.topic_id, row.partition.part): row for row in own}
    return Answer(value=Position(rows=rows))


def _build_source(
    name: str, home: str, positions: Mapping[str, Answer[Position]], problems: Mapping[str, str]
) -> Source:
    own = positions[name].value
    others = [answer.value for each, answer in positions.items() if each != name]
    known = [other for other in others if other is not None]
    said = dict(problems)
    if own is None:  # and yet it has answered
        said[name] = f"{name} does not tell how far it has come ({positions[name].problem})"
    return Source(
        store=name,
        home=home,
        # a mirror that is down is no reason to doubt a home that is well
        problems=tuple(said.values()) if home in said else (),
        newest_us=None if own is None else own.newest_us,
        behind_s=own.behind_s(known[0]) if own is not None and known else None,
    )


@contextmanager
def open_reads(settings: Settings) -> Generator[Reads]:
    """Connections for as long as the block lasts, as the role analyst: of a command, or a run.

    A process that answers users has `Reads` of its own role, and hands them on.
    """
    with closing(Reads(settings)) as reads:
        yield reads
