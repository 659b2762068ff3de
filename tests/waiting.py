"""Waiting in tests: for a condition, with a deadline; never for a span of time."""

import threading
import time
from collections.abc import Callable


def eventually(condition: Callable[[], bool], *, within_s: float, every_s: float = 0.01) -> None:
    """Return once the condition holds; fail if it does not within so many seconds."""
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            message = f"not so within {within_s} s: {condition}"
            raise AssertionError(message)
        pause.wait(every_s)
