"""What PostgreSQL's store does when its writer is stopped, cut off or refused."""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping

import msgspec
import psycopg
import pytest

from crypto_platform.errors import (
    OutcomeUnknownError,
    Reason,
    StoreRefusedError,
    StoreUnavailableError,
)
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.feeds.trades import TRADES
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.postgres import PostgresStore
from crypto_platform.stores.postgres.session import connect
from tests import store_child
from tests.account_steps import build_busy_company
from tests.analytics_steps import trade
from tests.postgres_proxy import cutting_proxy
from tests.store_harness import PostgresUrls
from tests.store_steps import OTHER_TOPIC_ID, P0, P1, QUOTES, claim, piece, quote
from tests.waiting import eventually


@pytest.fixture
def store(postgres_urls: PostgresUrls) -> Iterator[PostgresStore]:
    """A store on an empty database."""
    opened = PostgresStore(postgres_urls.loader)
    yield opened
    opened.close()


@pytest.fixture
def admin(postgres_urls: PostgresUrls) -> "Iterator[psycopg.Connection[tuple[object, ...]]]":
    """A superuser's connection."""
    with psycopg.connect(postgres_urls.admin, autocommit=True) as connection:
        yield connection


Admin = psycopg.Connection[tuple[object, ...]]


def is_copying(admin: Admin) -> bool:
    """Whether some backend of this database is inside COPY."""
    found = admin.execute(
        "SELECT count(*) FROM pg_stat_progress_copy WHERE datname = current_database()"
    ).fetchone()
    return found is not None and found[0] == 1


@pytest.fixture
def stopped_writer(
    postgres_environment: Mapping[str, str], admin: Admin
) -> "Iterator[subprocess.Popen[str]]":
    """A load in another process, stopped inside COPY, with its rows locked."""
    child = store_child.start("postgres", records=30_000, environment=postgres_environment)
    try:
        eventually(lambda: is_copying(admin), within_s=60)
        child.send_signal(signal.SIGSTOP)
        yield child
    finally:
        child.kill()
        child.wait()


def test_a_writer_stopped_inside_copy_is_overtaken_and_writes_nothing_when_it_wakes(
    stopped_writer: "subprocess.Popen[str]", store: PostgresStore
) -> None:
    """Fault 5: it holds row locks that no time-out of the server ends."""
    started = time.monotonic()
    claims = claim(store, P0, P1, run_id="successor")
    took_s = time.monotonic() - started
    assert took_s < 2
    store.commit([piece(claims[0], [quote(1)])], run_id="successor")
    stopped_writer.send_signal(signal.SIGCONT)
    lines = stopped_writer.communicate(timeout=60)[0].splitlines()
    assert lines == ["claimed", "StoreUnavailableError", "fenced 2, stored 0"]
    assert store.sum_range(QUOTES, P0, 0, 10**9).count == 1
    assert store.sum_range(QUOTES, P1, 0, 10**9).count == 0


def test_a_holder_whose_session_is_newer_than_its_claim_is_overtaken_too(
    store: PostgresStore, postgres_urls: PostgresUrls
) -> None:
    """A writer that reconnected holds its locks under a backend that no claim recorded."""
    claim(store, P0)
    with psycopg.connect(postgres_urls.loader) as holder:
        holder.execute("SELECT FROM platform.kafka_offset FOR UPDATE")
        started = time.monotonic()
        [own] = claim(store, P0, run_id="successor")
        assert time.monotonic() - started < 2
        assert own.epoch == 2
        with pytest.raises(psycopg.OperationalError):
            holder.execute("SELECT 1")


def test_a_claim_that_cannot_end_the_holder_gives_up(store: PostgresStore, admin: Admin) -> None:
    """Another role's lock is not ours to end; waiting for ever would look like a healthy load."""
    claim(store, P0)
    with admin.transaction():
        admin.execute("SELECT FROM platform.kafka_offset FOR UPDATE")
        with pytest.raises(StoreUnavailableError):
            claim(store, P0, run_id="successor")
    [own] = claim(store, P0, run_id="successor")
    assert own.epoch == 2


def test_claims_that_meet_take_turns(postgres_urls: PostgresUrls) -> None:
    """Locked in different orders they would deadlock, or kill each other for a second's wait."""
    parts = [TopicPart(OTHER_TOPIC_ID, number) for number in range(20)]
    epochs: list[int] = []

    def take(run_id: str, order: int) -> None:
        store = PostgresStore(postgres_urls.loader)
        for _ in range(10):
            epochs.extend(own.epoch for own in claim(store, *parts[::order], run_id=run_id))
        store.close()

    threads = [threading.Thread(target=take, args=(f"run-{order}", order)) for order in (1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(epochs) == sorted(list(range(1, 21)) * 20)


def test_a_lost_reply_to_commit_is_told_apart_and_the_store_is_believed(
    store: PostgresStore, postgres_urls: PostgresUrls
) -> None:
    """Fault 4: it is done, and doing it again from memory would be a repeat."""
    with cutting_proxy(postgres_urls.loader) as proxy:
        behind = PostgresStore(proxy.url)
        [own] = claim(behind, P0)
        proxy.cut_next_commit()
        with pytest.raises(OutcomeUnknownError):
            behind.commit([piece(own, [quote(1), quote(2)])], run_id="run-a")
        [again] = claim(behind, P0)
        assert (again.next_offset, again.epoch) == (2, 2)
        behind.commit([piece(again, [quote(3)])], run_id="run-a")
        behind.close()
    assert store.sum_range(QUOTES, P0, 0, 10).count == 3


def test_a_connection_lost_between_calls_is_made_again(store: PostgresStore, admin: Admin) -> None:
    """Fault 17: a restarted server must not need a restarted load."""
    [own] = claim(store, P0)
    admin.execute(
        "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity "
        "WHERE usename = 'loader' AND datname = current_database()"
    )
    with pytest.raises(StoreUnavailableError):
        store.commit([piece(own, [quote(1)])], run_id="run-a")
    outcome = store.commit([piece(own, [quote(1)])], run_id="run-a")
    assert dict(outcome.stored_records) == {"quotes": 1}


def test_no_session_can_be_stuck_for_good(postgres_urls: PostgresUrls) -> None:
    """A load that waits for ever looks healthy to everybody but the user."""
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    with connect(postgres_urls.loader, application_name="test") as connection:
        limits = [connection.execute(f"SHOW {name}".encode()).fetchone() for name in names]
        options = connection.info.get_parameters()
    assert limits == [("1min",), ("10s",), ("30s",)]
    assert (options["connect_timeout"], options["tcp_user_timeout"]) == ("5", "15000")


def test_a_server_that_is_not_there_is_unavailable() -> None:
    """A raw driver error would end a run that should wait and try again."""
    store = PostgresStore("postgresql://loader@127.0.0.1:1/none")
    with pytest.raises(StoreUnavailableError):
        store.ping()


def test_a_missing_table_is_named_and_nothing_is_written(
    store: PostgresStore, admin: Admin
) -> None:
    """The load goes on without that feed; offsets must not move for what was not written."""
    [own] = claim(store, P0)
    admin.execute("DROP TABLE market.quote")
    with pytest.raises(StoreRefusedError) as caught:
        store.commit([piece(own, [quote(1)])], run_id="run-a")
    assert caught.value.table == "market.quote"
    assert [row.next_offset for row in store.read_offsets()] == [0]


@pytest.mark.parametrize(
    "damage",
    [{"currency_name": "NUL \x00 inside"}, {"price": "12 apples"}, {"price": "1e200000"}],
    ids=["22021", "22P02", "22003"],
)
def test_a_record_the_server_refuses_is_found_and_the_others_are_stored(
    store: PostgresStore, damage: dict[str, object]
) -> None:
    """Fault 20: one poison record must not stop its topic, nor take 499 good ones with it."""
    records = [quote(number) for number in range(500)]
    records[123] = msgspec.structs.replace(records[123], **damage)
    [own] = claim(store, P0)
    outcome = store.commit([piece(own, records)], run_id="run-a")
    assert dict(outcome.stored_records) == {"quotes": 499}
    assert outcome.quarantined_records == 1
    [entry] = store.read_quarantine()
    assert (entry.offset, entry.reason) == (123, Reason.INVARIANT)
    assert "SQLSTATE 2" in entry.error
    assert entry.value == msgspec.json.encode(records[123])


def test_an_id_too_long_for_the_index_is_a_matter_of_that_record(store: PostgresStore) -> None:
    """54000 names a limit of the server, but waiting would never make the id shorter."""
    letters = "".join(chr(0x4E00 + (number * 7919) % 20_000) for number in range(1024))
    records = [quote(1), msgspec.structs.replace(quote(2), event_id=letters), quote(3)]
    [own] = claim(store, P0)
    outcome = store.commit([piece(own, records)], run_id="run-a")
    assert dict(outcome.stored_records) == {"quotes": 2}
    assert [entry.offset for entry in store.read_quarantine()] == [1]


@pytest.mark.parametrize("parts", [(P0,), (P0, P1)], ids=["one", "across"])
def test_what_repeats_a_refused_record_is_refused_and_no_state(
    store: PostgresStore, parts: tuple[TopicPart, ...]
) -> None:
    """It repeats what is nowhere; a wallet by it would have no fact."""
    events = FEED_BY_NAME["account_events"]
    deposit, other = build_busy_company().events[:2]
    letters = "".join(chr(0x4E00 + (number * 7919) % 20_000) for number in range(1024))
    bad = msgspec.structs.replace(deposit, event_id=letters, sequence=9, wallet_available=("9999",))
    claims = claim(store, *parts, feed=events)
    batches = [[bad], [deposit, other, bad]]
    if len(parts) == 1:
        batches = [[bad, deposit, other, bad]]
    pieces = [piece(own, batch) for own, batch in zip(claims, batches, strict=True)]
    outcome = store.commit(pieces, run_id="run-a")
    assert dict(outcome.stored_records) == {"account_events": 2}
    assert (outcome.repeated_records, outcome.quarantined_records) == (0, 2)
    assert {entry.reason for entry in store.read_quarantine()} == {Reason.INVARIANT}
    assert [wallet.available for wallet in store.read_wallets("ann")] == ["1000.00"]


def test_conflicts_are_found_among_refused_records(store: PostgresStore) -> None:
    """Halving a batch must not lose sight of two contents under one id in different halves."""
    bad = msgspec.structs.replace(quote(9), price="12 apples")
    other = msgspec.structs.replace(quote(1), content_hash=5)
    [own] = claim(store, P0)
    outcome = store.commit([piece(own, [quote(1), bad, quote(2), other, quote(1)])], run_id="run-a")
    assert dict(outcome.stored_records) == {"quotes": 2}
    assert (outcome.repeated_records, outcome.quarantined_records) == (1, 2)
    reasons = [(entry.offset, entry.reason) for entry in store.read_quarantine()]
    assert reasons == [(1, Reason.INVARIANT), (3, Reason.CONFLICT)]


def test_a_discarded_entry_stays_discarded_when_its_record_loads(
    store: PostgresStore, admin: Admin
) -> None:
    """A person decided; a replay is no reason to decide otherwise."""
    bad = msgspec.structs.replace(quote(1), price="12 apples")
    [own] = claim(store, P0)
    store.commit([piece(own, [bad, quote(2)])], run_id="run-a")
    admin.execute("UPDATE platform.quarantine SET state = 'discarded'")
    store.commit_replay([piece(own, [quote(1), quote(2)])], run_id="replay")
    assert [entry.state for entry in store.read_quarantine()] == ["discarded"]
    assert [row.offset for row in store.read_range(QUOTES, P0, 0, 9)] == [1]


def test_touched_versions_rise_with_what_is_new_and_only_with_that(
    store: PostgresStore, admin: Admin
) -> None:
    """Analytics deletes the version it has read: a change that keeps the version is lost."""

    def touched() -> list[tuple[object, ...]]:
        return admin.execute(
            "SELECT feed, key, version FROM platform.touched ORDER BY version"
        ).fetchall()

    [own] = claim(store, P0, feed=TRADES)
    records = [trade(1, at=0), trade(2, at=1), trade(3, at=2, symbol="ETH-USD")]
    store.commit([piece(own, records)], run_id="run-a")
    first = touched()
    store.commit([piece(own, [trade(1, at=0)], first_offset=3)], run_id="run-a")
    assert touched() == first
    store.commit([piece(own, [trade(4, at=3)], first_offset=4)], run_id="run-a")
    assert first == [("trades", "simulated:BTC-USD", 1), ("trades", "simulated:ETH-USD", 2)]
    assert touched() == [("trades", "simulated:ETH-USD", 2), ("trades", "simulated:BTC-USD", 3)]


def test_a_feed_that_repeats_stops_leaving_dead_rows(store: PostgresStore, admin: Admin) -> None:
    """Each COPY that fails at its last row leaves all rows before it as garbage."""
    [own] = claim(store, P0)
    store.commit([piece(own, [quote(0)])], run_id="run-a")
    for commit in range(5):
        records = [*(quote(1 + commit * 100 + i) for i in range(100)), quote(0)]
        store.commit([piece(own, records, first_offset=1 + commit * 101)], run_id="run-a")
    store.close()
    inserted = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'quote'"
    stored, failed_once = 1 + 5 * 100, 101
    # the counters arrive some time after the session has ended
    eventually(lambda: admin.execute(inserted).fetchone() == (stored + failed_once,), within_s=10)


def test_of_what_analytics_makes_nothing_of_no_hours_are_noted(
    store: PostgresStore, admin: Admin
) -> None:
    """Nobody would ever take the rows away again."""
    [own] = claim(store, P0, feed=ACCOUNT_EVENTS)
    store.commit([piece(own, build_busy_company().events)], run_id="run-a")
    [other] = claim(store, P1)
    store.commit([piece(other, [quote(1)])], run_id="run-a")
    assert admin.execute("SELECT count(*) FROM platform.touched").fetchone() == (0,)
