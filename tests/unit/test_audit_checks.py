"""What the checks of an audited hour answer."""

from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from crypto_platform.assets.audits import answer_checks
from crypto_platform.assets.names import audit_key
from crypto_platform.delivery.audit import audit
from crypto_platform.errors import Reason
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.settings import Settings
from crypto_platform.stores.sums import sum_of
from tests.audit_fakes import FakeLog, FakeStore
from tests.store_steps import quote

KEY = audit_key(QUOTES)
Q0, Q1 = quote(0), quote(1)


def load_refusing(log: FakeLog, *, state: str) -> FakeStore:
    """A store that has loaded the first record and quarantined the second."""
    store = FakeStore()
    store.load(log, [Q0, Q1])
    store.drop(Q1.event_id)
    store.batches[0] = replace(store.batches[0], stored=sum_of([Q0.content_hash]))
    store.refuse(1, Reason.INVARIANT, event_id=Q1.event_id, state=state)
    return store


def ask(log: FakeLog, store: FakeStore) -> dict[str, dg.AssetCheckResult]:
    """The answers by name."""
    report = audit(Settings(data_dir=Path("/nonexistent")), {store.sink: store}, [QUOTES], log=log)
    return {answer.check_name or "": answer for answer in answer_checks(KEY, report)}


@pytest.fixture
def log() -> FakeLog:
    made = FakeLog()
    made.publish(Q0, Q1)
    return made


def test_a_record_that_waits_in_quarantine_warns_and_says_what_releases_it(log: FakeLog) -> None:
    """The hour is proved, and still somebody has to look."""
    answers = ask(log, load_refusing(log, state="open"))
    found = answers.pop("quarantine")
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description == (
        "1 records of this hour wait in quarantine of postgres: after a mend a replay of the hour "
        "releases them"
    )
    assert all(answer.passed for answer in answers.values())


def test_an_hour_that_a_replay_has_mended_is_good(log: FakeLog) -> None:
    """A warning that nothing can end is not looked at any more."""
    store = load_refusing(log, state="released")
    store.replay(Q1, 1)
    assert all(answer.passed for answer in ask(log, store).values())


def test_a_discarded_record_is_settled(log: FakeLog) -> None:
    """A person has decided that it is not wanted."""
    assert all(answer.passed for answer in ask(log, load_refusing(log, state="discarded")).values())


def test_a_released_record_that_is_not_stored_is_an_error(log: FakeLog) -> None:
    """Not open does not mean proved: a row that went after its release is lost."""
    answers = ask(log, load_refusing(log, state="released"))
    found = answers["quarantine"]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert not answers["counts"].passed
