"""Whether a platform that was hit comes back: all that was killed, and both stores without lag.

Here: what is noted of each status, when it has settled, when it has had long enough. Not here:
killing (kills.py), the audit that follows (cli/prove.py).
"""

from crypto_platform.serving.health import Status
from crypto_platform.stack.kills import Killer

SETTLE_S_MAX = 300.0
"""A part is back within seconds, a load within half a minute of its store, the ingest run within
two minutes of Dagster's daemon; the rest is for a slow machine."""


class Proof:
    """One run of kills, seen through statuses; begins with nothing seen."""

    def __init__(self, killer: Killer, *, duration_s: float) -> None:
        """Look at nothing yet.

        Args:
            killer: Runs in another thread; is only read.
            duration_s: How long it kills.
        """
        self._killer = killer
        self._deadline_s = duration_s + SETTLE_S_MAX
        self._was_all_back = False
        self._last: Status | None = None
        self.lag_s_max: dict[str, float] = {}
        self.is_settled = False
        self.problem: str | None = None

    @property
    def is_over(self) -> bool:
        """Nothing is left to wait for; `problem` says why where it has not settled."""
        return self.is_settled or self.problem is not None

    def see(self, status: Status, *, now_s: float) -> None:
        """Note lags, and whether it is over.

        Args:
            status: Just read.
            now_s: Seconds since the beginning.
        """
        self._last = status
        for store in status.stores:
            longest = self.lag_s_max.get(store.name, 0.0)
            self.lag_s_max[store.name] = max(longest, store.lag_s or 0.0)
        if status.parts is None:
            self.problem = "the stack has ended meanwhile: somebody stopped it"
            return
        is_all_back = self._killer.is_done and not self._killer.away
        # what was away while this status was read may have had no lag before
        if is_all_back and self._was_all_back and _has_no_lag(status):
            self.is_settled = True
        elif now_s >= self._deadline_s:
            self.problem = f"not settled {SETTLE_S_MAX:.0f} s after the last kill: {self.waits_for}"
        self._was_all_back = is_all_back

    @property
    def waits_for(self) -> str:
        """What is not as it should be just now, in words."""
        found = [f"{kill.target.name} is not back" for kill in self._killer.away]
        if self._last is None:
            return "; ".join([*found, "nothing was read yet"])
        if not self._last.kafka_up:
            found.append("Kafka does not answer")
        for store in self._last.stores:
            if not store.up:
                found.append(f"{store.name} does not answer")
            elif store.lag_records is None:
                found.append(f"the lag of {store.name} is unknown")
            elif store.lag_records:
                found.append(f"{store.name} lags {store.lag_records:,} records")
        found += self._last.pauses
        return "; ".join(found) or "a second look"


def _has_no_lag(status: Status) -> bool:
    return bool(status.kafka_up) and all(
        store.up and store.lag_records == 0 for store in status.stores
    )
