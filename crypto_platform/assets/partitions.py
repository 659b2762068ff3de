"""The two time axes: hours of append time for loads and audits, event time for the rest.

An hour of append time is an offset range of each topic partition, as Kafka's clock had it. A day of
history and an hour of quality are what happened at the venue, UTC, whenever it was read.
"""

from datetime import UTC, datetime

import dagster as dg

from crypto_platform.settings import Settings


def build_append_hours(settings: Settings) -> dg.HourlyPartitionsDefinition:
    """Hours of append time since the platform was installed, the current one included."""
    return dg.HourlyPartitionsDefinition(start_date=settings.installed_at, end_offset=1)


def build_event_days(settings: Settings) -> dg.DailyPartitionsDefinition:
    """Days of event time that are over, from `history.first_day` on."""
    return dg.DailyPartitionsDefinition(start_date=_find_first(settings))


def build_event_days_so_far(settings: Settings) -> dg.DailyPartitionsDefinition:
    """The same, and the day that is not over."""
    return dg.DailyPartitionsDefinition(start_date=_find_first(settings), end_offset=1)


def build_event_hours(settings: Settings) -> dg.HourlyPartitionsDefinition:
    """Hours of event time that are over, from `history.first_day` on."""
    return dg.HourlyPartitionsDefinition(start_date=_find_first(settings))


def _find_first(settings: Settings) -> datetime:
    first = settings.history.first_day
    return datetime(first.year, first.month, first.day, tzinfo=UTC)
