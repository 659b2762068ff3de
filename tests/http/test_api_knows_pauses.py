"""`/metrics` of the API tells what a person has paused, as `crypto-platform status` does."""

import json
from collections.abc import Iterator

import pytest

from crypto_platform.serving.api.app import create_app
from crypto_platform.serving.failover import Reads
from crypto_platform.settings import DEFAULT_SOURCES, Settings
from tests.api_harness import SECRET, TestClient
from tests.local_server import QuietHandler, listening

STATES = {"poll_simulated": "STOPPED", "poll_coinbase": "RUNNING", "mongo_lag": "STOPPED"}


@pytest.fixture
def webserver_url() -> Iterator[str]:
    """As much of Dagster's web server as tells the switches."""
    results = [
        {"name": name, "sensorState": {"id": name, "status": status}}
        for name, status in STATES.items()
    ]
    sensors = {"__typename": "Sensors", "results": results}
    answer = json.dumps({"data": {"sensorsOrError": sensors, "assetNodes": []}}).encode()

    class Handler(QuietHandler):
        def respond(self) -> None:
            if self.command == "POST":
                self.read_body()
            self.answer(answer if self.command == "POST" else b"{}")

    with listening(Handler) as port:
        yield f"http://127.0.0.1:{port}"


def read_paused(settings: Settings) -> dict[str, str]:
    """The samples of pauses, by name and label."""
    app = create_app(settings, reads=Reads(settings, role="api"))
    with TestClient(app) as client:
        lines = client.get("/metrics").text.splitlines()
    return dict(
        line.rsplit(" ", 1)
        for line in lines
        if line.startswith("crypto_platform_") and "_paused{" in line
    )


def test_the_api_tells_what_is_paused_and_nothing_where_nobody_says(webserver_url: str) -> None:
    """A store that lags because somebody paused it woke people, and `status` called it good."""
    values = {"sources": DEFAULT_SOURCES, "api": {"secret": SECRET}}
    known = Settings.model_validate(values | {"dagster": {"webserver_url": webserver_url}})
    found = read_paused(known)
    assert found['crypto_platform_source_paused{source="simulated"}'] == "1.0"
    assert found['crypto_platform_source_paused{source="coinbase"}'] == "0.0"
    assert found['crypto_platform_store_paused{store="mongo"}'] == "1.0"
    assert found['crypto_platform_store_paused{store="postgres"}'] == "0.0"
    assert read_paused(Settings.model_validate(values)) == {}
