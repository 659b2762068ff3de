"""Writers that are killed, stopped or cut off: each record once, whatever happened."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

import psutil
import pytest

from crypto_platform.errors import OutcomeUnknownError, StoreUnavailableError
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.settings import CrashPoint
from crypto_platform.stores.claims import Claim
from crypto_platform.stores.mongo import MongoStore
from crypto_platform.stores.slices import Arrival, Slice, build_arrivals
from tests.cutting_proxy import CuttingProxy, cutting_proxy
from tests.mongo_harness import MongoDatabase
from tests.mongo_writer import PARTITION, TOPIC, quote
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def running_writer(
    mongo: MongoDatabase, *, records: int, how: str
) -> "Iterator[subprocess.Popen[bytes]]":
    """A process of tests/mongo_writer.py, ended with the block."""
    arguments = [mongo.server.loader_url, mongo.name, str(records), how]
    command = [sys.executable, "-m", "tests.mongo_writer", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as writer:
        try:
            yield writer
        finally:
            writer.kill()


@contextlib.contextmanager
def store_behind_proxy(
    mongo: MongoDatabase, *, timeout_s: float
) -> Iterator[tuple[MongoStore, CuttingProxy]]:
    """A store that reaches its server only through a proxy."""
    url = urlsplit(mongo.server.loader_url)
    with cutting_proxy(int(url.port or 0)) as proxy:
        # the replica set names its own address; directConnection keeps to the proxy's
        through = f"{url.netloc.rpartition('@')[0]}@127.0.0.1:{proxy.port}"
        store = mongo.open(
            f"mongodb://{through.lstrip('@')}/?directConnection=true", timeout_s=timeout_s
        )
        yield store, proxy
        store.close()


def load_rest(store: MongoStore, *, records: int) -> None:
    """Claim and commit whatever is missing of so many records."""
    [claim] = store.claim([(QUOTES, TOPIC, PARTITION)], run_id="successor")
    if claim.next_offset < records:
        slice_ = slice_of(claim, records=records)
        assert store.commit([slice_], run_id="successor").fenced == frozenset()


def slice_of(claim: Claim, *, records: int) -> Slice:
    """What is missing of so many records."""
    first = claim.next_offset
    return Slice(
        claim=claim,
        hour=0,
        first_offset=first,
        next_offset=records,
        max_ts_append=1,
        leader_epoch=None,
        arrivals=build_arrivals(
            [Arrival(quote(number), number, 1) for number in range(first, records)], feed=QUOTES
        ),
    )


def assert_each_record_is_stored_once(store: MongoStore, *, records: int) -> None:
    found = list(store.read_range(QUOTES, PARTITION, 0, records + 100))
    assert [each.event_id for each in found] == [f"quote:{n}" for n in range(records)]
    assert list(store.read_quarantine()) == []
    batches = list(store.read_load_batches(PARTITION))
    borders = [0, *(each.next_offset for each in batches)]
    assert [each.first_offset for each in batches] == borders[:-1]
    assert borders[-1] == records
    assert sum(each.stored.count for each in batches) == records
    assert store.sum_range(QUOTES, PARTITION, 0, records).low == sum(range(records))


@pytest.mark.parametrize("point", get_args(CrashPoint))
def test_a_writer_killed_anywhere_leaves_each_record_once(
    mongo: MongoDatabase, point: CrashPoint
) -> None:
    """Offset and records must fall together, or rows are lost or doubled for good."""
    with running_writer(mongo, records=50, how=point) as writer:
        assert writer.wait(timeout=30) == -signal.SIGKILL
    store = mongo.open()
    begin = time.monotonic()
    load_rest(store, records=50)
    assert time.monotonic() - begin < 2
    assert_each_record_is_stored_once(store, records=50)


def test_a_writer_stopped_inside_its_transaction_is_overtaken_and_writes_nothing(
    mongo: MongoDatabase,
) -> None:
    """It holds its locks for as long as the server lets a transaction live; we end its session.

    The loader has no right but to read and write: killSessions reaches the own user's sessions.
    """
    with running_writer(mongo, records=50, how="stop") as writer:
        process = psutil.Process(writer.pid)
        eventually(lambda: process.status() == psutil.STATUS_STOPPED, within_s=30)
        store = mongo.open()
        begin = time.monotonic()
        load_rest(store, records=50)
        assert time.monotonic() - begin < 2
        writer.send_signal(signal.SIGCONT)
        assert writer.stdout is not None
        assert writer.stdout.read() == b"fenced\n"
    assert_each_record_is_stored_once(store, records=50)


def test_a_store_that_lost_its_connection_goes_on_with_the_next_call(mongo: MongoDatabase) -> None:
    """A load lingers for a quarter of an hour; a cut connection is no reason to end it."""
    store = mongo.open()
    load_rest(store, records=10)
    with mongo.client() as database:
        sessions = database["kafka_offset"].distinct("lsid")
        database.client.admin.command("killSessions", [{"id": each} for each in sessions])
    load_rest(store, records=20)
    assert_each_record_is_stored_once(store, records=20)


def test_a_lost_reply_to_commit_is_asked_for_again(mongo: MongoDatabase) -> None:
    """Most lost replies are a moment's: the server knows the answer, and repeating it is safe."""
    with store_behind_proxy(mongo, timeout_s=5) as (store, proxy):
        [claim] = store.claim([(QUOTES, TOPIC, PARTITION)], run_id="run")
        proxy.cut_after(b"commitTransaction")
        outcome = store.commit([slice_of(claim, records=10)], run_id="run")
        assert (outcome.fenced, dict(outcome.stored_records)) == (frozenset(), {"quotes": 10})
        assert proxy.cuts == 1
    assert_each_record_is_stored_once(mongo.open(), records=10)


def test_a_reply_to_commit_lost_for_good_leaves_the_outcome_to_the_offset_row(
    mongo: MongoDatabase,
) -> None:
    """Fault 4: taken for a failure, the records would be sent again under another epoch's eyes."""
    with store_behind_proxy(mongo, timeout_s=1) as (store, proxy):
        [claim] = store.claim([(QUOTES, TOPIC, PARTITION)], run_id="run")
        proxy.cut_after(b"commitTransaction", stays_down=True)
        with pytest.raises(OutcomeUnknownError):
            store.commit([slice_of(claim, records=10)], run_id="run")
        proxy.heal()
        load_rest(store, records=20)
    assert_each_record_is_stored_once(mongo.open(), records=20)


def test_a_line_cut_before_commit_wrote_nothing_and_the_next_call_goes_on(
    mongo: MongoDatabase,
) -> None:
    """A load lingers for a quarter of an hour: one cut line is no reason to end it."""
    with store_behind_proxy(mongo, timeout_s=1) as (store, proxy):
        [claim] = store.claim([(QUOTES, TOPIC, PARTITION)], run_id="run")
        proxy.cut_after(b"insert", stays_down=True)
        with pytest.raises(StoreUnavailableError):
            store.commit([slice_of(claim, records=10)], run_id="run")
        proxy.heal()
        assert store.read_records(QUOTES, ["quote:1"]) == []
        outcome = store.commit([slice_of(claim, records=10)], run_id="run")
        assert dict(outcome.stored_records) == {"quotes": 10}
    assert_each_record_is_stored_once(mongo.open(), records=10)
