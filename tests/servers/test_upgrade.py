"""A platform of an earlier release under today's code: what it stored is there, and proved."""

import shutil
import subprocess
import sys
import tarfile
import threading
import time
from io import BytesIO
from pathlib import Path

import pytest
from pymongo import MongoClient

from crypto_platform.delivery.audit import audit
from crypto_platform.delivery.load import load
from crypto_platform.feeds import FEED_BY_NAME, FEEDS
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.feeds.trades import TRADES
from crypto_platform.migrations import migrate
from crypto_platform.migrations import postgres as migrations
from crypto_platform.settings import process_environment
from crypto_platform.stack.embedded import embedded_servers
from crypto_platform.stores import STORES, open_store, open_stores
from tests.contract.test_old_values import OLD_VALUES
from tests.old_release import RECORDS, build_quote, build_trade
from tests.platform_harness import Platform
from tests.stack_harness import stack_folder

ROOT = Path(__file__).parents[2]
EARLIER = "0004"
"""Quotes, trades, order books, candles, instruments; no retention, accounts, analytics, API."""
OLD_COMMIT = "0fe540b"
LATER_FEEDS = ("account_events", "api_keys", "exchange_rates")


def test_values_of_every_earlier_release_load_and_are_proved(platform: Platform) -> None:
    """A topic outlives releases; a store that is rebuilt from it reads all of them."""
    platform.publish_raw([(FEED_BY_NAME[old.feed], "k", old.value.encode()) for old in OLD_VALUES])
    platform.load_both()
    report = platform.audit(deep=True)
    # not reconciled: the account events are samples of no ledger
    assert report.findings == []
    counts = [count for total in report.feeds.values() for count in total.stores.values()]
    assert sum(count.records for count in counts) == len(STORES) * len(OLD_VALUES)


def test_records_of_an_earlier_schema_outlive_the_upgrade(platform: Platform) -> None:
    """An upgrade that costs a row, or a proof of it, cannot be taken back."""
    platform.publish(QUOTES, [build_quote(number) for number in range(RECORDS)])
    platform.publish(TRADES, [build_trade(number) for number in range(RECORDS)])
    platform.publish_raw([(QUOTES, "bad", b"no json")])
    platform.load_both()
    before = {name: platform.store(name).read_offsets() for name in STORES}
    go_back(platform)

    lines: list[str] = []
    migrate(platform.settings, progress=lines.append)
    assert lines[0].startswith(f"PostgreSQL: upgraded from {EARLIER} to revision ")
    migrations.check(url_of_migrator(platform))
    for name in STORES:
        reader = platform.store(name, role="analyst")
        after = {row.partition: row for row in reader.read_offsets()}
        topics = {platform.topic(QUOTES), platform.topic(TRADES)}
        assert all(after[row.partition] == row for row in before[name] if row.topic in topics)
        assert len(reader.read_latest_quotes()) == 20
    assert platform.audit().whole

    platform.publish(QUOTES, [build_quote(RECORDS)])
    platform.publish(TRADES, [build_trade(RECORDS)])
    platform.load_both()
    report = platform.audit(deep=True)
    assert report.whole, report.findings
    for name in STORES:
        found = report.feeds["quotes"].stores[name]
        assert (found.records, found.quarantined) == (RECORDS + 1, 1)
        assert report.feeds["trades"].stores[name].records == RECORDS + 1


def url_of_migrator(platform: Platform) -> str:
    url = platform.settings.postgres.migrator_url
    assert url is not None
    return url.get_secret_value()


def go_back(platform: Platform) -> None:
    """Tables and collections as an earlier release left them, with what it had stored."""
    migrations.downgrade(url_of_migrator(platform), EARLIER)
    mongo: MongoClient[dict[str, object]] = MongoClient(platform.servers.mongo_admin_url)
    with mongo:
        database = mongo[platform.name]
        for feed in LATER_FEEDS:
            database.drop_collection(FEED_BY_NAME[feed].collection)
        for name in ("orders", "wallets"):
            database.drop_collection(name)


@pytest.fixture
def old_release(tmp_path: Path) -> Path:
    """The code of an earlier release, out of the history."""
    git = shutil.which("git")
    command = [git or "git", "archive", OLD_COMMIT]
    packed = git and subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if not packed or packed.returncode:
        say = pytest.fail if "CI" in process_environment() else pytest.skip
        say(f"the history with {OLD_COMMIT} is not here (a clone of depth 1?)")
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
        archive.extractall(tmp_path / "old", filter="data")
    return tmp_path / "old"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_data_folder_of_an_earlier_release_is_taken_over(old_release: Path) -> None:
    """Written and loaded by that release's own code, with its own servers' files."""
    with stack_folder() as folder:
        script = ROOT / "tests" / "old_release.py"
        environment = process_environment() | {"PYTHONPATH": str(old_release)}
        command = [sys.executable, "-P", str(script), str(folder)]
        subprocess.run(command, cwd=old_release, env=environment, check=True, timeout=120)
        with embedded_servers(folder, migrate=True) as settings:
            with open_stores(settings, role="analyst") as stores:
                report = audit(settings, stores, FEEDS, deep=True)
            for name in STORES:
                store = open_store(name, settings, role="loader")
                load(
                    settings,
                    store,
                    FEEDS,
                    run_id="00000000-0000-0000-0000-000000000002",
                    clock=lambda: time.time_ns() // 1000,
                    stop=threading.Event(),
                )
                store.close()
            with open_stores(settings, role="analyst") as stores:
                again = audit(settings, stores, FEEDS, deep=True)
    for each in (report, again):
        assert each.whole, each.findings
        for name in STORES:
            assert each.feeds["quotes"].stores[name].records == RECORDS
            assert each.feeds["quotes"].stores[name].quarantined == 1
            assert each.feeds["trades"].stores[name].records == RECORDS
