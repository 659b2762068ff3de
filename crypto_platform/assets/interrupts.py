"""Let a run end well when Dagster or the stack asks it to.

Dagster turns SIGTERM and SIGINT into an exception in the main thread at a moment of its choosing; a
run that is inside a store transaction would rather finish it. Here the signals set an event
instead.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stopping_on_interrupt(stop: threading.Event) -> Iterator[None]:
    """While inside, SIGTERM and SIGINT set `stop`. Does nothing off the main thread (tests)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
