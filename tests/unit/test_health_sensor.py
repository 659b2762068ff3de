"""The sensor that observes topics and answers checks, on an instance in memory."""

from pathlib import Path

import dagster as dg

from crypto_platform.sensors.health import build_health_sensor
from crypto_platform.serving.health import Status
from crypto_platform.serving.judge import build_status
from crypto_platform.serving.monitor import Monitor
from crypto_platform.settings import Settings
from tests.status_steps import readings, settings_of


class StandingMonitor(Monitor):
    """Always sees the same good platform."""

    def __init__(self, settings: Settings) -> None:
        """Asks nobody."""
        super().__init__(settings)
        self._status = build_status(settings, readings())

    def read(self, *, young_s: float = 0.0) -> Status:
        return self._status


def test_the_first_tick_of_a_new_platform_observes_and_answers(tmp_path: Path) -> None:
    """Nothing has been materialized then; its tick failed, the first thing a newcomer saw."""
    settings = settings_of(tmp_path)
    sensor = build_health_sensor(settings, StandingMonitor(settings))
    with dg.DagsterInstance.ephemeral() as instance:
        result = sensor(dg.build_sensor_context(instance=instance))
        assert isinstance(result, dg.SensorResult)
        observed = {event.asset_key.to_user_string() for event in result.asset_events}
        assert "kafka/market/quotes" in observed
        check = dg.AssetCheckKey(dg.AssetKey(["postgres", "market", "quote"]), "fresh")
        [answer] = instance.event_log_storage.get_asset_check_execution_history(check, limit=5)
        assert answer.status.value == "SUCCEEDED"
