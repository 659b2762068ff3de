"""One `up`, from the lock on the data folder to the last child.

Here: the order of things, and what is said meanwhile. Not here: the live view and the options
(cli/), how a part starts (supervisor.py).
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crypto_platform.errors import PlatformError, StackError
from crypto_platform.settings import (
    ENVIRONMENT_FILE,
    Settings,
    SourcesMode,
    find_settings_file,
    load_settings,
)
from crypto_platform.stack.api import Api
from crypto_platform.stack.company import Company
from crypto_platform.stack.dagster import (
    CodeServer,
    Daemon,
    Migration,
    Webserver,
    launch_first_run,
)
from crypto_platform.stack.environment import build_environment
from crypto_platform.stack.folder import (
    DAGSTER_FOLDER,
    LOGS_FOLDER,
    hold_lock,
    make_data_folder,
    write_private,
)
from crypto_platform.stack.home import write_home
from crypto_platform.stack.identity import find_identity, write_identity
from crypto_platform.stack.kafka import Kafka
from crypto_platform.stack.mongo import Mongo
from crypto_platform.stack.part import Part, Place
from crypto_platform.stack.plan import PORTS, PROGRAMS, SERVERS, choose_parts
from crypto_platform.stack.ports import hold_ports
from crypto_platform.stack.postgres import Postgres, dagster_cluster, store_cluster
from crypto_platform.stack.processes import end_marked
from crypto_platform.stack.reachable import choose_sources, describe_sources
from crypto_platform.stack.simulation import Simulation
from crypto_platform.stack.state import (
    PartState,
    PartStatus,
    Phase,
    new_state,
    write_state,
)
from crypto_platform.stack.supervisor import Supervisor

Say = Callable[[str], None]
View = Callable[[Settings, threading.Event], None]

_FIRST_RUN_WAIT_S = 20.0
_STOPPING = "stopping (once more kills what is left)"


@dataclass(frozen=True, kw_only=True)
class UpOptions:
    """What was asked of this `up`.

    Attributes:
        only: Parts to start; None is all.
        while_stdin_open: End when standard input does: the caller's death, however it dies.
        view: Runs in a thread once all is ready, until its event is set; None shows lines only.
    """

    sources: SourcesMode = "auto"
    only: Collection[str] | None = None
    migrate: bool = True
    while_stdin_open: bool = False
    view: View | None = None


def run_up(data_dir: Path, options: UpOptions, *, say: Say) -> None:
    """Start the stack and keep it until a signal; returns when everything is stopped.

    Args:
        data_dir: Absolute.
        options: What was asked.
        say: Shows a line.

    Raises:
        StackError: It could not start; what had been started is stopped again.
        ConfigurationError: A setting cannot work. Nothing was started.
    """
    settings = load_settings(data_dir, environment_file=False)
    names = choose_parts(
        settings, only=options.only, migrate=options.migrate, sources=options.sources
    )
    try:
        make_data_folder(data_dir)
        with hold_lock(data_dir):
            _refuse_full_disk(data_dir, settings.stack.disk_free_bytes_min)
            orphans = end_marked(data_dir)
            if orphans:
                say(f"ended {orphans} processes that an earlier `up` left behind")
            with _hold_place(data_dir, settings, names) as place:
                asyncio.run(_Up(place, names, options, say).run())
    except OSError as error:
        message = (
            f"{error.filename or data_dir}: {error.strerror}: the data folder must be writable and "
            f"on a disk with room; choose another with --data-dir"
        )
        raise StackError(message) from None


@contextmanager
def _hold_place(data_dir: Path, settings: Settings, names: Collection[str]) -> Generator[Place]:
    """The folder's identity and ports; the ports are ours until the block ends."""
    # a setting says so where data come from elsewhere: their hours are partitions too
    is_given = "installed_at" in settings.model_fields_set
    identity = find_identity(data_dir, now=settings.installed_at if is_given else datetime.now(UTC))
    # The code server's stands in the environment of `exec` even where it does not run.
    wanted = {port: None for name in (*names, "code-server") for port in PORTS.get(name, ())}
    fixed = {port: getattr(settings.stack, f"{port}_port") for port in wanted}
    with hold_ports(wanted, fixed=fixed, last=identity.ports) as ports:
        identity = identity.model_copy(update={"ports": identity.ports | ports})
        write_identity(data_dir, identity)
        yield Place(data_dir=data_dir, settings=settings, identity=identity, ports=ports)


def _refuse_full_disk(data_dir: Path, bytes_min: int) -> None:
    free = shutil.disk_usage(data_dir).free
    if free < bytes_min:
        message = (
            f"only {free / 1e9:.2f} GB are free where {data_dir} is, less than "
            f"{bytes_min / 1e9:.2f} GB: make room, choose another disk with --data-dir, or lower "
            f"stack.disk_free_bytes_min"
        )
        raise StackError(message)


class _Up:
    """The state of one run; lives in the main thread's event loop."""

    def __init__(self, place: Place, names: Collection[str], options: UpOptions, say: Say) -> None:
        self._place = place
        self._data_dir = place.data_dir
        self._names = names
        self._options = options
        self._say = say
        self._started_at = datetime.now(UTC)
        self._state = new_state(os.getpid(), self._started_at)
        self._stop = asyncio.Event()
        self._at_once = asyncio.Event()
        self._viewing = False
        self._supervisor = Supervisor(
            place.data_dir,
            ready_timeout_s=place.settings.stack.ready_timeout_s,
            log_bytes_max=place.settings.stack.log_bytes_max,
            changed=self._show_part,
        )

    async def run(self) -> None:
        self._listen_for_stop()
        began = time.monotonic()
        self._enter(Phase.STARTING)
        starting = asyncio.create_task(self._start())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                self._enter(Phase.RUNNING)
                self._say(f"running after {time.monotonic() - began:.1f} s")
                await self._stay()
        except StackError as error:
            self._state.problem = str(error)
            raise
        finally:
            await _cancel(starting, stopping)
            self._enter(Phase.STOPPING)
            await self._supervisor.stop(at_once=self._at_once)
            self._enter(Phase.STOPPED)
        self._say(f"stopped; the data stay in {self._data_dir}")

    async def _start(self) -> None:
        settings = self._place.settings
        asking = asyncio.create_task(choose_sources(settings, self._options.sources))
        starting = asyncio.create_task(self._supervisor.start(self._build(SERVERS)))
        try:
            choices = await asking
            self._introduce(describe_sources(settings, choices))
            enabled = {name: choice.enabled for name, choice in choices.items()}
            self._write_environment(enabled)
            await starting
            await self._supervisor.start(self._build(PROGRAMS))
        finally:
            await _cancel(asking, starting)

    def _write_environment(self, enabled: Mapping[str, bool]) -> None:
        variables = build_environment(
            self._place, parts=self._names, enabled=enabled, started_at=self._started_at
        )
        lines = "".join(f"{key}={value}\n" for key, value in variables.items())
        write_private(self._data_dir / ENVIRONMENT_FILE, lines)
        if "DAGSTER_HOME" in variables:
            home = self._data_dir / DAGSTER_FOLDER
            write_home(home, self._place.settings.dagster, variables=variables)

    def _build(self, names: Sequence[str]) -> list[Part]:
        """Make those parts of `names` that run in this stack."""
        place = self._place
        makers: dict[str, Callable[[], Part]] = {
            "kafka": lambda: Kafka(place, say=self._say),
            "postgres": lambda: Postgres(place, store_cluster(place)),
            "mongo": lambda: Mongo(place),
            "dagster-postgres": lambda: Postgres(place, dagster_cluster(place)),
            "simulation": lambda: Simulation(place),
            "company": lambda: Company(place),
            "migration": lambda: Migration(place),
            "code-server": lambda: CodeServer(place),
            "daemon": lambda: Daemon(place),
            "webserver": lambda: Webserver(place),
            "api": lambda: Api(place),
        }
        return [makers[name]() for name in names if name in self._names]

    async def _stay(self) -> None:
        """Show the live view, where there is one, and wait for the end."""
        url = self._address_of("webserver")
        if url is not None:
            self._say(f"Dagster UI: {url}")
        if (api := self._address_of("api")) is not None:
            self._say(f"dashboard, HTTP API: {api}")
        launching = asyncio.create_task(self._launch_first_run(url))
        view_stop = threading.Event()
        viewing = asyncio.create_task(self._show_view(view_stop))
        try:
            await self._stop.wait()
        finally:
            seen = self._viewing
            view_stop.set()
            await asyncio.wait({viewing})
            if seen:
                self._say(_STOPPING)
            await _cancel(launching)

    async def _show_view(self, stop: threading.Event) -> None:
        if self._options.view is None:
            return
        self._viewing = True
        try:
            await asyncio.to_thread(self._options.view, load_settings(self._data_dir), stop)
        except PlatformError as error:
            self._say(f"the live view ended ({error}); the stack runs on, Ctrl-C stops it")
        finally:
            self._viewing = False

    async def _launch_first_run(self, url: str | None) -> None:
        if url is not None and "daemon" in self._state.parts:
            follow_s = self._place.settings.ingest.follow_s
            await launch_first_run(url, follow_s=follow_s, within_s=_FIRST_RUN_WAIT_S)

    def _address_of(self, name: str) -> str | None:
        part = self._state.parts.get(name)
        return part.address if part else None

    def _introduce(self, lines: list[str]) -> None:
        file = find_settings_file(self._data_dir)
        there = "" if file.exists() else " (not there: defaults)"
        for line in (
            *lines,
            f"settings and keys: {file}{there}; logs: {self._data_dir / LOGS_FOLDER}",
        ):
            self._say(line)

    def _listen_for_stop(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._ask_to_stop)
        if self._options.while_stdin_open:
            loop.add_reader(sys.stdin.fileno(), self._read_stdin)

    def _read_stdin(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._ask_to_stop()

    def _ask_to_stop(self) -> None:
        if self._stop.is_set():
            self._say("stopping at once")
            self._at_once.set()
            return
        if not self._viewing:  # else its last picture would be drawn over this
            self._say(_STOPPING)
        self._stop.set()

    def _enter(self, phase: Phase) -> None:
        self._state.phase = phase
        self._state.webserver_url = self._address_of("webserver")
        self._state.api_url = self._address_of("api")
        self._write_state()

    def _show_part(self, name: str, status: PartStatus) -> None:
        self._state.parts[name] = status.model_copy()
        self._write_state()
        if self._viewing:
            return  # it shows the parts itself
        if status.state in {PartState.READY, PartState.DONE}:
            self._say(
                f"{name:<17}{status.state:<6}{status.ready_s or 0:5.1f} s  {status.address or ''}"
            )
        elif status.problem and status.state in {PartState.RESTARTING, PartState.STOPPED}:
            self._say(f"{name:<17}{status.problem}")

    def _write_state(self) -> None:
        # A full disk must not end the supervisor: an old file is the smaller harm.
        with contextlib.suppress(OSError):
            write_state(self._data_dir, self._state)


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for their end; an error of theirs was raised elsewhere already."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
