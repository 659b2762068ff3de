"""How long something was held, and on which side of a limit that is.

Here: days of a calendar, in the time zone the limit is counted in. Not here: which lot was consumed
(tax_lots.py), what a class means for tax.

Both the US (26 USC 1222: "more than 1 year", counted from the day after the acquisition) and
Germany (section 23 EStG: "not more than one year", section 188 BGB) end a year with the day of the
same date: whoever disposes of it on that day held it short, on the day after it long. What was
acquired on February 29 has its year full on February 28.
"""

from datetime import date, timedelta, tzinfo
from enum import StrEnum

import msgspec

from crypto_platform.domain.hours import from_time_us


class HoldingClass(StrEnum):
    """Short: not longer than the limit. Any: there is no limit. Unknown: nobody said since when."""

    SHORT = "short"
    LONG = "long"
    ANY = "any"
    UNKNOWN = "unknown"


class HoldingLimit(msgspec.Struct, frozen=True, kw_only=True):
    """How long is not long yet: years of the calendar, and days after them.

    Attributes:
        years: 0 or more.
        days: 0 or more.
    """

    years: int = 0
    days: int = 0

    def last_short_day(self, acquired: date) -> date:
        """The last day on which something acquired on this one was not held for long."""
        year = acquired.year + self.years
        is_leap_day = (acquired.month, acquired.day) == (2, 29)
        try:
            anniversary = acquired.replace(year=year)
        except ValueError:
            if not is_leap_day:
                raise
            anniversary = date(year, 2, 28)
        return anniversary + timedelta(days=self.days)


ONE_YEAR = HoldingLimit(years=1)


def classify_holding(
    *,
    ts_acquired: int,
    is_acquired_known: bool,
    ts_disposed: int,
    limit: HoldingLimit | None,
    time_zone: tzinfo,
) -> HoldingClass:
    """On which side of the limit it was held.

    Args:
        ts_acquired: When it was acquired; where that is unknown, when it arrived: not later.
        is_acquired_known: Which of the two. If even the arrival is long ago, it is long.
        ts_disposed: When it left.
        limit: None where there is no difference.
        time_zone: Where its days are counted.
    """
    if limit is None:
        return HoldingClass.ANY
    acquired, disposed = (
        from_time_us(ts).astimezone(time_zone).date() for ts in (ts_acquired, ts_disposed)
    )
    if disposed > limit.last_short_day(acquired):
        return HoldingClass.LONG
    return HoldingClass.SHORT if is_acquired_known else HoldingClass.UNKNOWN
