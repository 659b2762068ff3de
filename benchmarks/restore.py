"""How fast a store is rebuilt from its mirror, beside a load of the same records from Kafka.

One feed's records are loaded into both stores (timed), then each store loses all of it and is
rebuilt from the other (timed), and the audit proves it. Ratios are to the live load of the store.
"""

import tempfile
import threading
import time
from pathlib import Path

import click
import psycopg
from pymongo import MongoClient

from benchmarks.load import publish
from crypto_platform.delivery.load import load as load_feeds
from crypto_platform.delivery.restore_store import MIRROR, carry_out
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.migrations import migrate
from crypto_platform.settings import Settings
from crypto_platform.stack.embedded import embedded_servers, find_admin_urls
from crypto_platform.stores import STORES, open_store


@click.command()
@click.option("--feed", default="trades", show_default=True)
@click.option("--records", default=200_000, show_default=True)
def restore(*, feed: str, records: int) -> None:
    """Measure the restore of each store from the other one."""
    with tempfile.TemporaryDirectory(prefix="crypto_platform_bench_") as name:
        Path(name).chmod(0o755)
        folder = Path(name) / "data"
        with embedded_servers(folder, migrate=True) as settings:
            publish(settings, records, feed=feed)
            loaded_s = {store: _load(settings, store, feed) for store in STORES}
            for store in STORES:
                _lose(settings, folder, store)
                done = carry_out(
                    settings,
                    store,
                    MIRROR,
                    run_id=f"bench-{store}",
                    migrate=lambda: migrate(settings, progress=lambda _: None),
                    stop=threading.Event(),
                    progress=lambda _: None,
                    say=lambda _: None,
                    publish_incident=lambda _: None,
                )
                seconds = done.report.seconds
                stored = sum(done.report.restored_records.values())
                click.echo(
                    f"{store}: {stored:,} {feed} loaded in {loaded_s[store]:.1f} s "
                    f"({stored / loaded_s[store]:,.0f} a second), restored from the mirror in "
                    f"{seconds:.1f} s ({stored / seconds:,.0f} a second, "
                    f"{loaded_s[store] / seconds:.2f} of the load), whole: {done.is_whole}"
                )


def _load(settings: Settings, store_name: str, feed: str) -> float:
    store = open_store(store_name, settings)
    begun = time.monotonic()
    try:
        load_feeds(
            settings,
            store,
            [FEED_BY_NAME[feed]],
            run_id=f"bench-{store_name}",
            clock=lambda: time.time_ns() // 1000,
            stop=threading.Event(),
        )
    finally:
        store.close()
    return time.monotonic() - begun


def _lose(settings: Settings, folder: Path, store_name: str) -> None:
    admin = find_admin_urls(folder)
    if store_name == "mongo":
        client: MongoClient[dict[str, object]] = MongoClient(admin.mongo)
        with client:
            client.drop_database(settings.mongo.database)
        return
    url = admin.postgres.rpartition("/")[0] + "/crypto_platform"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA accounts, market, platform CASCADE")
