"""Pauses: a sensor that a person has switched off, in the UI or by `crypto-platform pause`.

Each store has a sensor that asks for its loads, each source one that says how it is asked; that
sensor's state in Dagster is the pause, and there is no second one. Runs look every few seconds, in
a thread of their own: what is not known (Dagster's database is away) is as it last was.
"""

import logging
import threading
from collections.abc import Callable
from typing import Self

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorStatus

from crypto_platform.serving.pauses import find_switched

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 3.0


def read_paused(instance: dg.DagsterInstance) -> frozenset[str]:
    """Sources and stores whose sensor is switched off."""
    if instance.schedule_storage is None:
        return frozenset()  # `dagster asset materialize` may run in an instance without sensors
    states = instance.all_instigator_state(instigator_statuses={InstigatorStatus.STOPPED})
    found = (find_switched(state.instigator_name) for state in states)
    return frozenset(name for name in found if name is not None)


class PauseWatch:
    """Knows what is paused, a few seconds late at most; use as a context manager."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        on_change: Callable[[frozenset[str]], None] = lambda paused: None,
    ) -> None:
        """`on_change` is called from the watching thread, with all that is paused."""
        self._instance = instance
        self._on_change = on_change
        self._paused: frozenset[str] = frozenset()
        self._looked = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pauses", daemon=True)

    def is_paused(self, name: str) -> bool:
        """Whether this source or store was paused when it was last known."""
        return name in self._paused

    def __enter__(self) -> Self:
        """Waits for the first look, but not long: an outage must not hold a run up."""
        self._thread.start()
        self._looked.wait(LOOK_EVERY_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._look()
            self._looked.set()
            self._ended.wait(LOOK_EVERY_S)

    def _look(self) -> None:
        try:
            paused = read_paused(self._instance)
        except Exception as error:  # noqa: BLE001 - any storage error, of any driver
            logger.info("not known what is paused: %s", error)
            return
        if paused != self._paused:
            self._paused = paused
            self._on_change(paused)
