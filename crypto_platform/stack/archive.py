"""Kafka's classes loaded and linked once, so that later starts need half the CPU.

Here: running a broker once, in a folder thrown away, with Java writing the archive at its end
(JEP 514). Not here: using it (kafka.py), which works without it as well.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from crypto_platform.errors import StackError
from crypto_platform.settings import load_settings
from crypto_platform.stack.identity import new_identity
from crypto_platform.stack.kafka import Kafka, archive_path
from crypto_platform.stack.part import Place
from crypto_platform.stack.plan import PORTS
from crypto_platform.stack.ports import hold_ports
from crypto_platform.stack.processes import Command, spawn

_READY_WAIT_S = 120.0
_WRITE_WAIT_S = 180.0


def make_archive(say: Callable[[str], None]) -> Path | None:
    """Make the archive (65 MB, 15 s of CPU), unless it is there; None where Java could not.

    Raises:
        StackError: Kafka itself cannot run here.
    """
    archive = archive_path()
    if archive is None or archive.exists():
        return archive
    say("running Kafka once, so that it starts in half the time from now on")
    new = archive.with_suffix(f".{os.getpid()}.new")
    with tempfile.TemporaryDirectory(prefix="crypto_platform_") as name:
        folder = Path(name)
        settings = load_settings(folder, environment={}, environment_file=False)
        with hold_ports(PORTS["kafka"], fixed={}, last={}) as ports:
            place = Place(
                data_dir=folder,
                settings=settings,
                identity=new_identity(datetime.now(UTC)),
                ports=ports,
            )
            asyncio.run(_run_once(Kafka(place, say=say), folder, new))
    if not new.exists():
        return None
    new.replace(archive)
    return archive


async def _run_once(kafka: Kafka, folder: Path, archive: Path) -> None:
    await kafka.prepare()
    program, *arguments = kafka.command().argv
    training = (program, f"-XX:AOTCacheOutput={archive}", *arguments)
    process = await spawn(
        Command(argv=training),
        data_dir=folder,
        death_signal=kafka.stop_signal,
        output=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_READY_WAIT_S):
            ready = False
            while not ready:
                await asyncio.sleep(0.1)
                ready = await kafka.is_ready(process.pid)
        process.send_signal(kafka.stop_signal)
        await asyncio.wait_for(process.wait(), _WRITE_WAIT_S)
    except TimeoutError:
        message = "Kafka was neither ready nor stopped in time: `crypto-platform up` shows its log"
        raise StackError(message) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
