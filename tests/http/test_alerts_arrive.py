"""Alerts over a real socket: the sensor's ticks, a receiver that refuses, the commands.

The receiver is a webhook; what other services want, Apprise knows.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import pytest
from click.testing import CliRunner

from crypto_platform.cli import main
from crypto_platform.sensors.alerts import build_alert_sensor
from crypto_platform.serving.audits import Audits
from crypto_platform.serving.health import Readings, Status
from crypto_platform.serving.judge import build_status
from crypto_platform.serving.monitor import Monitor
from crypto_platform.serving.probe import Answer
from crypto_platform.settings import Settings
from tests.local_server import QuietHandler, listening
from tests.status_steps import NOON, P0, SECOND, bounds, kafka_reading, readings, settings_of

SECRET = "canary-5028841971"


@dataclass
class Receiver:
    """A webhook, and at /graphql a Dagster that has audited nothing.

    Attributes:
        status: What it answers; 307 sends on to /moved.
        body: Its answer's.
        taken: Each message's title and body.
        asked: Paths that were asked, in order.
    """

    status: int = 200
    body: bytes = b'{"data": {"assetNodes": []}}'
    taken: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/hooks/{SECRET}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()

    class Handler(QuietHandler):
        def respond(self) -> None:
            made.asked.append(self.path)
            body = json.loads(self.read_body())
            if made.status == 200 and self.path != "/graphql":
                made.taken.append(body)
            moved = {"Location": f"http://127.0.0.1:{made.port}/moved"}
            self.answer(made.body, status=made.status, **moved if made.status == 307 else {})

    with listening(Handler) as made.port:
        yield made


class ScriptedMonitor(Monitor):
    """Sees what a test says."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.settings = settings
        self.readings: Readings = readings()

    def read(self, *, young_s: float = 0.0) -> Status:
        status = build_status(self.settings, self.readings)
        feeds = tuple(feed for feed in status.feeds if feed.name == "quotes")
        return msgspec.structs.replace(status, feeds=feeds)


class Ticks:
    """The sensor of one deployment, tick after tick, with the cursor in between."""

    def __init__(self, settings: Settings) -> None:
        self.monitor = ScriptedMonitor(settings)
        self._sensor = build_alert_sensor(settings, self.monitor, Audits(settings))
        self._cursor: str | None = None

    def tick(self) -> str:
        """One more; what it says."""
        with dg.DagsterInstance.ephemeral() as instance:
            context = dg.build_sensor_context(instance=instance, cursor=self._cursor)
            result = self._sensor(context)
        assert isinstance(result, dg.SensorResult)
        assert isinstance(result.skip_reason, dg.SkipReason)
        self._cursor = result.cursor
        assert SECRET not in f"{self._cursor} {result.skip_reason.skip_message}"
        return str(result.skip_reason.skip_message)


def lagging() -> Readings:
    """PostgreSQL's first waiting record has waited for 45 s."""
    return readings(
        kafka=Answer(value=kafka_reading({P0: bounds(last_stable=190)})),
        waiting_since={P0: NOON - 45 * SECOND},
    )


def test_a_fault_arrives_once_and_so_does_its_end(tmp_path: Path, receiver: Receiver) -> None:
    """Over the wire, as somebody's phone gets it."""
    settings = settings_of(
        tmp_path,
        ALERTS__RECEIVERS__TEAM=receiver.url,
        ALERTS__AFTER_S="0",
        DAGSTER__WEBSERVER_URL=f"http://127.0.0.1:{receiver.port}",
    )
    ticks = Ticks(settings)
    assert ticks.tick() == "no news (open alerts: 0)"
    ticks.monitor.readings = lagging()
    assert ticks.tick() == "team was told: postgres lags (begun)"
    assert ticks.tick() == "no news (open alerts: 1)"
    ticks.monitor.readings = readings()
    assert ticks.tick() == "team was told: postgres lags (over)"
    assert ticks.tick() == "no news (open alerts: 0)"
    begun, over = receiver.taken
    assert set(receiver.asked) == {f"/hooks/{SECRET}", "/graphql"}
    assert begun["title"] == "crypto_platform local: postgres lags (begun)"
    assert "90 records wait, the first of them for 45.0 s" in begun["message"]
    assert "docs/runbook.md#a-store-lags" in begun["message"]
    assert begun["type"] == "failure"
    assert over["title"] == "crypto_platform local: postgres lags (over)"
    assert over["type"] == "success"


def test_a_receiver_that_refuses_is_told_in_the_tick_and_tried_again(
    tmp_path: Path, receiver: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    """Lost messages are worse than none: everybody believes that all is well."""
    settings = settings_of(
        tmp_path,
        ALERTS__RECEIVERS__TEAM=receiver.url,
        ALERTS__RECEIVERS__GONE=f"json://127.0.0.1:9/{SECRET}",
        ALERTS__RECEIVERS__WRONG=f"slak://{SECRET}/{SECRET}",
        ALERTS__RECEIVERS__OPEN=f"json://hooks.example/{SECRET}",
        ALERTS__RECEIVERS__UNCHECKED=f"jsons://hooks.example/{SECRET}?verify=no",
        ALERTS__AFTER_S="0",
    )
    ticks = Ticks(settings)
    ticks.monitor.readings = lagging()
    receiver.status = 503
    said = ticks.tick()
    assert "team did not take postgres lags (begun); tried again: " in said
    assert "503" in said
    assert "gone did not take postgres lags (begun)" in said
    assert "tried again: its URL is none that Apprise can use" in said
    assert "hooks.example would be talked to in plain text: write jsons://…" in said
    assert "its URL says verify=no" in said
    receiver.status = 200
    assert "team was told" in ticks.tick()
    assert "team" not in ticks.tick()
    assert len(receiver.taken) == 1
    assert SECRET not in "".join(capfd.readouterr())


def test_an_answer_about_audits_that_nobody_understands_silences_no_alert(
    tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Another release of Dagster, another shape: a store that is down must be told all the same."""
    receiver.body = b'{"data": {"assetNodes": [{"assetKey": 7}]}}'
    settings = settings_of(
        tmp_path,
        ALERTS__RECEIVERS__TEAM=receiver.url,
        ALERTS__AFTER_S="0",
        DAGSTER__WEBSERVER_URL=f"http://127.0.0.1:{receiver.port}",
    )
    ticks = Ticks(settings)
    ticks.monitor.readings = lagging()
    said = ticks.tick()
    assert said.startswith("team was told: postgres lags (begun); not known how the last audits")
    assert "KeyError" in said
    assert [message["title"] for message in receiver.taken] == [
        "crypto_platform local: postgres lags (begun)"
    ]
    assert "KeyError" in caplog.text


def test_without_a_dagster_to_ask_the_tick_says_that_audits_are_not_known(
    tmp_path: Path, receiver: Receiver
) -> None:
    """It looked as if every audit were whole."""
    settings = settings_of(tmp_path, ALERTS__RECEIVERS__TEAM=receiver.url)
    said = Ticks(settings).tick()
    assert said.startswith("no news (open alerts: 0); not known how the last audits ended: ")
    assert "set dagster.webserver_url" in said


@pytest.mark.parametrize("option", ["", "?redirect=yes"])
def test_a_message_is_not_sent_on_to_another_address(
    tmp_path: Path, receiver: Receiver, option: str
) -> None:
    """The other may speak plain text, or be anybody's: only the first was checked."""
    settings = settings_of(
        tmp_path, ALERTS__RECEIVERS__TEAM=f"{receiver.url}{option}", ALERTS__AFTER_S="0"
    )
    ticks = Ticks(settings)
    ticks.monitor.readings = lagging()
    receiver.status = 307
    assert "team did not take postgres lags (begun); tried again: " in ticks.tick()
    assert receiver.asked == [f"/hooks/{SECRET}"]


def test_without_a_receiver_the_sensor_says_that_nobody_is_told(tmp_path: Path) -> None:
    """And asks nothing of anybody."""
    assert Ticks(settings_of(tmp_path)).tick().startswith("nobody is told: alerts.receivers is")


def test_a_trial_arrives_and_a_dry_run_sends_nothing(tmp_path: Path, receiver: Receiver) -> None:
    """Before the first night, not in it."""
    folder = ["--data-dir", str(tmp_path)]
    nobody = CliRunner().invoke(main, ["alerts", "test", *folder])
    assert nobody.exit_code == 1
    assert "alerts.receivers is empty: set one" in nobody.output
    # what a service's unit gave `up`, a command typed beside it does not have
    assert f"{tmp_path}/settings.toml" in nobody.output
    assert "docs/service.md" in nobody.output
    (tmp_path / "settings.toml").write_text(f'[alerts.receivers]\nteam = "{receiver.url}"\n')
    dry = CliRunner().invoke(main, ["alerts", "test", "--dry-run", *folder])
    assert (dry.exit_code, receiver.taken) == (0, [])
    assert dry.output.startswith("to team:\ncrypto_platform local: trial message\n")
    sent = CliRunner().invoke(main, ["alerts", "test", *folder])
    assert (sent.exit_code, sent.output) == (0, "team: taken\n")
    assert receiver.taken[0]["title"] == "crypto_platform local: trial message"
    receiver.status = 401
    refused = CliRunner().invoke(main, ["alerts", "test", "--to", "team", *folder])
    assert (refused.exit_code, "401" in refused.output) == (1, True)
    unknown = CliRunner().invoke(main, ["alerts", "test", "--to", "desk", *folder])
    assert "no receiver desk in alerts.receivers; there are: team" in unknown.output


def test_the_command_shows_what_would_be_told(tmp_path: Path) -> None:
    """Of a folder where nothing runs: that everything is down."""
    folder = ["--data-dir", str(tmp_path)]
    shown = CliRunner().invoke(main, ["alerts", "list", *folder])
    assert shown.exit_code == 1
    assert "postgres is down" in shown.output
    assert "docs/runbook.md#a-store-is-down" in shown.output
    assert "set dagster.webserver_url" in shown.stderr
    document = json.loads(CliRunner().invoke(main, ["alerts", "list", "--json", *folder]).stdout)
    names = {row["name"] for row in document["alerts"]}
    assert names == {"down/postgres", "down/mongo", "kafka"}


@pytest.mark.parametrize("value", ['receivers = {"Two Words" = "json://h"}', "receivers = {a = 1}"])
def test_a_wrong_receiver_is_named_and_its_url_is_not(tmp_path: Path, value: str) -> None:
    """The line goes into a terminal that somebody shares."""
    text = f"[alerts]\n{value.replace('json://h', f'json://h/{SECRET}')}\n"
    (tmp_path / "settings.toml").write_text(text)
    said = CliRunner().invoke(main, ["alerts", "test", "--data-dir", str(tmp_path)])
    assert said.exit_code == 1
    assert "alerts.receivers" in said.output
    assert SECRET not in said.output
