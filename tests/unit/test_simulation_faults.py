"""Faults of the simulated market: what may be ordered, and which answer gets which."""

import pytest

from crypto_platform.simulation.faults import (
    WAITING_MAX,
    Fault,
    FaultKind,
    FaultQueue,
    FaultRefusedError,
    parse_fault,
)

CURRENCY_IDS = {"bitcoin", "pepe"}


def order(**fields: object) -> Fault:
    return parse_fault(fields, now_ms=1000, currency_ids=CURRENCY_IDS)


def take(queue: FaultQueue, *, now_ms: int = 1000, not_kind: str = "") -> str | None:
    fault = queue.take(now_ms=now_ms, fits=lambda fault: fault.kind.value != not_kind)
    return fault and fault.kind.value


def test_faults_are_applied_oldest_first_as_often_as_ordered() -> None:
    """A test that ordered two 429 and a 503 must be able to add up what it will see."""
    queue = FaultQueue()
    queue.add(order(kind="429", count=2))
    queue.add(order(kind="503"))
    assert [take(queue) for _ in range(4)] == ["429", "429", "503", None]
    assert queue.applied_count == {"429": 2, "503": 1}


def test_a_fault_by_time_ends_at_its_time_however_often_it_was_applied() -> None:
    """An end that is one millisecond late would make a waiting test fail now and then."""
    queue = FaultQueue()
    queue.add(order(kind="empty", for_s=1.5))
    assert [take(queue, now_ms=ms) for ms in (1000, 2499, 2500)] == ["empty", "empty", None]
    assert queue.list_waiting(now_ms=2500) == []


def test_a_fault_that_does_not_fit_waits_without_being_used_up() -> None:
    """NaN in one currency, spent on a page without that currency, would never be seen."""
    queue = FaultQueue()
    queue.add(order(kind="nan", currency_id="pepe"))
    queue.add(order(kind="html"))
    assert [take(queue, not_kind="nan"), take(queue), take(queue)] == ["html", "nan", None]


def test_an_endless_number_of_faults_is_refused() -> None:
    """A loop that orders faults must not fill the memory."""
    queue = FaultQueue()
    for _ in range(WAITING_MAX):
        queue.add(order(kind="500"))
    with pytest.raises(FaultRefusedError, match="DELETE /simulation/faults"):
        queue.add(order(kind="500"))


@pytest.mark.parametrize(
    ("refused", "says"),
    [
        ([], "expected a JSON object"),
        ({}, "is none of 429, 500"),
        ({"kind": "418"}, "is none of 429, 500"),
        ({"kind": ["429"]}, "is none of 429, 500"),
        ({"kind": "429", "count": 0}, "count must be a whole number from 1"),
        ({"kind": "429", "count": True}, "count must be a whole number from 1"),
        ({"kind": "429", "count": 2, "for_s": 3}, "not both"),
        ({"kind": "429", "for_s": float("nan")}, "for_s must be seconds above 0"),
        ({"kind": "429", "for_s": 0}, "for_s must be seconds above 0"),
        ({"kind": "429", "delay_s": 1}, "takes kind, count, for_s, path, retry_after_s"),
        ({"kind": "slow", "delay_s": "2"}, "delay_s must be seconds above 0"),
        ({"kind": "slow", "delay_s": 10**400}, "delay_s must be seconds above 0"),
        ({"kind": "nan", "currency_id": "nocoin"}, "not listed"),
        ({"kind": "nan", "currency_id": []}, "not listed"),
        ({"kind": "500", "path": "exchange"}, "path must be the beginning of one"),
        ({"kind": "500", "path": None}, "path must be the beginning of one"),
    ],
)
def test_an_order_that_cannot_be_carried_out_is_refused_with_what_is_allowed(
    refused: object, says: str
) -> None:
    """A misspelt order taken in silence would make the test pass without its fault."""
    with pytest.raises(FaultRefusedError, match=says):
        parse_fault(refused, now_ms=1000, currency_ids=CURRENCY_IDS)


def test_an_order_without_an_end_applies_once() -> None:
    """A fault left behind by one test would break the next."""
    assert order(kind="slow", delay_s=0.5) == Fault(
        kind=FaultKind.SLOW, count_left=1, ends_ms=None, delay_s=0.5
    )
