"""What the simulated market can be told to do wrong, and for how many answers or how long.

Here: the kinds of faults, the check of an order for one, the queue they wait in. Not here: how a
fault looks on the wire (server.py). Pure: the time is handed in.

Faults wait in a queue. An answer takes at most one, the oldest that fits it, so that a test may
order "429 three times, then 503 twice" and add up what it will see.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

COUNT_MAX = 1_000_000
DURATION_S_MAX = 86_400
DELAY_S_MAX = 300
RETRY_AFTER_S_MAX = 3600
WAITING_MAX = 100


class FaultKind(StrEnum):
    """One way to be wrong; the value is the word used over HTTP."""

    TOO_MANY_REQUESTS = "429"
    SERVER_ERROR = "500"
    BAD_GATEWAY = "502"
    UNAVAILABLE = "503"
    GATEWAY_TIMEOUT = "504"
    SLOW = "slow"
    TRUNCATED = "truncated"
    HTML = "html"
    NAN = "nan"
    REPEATED = "repeated"
    EMPTY = "empty"
    WRONG_KEY = "wrong_key"


_FIELDS_OF_ALL = ("kind", "count", "for_s", "path")
_FIELD_OF_KIND = {
    FaultKind.TOO_MANY_REQUESTS: "retry_after_s",
    FaultKind.SLOW: "delay_s",
    FaultKind.NAN: "currency_id",
}


class FaultRefusedError(ValueError):
    """The order was not understood; the text says what is allowed. Nothing was changed."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """One ordered fault, waiting.

    Attributes:
        count_left: Answers it still applies to; None where it ends by time.
        ends_ms: When it ends, ms since 1970 UTC; None where it ends by count.
        delay_s: How long a SLOW answer waits.
        retry_after_s: What a 429 asks for.
        currency_id: Whose price a NAN fault spoils, or the prices of whose trades.
        path: It waits for a request whose path begins so; "/" is any.
    """

    kind: FaultKind
    count_left: int | None
    ends_ms: int | None
    path: str = "/"
    delay_s: float = 2.0
    retry_after_s: int = 1
    currency_id: str = "bitcoin"

    def describe(self) -> dict[str, object]:
        """Say what is left of it, as a JSON object with the fields of the order."""
        text: dict[str, object] = {"kind": self.kind.value}
        if self.count_left is not None:
            text["count"] = self.count_left
        else:
            text["ends_ms"] = self.ends_ms
        own_field = _FIELD_OF_KIND.get(self.kind)
        if own_field:
            text[own_field] = getattr(self, own_field)
        if self.path != "/":
            text["path"] = self.path
        return text


def parse_fault(order: object, *, now_ms: int, currency_ids: Collection[str]) -> Fault:
    """Turn the JSON of an order into a fault.

    Args:
        order: {"kind": a FaultKind, and "count": answers or "for_s": seconds (neither: once),
            "path": where alone it applies (left out: anywhere), and the field that only its kind
            has: "retry_after_s", "delay_s", "currency_id"}.
        now_ms: When the order came, ms since 1970 UTC; `for_s` counts from here.
        currency_ids: What the market lists.

    Returns:
        The fault, not yet in any queue.

    Raises:
        FaultRefusedError: The order has an unknown kind or field, or a value out of bounds.
    """
    if not isinstance(order, dict):
        text = f'expected a JSON object like {{"kind": "429", "count": 3}}, found {order!r:.100}'
        raise FaultRefusedError(text)
    return _parse_fields(cast("dict[str, object]", order), now_ms=now_ms, currency_ids=currency_ids)


def _parse_fields(
    order: Mapping[str, object], *, now_ms: int, currency_ids: Collection[str]
) -> Fault:
    kind = _parse_kind(order.get("kind"))
    allowed = [*_FIELDS_OF_ALL, *filter(None, [_FIELD_OF_KIND.get(kind)])]
    for name in order:
        if name not in allowed:
            text = f"unknown field {name!r:.100}; a {kind} fault takes {', '.join(allowed)}"
            raise FaultRefusedError(text)
    if "count" in order and "for_s" in order:
        text = "give count (a number of answers) or for_s (seconds), not both"
        raise FaultRefusedError(text)
    fault = Fault(kind=kind, count_left=_parse_count(order, "count", COUNT_MAX, 1), ends_ms=None)
    if "for_s" in order:
        fault.count_left = None
        fault.ends_ms = now_ms + round(1000 * _parse_seconds(order, "for_s", DURATION_S_MAX, 0.0))
    fault.delay_s = _parse_seconds(order, "delay_s", DELAY_S_MAX, fault.delay_s)
    fault.retry_after_s = _parse_count(
        order, "retry_after_s", RETRY_AFTER_S_MAX, fault.retry_after_s
    )
    fault.currency_id = _parse_currency_id(order, currency_ids, fault.currency_id)
    fault.path = _parse_path(order, fault.path)
    return fault


def _parse_kind(value: object) -> FaultKind:
    try:
        return FaultKind(value)
    except ValueError:
        text = f"kind {value!r:.100} is none of {', '.join(FaultKind)}"
        raise FaultRefusedError(text) from None


def _parse_count(order: Mapping[str, object], name: str, largest: int, default: int) -> int:
    value = order.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= largest:
        text = f"{name} must be a whole number from 1 to {largest}, found {value!r:.100}"
        raise FaultRefusedError(text)
    return value


def _parse_seconds(order: Mapping[str, object], name: str, largest: float, default: float) -> float:
    value = order.get(name, default)
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 < value <= largest  # NaN is in no range
    ):
        text = f"{name} must be seconds above 0 and up to {largest}, found {value!r:.100}"
        raise FaultRefusedError(text)
    return float(value)


def _parse_currency_id(
    order: Mapping[str, object], currency_ids: Collection[str], default: str
) -> str:
    value = order.get("currency_id", default)
    if not isinstance(value, str) or value not in currency_ids:
        text = f"currency_id {value!r:.100} is not listed; GET /v3/assets names all"
        raise FaultRefusedError(text)
    return value


def _parse_path(order: Mapping[str, object], default: str) -> str:
    value = order.get("path", default)
    if not isinstance(value, str) or not value.startswith("/"):
        text = f"path must be the beginning of one, like /exchange, found {value!r:.100}"
        raise FaultRefusedError(text)
    return value


class FaultQueue:
    """The faults still to come, oldest first, and how many answers each kind has spoiled."""

    def __init__(self) -> None:
        """Start without any."""
        self._waiting: list[Fault] = []
        self.applied_count: Counter[str] = Counter()

    def add(self, fault: Fault) -> None:
        """Put a fault behind the others.

        Raises:
            FaultRefusedError: WAITING_MAX faults are waiting already.
        """
        if len(self._waiting) >= WAITING_MAX:
            text = f"{WAITING_MAX} faults are waiting; DELETE /simulation/faults ends them all"
            raise FaultRefusedError(text)
        self._waiting.append(fault)

    def take(self, *, now_ms: int, fits: Callable[[Fault], bool]) -> Fault | None:
        """Use up one answer's worth of the oldest fault that `fits`; None: answer as asked."""
        self._drop_ended(now_ms)
        fault = next(filter(fits, self._waiting), None)
        if fault is not None:
            self.applied_count[fault.kind.value] += 1
            if fault.count_left is not None:
                fault.count_left -= 1
        return fault

    def list_waiting(self, *, now_ms: int) -> list[Fault]:
        """Return the faults that can still apply, oldest first."""
        self._drop_ended(now_ms)
        return list(self._waiting)

    def clear(self) -> None:
        """Forget every fault; the counts of what was applied stay."""
        self._waiting.clear()

    def _drop_ended(self, now_ms: int) -> None:
        self._waiting = [
            fault
            for fault in self._waiting
            if fault.count_left != 0 and (fault.ends_ms is None or now_ms < fault.ends_ms)
        ]
