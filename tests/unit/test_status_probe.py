"""Asking what may never answer."""

import threading

import pytest

from crypto_platform.errors import StoreUnavailableError
from crypto_platform.serving.probe import Probe
from tests.waiting import eventually


def test_a_deaf_server_holds_nobody_up_and_is_asked_once() -> None:
    """Else every look at a status waits for it, and questions pile up at the server."""
    asked: list[int] = []
    answered = threading.Event()

    def read() -> str:
        asked.append(1)
        answered.wait(30)
        return "late"

    probe = Probe(read)
    for _ in range(3):
        probe.ask()
        assert (probe.answer(within_s=0.01).problem or "").startswith("no answer for")
    assert len(asked) == 1
    answered.set()
    eventually(lambda: probe.answer(within_s=0.01).value == "late", within_s=5)


def test_an_answer_of_another_time_is_not_given_when_somebody_looks_again() -> None:
    """A check that looks once a minute would call a store down for a minute after it was back."""
    answers = iter(["how it was then", "how it is now"])
    is_back, gave = threading.Event(), threading.Event()

    def read() -> str:
        is_back.wait(30)
        answer = next(answers)
        gave.set()
        return answer

    probe = Probe(read, late_s_max=0.0)
    probe.ask()
    assert probe.answer(within_s=0.01).value is None
    is_back.set()
    assert gave.wait(5)

    def asks_anew() -> bool:
        probe.ask()
        return probe.answer(within_s=5).value == "how it is now"

    eventually(asks_anew, within_s=5)


def test_an_answer_in_time_is_the_answer() -> None:
    """The plain case."""
    probe = Probe(lambda: 7)
    probe.ask()
    assert probe.answer(within_s=5).value == 7


def test_a_young_answer_is_given_again() -> None:
    """What is slow to find out and seldom changes must not be asked every second."""
    asked: list[int] = []
    probe = Probe(lambda: asked.append(1), every_s=3600)
    for _ in range(3):
        probe.ask()
        probe.answer(within_s=5)
    assert len(asked) == 1


def test_an_error_of_ours_is_a_problem_in_one_line() -> None:
    """A store that is down is shown as down; it must not end the status."""

    def read() -> None:
        message = "PostgreSQL:\n refused"
        raise StoreUnavailableError(message)

    probe = Probe(read)
    probe.ask()
    assert probe.answer(within_s=5).problem == "PostgreSQL: refused"


def test_a_mistake_in_the_code_is_raised() -> None:
    """Shown as "down" it would send people looking at a healthy server."""

    def read() -> None:
        message = "a mistake"
        raise KeyError(message)

    probe = Probe(read)
    probe.ask()
    with pytest.raises(KeyError):
        probe.answer(within_s=5)
