"""A venue's fields exactly as it wrote them: times digit by digit, levels by value."""

import msgspec
import pytest

from crypto_platform.errors import RecordRejectedError
from crypto_platform.feeds.candles import Interval
from crypto_platform.sources.readings import Subject, build_candle, keep_best, read_epoch

SUBJECT = Subject(venue="mine", venue_symbol="BTC-USD", symbol="BTC/USD", ts_ingest=1)


def raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


@pytest.mark.parametrize(
    ("value", "unit", "time_us", "text"),
    [
        ("1385579841.7774", "s", 1_385_579_841_777_400, None),
        ("1688669597.8277369", "s", 1_688_669_597_827_736, "1688669597.8277369"),
        ("1688669597.999999999", "s", 1_688_669_597_999_999, "1688669597.999999999"),
        ('"1628640000"', "s", 1_628_640_000_000_000, None),
        ("1499865549590", "ms", 1_499_865_549_590_000, None),
        ('"1643640186928000"', "us", 1_643_640_186_928_000, None),
    ],
)
def test_a_time_since_1970_is_read_digit_by_digit(
    value: str, unit: str, time_us: int, text: str | None
) -> None:
    """A float has no room for these; what is finer is cut, and kept as the venue's text."""
    assert unit in ("s", "ms", "us")
    assert read_epoch(raw(value), "time", unit=unit) == (time_us, text)


@pytest.mark.parametrize(
    "value", ["null", "NaN", '""', "-1", "1e9", '"yesterday"', "{}", "1.", "."]
)
def test_what_is_no_time_is_refused(value: str) -> None:
    """A time of 0 would put a trade into 1970."""
    with pytest.raises(RecordRejectedError, match="time"):
        read_epoch(raw(value), "time", unit="s")


def level(price: str, quantity: str) -> list[msgspec.Raw]:
    return [raw(price), raw(quantity)]


def test_levels_are_sorted_by_value_and_keep_their_digits() -> None:
    """As text 9 is above 10, and 9.50 would come back as 9.5."""
    levels = [level('"9.50"', "1"), level("10", '"2.00"'), level('"1.054e1"', "3")]
    assert keep_best(levels, side="bids", depth=2) == [("10.54", "3"), ("10", "2.00")]
    assert keep_best(levels, side="asks", depth=2) == [("9.50", "1"), ("10", "2.00")]


@pytest.mark.parametrize(
    "bad",
    [
        [],
        [raw("1")],
        level("null", "1"),
        level('"NaN"', "1"),
        level("1", "null"),
        level('"x"', "1"),
    ],
)
def test_a_book_with_a_broken_level_is_refused_whole(bad: list[msgspec.Raw]) -> None:
    """Without the level it would be another book."""
    with pytest.raises(RecordRejectedError, match="bids"):
        keep_best([level("2", "1"), bad], side="bids", depth=20)


def test_a_candle_that_begins_inside_an_interval_is_refused() -> None:
    """It could never be joined with those of another venue."""
    prices = [raw("1")] * 4
    with pytest.raises(RecordRejectedError, match="no multiple of 1m"):
        build_candle(
            SUBJECT, Interval.MINUTE, open_time_us=1_000_000, prices=prices, base_volume=raw("1")
        )
