"""The two time axes: hours of append time for loads and audits, days of event time for history.

An hour is an offset range of each topic partition, as Kafka's clock had it. A day is what happened
at the venue, UTC, whenever it was read.
"""

from datetime import UTC, datetime

import dagster as dg

from crypto_platform.settings import Settings


def build_append_hours(settings: Settings) -> dg.HourlyPartitionsDefinition:
    """Hours of append time since the platform was installed, the current one included."""
    return dg.HourlyPartitionsDefinition(start_date=settings.installed_at, end_offset=1)


def build_event_days(settings: Settings) -> dg.DailyPartitionsDefinition:
    """Days of event time that are over, from `history.first_day` on."""
    first = settings.history.first_day
    return dg.DailyPartitionsDefinition(
        start_date=datetime(first.year, first.month, first.day, tzinfo=UTC)
    )
