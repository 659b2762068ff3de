"""How fast the loads are, beside the fastest bare exactly-once loops: `python -m benchmarks.load`.

One topic of a feed is brought into one store again and again, each time into an empty table or
collection and by a process of its own: by the platform's load, by the bare loop (bare.py), and a
part of it by the plain ways. Platform and bare loop take turns, so that the machine's moods meet
both; the ratio is made round by round, and its median counts.
"""

import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psutil
import psycopg
from confluent_kafka import Producer
from pymongo import MongoClient
from pymongo.database import Database

from benchmarks import bare
from benchmarks.made import MADE
from crypto_platform.delivery.load import load as load_feeds
from crypto_platform.feeds import FEED_BY_NAME, FEEDS, Feed, Record
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.trades import TRADES
from crypto_platform.kafka.connection import client_config
from crypto_platform.kafka.topics import topic_name
from crypto_platform.kafka.watermarks import Part, Watermarks
from crypto_platform.settings import Settings, load_settings, process_environment
from crypto_platform.stack.embedded import embedded_servers, find_admin_urls
from crypto_platform.stores import STORES, open_store

WAYS = ("platform", "bare")
PLATFORM_WAYS = ("platform", "all")
"""A load of the one feed, and of all."""
MESSAGES = 1_000_000
MESSAGES_OF = {"order_books": 200_000, "account_events": 400_000}
"""Where one takes more room than others."""
SLOW_WAYS = {"row_by_row": 3_000, "batch": 100_000}
"""Each with how many messages it gets: row by row, a million would take minutes."""
SLOW_BATCH = {"row_by_row": 1, "batch": 1_000}


BAD_VALUES = (
    b'{"v":1,"event_id":"cut off',
    b'{"v":9,"event_id":"of tomorrow"}',
    b'{"v":1,"event_id":"x","content_hash":1,"ts_ingest":"noon"}',
)


def publish(
    settings: Settings,
    messages: int,
    *,
    feed: str = TRADES.name,
    first: int = 0,
    transaction: int = 10_000,
    bad_ratio: float = 0.0,
    repeat_ratio: float = 0.0,
) -> None:
    """Put so many records into the topic, in transactions as ingestion does.

    Args:
        settings: Name the broker and the topic's prefix.
        messages: How many.
        feed: Whose.
        first: Number of the first record.
        transaction: Messages in one.
        bad_ratio: Of the messages, which no load can take; every tenth of them decodes, and only
            its price is none: of trades only.
        repeat_ratio: Of the messages, which are an earlier record again.
    """
    rng = random.Random(first)  # noqa: S311 - prices
    made, make = MADE[feed]
    topic = topic_name(settings, made.topic)
    earlier: list[tuple[str, bytes]] = []
    producer = Producer(
        client_config(settings)
        | {
            "transactional.id": f"bench-{topic}-{first}",
            "partitioner": "murmur2_random",
            "linger.ms": 20,
            "queue.buffering.max.messages": 200_000,
        }
    )
    producer.init_transactions()
    for start in range(first, first + messages, transaction):
        producer.begin_transaction()
        for number in range(start, min(start + transaction, first + messages)):
            record = make(number, rng)
            key, value = made.key_of(record), encode(record)
            if rng.random() < bad_ratio:
                has_form = number % 10 == 0
                value = (
                    value.replace(b'"price":"', b'"price":"x')
                    if has_form
                    else rng.choice(BAD_VALUES)
                )
            elif earlier and rng.random() < repeat_ratio:
                key, value = rng.choice(earlier)
            elif repeat_ratio and len(earlier) < transaction:
                earlier.append((key, value))
            producer.produce(topic, value, key)
        producer.commit_transaction()


@dataclass(frozen=True, kw_only=True)
class Run:
    """One drain of so many messages; CPU seconds of the loader and of the store, peak memory."""

    records: int
    stored: int
    seconds: float
    loader_cpu_s: float
    store_cpu_s: float
    peak_mib: float

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.seconds


class Bench:
    """One store, a feed's topic, and the ways to bring one into the other."""

    def __init__(self, folder: Path, store: str, *, feed: str = TRADES.name) -> None:
        self.folder, self.store, self.feed = folder, store, FEED_BY_NAME[feed]
        self.settings = load_settings(folder)

    def run(self, way: str, *, prefix: str = "", empty: bool = True) -> Run:
        """Drain into the (empty) store by a process of its own; `prefix` is the topic's."""
        if empty:
            self.empty()
        self.settle()
        cpu_s = self._store_cpu_s()
        command = [sys.executable, "-m", "benchmarks.load", "--way", way]
        command += ["--store", self.store, "--feed", self.feed.name]
        command += ["--data-dir", str(self.folder)]
        environment = process_environment() | {"CRYPTO_PLATFORM_KAFKA__TOPIC_PREFIX": prefix}
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env=environment
        )
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        stored = self.count()
        if stored < said["stored"]:
            message = f"{way} stored {stored} of {said['records']} records"
            raise click.ClickException(message)
        return Run(store_cpu_s=self._store_cpu_s() - cpu_s, **said)

    def empty(self) -> None:
        """As at the beginning: no rows, no offsets, no dead rows."""
        admin = find_admin_urls(self.folder)
        if self.store == "postgres":
            url = admin.postgres.rpartition("/")[0] + "/crypto_platform"
            with psycopg.connect(url, autocommit=True) as connection:
                for table in {*_tables(self.feed), "market.quote"}:
                    connection.execute(f"TRUNCATE {table}".encode())
                for table in ("kafka_offset", "load_batch", "touched", "quarantine"):
                    connection.execute(f"TRUNCATE platform.{table}".encode())
                connection.execute(bare.CREATE_OFFSETS.encode())
                connection.execute("GRANT ALL ON platform.bare_offset TO loader")
                connection.execute("TRUNCATE platform.bare_offset")
            return
        client: MongoClient[dict[str, object]] = MongoClient(admin.mongo)
        with client:
            database = client[self.settings.mongo.database]
            for each in (self.feed, *self.feed.projections):
                _make_anew(database, each.collection)
            for name in ("kafka_offset", "load_batch", "quarantine", "bare_offset"):
                database[name].delete_many({})
            if "bare_offset" not in database.list_collection_names():
                database.create_collection("bare_offset")

    def settle(self) -> None:
        """Have the store write out what it holds in memory only: no run pays for another."""
        admin = find_admin_urls(self.folder)
        if self.store == "postgres":
            with psycopg.connect(admin.postgres, autocommit=True) as connection:
                connection.execute("CHECKPOINT")
            return
        client: MongoClient[dict[str, object]] = MongoClient(admin.mongo)
        with client:
            client.admin.command("fsync")

    def count(self) -> int:
        """Records in the store."""
        admin = find_admin_urls(self.folder)
        if self.store == "postgres":
            url = admin.postgres.rpartition("/")[0] + "/crypto_platform"
            with psycopg.connect(url) as connection:
                statement = f"SELECT count(*) FROM {_tables(self.feed)[0]}".encode()
                found = connection.execute(statement).fetchone()
                return int(found[0]) if found else 0
        client: MongoClient[dict[str, object]] = MongoClient(admin.mongo)
        with client:
            return client[self.settings.mongo.database][self.feed.collection].count_documents({})

    def _store_cpu_s(self) -> float:
        """Of the server's processes, ended ones included."""
        stack = psutil.Process(json.loads((self.folder / "stack.json").read_text())["pid"])
        name = {"postgres": "postgres", "mongo": "mongod"}[self.store]
        total = 0.0
        for process in stack.children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # its parent counts what it used
                if process.name() == name:
                    used = process.cpu_times()
                    total += used.user + used.system + used.children_user + used.children_system
        return total


def _tables(feed: Feed[Record]) -> list[str]:
    """The feed's table, then those of its states."""
    return [f'{each.schema}."{each.table}"' for each in (feed, *feed.projections)]


def _make_anew(database: Database[dict[str, Any]], name: str) -> None:
    """Empty a collection by a new one of its kind: a delete goes document by document."""
    own = database[name]
    indexes, options = list(own.list_indexes()), own.options()
    own.drop()
    database.create_collection(name, **options)
    for index in indexes:
        if index["name"] != "_id_":
            partial = index.get("partialFilterExpression")
            only = {"partialFilterExpression": partial} if partial else {}
            own.create_index(list(index["key"].items()), **only)


def drain(way: str, store: str, feed: str, settings: Settings, *, messages_max: int) -> None:
    """The child: drain once and print figures as one line of JSON."""
    watermarks = Watermarks(settings)
    own = FEED_BY_NAME[feed]
    name = topic_name(settings, own.topic)
    topic_id, partitions = watermarks.read_topic_ids([name])[name]
    parts = [Part(name, part) for part in range(partitions)]
    bounds = watermarks.read_bounds(parts)
    ends = {part.part: bounds[part].last_stable for part in parts}
    began, cpu_s = time.monotonic(), time.process_time()
    if way in PLATFORM_WAYS:
        opened = open_store(store, settings)
        report = load_feeds(
            settings,
            opened,
            FEEDS if way == "all" else [own],
            run_id="bench",
            clock=lambda: time.time_ns() // 1000,
            stop=threading.Event(),
        )
        progress = report.progress
        stored = progress.stored_records[feed]
        records = stored + progress.repeated_records + progress.quarantined_records
    else:
        topic = bare.Topic(client_config(settings), name, topic_id, ends)
        records = stored = _drain_bare(way, store, feed, settings, topic, messages_max)
    seconds = time.monotonic() - began
    usage = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "records": records,
        "stored": stored,
        "seconds": seconds,
        "loader_cpu_s": time.process_time() - cpu_s,
        "peak_mib": usage.ru_maxrss / 1024,
    }
    click.echo(json.dumps(figures))


def _drain_bare(
    way: str, store: str, feed: str, settings: Settings, topic: bare.Topic, messages_max: int
) -> int:
    counted, yardstick = _Counted(topic, messages_max), bare.YARDSTICKS[feed]
    url, database = getattr(settings, store).loader_url.get_secret_value(), settings.mongo.database
    if way == "bare" and store == "postgres":
        bare.load_postgres(counted, yardstick, url)
    elif way == "bare":
        bare.load_mongo(counted, yardstick, url, database)
    elif store == "postgres":
        bare.load_postgres_in_batches(counted, yardstick, url, batch_records=SLOW_BATCH[way])
    else:
        bare.load_mongo_in_batches(counted, yardstick, url, database, batch_records=SLOW_BATCH[way])
    return counted.records


class _Counted(bare.Topic):
    """A topic that counts what is read of it, and ends after so many."""

    def __init__(self, topic: bare.Topic, messages_max: int) -> None:
        self.__dict__.update(topic.__dict__)
        self.records = 0
        self._messages_max = messages_max

    def read(self, batch_records: int) -> Any:  # noqa: ANN401 - as the base
        for messages in super().read(batch_records):
            self.records += len(messages)
            yield messages
            if self.records >= self._messages_max:
                return


def summarize(
    runs: dict[str, list[Run]], store: str, feed: str, messages: int
) -> dict[str, object]:
    """The figures, ratios round by round."""
    platform, yardstick = runs["platform"], runs["bare"]
    rates = {way: statistics.median(run.rate for run in found) for way, found in runs.items()}
    pairs = [p.rate / b.rate for p, b in zip(platform, yardstick, strict=True)]
    per_million = 1_000_000 / messages
    return {
        "store": store,
        "feed": feed,
        "messages": messages,
        "rounds": len(platform),
        "platform_rate": round(rates["platform"]),
        "raw_rate": round(rates["bare"]),
        "ratio_to_raw": round(statistics.median(pairs), 3),
        "ratios_to_raw": [round(pair, 3) for pair in pairs],
        "ratio_to_row_by_row": round(rates["platform"] / rates["row_by_row"], 1),
        "ratio_to_batch": round(rates["platform"] / rates["batch"], 2),
        "platform_cpu_s_per_million": _median_cpu(platform, per_million),
        "raw_cpu_s_per_million": _median_cpu(yardstick, per_million),
        "platform_peak_mib": round(max(run.peak_mib for run in platform)),
        "raw_peak_mib": round(max(run.peak_mib for run in yardstick)),
    }


def _median_cpu(runs: Sequence[Run], per_million: float) -> dict[str, float]:
    return {
        "loader": round(statistics.median(run.loader_cpu_s for run in runs) * per_million, 2),
        "store": round(statistics.median(run.store_cpu_s for run in runs) * per_million, 2),
    }


@click.command()
@click.option("--store", type=click.Choice(list(STORES)), required=True)
@click.option("--feed", type=click.Choice(list(bare.YARDSTICKS)), default=TRADES.name)
@click.option("--messages", type=int, help="A million, of order books 200,000.")
@click.option("--rounds", default=3, show_default=True, help="Of platform and bare loop each.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--way", hidden=True)
@click.option("--data-dir", type=Path, hidden=True)
def load(
    *,
    store: str,
    feed: str,
    messages: int | None,
    rounds: int,
    as_json: bool,
    way: str | None,
    data_dir: Path | None,
) -> None:
    """Rate of the platform's load, as a ratio to the fastest bare exactly-once loop."""
    if way is not None and data_dir is not None:
        drain(way, store, feed, load_settings(data_dir), messages_max=SLOW_WAYS.get(way, 2**62))
        return
    messages = messages or MESSAGES_OF.get(feed, MESSAGES)
    with tempfile.TemporaryDirectory(prefix="crypto_platform_bench_") as name:
        Path(name).chmod(0o755)
        folder = Path(name) / "data"
        with embedded_servers(folder, migrate=True) as settings:
            click.echo(f"publishing {messages:,} {feed}", err=True)
            publish(settings, messages, feed=feed)
            bench = Bench(folder, store, feed=feed)
            runs: dict[str, list[Run]] = {}
            for number in range(rounds):
                ways = WAYS if number % 2 == 0 else WAYS[::-1]
                for each in ways + (tuple(SLOW_WAYS) if number == 0 else ()):
                    run = bench.run(each)
                    runs.setdefault(each, []).append(run)
                    click.echo(f"{each}: {run.rate:,.0f}/s, {run.peak_mib:.0f} MiB", err=True)
    result = summarize(runs, store, feed, messages)
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    for key, value in result.items():
        click.echo(f"{key:28} {value}")


if __name__ == "__main__":
    load()
