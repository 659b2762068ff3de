"""Take from an iterator in another thread, a few items ahead of whoever uses them.

Here: the thread, its bound, and that it has ended when the block is left. Not here: what is read.
"""

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

AHEAD_MAX = 2
_STEP_S = 0.1


@dataclass(frozen=True)
class _Failure:
    error: BaseException


@dataclass(frozen=True)
class _End(Generic[T]):
    """Nothing follows."""


class _Ahead(Generic[T]):
    """The thread's side and the user's."""

    def __init__(self, items: Iterable[T], ahead_max: int) -> None:
        self._items = items
        self._waiting: queue.Queue[T | _Failure | _End[T]] = queue.Queue(ahead_max)
        self.stop = threading.Event()

    def take(self) -> None:
        """In the thread."""
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as error:  # noqa: BLE001 (handed to whoever uses the items)
            self._put(_Failure(error))
        else:
            self._put(_End())

    def _put(self, item: T | _Failure | _End[T]) -> bool:
        """Whether anybody still wants it."""
        while not self.stop.is_set():
            try:
                self._waiting.put(item, timeout=_STEP_S)
            except queue.Full:
                continue
            return True
        return False

    def give(self) -> Iterator[T]:
        """To the user."""
        while True:
            item = self._waiting.get()
            if isinstance(item, _Failure):
                raise item.error
            if isinstance(item, _End):
                return
            yield item


@contextmanager
def reading_ahead(items: Iterable[T], *, ahead_max: int = AHEAD_MAX) -> Generator[Iterator[T]]:
    """The items; what taking them raises is raised where they are used.

    Leaving the block ends the thread, at the latest when it has the item it is waiting for.
    """
    ahead = _Ahead(items, ahead_max)
    thread = threading.Thread(target=ahead.take, name="read-ahead", daemon=True)
    thread.start()
    try:
        yield ahead.give()
    finally:
        ahead.stop.set()
        thread.join()
