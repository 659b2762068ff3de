"""Report to Dagster from a load without ever waiting for Dagster.

What is to be said goes through a bounded queue to a thread of its own: with Dagster's database away
for seconds a report may be lost (Kafka, the stores and the audit do not need it), a load may not.
"""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Generic, Self, TypeVar

logger = logging.getLogger(__name__)

WAITING_MAX = 256
CLOSE_WAIT_S = 5.0

T = TypeVar("T")


class EventQueue(Generic[T]):
    """Says things in the background; use as a context manager."""

    def __init__(self, say: Callable[[T], None]) -> None:
        """`say` is called in another thread, one thing at a time, in order; it may fail."""
        self._say = say
        self._waiting: queue.Queue[T | None] = queue.Queue(WAITING_MAX)
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._put(None)
        self._thread.join(CLOSE_WAIT_S)

    def put(self, event: T) -> None:
        """Hand something over; dropped where too much waits already."""
        self._put(event)

    def _put(self, event: T | None) -> None:
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            logger.warning("a report was dropped: Dagster's database does not keep up")

    def _run(self) -> None:
        while (event := self._waiting.get()) is not None:
            try:
                self._say(event)
            except Exception as error:  # noqa: BLE001 - any storage error, of any driver
                logger.warning("a report was dropped: %s", error)
