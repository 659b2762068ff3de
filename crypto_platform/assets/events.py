"""Report to Dagster from a load without ever waiting for Dagster.

Asset events go through a bounded queue to a thread of their own: with Dagster's database away for
seconds an event may be lost (Kafka, the stores and the audit do not need it), a load may not.
"""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Self

import dagster as dg

logger = logging.getLogger(__name__)

EVENTS_WAITING_MAX = 256
CLOSE_WAIT_S = 5.0


class EventQueue:
    """Sends asset events in the background; use as a context manager."""

    def __init__(self, send: Callable[[dg.AssetMaterialization], None]) -> None:
        self._send = send
        self._waiting: queue.Queue[dg.AssetMaterialization | None] = queue.Queue(EVENTS_WAITING_MAX)
        self._thread = threading.Thread(target=self._run, name="asset-events", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.put(None)
        self._thread.join(CLOSE_WAIT_S)

    def put(self, event: dg.AssetMaterialization | None) -> None:
        """Hand over an event; dropped where too many wait already."""
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            logger.warning("an asset event was dropped: Dagster's database does not keep up")

    def _run(self) -> None:
        while (event := self._waiting.get()) is not None:
            try:
                self._send(event)
            except Exception as error:  # noqa: BLE001 - any storage error, of any driver
                logger.warning("an asset event was dropped: %s", error)
