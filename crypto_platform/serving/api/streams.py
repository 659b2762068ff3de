"""Streams: one question a second for all who listen to the same, and each sent what is new to him.

Here: tails (a journal that one task keeps up while somebody listens, and a minute longer), and how
a stream begins, goes on and ends. A message's id is the tail's own name and the journal's number:
who comes back with it as Last-Event-ID goes on there, and where that cannot be, is sent `reset` and
asks the lists for what he missed. Not here: which questions (live.py).
"""

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from http import HTTPStatus

import msgspec
from fastapi import Request, Response
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from crypto_platform.errors import PlatformError
from crypto_platform.serving.api.journal import Journal
from crypto_platform.serving.api.problems import ApiError
from crypto_platform.serving.failover import Source

POLL_EVERY_S = 1.0
HEARTBEAT_S = 15
STREAM_S_MAX = 900.0
"""Then a stream ends; its client comes back by itself, and is looked at anew."""
CHECK_EVERY_S = 15.0
IDLE_POLLS_MAX = 60
"""So long a tail goes on without a listener, for one whose line was cut."""
_NUMBER_DIGITS_MAX = 18

_log = logging.getLogger(__name__)

Row = dict[str, object]
Poll = Callable[[Journal[Row]], Source]
"""Reads what is new into a journal; may raise a PlatformError."""


class Tail:
    """What one question gives, second by second, while somebody listens."""

    def __init__(self, poll: Poll, *, kept_max: int) -> None:
        """Nothing is asked yet."""
        self.name = secrets.token_hex(4)
        self.journal: Journal[Row] = Journal(kept_max=kept_max)
        self.source: Source | None = None
        self.listeners = 0
        self.idle_polls = 0
        self.is_over = False
        self._poll = poll
        self._news = asyncio.Condition()

    async def read(self) -> None:
        """Ask once."""
        self.source = await run_in_threadpool(self._poll, self.journal)

    async def follow(self) -> None:
        """Ask again and again while somebody listens; a store that is away is asked again, too."""
        try:
            while self.listeners or self.idle_polls < IDLE_POLLS_MAX:
                self.idle_polls = 0 if self.listeners else self.idle_polls + 1
                await asyncio.sleep(POLL_EVERY_S)
                try:
                    await self.read()
                except PlatformError as error:
                    _log.info("a stream has nothing new: %s", error)
                await self._tell()
        finally:
            # of a mistake of ours, too: who listens must not wait for what never comes
            self.is_over = True
            await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def wait(self) -> None:
        """Until it was asked once more, or is over."""
        async with self._news:
            if not self.is_over:
                await self._news.wait()


class Streams:
    """All streams of a process. Used in its event loop alone."""

    def __init__(self, *, streams_max: int) -> None:
        """Nobody listens.

        Args:
            streams_max: At once, of one client or user.
        """
        self._streams_max = streams_max
        self._tails: dict[Sequence[str], tuple[Tail, asyncio.Task[None]]] = {}
        self._open: Counter[str] = Counter()

    async def open(
        self,
        request: Request,
        name: str,
        key: Sequence[str],
        make: Callable[[], Tail],
        *,
        who: str,
        from_start: bool,
        may_go_on: Callable[[], Awaitable[bool]] | None = None,
    ) -> Response:
        """A stream of what is new.

        Args:
            name: Of its messages, and of the list in them.
            key: Streams with the same share their questions.
            make: The tail, where nobody has listened so far.
            who: Whose it is, for the limit.
            from_start: Whether a newcomer is sent what there is, or only what comes.
            may_go_on: Asked now and then; False ends the stream.

        Raises:
            ApiError: 429: he listens to too many.
            StoreUnavailableError: No store answers.
        """
        place = self._take_place(who)
        try:
            tail = await self._find_tail(key, make)
        except BaseException:
            place.close()
            raise
        number = _find_start(request, tail, from_start=from_start)
        return _Stream(self._send(tail, place, name, number, may_go_on), place)

    def _take_place(self, who: str) -> ExitStack:
        """Count a stream, if he may have one more; closing what is returned takes it back, once.

        In one step: he could ask for many at once, and each would find the others not yet counted.
        """
        if self._open[who] >= self._streams_max:
            message = f"too many streams: at most {self._streams_max} at once"
            raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, message, headers={"Retry-After": "10"})
        self._open[who] += 1
        place = ExitStack()
        place.callback(self._give_place_back, who)
        return place

    def _give_place_back(self, who: str) -> None:
        self._open[who] -= 1
        if not self._open[who]:
            del self._open[who]

    async def _find_tail(self, key: Sequence[str], make: Callable[[], Tail]) -> Tail:
        tail = self._find_living(key)
        if tail is None:
            made = make()
            await made.read()  # the first question is refused as any other
            tail = self._find_living(key) or self._begin(key, made)
        tail.idle_polls = 0
        return tail

    def _find_living(self, key: Sequence[str]) -> Tail | None:
        known = self._tails.get(key)
        return None if known is None or known[0].is_over else known[0]

    def _begin(self, key: Sequence[str], tail: Tail) -> Tail:
        task = asyncio.create_task(tail.follow())
        self._tails[key] = (tail, task)
        task.add_done_callback(partial(self._end, key))
        return tail

    def _end(self, key: Sequence[str], task: asyncio.Task[None]) -> None:
        if self._tails[key][1] is task:
            del self._tails[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a stream broke off", exc_info=error)

    async def _send(
        self,
        tail: Tail,
        place: ExitStack,
        name: str,
        number: int | None,
        may_go_on: Callable[[], Awaitable[bool]] | None,
    ) -> AsyncGenerator[ServerSentEvent]:
        with place, _listening(tail):
            begun = checked = time.monotonic()
            while not tail.is_over and time.monotonic() - begun < STREAM_S_MAX:
                news = tail.journal.since(-1 if number is None else number)
                number = news.number
                own_id = f"{tail.name}-{number}"
                if not news.is_whole:
                    yield ServerSentEvent("{}", event="reset", id=own_id, sep="\n")
                elif news.rows:
                    data = _print(name, news.rows, tail.source)
                    yield ServerSentEvent(data, event=name, id=own_id, sep="\n")
                await tail.wait()
                if may_go_on is not None and time.monotonic() - checked > CHECK_EVERY_S:
                    checked = time.monotonic()
                    if not await may_go_on():
                        return


class _Stream(EventSourceResponse):
    """Messages, and their client's place, which he has left also where they never began."""

    def __init__(self, messages: AsyncGenerator[ServerSentEvent], place: ExitStack) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType] - its other arguments
            messages, ping=HEARTBEAT_S, sep="\n", headers={"Cache-Control": "no-store"}
        )
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._place:
            await super().__call__(scope, receive, send)


@contextmanager
def _listening(tail: Tail) -> Generator[None]:
    """Count a listener, for whom the tail goes on."""
    tail.listeners += 1
    try:
        yield
    finally:
        tail.listeners -= 1


def _find_start(request: Request, tail: Tail, *, from_start: bool) -> int | None:
    """The number to go on behind; None where what was sent last is not known here."""
    last = request.headers.get("Last-Event-ID")
    if not last:
        return 0 if from_start else tail.journal.number
    own, _, number = last.partition("-")
    # int() takes what no number of ours looks like
    is_number = number.isascii() and number.isdigit() and len(number) <= _NUMBER_DIGITS_MAX
    if own != tail.name or not is_number:
        return 0 if from_start else None
    return int(number)


def _print(name: str, rows: Sequence[Row], source: Source | None) -> str:
    document: dict[str, object] = {name: rows}
    if source is not None:
        document |= {"source": source.store, "stale": bool(source.problems)}
    return msgspec.json.encode(document).decode()
