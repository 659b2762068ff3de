"""The audit: records a second and memory, the fast way and the deep one.

Servers of its own (or those of a data folder) get so many quotes, published in transactions and
loaded into both stores by the load itself. Each audit then runs in a process of its own, whose peak
resident memory is what is printed; a tenth of the records is audited first, to show that memory
does not grow with them.
"""

import json
import multiprocessing
import resource
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from crypto_platform.delivery.audit import audit as run_audit
from crypto_platform.delivery.load import load
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.quotes import QUOTES, Quote, seal_quote
from crypto_platform.kafka.producer import Outgoing, Publisher
from crypto_platform.kafka.topics import topic_name
from crypto_platform.settings import Settings, load_settings
from crypto_platform.stack.embedded import embedded_servers
from crypto_platform.stores import STORES, open_store

NOON = 1_763_812_800_000_000
"""2025-11-22 12:00:00 UTC."""
CURRENCIES = 250
PER_TRANSACTION = 10_000
KIBIBYTE = 1024
WAYS = ("fast", "deep")


@click.command()
@click.option("--records", default=1_000_000, show_default=True, help="Quotes to audit.")
@click.option("--repeat", default=3, show_default=True, help="Runs of each way; the best counts.")
@click.option("--data-dir", type=Path, help="Use the servers of this folder; they stay filled.")
def audit(records: int, repeat: int, data_dir: Path | None) -> None:
    """Records a second and peak memory of the audit."""
    with _servers(data_dir) as settings:
        _fill(settings, records // 10)
        small = _measure(settings, "fast")
        _fill(settings, records)
        runs = [_measure(settings, way) for way in WAYS for _ in range(repeat)]
    best = {
        way: max((run for run in runs if run["way"] == way), key=lambda run: run["records_per_s"])
        for way in WAYS
    }
    result = {"fast, a tenth": small} | best
    click.echo(json.dumps(result, indent=2))


@contextmanager
def _servers(data_dir: Path | None) -> Iterator[Settings]:
    if data_dir is not None:
        yield load_settings(data_dir)
        return
    with tempfile.TemporaryDirectory(prefix="crypto_platform_bench_") as name:
        Path(name).chmod(0o755)
        with embedded_servers(Path(name) / "data", migrate=True) as settings:
            yield settings


def _quote(number: int) -> Quote:
    """With as many figures as CoinGecko gives."""
    currency = number % CURRENCIES
    amounts: dict[str, Any] = {
        name: f"{1 + (number * 7919 + place * 104_729) % 10**9}.{number % 10**6:06d}"
        for place, name in enumerate(QUOTES.amount_names)
    }
    return seal_quote(
        Quote(
            source="bench",
            currency_id=f"currency-{currency}",
            quote_currency="USD",
            currency_symbol=f"C{currency}",
            currency_name=f"Currency {currency}",
            market_cap_rank=currency + 1,
            ts_event=NOON + number * 1_000,
            ts_ingest=NOON + number * 1_000 + 250,
            **amounts,
        )
    )


def _fill(settings: Settings, records: int) -> None:
    """Publish what of so many quotes is not there yet, and load it into both stores."""
    stored = open_store("postgres", settings).estimate_records(FEED_BY_NAME["quotes"]) or 0
    topic = topic_name(settings, QUOTES.topic)
    publisher = Publisher(settings, source="bench", feed="quotes")
    publisher.open()
    for start in range(0 if stored < records else records, records, PER_TRANSACTION):
        quotes = map(_quote, range(start, min(start + PER_TRANSACTION, records)))
        publisher.publish([Outgoing(topic, QUOTES.key_of(each), encode(each)) for each in quotes])
    publisher.close()
    for name in STORES:
        begun = time.monotonic()
        load(
            settings,
            open_store(name, settings),
            [FEED_BY_NAME["quotes"]],
            run_id=f"00000000-0000-0000-0000-{secrets.token_hex(6)}",
            clock=lambda: time.time_ns() // 1000,
            stop=threading.Event(),
        )
        click.echo(f"{name}: loaded in {time.monotonic() - begun:.1f} s", err=True)


def _measure(settings: Settings, way: str) -> dict[str, Any]:
    """One audit in a fresh process."""
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[dict[str, Any]] = context.Queue()
    child = context.Process(target=_audit_here, args=(str(settings.data_dir), way, answers))
    child.start()
    answer = answers.get(timeout=3600)
    child.join()
    click.echo(json.dumps(answer), err=True)
    return answer


def _audit_here(data_dir: str, way: str, answers: "multiprocessing.Queue[dict[str, Any]]") -> None:
    settings = load_settings(Path(data_dir))
    stores = {name: open_store(name, settings, role="analyst") for name in STORES}
    before = time.process_time()
    report = run_audit(settings, stores, [FEED_BY_NAME["quotes"]], deep=way == "deep")
    read = report.feeds["quotes"].kafka.read
    answers.put(
        {
            "way": way,
            "whole": report.whole,
            "records": read,
            "seconds": report.seconds,
            "records_per_s": round(read / report.seconds),
            "cpu_us_per_record": round((time.process_time() - before) / max(read, 1) * 1e6, 1),
            "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // KIBIBYTE,
        }
    )
