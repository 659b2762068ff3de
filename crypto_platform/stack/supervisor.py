"""Start parts in their order, keep them running, stop them in reverse.

Here: one task a part (wait for others, prepare, start, wait until ready, start again after an end),
the order of stopping, rotation of logs. Not here: what a part is (part.py and the parts), what is
shown of it (up.py).

A part that ends before it was ever ready is tried START_TRIES times, then the whole start fails
with the end of its log. Once it was ready it is started again for as long as the stack runs.
"""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from crypto_platform.errors import StackError
from crypto_platform.stack.folder import LOGS_FOLDER
from crypto_platform.stack.logs import open_log, read_tail, rotate_log
from crypto_platform.stack.part import Part
from crypto_platform.stack.processes import end_marked, spawn
from crypto_platform.stack.state import PartState, PartStatus

LOGGER = logging.getLogger(__name__)

START_TRIES = 3
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 10.0
HEALTHY_AFTER_S = 30.0
_PROBE_INTERVAL_S = 0.1
_ROTATE_INTERVAL_S = 10.0
_TAIL_LINES = 15


@dataclass(kw_only=True)
class _Ward:
    """A part under supervision."""

    part: Part
    first_ready: asyncio.Future[None]
    status: PartStatus = field(default_factory=PartStatus)
    process: asyncio.subprocess.Process | None = None
    task: asyncio.Task[None] | None = None
    log_start: int = 0


class Supervisor:
    """Keeps the parts of one data folder; to be used in the main thread's event loop."""

    def __init__(
        self,
        data_dir: Path,
        *,
        ready_timeout_s: float,
        log_bytes_max: int,
        changed: Callable[[str, PartStatus], None],
    ) -> None:
        """Keep nothing yet.

        Args:
            data_dir: Whose stack.
            ready_timeout_s: A part not ready by then fails.
            log_bytes_max: A log rotates at this size.
            changed: Called with a part's name and status whenever that changes.
        """
        self._data_dir = data_dir
        self._ready_timeout_s = ready_timeout_s
        self._log_bytes_max = log_bytes_max
        self._changed = changed
        self._wards: dict[str, _Ward] = {}
        self._rotation: asyncio.Task[None] | None = None

    async def start(self, parts: Sequence[Part]) -> None:
        """Start parts and return when all are ready (or done, those that run once).

        Raises:
            StackError: One cannot start. The others go on: stop() is the caller's to call.
        """
        if self._rotation is None:
            self._rotation = asyncio.create_task(self._rotate_logs())
        fresh = [self._adopt(part) for part in parts]
        for ward in fresh:
            ward.task = asyncio.create_task(self._keep(ward), name=ward.part.name)
            ward.task.add_done_callback(partial(self._conclude, ward))
        if fresh:
            firsts = [ward.first_ready for ward in fresh]
            done, _ = await asyncio.wait(firsts, return_when=asyncio.FIRST_EXCEPTION)
            for first in done:
                first.result()

    def _adopt(self, part: Part) -> _Ward:
        ward = _Ward(part=part, first_ready=asyncio.get_running_loop().create_future())
        # Several may fail, one is raised: the others' errors count as seen.
        ward.first_ready.add_done_callback(lambda first: first.cancelled() or first.exception())
        ward.status.address = part.address
        self._wards[part.name] = ward
        return ward

    def _conclude(self, ward: _Ward, task: asyncio.Task[None]) -> None:
        """Hand the way a part's task ended to those who wait for the part."""
        if ward.first_ready.done():
            return
        if task.cancelled():
            ward.first_ready.cancel()
            return
        error = task.exception()
        if error is not None:
            ward.status.problem = str(error)
            self._set(ward, PartState.FAILED)
            ward.first_ready.set_exception(error)

    async def stop(self, *, at_once: asyncio.Event) -> None:
        """End all parts, those that others need last, and whatever their children left behind.

        Args:
            at_once: Once set, nothing is asked any more, only killed.
        """
        left = dict(self._wards)
        while left:
            needed = {name for ward in left.values() for name in ward.part.after}
            held = {
                name
                for name, ward in left.items()
                if not left.keys().isdisjoint(ward.part.outlives)
            }
            level = [ward for name, ward in left.items() if name not in needed | held]
            await asyncio.gather(*(self._end(ward, at_once) for ward in level))
            for ward in level:
                del left[ward.part.name]
            await self._end_run_workers(left)
        if self._rotation is not None:
            self._rotation.cancel()
        await asyncio.to_thread(end_marked, self._data_dir)

    async def _end_run_workers(self, left: Mapping[str, _Ward]) -> None:
        """End what our children started, once nothing is left that starts more of it.

        Before the code server, which waits for its children, and before the servers, in which they
        write down how they ended.
        """
        if "code-server" in left and not left.keys() & {"daemon", "webserver"}:
            own = {ward.process.pid for ward in left.values() if ward.process is not None}
            await asyncio.to_thread(end_marked, self._data_dir, spare=own)

    async def _end(self, ward: _Ward, at_once: asyncio.Event) -> None:
        if ward.task is not None:
            ward.task.cancel()
            await asyncio.wait([ward.task])
        process = ward.process
        ended_before = ward.status.state in {PartState.DONE, PartState.FAILED}
        if process is not None and process.returncode is None:
            if not ended_before:
                ward.status.problem = None
                self._set(ward, PartState.STOPPING)
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(ward.part.stop_signal)
            hurry = asyncio.create_task(at_once.wait())
            ended = asyncio.create_task(process.wait())
            await asyncio.wait(
                {hurry, ended},
                timeout=ward.part.stop_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            hurry.cancel()
            if not ended.done():
                ward.status.problem = "did not stop in time and was killed"
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            await ended
        if not ended_before:
            self._set(ward, PartState.STOPPED)

    async def _keep(self, ward: _Ward) -> None:
        """One part's life; ends by cancellation, by failing to start, or by being done."""
        others = [self._wards[name] for name in ward.part.after if name in self._wards]
        if others:
            await asyncio.gather(*(asyncio.shield(other.first_ready) for other in others))
        began = time.monotonic()
        self._set(ward, PartState.PREPARING)
        await ward.part.prepare()
        if ward.part.once:
            await self._run_once(ward, began)
        else:
            await self._keep_running(ward, began)

    async def _run_once(self, ward: _Ward, began: float) -> None:
        process = await self._spawn(ward)
        code = await process.wait()
        ward.process = None
        if code != 0:
            raise self._explain(ward, f"failed ({_describe_exit(code)})")
        ward.status.ready_s = time.monotonic() - began
        self._set(ward, PartState.DONE)
        ward.first_ready.set_result(None)

    async def _keep_running(self, ward: _Ward, began: float) -> None:
        delay_s = BACKOFF_FIRST_S
        tries = 0
        while True:
            tries += 1
            ready_at = await self._run(ward, began)
            if not ward.first_ready.done() and tries >= START_TRIES:
                raise self._explain(ward, f"{ward.status.problem}, {tries} times")
            if ready_at is not None and time.monotonic() - ready_at >= HEALTHY_AFTER_S:
                delay_s = BACKOFF_FIRST_S
            ward.status.restarts += 1
            ward.status.problem = f"{ward.status.problem}; started again after {delay_s:.1f} s"
            self._set(ward, PartState.RESTARTING)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, BACKOFF_MAX_S)
            began = time.monotonic()

    async def _run(self, ward: _Ward, began: float) -> float | None:
        """Run it once, to its end; returns when it became ready, and leaves why it ended."""
        ready_at = None
        try:
            process = await self._spawn(ward)
            if await self._wait_until_ready(ward, process):
                ready_at = time.monotonic()
                ward.status.ready_s = ready_at - began
                ward.status.problem = None
                self._set(ward, PartState.READY)
                if not ward.first_ready.done():
                    ward.first_ready.set_result(None)
                await process.wait()
            ward.status.problem = f"ended ({_describe_exit(process.returncode)})"
        except (StackError, OSError) as error:
            if not ward.first_ready.done():
                raise
            # A full disk, a package being replaced: later it may work again.
            ward.status.problem = str(error)
        ward.process = None
        return ready_at

    async def _spawn(self, ward: _Ward) -> asyncio.subprocess.Process:
        path = self._log_path(ward)
        rotate_log(path, bytes_max=self._log_bytes_max)
        with open_log(path) as output:
            ward.log_start = path.stat().st_size
            ward.process = await spawn(
                ward.part.command(),
                data_dir=self._data_dir,
                death_signal=ward.part.stop_signal,
                output=output,
            )
        self._set(ward, PartState.STARTING)
        return ward.process

    async def _wait_until_ready(self, ward: _Ward, process: asyncio.subprocess.Process) -> bool:
        """True when it is ready, False when it ended before.

        Raises:
            StackError: Neither happened in time, at its first start. Later it is killed instead.
        """
        try:
            async with asyncio.timeout(self._ready_timeout_s):
                while process.returncode is None:
                    if await ward.part.is_ready(process.pid):
                        return True
                    await asyncio.sleep(_PROBE_INTERVAL_S)
        except TimeoutError:
            if not ward.first_ready.done():
                problem = (
                    f"is not ready after {self._ready_timeout_s:.0f} s (a slower machine needs a "
                    f"larger stack.ready_timeout_s)"
                )
                raise self._explain(ward, problem) from None
            process.kill()
            await process.wait()
        return False

    def _explain(self, ward: _Ward, problem: str) -> StackError:
        path = self._log_path(ward)
        lines = read_tail(path, lines=_TAIL_LINES, start=ward.log_start)
        shown = "\n".join(f"  {line}" for line in lines) or "  (it wrote nothing)"
        message = f"{ward.part.name} {problem}; the end of {path}:\n{shown}"
        return StackError(message, part=ward.part.name)

    def _log_path(self, ward: _Ward) -> Path:
        return self._data_dir / LOGS_FOLDER / f"{ward.part.name}.log"

    def _set(self, ward: _Ward, state: PartState) -> None:
        ward.status.state = state
        running = ward.process is not None and ward.process.returncode is None
        ward.status.pid = ward.process.pid if running and ward.process else None
        self._changed(ward.part.name, ward.status)

    async def _rotate_logs(self) -> None:
        while True:
            await asyncio.sleep(_ROTATE_INTERVAL_S)
            for path in (self._data_dir / LOGS_FOLDER).glob("*.log"):
                try:
                    await asyncio.to_thread(rotate_log, path, bytes_max=self._log_bytes_max)
                except OSError as error:  # a full disk: the parts must live on
                    LOGGER.warning("%s was not rotated: %s", path, error.strerror)


def _describe_exit(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
