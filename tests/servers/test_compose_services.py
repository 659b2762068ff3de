"""docker-compose.yml without an engine: every service that runs our image starts, serves and ends.

One test, for its ten processes take half a minute to start. `make test-docker` runs it too.
"""

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

        codes = whole.stop()
        assert {name for name, code in codes.items() if code not in {0, TERMINATED}} == set()
