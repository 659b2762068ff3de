"""Time as the platform counts it: UTC microseconds since 1970 as integers, and hours of them.

Here: conversions without float. An hour and a day are named by their first microsecond.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

MICROSECONDS_PER_MINUTE = 60_000_000
MICROSECONDS_PER_HOUR = 3_600_000_000
MICROSECONDS_PER_DAY = 86_400_000_000
DAY_FORMAT = "%Y-%m-%d"
"""As Dagster names the partitions of days."""
HOUR_FORMAT = "%Y-%m-%d-%H:%M"
"""As Dagster names the partitions of hours."""

TIME_US_MAX = 253_402_300_799_999_999
"""The last microsecond of the year 9999, the last one a Python datetime can name."""

TimeUs = Annotated[int, msgspec.Meta(ge=0, le=TIME_US_MAX, title="time_us")]
"""Microseconds since 1970-01-01T00:00:00Z."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_time_us(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_time_us(time_us: int) -> datetime:
    """The aware datetime (UTC) of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=time_us)


def parse_moment(text: str) -> datetime:
    """A time a person types: RFC 3339, or a day; UTC where unsaid.

    Raises:
        ValueError: Neither.
    """
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def hour_of(time_us: int) -> int:
    """First microsecond of the hour that holds this time."""
    return time_us - time_us % MICROSECONDS_PER_HOUR


def name_hour(hour_us: int) -> str:
    """The partition of an hour, given by its first microsecond: 2026-01-31-14:00."""
    return from_time_us(hour_us).strftime(HOUR_FORMAT)


def day_of(time_us: int) -> int:
    """First microsecond of the day, UTC, that holds this time."""
    return time_us - time_us % MICROSECONDS_PER_DAY


def name_day(day_us: int) -> str:
    """The partition of a day, given by its first microsecond: 2026-01-31."""
    return from_time_us(day_us).strftime(DAY_FORMAT)
