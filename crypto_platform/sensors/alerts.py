"""Tells people what is bad and what is well again, by message; see docs/operations.md.

The sensor only asks, sends and reports: serving/faults.py says what is bad, serving/alerts.py what
is news to whom. What each receiver knows stands in the cursor, which is written after the sending:
a message may come twice where a tick is killed in between, and none is lost. Where Dagster does not
run, nobody is told: that is for a Prometheus of another machine to say (docs/metrics.md).
"""

import logging
import time
from collections.abc import Sequence

import dagster as dg
import msgspec

from crypto_platform.assets.names import ALERT_SENSOR
from crypto_platform.assets.switches import read_paused
from crypto_platform.serving.alert_text import write_message
from crypto_platform.serving.alerts import Ledger, News, Told, tell_all
from crypto_platform.serving.audits import Audits
from crypto_platform.serving.faults import find_faults
from crypto_platform.serving.messages import send
from crypto_platform.serving.monitor import Monitor
from crypto_platform.settings import ENV_PREFIX, Settings

INTERVAL_S = 30

logger = logging.getLogger(__name__)


def build_alert_sensor(settings: Settings, monitor: Monitor, audits: Audits) -> dg.SensorDefinition:
    """The sensor; `monitor` is shared with the others of this process."""

    @dg.sensor(
        name=ALERT_SENSOR,
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Sends a message when something turns bad or is well again. Starts no run.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        if not settings.alerts.receivers:
            return dg.SensorResult(
                skip_reason="nobody is told: alerts.receivers is empty "
                f"({ENV_PREFIX}ALERTS__RECEIVERS__TEAM=slack://… names one)"
            )
        now = time.time()

        def tell(receiver: str, news: Sequence[News]) -> str | None:
            return send(settings, receiver, write_message(settings, news, now=now))

        audited = audits.answer()
        found = find_faults(
            settings, monitor.read(), audited.value or (), paused=read_paused(context.instance)
        )
        ledger, told = tell_all(settings.alerts, found, read_ledger(context.cursor), tell, now=now)
        lines = [*told] or [f"no news (open alerts: {len(found.bad)})"]
        if audited.problem is not None:
            lines.append(f"not known how the last audits ended: {audited.problem}")
        return dg.SensorResult(
            skip_reason="; ".join(lines),
            cursor=msgspec.json.encode(ledger).decode(),
        )

    return alerts


def read_ledger(cursor: str | None) -> Ledger:
    """What was told so far; nothing where an older release wrote it otherwise."""
    try:
        return msgspec.json.decode(cursor or "{}", type=dict[str, dict[str, Told]])
    except msgspec.DecodeError:
        logger.warning("what was told is not known any more: what is bad is told again")
        return {}
