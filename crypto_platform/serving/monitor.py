"""One status for all who ask in one process.

Here: a StatusReader kept between questions, and a lock around it; an answer that is young enough is
given again, so that five sensors cost one look. Not here: what is read (status.py), what it means
(judge.py, verdicts.py).
"""

import threading
import time

from crypto_platform.serving.health import Status
from crypto_platform.serving.status import ReadPaused, StatusReader
from crypto_platform.settings import Settings

YOUNG_S = 10.0


class Monitor:
    """Asks when asked; safe for several threads."""

    def __init__(self, settings: Settings, *, read_paused: ReadPaused | None = None) -> None:
        """Nothing is connected yet.

        Args:
            settings: With the addresses of what is asked.
            read_paused: As for `read_status`; without, what is paused is not known.
        """
        self._settings = settings
        self._read_paused = read_paused
        self._lock = threading.Lock()
        self._reader: StatusReader | None = None
        self._last: Status | None = None
        self._read_at = 0.0

    def read(self, *, young_s: float = YOUNG_S) -> Status:
        """The status, at most `young_s` old; takes seconds where something does not answer."""
        with self._lock:
            if self._last is None or time.monotonic() - self._read_at >= young_s:
                self._reader = self._reader or StatusReader(
                    self._settings, read_paused=self._read_paused
                )
                self._last = self._reader.read()
                self._read_at = time.monotonic()
            return self._last

    def close(self) -> None:
        """Give back connections; the next question opens them again."""
        with self._lock:
            if self._reader is not None:
                self._reader.close()
            self._reader = self._last = None
