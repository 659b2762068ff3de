"""The services of docker-compose.yml that run our image, without an engine: as processes here.

Each gets the command, the environment and the health check that the compose file gives it, in the
order of `depends_on`, and no more: what a container lacks is missing here too. Replaced are hosts
and ports (embedded servers and free ports on the loopback) and the image's folders. Not here: what
an engine alone can show (file systems, networks, images): `make test-docker`.
"""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from pathlib import Path

from crypto_platform.settings import DEFAULT_SOURCES, process_environment
from crypto_platform.stack.embedded import embedded_servers
from crypto_platform.stack.identity import Identity, read_identity, write_identity
from crypto_platform.stack.ports import HOST, hold_ports
from crypto_platform.stack.processes import MARK, end_marked
from tests.compose_file import ROOT, SERVICES, environment_of, filled_example, interpolate
from tests.stack_harness import stack_folder
from tests.waiting import eventually

SERVERS = ("kafka", "postgres", "dagster-postgres", "mongo")
OURS = [name for name, service in SERVICES.items() if "PLATFORM_IMAGE" in service["image"]]
PROGRAMS = (*OURS, "proxy")
LISTENERS = {
    "code-server": ("4000",),
    "webserver": ("3000",),
    "viewer": ("3000",),
    "proxy": ("3000", "3001"),
    "api": ("8080",),
    "simulation": ("8099",),
    "company": ("8098",),
}
"""Service -> the ports it listens on, as its command and its health check name them."""

SIMULATED = {
    "CRYPTO_PLATFORM_SOURCES__SIMULATED__ENABLED": "true",
    "CRYPTO_PLATFORM_SOURCES__SIMULATED_EXCHANGE__ENABLED": "true",
    "CRYPTO_PLATFORM_SOURCES__SIMULATED_ECB__ENABLED": "true",
    "CRYPTO_PLATFORM_SOURCES__COMPANY__ENABLED": "true",
}
"""The switches of .env.example for the profiles simulation and company."""

NO_PUBLIC_SOURCES = {
    f"CRYPTO_PLATFORM_SOURCES__{name.upper()}__ENABLED": "false"
    for name, source in DEFAULT_SOURCES.items()
    if not source.get("simulated")
}
"""What a settings.env says where none of them is reached: a run that asks one of them fails."""

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
READY_S = 120.0
STOP_S = 30.0
KILLS_GROUP = "TINI_KILL_PROCESS_GROUP"
"""Docker's init passes a signal on to its child's group; see https://github.com/krallin/tini."""


@dataclass
class Program:
    """One service at work."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        return f"{self.name}:\n{self.log.read_text('utf-8')[-3000:]}"


@dataclass
class Composed:
    """The whole file at work.

    Attributes:
        values: What `.env` holds.
        addresses: `service:port` of the file -> where that is here.
    """

    folder: Path
    values: Mapping[str, str]
    addresses: Mapping[str, str]
    programs: dict[str, Program] = field(default_factory=dict[str, Program])

    def url(self, listener: str) -> str:
        return f"http://{self.addresses[listener]}"

    def environment(self, service: str) -> dict[str, str]:
        """What the service's container would have, and where its programs are."""
        given = {name: self._here(value) for name, value in environment_of(service).items()}
        given |= {
            name: self._split("code-server:4000")[name == "CRYPTO_CODE_SERVER_PORT"]
            for name in given
            if name.startswith("CRYPTO_CODE_SERVER_")
        }
        if "env_file" in SERVICES[service]:
            given |= NO_PUBLIC_SOURCES
        path = f"{Path(sys.executable).parent}:{process_environment()['PATH']}"
        image = {name: self._here(value) for name, value in _image_environment().items()}
        # of users' settings nothing is seen; the mark makes what is left here be found
        own = {"PATH": path, "HOME": str(self.folder), MARK: str(self.folder.resolve())}
        return {**image, **given, **own}

    def run(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        """As `docker compose exec SERVICE COMMAND`."""
        return subprocess.run(
            command,
            env=self.environment(service),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=READY_S,
        )

    def start(self, service: str) -> None:
        definition = SERVICES[service]
        words = [*definition.get("entrypoint", ()), *definition.get("command", ())]
        log = self.folder / f"{service}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self._word(service, word) for word in words],
                env=self.environment(service),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,
                # inherited as ignored, it makes Dagster's code server deaf to SIGTERM as well
                preexec_fn=_listen_to_interrupts,  # noqa: PLW1509 (no thread runs yet)
            )
        self.programs[service] = Program(service, process, log)

    def is_ready(self, service: str) -> bool:
        """Whether what waits for it may start: it is healthy, or has ended well."""
        program = self.programs[service]
        code = program.process.poll()
        if "healthcheck" not in SERVICES[service]:
            assert not code, program.said()
            return code == 0
        assert code is None, program.said()
        words = [self._word(service, word) for word in SERVICES[service]["healthcheck"]["test"]]
        assert words.pop(0) == "CMD"
        if words[0] == "wget":  # the image's own, which need not be here
            return answers(words[-1])
        return self.run(service, *words).returncode == 0

    def stop(self) -> dict[str, int]:
        """SIGTERM to all that still run, as `docker compose stop`; their exit codes."""
        living = [each for each in self.programs.values() if each.process.poll() is None]
        for program in living:
            if KILLS_GROUP in environment_of(program.name):
                os.killpg(program.process.pid, signal.SIGTERM)
            else:
                program.process.send_signal(signal.SIGTERM)
        return {program.name: program.process.wait(STOP_S) for program in living}

    def _word(self, service: str, word: str) -> str:
        """A word of a command: its own ports and the image's folders are elsewhere here."""
        text = self._here(word)
        for port in LISTENERS.get(service, ()):
            host, here = self._split(f"{service}:{port}")
            text = re.sub(rf"\b{port}\b", here, text)
            text = text.replace("0.0.0.0", host)  # noqa: S104 (not bound to: replaced)
        return text

    def _here(self, text: object) -> str:
        text = interpolate(str(text), dict(self.values))
        if text == "/tmp":  # noqa: S108 (a container's own)
            return str(self.folder)
        for listener, address in self.addresses.items():
            text = re.sub(rf"(?<![\w-]){listener}\b", address, text)
        for folder in ("/var/lib/", "/deploy/"):
            text = text.replace(folder, f"{self.folder}{folder}")
        return re.sub(r"^/app\b", str(ROOT), text)

    def _split(self, listener: str) -> Sequence[str]:
        return self.addresses[listener].rsplit(":", 1)


def _listen_to_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def answers(url: str) -> bool:
    """As `wget -q -O /dev/null URL`."""
    try:
        with _OPENER.open(url, timeout=10):
            return True
    except OSError:
        return False


@contextmanager
def composed() -> Generator[Composed]:
    """All of it, started as compose would; stopped, or ended, behind the block."""
    with stack_folder() as folder, stack_folder() as servers_folder:
        folder.mkdir()
        values = filled_example(datetime.now(UTC)) | SIMULATED
        # the embedded servers get the passwords of `.env`, as the containers' would
        servers_folder.mkdir()
        write_identity(servers_folder, _identity_of(values))
        wanted = [f"{name}:{port}" for name, ports in LISTENERS.items() for port in ports]
        with (
            embedded_servers(servers_folder, parts=SERVERS),
            hold_ports(wanted, fixed={}, last={}) as ports,
        ):
            own = {listener: f"{HOST}:{port}" for listener, port in ports.items()}
            whole = Composed(folder, values, {**own, **_server_addresses(servers_folder)})
            _lay_out(whole)
            try:
                for wave in _waves():
                    for service in wave:
                        whole.start(service)
                    for service in wave:
                        _wait_for(whole, service)
                yield whole
            finally:
                end_marked(folder)
                for program in whole.programs.values():
                    program.process.wait(STOP_S)


def _wait_for(whole: Composed, service: str) -> None:
    try:
        eventually(lambda: whole.is_ready(service), within_s=READY_S)
    except AssertionError as error:
        raise AssertionError(whole.programs[service].said()) from error


def _waves() -> Iterator[Sequence[str]]:
    """Services that may start together, each wave behind all that it waits for."""
    graph = {
        name: {need for need in SERVICES[name].get("depends_on", {}) if need in PROGRAMS}
        for name in PROGRAMS
    }
    # nothing waits for them in the file, but sources that are read should be there
    graph["code-server"] |= {"simulation", "company"}
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    while sorter:
        wave = sorter.get_ready()
        yield wave
        sorter.done(*wave)


def _identity_of(values: Mapping[str, str]) -> Identity:
    """What the servers are made with, from `.env`."""
    stores = ("ADMIN", "MIGRATOR", "LOADER", "ANALYST")
    return Identity(
        installed_at=datetime.fromisoformat(values["CRYPTO_PLATFORM_INSTALLED_AT"]),
        postgres_passwords={
            role.lower(): values[f"POSTGRES_{role}_PASSWORD"] for role in (*stores, "API")
        },
        mongo_passwords={role.lower(): values[f"MONGO_{role}_PASSWORD"] for role in stores},
        dagster_passwords={
            "admin": values["DAGSTER_ADMIN_PASSWORD"],
            "dagster": values["DAGSTER_PASSWORD"],
        },
        mongo_key=values["MONGO_KEY"],
        kafka_cluster_id=values["KAFKA_CLUSTER_ID"],
    )


def _server_addresses(folder: Path) -> dict[str, str]:
    identity = read_identity(folder)
    assert identity is not None
    ports = {
        "kafka:9092": "kafka",
        "dagster-postgres:5432": "dagster_postgres",
        "postgres:5432": "postgres",
        "mongo:27017": "mongo",
    }
    return {listener: f"{HOST}:{identity.ports[name]}" for listener, name in ports.items()}


def _lay_out(whole: Composed) -> None:
    """The folders that the image and its volumes have, and the files that are mounted."""
    for name in ("dagster", "crypto_platform", "company"):
        (whole.folder / "var" / "lib" / name).mkdir(parents=True)
    deploy = whole.folder / "deploy"
    deploy.mkdir()
    proxy = ROOT / "deploy" / "proxy"
    start = (proxy / "start.sh").read_text("utf-8").replace("/deploy/", f"{deploy}/")
    (deploy / "start.sh").write_text(start, "utf-8")
    text = (proxy / "Caddyfile").read_text("utf-8")
    for listener, address in whole.addresses.items():
        text = re.sub(rf"(?<![\w-]){listener}\b", address, text)
    for port in LISTENERS["proxy"]:
        here = whole.addresses[f"proxy:{port}"]
        text = re.sub(rf"http://(127\.0\.0\.1)?:{port}\b", f"http://{here}", text)
    text = text.replace("admin off", f"admin off\n\tdefault_bind {HOST}")
    (deploy / "Caddyfile").write_text(text, "utf-8")


def _image_environment() -> dict[str, str]:
    """ENV of the Dockerfile's last stage, without the PATH."""
    text = (ROOT / "Dockerfile").read_text("utf-8").rpartition("\nFROM ")[2]
    [block] = re.findall(r"^ENV (.*?[^\\])$", text, re.MULTILINE | re.DOTALL)
    pairs = dict(re.findall(r"([A-Z_]+)=(\S+)", block))
    return {name: value for name, value in pairs.items() if name != "PATH"}
