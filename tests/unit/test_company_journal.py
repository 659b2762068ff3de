"""What was written comes back, whole or not at all, wherever the process was killed."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from crypto_platform.simulation.company.journal import (
    FILE_NAME,
    AccountState,
    Journal,
    JournalError,
)
from crypto_platform.simulation.company.proof import BrokenError, prove
from tests.company_steps import Trading, iterate_events

STEPS = 600


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The events of a run that nobody disturbed."""
    trading = Trading(tmp_path_factory.mktemp("whole") / "company")
    trading.run(STEPS)
    return trading.read()


def test_a_company_that_trades_adds_up(tmp_path: Path, whole: list[bytes]) -> None:
    """Events, wallets, orders, trades and minutes say one thing."""
    trading = Trading(tmp_path)
    trading.run(STEPS)
    journal = Journal(tmp_path)
    assert prove(journal) == len(whole) > 2 * STEPS
    journal.close()


def test_the_same_seed_gives_the_same_events_whatever_the_batches(
    tmp_path: Path, whole: list[bytes]
) -> None:
    """Byte for byte; how many commands one write takes is nobody's business."""
    trading = Trading(tmp_path)
    trading.run(STEPS, batch=100)
    assert trading.read() == whole
    other = Trading(tmp_path / "other", seed=8)
    other.run(STEPS)
    assert other.read() != whole


def test_a_company_that_ends_and_begins_again_goes_on_as_if_it_had_not(
    tmp_path: Path, whole: list[bytes]
) -> None:
    """After each start the books, the wallets and the traders stand where they stood."""
    trading = Trading(tmp_path)
    for until in (1, 2, 50, 51, 333, STEPS):
        trading.run(until)
    assert trading.read() == whole


def test_a_write_cut_short_anywhere_is_whole_or_gone_and_the_rest_is_the_same(
    tmp_path: Path, whole: list[bytes]
) -> None:
    """A kill in the middle of a write, at every size of what reached the disk."""
    folder = tmp_path / "running"
    journal = Journal(folder)
    try:
        Trading(folder).trade(journal, 120, batch=10)
        wal = (folder / f"{FILE_NAME}-wal").read_bytes()
        lengths: set[int] = set()
        for size in range(0, len(wal) + 1, len(wal) // 40):
            cut = tmp_path / f"cut{size}"
            cut.mkdir()
            shutil.copy(folder / FILE_NAME, cut)
            (cut / f"{FILE_NAME}-wal").write_bytes(wal[:size])
            lengths.add(check_prefix(cut, whole))
    finally:
        journal.close()
    # most of the history is in the log: cuts do fall between many writes
    assert len(lengths) >= 10


def check_prefix(folder: Path, whole: list[bytes]) -> int:
    """The events are a prefix of the whole, all adds up, and trading on gives the rest."""
    journal = Journal(folder)
    count = prove(journal)
    assert journal.step % 10 == 0
    journal.close()
    trading = Trading(folder)
    assert trading.read() == whole[:count]
    trading.run(150)
    kept = trading.read()
    assert kept == whole[: len(kept)]
    assert len(kept) > count
    return count


def test_states_of_the_past_are_what_the_events_up_to_then_say(tmp_path: Path) -> None:
    """Checkpoints only save work."""
    journal = Journal(tmp_path, checkpoint_events=40)
    Trading(tmp_path).trade(journal, STEPS, batch=7)
    states = {user: AccountState(0, {}, {}) for user in range(1, 51)}
    totals: dict = {}
    for event in iterate_events(journal):
        states[event.user].apply(event)
        for account, currency, amount in event.postings:
            totals[account, currency] = totals.get((account, currency), 0) + amount
        if event.sequence % 97 == 0:
            assert journal.read_totals(at_sequence=event.sequence) == totals
            for user, state in states.items():
                assert journal.read_account(user, at_sequence=event.sequence) == state
    journal.close()


def test_events_are_read_from_any_sequence_on(tmp_path: Path, whole: list[bytes]) -> None:
    """Pages without a gap and without an overlap."""
    Trading(tmp_path).run(STEPS)
    journal = Journal(tmp_path)
    found, after = [], 0
    while page := journal.read_events(after=after, limit=100):
        assert len(page) <= 100
        found += [event.sequence for event in page]
        after = page[-1].sequence
    assert found == list(range(1, len(whole) + 1))
    journal.close()


def test_a_second_company_on_one_journal_is_refused(tmp_path: Path) -> None:
    """Two would give one sequence to two events."""
    journal = Journal(tmp_path)
    with pytest.raises(JournalError, match="another company may have it open"):
        Journal(tmp_path)
    journal.close()
    Journal(tmp_path).close()


def test_a_damaged_or_foreign_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    """Beginning anew over it in silence would lose a history."""
    (tmp_path / FILE_NAME).write_bytes(b"not a database" * 1000)
    with pytest.raises(JournalError, match="move it away"):
        Journal(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM event WHERE sequence = 500",
        "UPDATE event SET user = user + 1 WHERE sequence = 500",
        "UPDATE event SET body = (SELECT body FROM event WHERE sequence = 9) WHERE sequence = 500",
        "DELETE FROM open_order WHERE number = (SELECT max(number) FROM open_order)",
        "UPDATE user SET body = (SELECT body FROM user WHERE user = 1) WHERE user = 2",
        "DELETE FROM trade WHERE trade_id = 3 AND product_id = 'BTC-USD'",
        "UPDATE minute SET close = close + 1",
    ],
)
def test_the_proof_notices_what_was_changed_behind_its_back(tmp_path: Path, change: str) -> None:
    """A proof that cannot fail proves nothing."""
    Trading(tmp_path).run(STEPS)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute(change)
        connection.commit()
    journal = Journal(tmp_path)
    with pytest.raises(BrokenError):
        prove(journal)
    journal.close()
