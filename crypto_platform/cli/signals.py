"""Ctrl-C as an event that a loop looks at, instead of an exception in the middle of something."""

import signal
import threading
from types import FrameType


def stop_on(*numbers: signal.Signals) -> threading.Event:
    """Return an event that these signals set from now on; to be called in the main thread."""
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        _ = (number, frame)
        stop.set()

    for number in numbers:
        signal.signal(number, handle)
    return stop
