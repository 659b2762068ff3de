"""docker-compose.yml without an engine: every service that runs our image starts, serves and ends.

One test, for its ten processes take half a minute to start. `make test-docker` runs it too.
"""

import urllib.error
import urllib.request

import pytest

from tests.compose_services import PROGRAMS, composed
from tests.dagster_client import LAUNCH, DagsterClient, poll_once

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TERMINATED = -15


def test_what_compose_starts_serves_and_ends() -> None:
    """A renamed option, a variable that is missing: found here, not at somebody's first start."""
    with composed() as whole:
        assert set(whole.programs) == set(PROGRAMS)

        dagster = DagsterClient(whole.url("proxy:3000"), whole.values)
        assert dagster.ask(None, LAUNCH)[0] == 401
        assert "LaunchRunSuccess" not in dagster.ask("viewer", LAUNCH)[1]
        poll_once(dagster, within_s=120)

        audit = whole.run("code-server", "crypto-platform", "audit", "--wait", "60")
        assert audit.returncode == 0, audit.stdout + audit.stderr

        metrics = read_metrics(f"{whole.url('api:8080')}/metrics", whole.values["API_OPERATOR_KEY"])
        expected = {
            "kafka_up": "1.0",
            "dagster_webserver_up": "1.0",
            'store_up{store="postgres"}': "1.0",
            'store_up{store="mongo"}': "1.0",
            'store_paused{store="mongo"}': "0.0",
            'source_paused{source="simulated"}': "0.0",
        }
        assert {name: metrics.get(name) for name in expected} == expected
        assert {"good", 'analytics_waiting_hours{computation="candles"}'} <= set(metrics)
        assert 'load_quarantined_records{feed="quotes",store="postgres"}' not in metrics

        codes = whole.stop()
        assert {name for name, code in codes.items() if code not in {0, TERMINATED}} == set()


def read_metrics(url: str, key: str) -> dict[str, str]:
    """The platform's samples by name and labels; who has no key is given none."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        opener.open(url, timeout=30)
    refused.value.close()
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
    with opener.open(request, timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    samples = [line for line in lines if line.startswith("crypto_platform_")]
    return dict(line.removeprefix("crypto_platform_").rsplit(" ", 1) for line in samples)
