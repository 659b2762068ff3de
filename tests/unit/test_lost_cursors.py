"""Which feeds' records only a loss of the live cursors explains."""

from crypto_platform.kafka.cursors import Cursor, begun_key, cursor_key, find_lost_feeds

FEEDS = ("trades", "candles")
POLLED = Cursor(polled_at=1)


def test_without_any_cursor_whatever_holds_records_was_polled_once() -> None:
    """A topic of cursors that was deleted must not be taken for a first start."""
    assert find_lost_feeds({}, FEEDS) == set(FEEDS)


def test_one_cursor_of_any_source_says_that_they_are_there() -> None:
    """A source that is added later finds the records of others, and lost nothing."""
    assert find_lost_feeds({cursor_key("other", "quotes"): POLLED}, FEEDS) == set()


def test_a_feed_that_a_backfill_began_lost_nothing_and_hides_no_other() -> None:
    """Days of candles asked for after a loss must not hide that the trades' cursors are gone."""
    assert find_lost_feeds({begun_key("candles"): POLLED}, FEEDS) == {"trades"}
