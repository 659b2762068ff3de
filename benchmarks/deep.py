"""What a deep backlog and a full store cost: `python -m benchmarks.deep --store postgres`.

A load of all feeds drains a backlog of trades while quotes trickle in: its peak memory, and how
fresh the quotes are while the backlog goes through. Then, with as many trades stored as asked for,
more are loaded, and the same ones again into an empty store, before and after: a ratio of 0.9 says
that the full store takes them at 0.9 of the speed.
"""

import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from benchmarks.freshness import Freshness
from benchmarks.load import Bench, Run, publish
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.quotes import QUOTES, Quote, seal_quote
from crypto_platform.kafka.producer import Outgoing, Publisher
from crypto_platform.kafka.topics import create_topics, topic_name
from crypto_platform.settings import Settings, load_settings, process_environment
from crypto_platform.stack.embedded import embedded_servers
from crypto_platform.stores import STORES

BACKLOG = 5_000_000
STORED = 10_000_000
MORE = 1_000_000
ROUNDS = 3
TRICKLE_S = 0.1


@click.command()
@click.option("--store", type=click.Choice(list(STORES)), required=True)
@click.option("--backlog", default=BACKLOG, show_default=True, help="Trades that wait.")
@click.option("--stored", default=STORED, show_default=True, help="Trades of a full store.")
@click.option("--more", default=MORE, show_default=True, help="Loaded into full and empty stores.")
@click.option("--rounds", default=ROUNDS, show_default=True, help="So many times.")
def deep(*, store: str, backlog: int, stored: int, more: int, rounds: int) -> None:
    """Memory, another feed's freshness, and the speed into a full store."""
    with tempfile.TemporaryDirectory(prefix="crypto_platform_bench_") as name:
        Path(name).chmod(0o755)
        folder = Path(name) / "data"
        with embedded_servers(folder, migrate=True) as settings:
            bench = Bench(folder, store)
            _say(f"publishing {backlog:,} trades")
            publish(settings, backlog)
            freshness = Freshness(settings, [QUOTES], stores=[store])
            drained: list[Run] = []
            with trickle(settings):
                freshness.watch(lambda: drained.append(bench.run("all")))
            [drain] = drained
            _say(f"drained at {drain.rate:,.0f}/s, {drain.peak_mib:.0f} MiB")
            sets = [_publish_more(folder, more, first=stored + n * more) for n in range(rounds)]
            before = [_run(bench, prefix, "empty, before") for prefix in sets]
            # what the runs above emptied away, from the topic's beginning, and the rest
            publish(settings, stored - backlog, first=backlog)
            filled = bench.run("platform")
            _say(f"filled at {filled.rate:,.0f}/s, {filled.peak_mib:.0f} MiB")
            full = [_run(bench, prefix, "full", empty=False) for prefix in sets]
            after = [_run(bench, prefix, "empty, after") for prefix in sets]
    empty = statistics.median(run.rate for run in [*before, *after])
    result = {
        "store": store,
        "backlog": backlog,
        "drain_rate": round(drain.rate),
        "drain_peak_mib": round(drain.peak_mib),
        "other_feed": freshness.result()[store],
        "stored": stored,
        "fill_rate": round(filled.rate),
        "fill_peak_mib": round(filled.peak_mib),
        "empty_rate": round(empty),
        "full_rate": round(statistics.median(run.rate for run in full)),
        "ratio_full_to_empty": round(statistics.median(run.rate for run in full) / empty, 3),
    }
    click.echo(json.dumps(result, indent=2))


def _say(text: str) -> None:
    click.echo(text, err=True)


def _run(bench: Bench, prefix: str, what: str, *, empty: bool = True) -> Run:
    run = bench.run("platform", prefix=prefix, empty=empty)
    _say(f"{what}: {run.rate:,.0f}/s, {run.peak_mib:.0f} MiB")
    return run


def _publish_more(folder: Path, messages: int, *, first: int) -> str:
    """Other trades, in topics of their own; the prefix of these."""
    prefix = f"from{first}."
    environment = process_environment() | {"CRYPTO_PLATFORM_KAFKA__TOPIC_PREFIX": prefix}
    settings = load_settings(folder, environment=environment)
    create_topics(settings, progress=lambda text: None)
    publish(settings, messages, first=first)
    return prefix


@contextmanager
def trickle(settings: Settings) -> Iterator[None]:
    """Publish a quote every now and then while the block lasts."""
    is_over = threading.Event()
    thread = threading.Thread(target=_trickle, args=(settings, is_over))
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _trickle(settings: Settings, is_over: threading.Event) -> None:
    publisher = Publisher(settings, source="bench", feed=QUOTES.name)
    publisher.open()
    number = 0
    while not is_over.wait(TRICKLE_S):
        now_us = time.time_ns() // 1000
        quote = seal_quote(
            Quote(
                source="bench",
                currency_id=f"c{number % 50}",
                quote_currency="USD",
                price=str(number),
                ts_ingest=now_us,
            )
        )
        topic = topic_name(settings, QUOTES.topic)
        publisher.publish([Outgoing(topic, QUOTES.key_of(quote), encode(quote))])
        number += 1
    publisher.close()


if __name__ == "__main__":
    deep()
