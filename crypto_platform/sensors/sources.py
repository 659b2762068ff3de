"""One sensor a source: says how the source is asked, and switched off pauses it.

It starts nothing: one run a minute asks all sources (schedules.py). That run looks at the switch
(assets/switches.py), so a click here, or `crypto-platform pause`, ends the polling within seconds.
"""

import dagster as dg

from crypto_platform.serving.health import SourceStatus
from crypto_platform.serving.monitor import Monitor
from crypto_platform.serving.pauses import source_sensor

INTERVAL_S = 60


def build_source_sensor(source: str, monitor: Monitor) -> dg.SensorDefinition:
    """The sensor of one source; its ticks say in words how it is."""

    @dg.sensor(
        name=source_sensor(source),
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Switch it off to pause {source}, on to resume it. Starts no run itself.",
    )
    def tell() -> dg.SkipReason:
        found = [status for status in monitor.read().sources if status.name == source]
        return dg.SkipReason(describe(found[0]) if found else f"{source} is not configured")

    return tell


def describe(source: SourceStatus) -> str:
    """How a source is asked, in words; times are as of the last look at Kafka's cursors."""
    if not source.enabled:
        return f"not asked: {source.reason}"
    if source.poll_age_s is None:
        return "not asked yet, as far as Kafka's cursors tell"
    text = f"asked {source.poll_age_s:.0f} s ago"
    if source.failures:
        text += f", failed {source.failures} times in a row"
    if source.due_in_s is not None:
        text += f", due in {max(source.due_in_s, 0):.0f} s"
    return text
