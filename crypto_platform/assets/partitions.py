"""Hours of append time: the partitions of loads and audits.

An hour is an offset range of each topic partition, as Kafka's clock had it.
"""

import dagster as dg

from crypto_platform.settings import Settings


def build_append_hours(settings: Settings) -> dg.HourlyPartitionsDefinition:
    """Hours of append time since the platform was installed, the current one included."""
    return dg.HourlyPartitionsDefinition(start_date=settings.installed_at, end_offset=1)
