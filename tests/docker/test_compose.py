"""docker-compose.yml for real: built, started, worked with, taken down (`make test-docker`).

Needs a Docker engine with compose. Images are those of the file, or the ones that KAFKA_IMAGE,
POSTGRES_IMAGE, MONGO_IMAGE, CADDY_IMAGE and PYTHON_IMAGE name (stand_ins/ makes some). The
project's name is its own: a deployment on the same machine is not touched.
"""

import json
import secrets
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from crypto_platform.settings import process_environment
from tests.compose_file import ROOT, SERVICES, filled_example
from tests.compose_services import NO_PUBLIC_SOURCES, SIMULATED
from tests.dagster_client import LAUNCH, DagsterClient, poll_once

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

START_INTERVAL_SINCE = 25
"""The engine's first version that knows start_interval."""
SOURCES_READ_BY = ("code-server", "home", "daemon")
"""Where runs get their settings, in the one way or the other."""

COMMAND_S = 900.0
RUNS_FILE = ROOT / "deploy" / "docker-runs.yml"


@dataclass(frozen=True, kw_only=True)
class Compose:
    """One project of compose, with an environment of its own."""

    project: str
    env_file: Path
    values: Mapping[str, str]
    files: Sequence[Path]

    @property
    def command(self) -> Sequence[str]:
        named = ("--project-name", self.project, "--env-file", str(self.env_file))
        return ("docker", "compose", "--project-directory", str(ROOT), *named)

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        files = [word for file in self.files for word in ("-f", str(file))]
        done = subprocess.run(
            [*self.command, *files, *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )
        assert not check or done.returncode == 0, f"{words}:\n{done.stdout}\n{done.stderr}"
        return done

    def up(self) -> None:
        """Start it all and wait until all is healthy; shows what was said where it fails."""
        done = self.run("up", "--detach", "--wait", "--quiet-pull", check=False)
        if done.returncode:
            states = self.run("ps", "--all", check=False).stdout
            logs = self.run("logs", "--tail", "40", "--no-color", check=False).stdout
            pytest.fail(f"{done.stderr[-3000:]}\n{states}\n{logs[-20_000:]}")

    def prove(self) -> dict[str, int]:
        """Audit everything; records by feed."""
        words = ("exec", "-T", "code-server", "crypto-platform", "audit", "--wait", "120", "--json")
        done = self.run(*words, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        feeds = json.loads(done.stdout)["feeds"]
        return {name: feed["kafka"]["records"] for name, feed in feeds.items()}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def find_socket() -> Path:
    """The engine's, as the command line finds it."""
    address = process_environment().get("DOCKER_HOST", "unix:///var/run/docker.sock")
    return Path(urlsplit(address).path)


def ask_docker(*words: str) -> str:
    """What the engine's command line prints."""
    command = ("docker", *words)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"no Docker engine answers here, or not so: {done.stderr}"
    return done.stdout


def write_override(folder: Path) -> Path:
    """What differs here: no public source is read, and an old engine's checks are slower."""
    version = ask_docker("version", "--format", "{{.Server.Version}}")
    is_old = int(version.partition(".")[0]) < START_INTERVAL_SINCE
    lines = ["services:"]
    for name, service in SERVICES.items():
        parts: list[str] = []
        if name in SOURCES_READ_BY:
            parts.append(f"environment: {json.dumps(NO_PUBLIC_SOURCES)}")
        if is_old and "healthcheck" in service:
            parts.append("healthcheck: {start_interval: !reset null, interval: 3s}")
        if parts:
            lines.append(f"  {name}: {{{', '.join(parts)}}}")
    file = folder / "override.yml"
    file.write_text("\n".join([*lines, ""]), "utf-8")
    return file


@pytest.fixture
def compose(tmp_path: Path) -> Iterator[Compose]:
    """The file as it is, with the simulated market and company; gone behind the test."""
    override = write_override(tmp_path)
    status = find_socket().stat()
    values = filled_example(datetime.now(UTC)) | SIMULATED
    values |= {"WEBSERVER_PORT": str(free_port()), "API_PORT": str(free_port())}
    values |= {"COMPOSE_PROFILES": "simulation,company", "PLATFORM_IMAGE": "crypto-platform:test"}
    values |= {"DOCKER_GID": str(status.st_gid), "DOCKER_SOCKET": str(find_socket())}
    env_file = tmp_path / "env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in values.items()), "utf-8")
    made = Compose(
        project=f"crypto-platform-test-{secrets.token_hex(3)}",
        env_file=env_file,
        values=values,
        files=[ROOT / "docker-compose.yml", override],
    )
    try:
        yield made
    finally:
        made.run("stop", "daemon", check=False)  # which would make more of them
        end_run_containers(made)
        made.run("down", "--volumes", "--timeout", "20", check=False)


def end_run_containers(compose: Compose) -> None:
    """Runs are no services: compose leaves them, and with them its networks."""
    ours = f"network={compose.project}_servers"
    runs = ask_docker(
        "ps", "--all", "--quiet", "--filter", "label=dagster/run_id", "--filter", ours
    )
    if runs:
        ask_docker("rm", "--force", *runs.split())


def work(compose: Compose) -> dict[str, int]:
    """Who asks for a poll is let in, others are not; every record of it is in both stores once."""
    dagster = DagsterClient(f"http://127.0.0.1:{compose.values['WEBSERVER_PORT']}", compose.values)
    assert dagster.ask(None, LAUNCH)[0] == HTTPStatus.UNAUTHORIZED
    assert "LaunchRunSuccess" not in dagster.ask("viewer", LAUNCH)[1]
    run_id = poll_once(dagster, within_s=300)
    is_container = "docker/container_id" in dagster.tags_of(run_id)
    assert is_container is (RUNS_FILE in compose.files)
    return compose.prove()


def test_compose_starts_and_every_record_is_in_both_stores_once(compose: Compose) -> None:
    """Read-only folders, dropped rights, names of hosts: an engine alone shows what they break.

    Then the same with a container for each run, on the same data.
    """
    compose.run("build", "home")  # the image is the same for all
    compose.up()
    first = work(compose)
    assert first["quotes"] > 0
    assert first["account_events"] > 0

    in_containers = replace(compose, files=[*compose.files, RUNS_FILE])
    in_containers.up()
    second = work(in_containers)
    assert second["quotes"] > first["quotes"]
