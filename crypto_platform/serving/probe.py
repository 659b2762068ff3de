"""Ask something that may be slow or deaf, and go on without it.

Here: one question at a time to one server, in a thread of its own, with a deadline for the asker. A
question that got no answer in time stays open: its answer is used when it comes, and the server is
not asked again meanwhile. Where nobody looked for a while, that answer is of another time, and the
server is asked anew. Not here: what is asked (readings.py).
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from crypto_platform.errors import PlatformError

T = TypeVar("T")

LATE_S_MAX = 10.0
"""The answer to an older question says how it was then; a slow server's comes sooner."""


@dataclass(frozen=True, kw_only=True)
class Answer(Generic[T]):
    """What came back: a value, or a problem in words.

    Attributes:
        value: None where there is no answer; a problem then says why.
        problem: One line for a person.
    """

    value: T | None = None
    problem: str | None = None


class Probe(Generic[T]):
    """One thing to be asked again and again. Safe for threads: none waits for another's wait."""

    def __init__(
        self, read: Callable[[], T], *, every_s: float = 0.0, late_s_max: float = LATE_S_MAX
    ) -> None:
        """Nothing is asked yet.

        Args:
            read: Asks and returns the answer; called in another thread, never twice at once.
            every_s: A younger answer is given again without asking.
            late_s_max: An answer that came too late is used up to this age of its question.
        """
        self._read = read
        self._every_s = every_s
        self._late_s_max = late_s_max
        self._lock = threading.Lock()
        """Never held while waiting."""
        self._pending: Future[T] | None = None
        self._asked_at = 0.0
        self._last: Answer[T] | None = None

    @property
    def is_open(self) -> bool:
        """Whether a question has no answer yet."""
        return self._pending is not None and not self._pending.done()

    def ask(self) -> None:
        """Ask now, unless a question is open or the last answer is young enough."""
        with self._lock:
            now = time.monotonic()
            is_over = self._pending is not None and self._pending.done()
            if is_over and now - self._asked_at > self._late_s_max:
                self._pending = None
            is_young = self._last is not None and now - self._asked_at < self._every_s
            if self._pending is not None or is_young:
                return
            self._pending = Future()
            self._asked_at = now
            # a daemon: a server that never answers must not keep the process from ending
            threading.Thread(target=self._run, args=(self._pending,), daemon=True).start()

    def forget(self) -> None:
        """Ask anew the next time, however young the last answer is."""
        self._last = None

    def answer(self, *, within_s: float) -> Answer[T]:
        """The answer to the question asked, or to the last one where none was open.

        A mistake of ours (an error that is no PlatformError) is raised, not reported.

        Args:
            within_s: Longest wait, counted from the question: an old one is not waited for again.
        """
        with self._lock:
            pending, asked_at = self._pending, self._asked_at
            if pending is None:
                return self._last or Answer(problem="not asked")
        waited_s = time.monotonic() - asked_at
        try:
            found = Answer(value=pending.result(max(within_s - waited_s, 0.0)))
        except TimeoutError:
            if pending.done():
                raise  # `read` itself ran into one and let it through
            return Answer(problem=f"no answer for {max(waited_s, within_s):.3g} s")
        except PlatformError as error:
            found = Answer[T](problem=" ".join(str(error).split()))
        with self._lock:
            if self._pending is pending:
                self._last = found
                self._pending = None
        return found

    def _run(self, future: Future[T]) -> None:
        try:
            value = self._read()
        except BaseException as error:  # noqa: BLE001 (handed to whoever asked)
            future.set_exception(error)
        else:
            future.set_result(value)
