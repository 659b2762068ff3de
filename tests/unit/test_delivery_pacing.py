"""When a feed is asked next: by its own pace, and after failures by its own back-off."""

from pathlib import Path

import pytest

from crypto_platform.delivery.pacing import back_off_s, due_at, find_pace_s
from crypto_platform.kafka.cursors import Cursor
from crypto_platform.settings import Settings, load_settings

US = 1_000_000


def build(folder: Path, **variables: str) -> Settings:
    prefix = "CRYPTO_PLATFORM_SOURCES__COINBASE__"
    environment = {prefix + name: value for name, value in variables.items()}
    return load_settings(folder, environment=environment)


def test_a_feed_has_the_pace_of_its_source_unless_it_has_one_of_its_own(tmp_path: Path) -> None:
    """Trades every second must not mean books every second."""
    settings = build(tmp_path, PACE_S="2", PACES_S__QUOTES="30")
    assert find_pace_s(settings, source="coinbase", feed="quotes") == 30
    assert find_pace_s(settings, source="coinbase", feed="trades") == 2


@pytest.mark.parametrize(
    ("failures", "pause_s"), [(1, 2), (2, 4), (3, 8), (9, 512), (10, 600), (99, 600)]
)
def test_the_pause_doubles_from_the_feeds_own_pace(failures: int, pause_s: float) -> None:
    """A source that is down is left alone more and more, and never forgotten."""
    assert back_off_s(failures, pace_s=2, retry_after_s=None) == pause_s


def test_a_source_that_names_a_time_is_not_asked_before(tmp_path: Path) -> None:
    """Retry-After is an order."""
    _ = tmp_path
    assert back_off_s(1, pace_s=2, retry_after_s=70) == 70
    assert back_off_s(9, pace_s=2, retry_after_s=70) == 512


def test_a_feed_is_due_one_pace_after_it_was_asked() -> None:
    """Whoever asked it: the cursor outlives the run."""
    assert due_at(None, pace_s=5) == 0
    assert due_at(Cursor(polled_at=100 * US), pace_s=5) == 105 * US


def test_a_feed_asked_once_an_hour_is_tried_again_sooner_after_a_failure() -> None:
    """One timeout must not cost a list of products an hour."""
    failed = Cursor(polled_at=100 * US, not_before=700 * US, failures=1)
    assert due_at(failed, pace_s=3600) == 700 * US
    assert back_off_s(1, pace_s=3600, retry_after_s=None) == 600
