"""Short or long: the day that decides, in the time zone where days are counted."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from crypto_platform.domain.holding_periods import (
    ONE_YEAR,
    HoldingClass,
    HoldingLimit,
    classify_holding,
)
from crypto_platform.domain.hours import to_time_us

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")


def classify(
    acquired: str,
    disposed: str,
    *,
    limit: HoldingLimit | None = ONE_YEAR,
    zone: ZoneInfo = BERLIN,
    is_acquired_known: bool = True,
) -> HoldingClass:
    return classify_holding(
        ts_acquired=to_time_us(datetime.fromisoformat(acquired)),
        is_acquired_known=is_acquired_known,
        ts_disposed=to_time_us(datetime.fromisoformat(disposed)),
        limit=limit,
        time_zone=zone,
    )


@pytest.mark.parametrize(
    ("acquired", "disposed", "holding"),
    [
        ("2025-03-10T12:00:00Z", "2026-03-10T22:59:59Z", HoldingClass.SHORT),
        ("2025-03-10T12:00:00Z", "2026-03-10T23:00:00Z", HoldingClass.LONG),
        # the 29th of February has its year full on the 28th
        ("2024-02-29T12:00:00Z", "2025-02-28T12:00:00Z", HoldingClass.SHORT),
        ("2024-02-29T12:00:00Z", "2025-03-01T12:00:00Z", HoldingClass.LONG),
        # a leap year's 366 days are one year, not more
        ("2024-01-15T12:00:00Z", "2025-01-15T12:00:00Z", HoldingClass.SHORT),
        # summer time: 22:00Z is already the next day in Berlin
        ("2025-06-30T22:00:00Z", "2026-07-01T21:59:59Z", HoldingClass.SHORT),
        ("2025-06-30T21:59:59Z", "2026-07-01T00:00:00Z", HoldingClass.LONG),
    ],
)
def test_the_day_after_the_anniversary_is_long(
    acquired: str, disposed: str, holding: HoldingClass
) -> None:
    """A day off is a taxed gain that was free, or the other way round."""
    assert classify(acquired, disposed) is holding


def test_days_are_those_of_the_time_zone() -> None:
    """The same two moments are a day apart more in New York than in Berlin."""
    moments = ("2025-03-10T02:00:00Z", "2026-03-10T12:00:00Z")
    assert classify(*moments, zone=BERLIN) is HoldingClass.SHORT
    assert classify(*moments, zone=NEW_YORK) is HoldingClass.LONG


def test_a_limit_may_be_of_days_or_none() -> None:
    """Not every country has a year."""
    moments = ("2025-01-01T12:00:00Z", "2025-01-31T12:00:00Z")
    assert classify(*moments, limit=HoldingLimit(days=30)) is HoldingClass.SHORT
    assert classify(*moments, limit=HoldingLimit(days=29)) is HoldingClass.LONG
    assert classify(*moments, limit=None) is HoldingClass.ANY
    assert HoldingLimit(years=1, days=1).last_short_day(date(2024, 2, 29)) == date(2025, 3, 1)


def test_what_arrived_long_ago_was_acquired_long_ago() -> None:
    """Of a deposit only the arrival is known: enough for long, never enough for short."""
    arrived = "2025-01-01T12:00:00Z"
    early, late = "2025-06-01T12:00:00Z", "2026-06-01T12:00:00Z"
    assert classify(arrived, early, is_acquired_known=False) is HoldingClass.UNKNOWN
    assert classify(arrived, late, is_acquired_known=False) is HoldingClass.LONG
