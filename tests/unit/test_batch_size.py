"""How many records a commit takes follows how long commits take."""

from crypto_platform.delivery.batch_size import COMMIT_S_MAX, RECORDS_MIN, BatchSize


def test_quick_full_commits_grow_to_what_is_allowed() -> None:
    """A backlog of millions is loaded at full speed, and the setting is never exceeded."""
    size = BatchSize(records_max=10_000)
    assert size.records == 5_000
    size.note(5_000, seconds=0.05)
    assert size.records == 10_000
    size.note(10_000, seconds=0.05)
    assert size.records == 10_000


def test_quick_small_commits_change_nothing() -> None:
    """They say nothing about how long a full one takes."""
    size = BatchSize(records_max=10_000)
    size.note(20, seconds=0.01)
    assert size.records == 5_000


def test_a_slow_store_gets_less_at_a_time_but_never_nothing() -> None:
    """Else each commit is older than the last, and a kill costs more and more."""
    size = BatchSize(records_max=10_000)
    for _ in range(20):
        size.note(size.records, seconds=COMMIT_S_MAX * 2)
    assert size.records == RECORDS_MIN


def test_a_slow_small_commit_is_not_the_sizes_fault() -> None:
    """A lock held by others makes a commit of one record slow too."""
    size = BatchSize(records_max=10_000)
    size.note(1, seconds=30)
    assert size.records == 5_000


def test_a_setting_below_the_floor_is_obeyed() -> None:
    """Tests with tiny batches rely on it."""
    size = BatchSize(records_max=10)
    size.note(10, seconds=0.01)
    size.note(10, seconds=9)
    assert size.records == 10
