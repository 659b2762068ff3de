"""How long a tick of a load sensor takes where topics have many partitions.

On a running stack of its own, with as many partitions as asked for, both sensors are evaluated
again and again in a process like the code server's, with the stack's own Dagster storage. Dagster
ends a tick after 60 s, and asks for one every 5 s.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import click
import dagster as dg
from confluent_kafka.admin import AdminClient, NewPartitions

from benchmarks.steady import build_settings, run_stack
from crypto_platform.definitions import build_definitions
from crypto_platform.feeds import FEEDS
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.kafka.connection import client_config
from crypto_platform.kafka.topics import topic_name
from crypto_platform.serving.pauses import load_sensor
from crypto_platform.settings import Settings, load_settings
from crypto_platform.stores import STORES


@click.command()
@click.option("--partitions", default=200, show_default=True, help="Of all topics together.")
@click.option("--ticks", default=50, show_default=True, help="Of each sensor.")
@click.option("--of", type=Path, hidden=True, help="Of a stack that runs: the child.")
def tick(*, partitions: int, ticks: int, of: Path | None) -> None:
    """Milliseconds of a load sensor's tick."""
    if of is not None:
        click.echo(json.dumps(_measure(load_settings(of), ticks)))
        return
    with run_stack(None, build_settings(2)) as (settings, folder):
        add_partitions(settings, partitions)
        command = [sys.executable, "-m", "crypto_platform.cli", "exec", "--data-dir", str(folder)]
        command += ["--", sys.executable, "-m", "benchmarks", "tick", "--ticks", str(ticks)]
        command += ["--of", str(folder)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        click.echo(json.dumps({"partitions": partitions} | json.loads(done.stdout), indent=2))


def add_partitions(settings: Settings, partitions: int) -> None:
    """Give the quotes so many that all topics together have as many as asked for."""
    others = sum(feed.partitions for feed in FEEDS if feed is not QUOTES)
    name = topic_name(settings, QUOTES.topic)
    admin = AdminClient(client_config(settings))
    [added] = admin.create_partitions([NewPartitions(name, partitions - others)]).values()
    added.result(timeout=30)


def _measure(settings: Settings, ticks: int) -> dict[str, object]:
    definitions = build_definitions(settings)
    repository = definitions.get_repository_def()
    found: dict[str, object] = {}
    with dg.DagsterInstance.get() as instance:
        for store in STORES:
            sensor = repository.get_sensor_def(load_sensor(store))
            cursor: str | None = None
            times_ms: list[float] = []
            for _ in range(ticks):
                context = dg.build_sensor_context(
                    instance=instance, cursor=cursor, resources=definitions.resources
                )
                begun = time.perf_counter()
                result = sensor.evaluate_tick(context)
                times_ms.append((time.perf_counter() - begun) * 1000)
                cursor = result.cursor
            times_ms.sort()
            found[store] = {
                "max_ms": round(times_ms[-1], 1),
                "p50_ms": round(statistics.median(times_ms), 1),
                "p95_ms": round(times_ms[int(len(times_ms) * 0.95)], 1),
            }
    return found
