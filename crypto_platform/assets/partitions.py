"""Hours of append time: the partitions of loads and audits.

An hour is an offset range of each topic partition, as Kafka's clock had it.
"""

import dagster as dg

from crypto_platform.domain.hours import from_time_us
from crypto_platform.settings import Settings

PARTITION_FORMAT = "%Y-%m-%d-%H:%M"


def build_append_hours(settings: Settings) -> dg.HourlyPartitionsDefinition:
    """Hours of append time since the platform was installed, the current one included."""
    return dg.HourlyPartitionsDefinition(start_date=settings.installed_at, end_offset=1)


def name_hour(hour_us: int) -> str:
    """The partition of an hour, given by its first microsecond."""
    return from_time_us(hour_us).strftime(PARTITION_FORMAT)
