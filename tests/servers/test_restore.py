"""A store that lost everything is rebuilt from the other one, or from Kafka, and proved whole."""

import json
import signal
import threading
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, LiteralString, NamedTuple

import dagster as dg
import msgspec
import pytest
from bson.decimal128 import Decimal128
from click.testing import CliRunner, Result
from psycopg import sql
from pymongo import MongoClient

from crypto_platform.cli import main
from crypto_platform.cli.dumpers import open_dumpers
from crypto_platform.delivery.backup import put_back, read_manifest, verify
from crypto_platform.delivery.restore import RestoreProgress
from crypto_platform.delivery.restore_plan import find_objection
from crypto_platform.delivery.restore_store import KAFKA, MIRROR, Restored, carry_out, plan
from crypto_platform.feeds import FEEDS, Feed, Record
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.jobs.restore import RESTORE_OP, build_restore_job
from crypto_platform.migrations.postgres import list_revisions
from crypto_platform.migrations.run import migrate
from crypto_platform.settings import ENV_PREFIX, process_environment
from crypto_platform.stores import STORES
from crypto_platform.stores.accounts import PostingSum, Whole
from crypto_platform.stores.postgres.dump import APPLICATION_NAME
from crypto_platform.stores.sums import Sum
from tests.account_steps import build_busy_company
from tests.fault_children import START_S, running_restore
from tests.fault_steps import numbered_quotes
from tests.feed_samples import build_record, renamed
from tests.platform_harness import Platform
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)


class Content(NamedTuple):
    """What a store holds, to be compared.

    Attributes:
        partitions: next_offset, the rows' count and hash, quarantine entries.
        states: Of each projection, by the name of its table.
        postings: Sums by user, account and currency.
    """

    partitions: Mapping[tuple[str, int], tuple[int, Sum, int]]
    states: Mapping[str, Sequence[Whole]]
    postings: Sequence[PostingSum]


def wipe(platform: Platform, store: str) -> None:
    """Drop the database with all that is in it, as a lost disk would."""
    if store == "mongo":
        client: MongoClient[dict[str, object]] = MongoClient(platform.servers.mongo_admin_url)
        with client:
            client.drop_database(platform.name)
        return
    platform.end_backends()
    with platform.postgres_server_admin() as connection:
        name = sql.Identifier(platform.name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER migrator").format(name))
    with platform.postgres_admin() as connection:
        connection.execute("CREATE EXTENSION btree_gist")


def content(platform: Platform, store: str) -> Content:
    """Facts by partition, and what is derived from them."""
    opened = platform.store(store, role="analyst")
    feed_of = {platform.topic(feed): feed for feed in FEEDS}
    partitions = {
        (row.topic, row.partition.part): (
            row.next_offset,
            opened.sum_range(feed_of[row.topic], row.partition, 0, 2**62),
            sum(1 for _ in opened.read_quarantine(row.partition)),
        )
        for row in opened.read_offsets()
    }
    states = {
        each.table: list(opened.read_states(feed, each))
        for feed in FEEDS
        for each in feed.projections
    }
    return Content(partitions, states, list(opened.sum_postings(through_sequence=2**62)))


def count_entries(content: Content) -> int:
    """Of quarantine: a conflict and three values that are none."""
    count = sum(entries for *_, entries in content.partitions.values())
    assert count == 4
    return count


def restore(platform: Platform, store: str, origin: str) -> Restored:
    """As the command and the job do it."""
    told: list[RestoreProgress] = []
    return carry_out(
        platform.settings,
        store,
        origin,
        run_id="restore-test",
        migrate=lambda: migrate(platform.settings, progress=lambda _: None),
        stop=threading.Event(),
        progress=told.append,
        say=lambda _: None,
        publish_incident=lambda _: None,
    )


def build_many(feed: Feed[Record]) -> Sequence[Record]:
    """Sixty at least of one key; accounts have to add up, or no audit is whole."""
    if feed.name == ACCOUNT_EVENTS.name:
        company = build_busy_company()
        for _ in range(60):
            company.deposit("ann", "USD", "1.10")
        return company.events
    record = build_record(feed)
    return [renamed(record, f"{record.event_id}/{number}") for number in range(60)]


def publish_everything(platform: Platform, *, with_conflict: bool = True) -> None:
    """Records of all feeds, repeats, a conflict, values that are none."""
    for feed in FEEDS:
        if feed.owned_by_platform:
            continue
        platform.publish(feed, build_many(feed))
    platform.publish(QUOTES, numbered_quotes(1, 200))
    platform.publish(QUOTES, numbered_quotes(150, 160))
    if with_conflict:
        [quote] = numbered_quotes(7, 7)
        platform.publish(QUOTES, [msgspec.structs.replace(quote, price="666", content_hash=1)])
    platform.publish_raw([(QUOTES, "test:bad", b"{not json")] * 3)


def truncate(platform: Platform) -> None:
    """Kafka forgets most of what it had."""
    for feed in FEEDS:
        platform.delete_records(feed, below=40)


@pytest.mark.parametrize("store", STORES)
def test_a_store_that_lost_everything_comes_back_from_its_mirror(
    platform: Platform, store: str
) -> None:
    """Fault 31: Kafka keeps two days; without the mirror all that is older were gone for good."""
    publish_everything(platform)
    platform.load_both()
    before = content(platform, store)
    truncate(platform)
    wipe(platform, store)

    planned = plan(platform.settings, store, MIRROR)
    assert planned.is_store_empty
    assert planned.lost == []
    restored = restore(platform, store, MIRROR)

    assert restored.is_whole
    assert content(platform, store) == before
    assert sum(restored.report.restored_records.values()) == planned.records
    assert restored.report.quarantined_records == count_entries(before)
    assert platform.audit(deep=True).whole
    platform.publish(QUOTES, numbered_quotes(201, 230))
    platform.load_both()
    assert platform.audit(deep=True).whole
    assert plan(platform.settings, store, MIRROR).work == []


@pytest.mark.parametrize("store", STORES)
def test_a_store_comes_back_from_kafka_while_that_has_everything(
    platform: Platform, store: str
) -> None:
    """The plain case: no mirror is needed, and none may be."""
    publish_everything(platform)
    platform.load_both()
    before = content(platform, store)
    wipe(platform, store)

    restored = restore(platform, store, KAFKA)

    assert restored.is_whole
    assert content(platform, store) == before
    assert restored.report.quarantined_records == count_entries(before)


def test_what_kafka_no_longer_has_is_named_lost_until_the_mirror_gives_it(
    platform: Platform,
) -> None:
    """Offsets given up in silence would be a hole that nobody looks for."""
    publish_everything(platform, with_conflict=False)
    platform.load_both()
    before = content(platform, "postgres")
    truncate(platform)
    wipe(platform, "postgres")

    planned = plan(platform.settings, "postgres", KAFKA)
    names = {(place.feed.name, tuple(lost)) for place, lost in planned.lost}
    assert ("trades", (0, 40)) in names
    assert "do not come back from kafka" in (find_objection(planned) or "")
    restored = restore(platform, "postgres", KAFKA)
    assert restored.audit is not None
    assert restored.audit.findings == []
    assert len(restored.audit.lost) == len(planned.lost)

    again = restore(platform, "postgres", MIRROR)
    assert again.audit is not None
    assert again.audit.findings == []
    assert again.audit.lost == []
    assert content(platform, "postgres") == before


@pytest.mark.parametrize("store", STORES)
def test_only_what_is_missing_is_written(platform: Platform, store: str) -> None:
    """Half a table deleted by mistake must not cost a whole store's rebuilding."""
    publish_everything(platform)
    platform.load_both()
    before = content(platform, store)
    platform.delete_quotes(store, currency_id="c17")
    truncate(platform)

    planned = plan(platform.settings, store, MIRROR)
    assert not planned.is_store_empty
    assert [part.place.feed.name for part in planned.work] == ["quotes"]
    restored = restore(platform, store, MIRROR)
    assert restored.report.restored_records == {"quotes": 1}
    assert restored.is_whole
    assert content(platform, store) == before


@pytest.mark.parametrize("origin", [KAFKA, MIRROR])
@pytest.mark.parametrize("store", STORES)
def test_states_that_alone_were_lost_or_changed_are_written_anew(
    platform: Platform, store: str, origin: str
) -> None:
    """Their events are all there, so that no range of records shows what is wrong."""
    platform.publish(ACCOUNT_EVENTS, build_many(ACCOUNT_EVENTS))
    platform.load_both()
    before = content(platform, store)
    assert plan(platform.settings, store, origin).work == []

    lose_orders(platform, store)
    planned = plan(platform.settings, store, origin)
    there = [(odd.projection.table, odd.account) for odd in planned.odd_states]
    assert [(table, account and account.there.states) for table, account in there] == [("order", 0)]
    assert planned.lost == []
    done = run(platform, "restore", store, "--from", origin, "--yes")
    assert (done.exit_code, "0 orders are there" in done.stderr) == (0, True), done.output
    assert content(platform, store) == before

    change_wallet(platform, store)
    assert content(platform, store) != before
    assert plan(platform.settings, store, origin).work == []
    done = run(platform, "restore", store, "--from", origin, "--derived", "--yes")
    assert done.exit_code == 0, done.output
    assert content(platform, store) == before
    assert platform.audit(deep=True).whole


def lose_orders(platform: Platform, store: str) -> None:
    """Somebody emptied a table that looks like nobody's."""
    if store == "postgres":
        with platform.postgres_admin() as connection:
            connection.execute('DELETE FROM accounts."order"')
        return
    client: MongoClient[dict[str, Any]] = MongoClient(platform.servers.mongo_admin_url)
    with client:
        assert client[platform.name]["orders"].delete_many({}).deleted_count


def change_wallet(platform: Platform, store: str) -> None:
    """One more dollar for ann, of an event that does not say so."""
    if store == "postgres":
        with platform.postgres_admin() as connection:
            connection.execute(
                "UPDATE accounts.wallet SET available = available + 1"
                " WHERE user_id = 'ann' AND currency = 'USD'"
            )
        return
    client: MongoClient[dict[str, Any]] = MongoClient(platform.servers.mongo_admin_url)
    with client:
        own = {"user_id": "ann", "currency": "USD"}
        one_more = {"$inc": {"available": Decimal128("1")}}
        assert client[platform.name]["wallets"].update_one(own, one_more).modified_count == 1


def test_tables_that_were_dropped_come_back_with_their_views(platform: Platform) -> None:
    """Whoever drops a table takes with it what people read of it."""
    publish_everything(platform)
    platform.load_both()
    before, views = content(platform, "postgres"), describe_views(platform)
    platform.store("postgres").close()
    with platform.postgres_admin() as connection:
        connection.execute(
            "DROP TABLE accounts.event, accounts.wallet, market.candle_revision CASCADE"
        )
    assert describe_views(platform) != views
    truncate(platform)

    done = run(platform, "restore", "postgres", "--from", "mirror", "--yes")
    assert done.exit_code == 0, done.output
    assert content(platform, "postgres") == before
    assert describe_views(platform) == views


def describe_views(platform: Platform) -> object:
    """What the views and functions that people read are."""
    with platform.postgres_admin() as connection:
        return connection.execute(
            "SELECT c.oid::regclass::text, pg_get_viewdef(c.oid), obj_description(c.oid),"
            " c.relacl::text FROM pg_class AS c WHERE c.relkind = 'v'"
            " AND c.relnamespace IN ('accounts'::regnamespace, 'market'::regnamespace)"
            " UNION ALL SELECT p.oid::regprocedure::text, pg_get_functiondef(p.oid), NULL, NULL"
            " FROM pg_proc AS p WHERE p.pronamespace IN ('accounts'::regnamespace,"
            " 'market'::regnamespace) ORDER BY 1"
        ).fetchall()


@pytest.mark.slow
@pytest.mark.parametrize("origin", [KAFKA, MIRROR])
@pytest.mark.parametrize("store", STORES)
def test_a_restore_that_was_killed_goes_on_when_begun_again(
    platform: Platform, store: str, origin: str
) -> None:
    """Fault 31: it takes an hour, and machines die; loads must not slip in between."""
    publish_everything(platform)
    platform.load_both()
    before = content(platform, store)
    if origin == MIRROR:
        truncate(platform)
    wipe(platform, store)

    for point in ("after_offset_update", "after_commit", "after_copy", "after_commit"):
        with running_restore(platform, store, origin, CRASH_AT=point) as child:
            assert child.wait(timeout=START_S) == -signal.SIGKILL
        assert platform.load(store).progress.stored_records == {}

    restored = restore(platform, store, origin)
    assert restored.is_whole
    assert content(platform, store) == before
    assert not any(row.blocked_by for row in platform.store(store).read_offsets())
    assert platform.audit(deep=True).whole


@pytest.mark.slow
@pytest.mark.parametrize("origin", [KAFKA, MIRROR])
@pytest.mark.parametrize("store", STORES)
def test_a_restore_killed_among_accounts_leaves_no_state_without_its_events(
    platform: Platform, store: str, origin: str
) -> None:
    """A wallet that was restored before its facts, or twice, would be another balance."""
    platform.reload(CRYPTO_PLATFORM_LOAD__BATCH_RECORDS_MAX="20")
    platform.publish(ACCOUNT_EVENTS, build_many(ACCOUNT_EVENTS))
    platform.load_both()
    before = content(platform, store)
    if origin == MIRROR:
        truncate(platform)
    wipe(platform, store)

    for point in ("after_copy", "after_commit", "before_commit", "after_commit"):
        with running_restore(platform, store, origin, CRASH_AT=point) as child:
            assert child.wait(timeout=START_S) == -signal.SIGKILL
        assert platform.load(store).progress.stored_records == {}
    begun = content(platform, store)
    assert begun.postings
    assert begun.postings != before.postings

    restored = restore(platform, store, origin)
    assert restored.is_whole
    assert content(platform, store) == before
    assert platform.audit(deep=True).whole


@pytest.mark.parametrize("store", STORES)
def test_a_backup_comes_back_equal_and_loads_what_came_later(
    platform: Platform, store: str, tmp_path: Path
) -> None:
    """Fault 26: with files of our own; offsets are inside, so nothing is missed or doubled."""
    publish_everything(platform)
    platform.load_both()
    folder = tmp_path / "backup"
    made = run(platform, "backup", "--store", store, "--to", str(folder), "--json")
    assert made.exit_code == 0, made.output
    as_backed_up = content(platform, store)
    described = describe_collections(platform) if store == "mongo" else {}
    wipe(platform, store)
    with open_dumpers(platform.settings, [store]) as [dumper]:
        manifest = read_manifest(folder)
        facts = verify(manifest, folder, dumper, known_revisions=list_revisions())
        migrate(platform.settings, progress=lambda _: None)
        put_back(facts, folder, dumper)
    assert content(platform, store) == as_backed_up
    assert described == (describe_collections(platform) if store == "mongo" else {})
    migrate(platform.settings, progress=lambda _: None)
    platform.publish(QUOTES, numbered_quotes(301, 320))
    platform.load_both()
    assert platform.audit(deep=True).whole

    truncate(platform)
    dry = run(platform, "restore", store, "--from", f"backup:{folder}", "--dry-run")
    assert "now is replaced" in dry.stdout
    refused = run(platform, "restore", store, "--from", f"backup:{folder}")
    assert refused.exit_code == 1
    done = run(platform, "restore", store, "--from", f"backup:{folder}", "--yes", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["audit_whole"]


@pytest.mark.parametrize("store", STORES)
def test_a_backup_that_was_killed_on_its_way_back_is_put_back_by_the_same_command(
    platform: Platform, store: str, tmp_path: Path
) -> None:
    """Half a store is there, or the old one: either way loads wait, and nothing is to be mended."""
    publish_everything(platform)
    platform.load_both()
    folder = tmp_path / "backup"
    made = run(platform, "backup", "--store", store, "--to", str(folder))
    assert made.exit_code == 0, made.output
    platform.publish(QUOTES, numbered_quotes(301, 320))
    platform.load_both()
    before = content(platform, store)

    for _ in range(2):
        kill_on_the_way_back(platform, store, folder)
        assert platform.load(store).progress.stored_records == {}
    done = run(platform, "restore", store, "--from", f"backup:{folder}", "--yes", "--json")

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["audit_whole"]
    assert content(platform, store) == before
    assert not any(row.blocked_by for row in platform.store(store).read_offsets())
    platform.publish(QUOTES, numbered_quotes(321, 330))
    platform.load_both()
    assert platform.audit(deep=True).whole


def kill_on_the_way_back(platform: Platform, store: str, folder: Path) -> None:
    """Kill -9: in PostgreSQL's one transaction, or when MongoDB's first collection is back."""
    with (
        platform.postgres_admin() as connection,
        running_restore(platform, store, f"backup:{folder}", is_heard=True) as child,
    ):
        if store == "mongo":
            assert child.stderr is not None
            assert any("are back" in line for line in child.stderr)
            child.kill()
            return
        # whoever reads a table holds up who drops it
        with connection.transaction():
            connection.execute("LOCK TABLE market.trade IN ACCESS SHARE MODE")
            eventually(lambda: is_held_up(platform), within_s=START_S)
            child.kill()
            child.wait()
    eventually(lambda: not has_writer(platform), within_s=START_S)


def is_held_up(platform: Platform) -> bool:
    """Its transaction has begun, and waits for somebody."""
    return has_writer(platform, "wait_event_type = 'Lock'")


def has_writer(platform: Platform, condition: LiteralString = "true") -> bool:
    """Whether a backup is on its way back."""
    with platform.postgres_admin() as connection:
        [(count,)] = connection.execute(
            sql.SQL(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = %s AND {}"
            ).format(sql.SQL(condition)),
            [APPLICATION_NAME],
        ).fetchall()
    return bool(count)


def test_a_damaged_backup_overwrites_nothing(platform: Platform, tmp_path: Path) -> None:
    """Backups are needed on the worst day; half a store put back would be a second disaster."""
    platform.publish(QUOTES, numbered_quotes(1, 20))
    platform.load_both()
    folder = tmp_path / "backup"
    assert run(platform, "backup", "--to", str(folder)).exit_code == 0
    again = run(platform, "backup", "--to", str(folder))
    assert (again.exit_code, "is there and not empty" in again.stderr) == (1, True)
    before = {store: content(platform, store) for store in STORES}
    for store in STORES:
        [victim, *_] = sorted((folder / store).rglob("*.*"))
        victim.write_bytes(victim.read_bytes() + b"x")
        refused = run(platform, "restore", store, "--from", f"backup:{folder}", "--yes")
        assert refused.exit_code == 1
        assert "the backup is damaged" in refused.stderr
    (folder / "manifest.json").unlink()
    refused = run(platform, "restore", "mongo", "--from", f"backup:{folder}", "--yes")
    assert "is no backup, or one that was not finished" in refused.stderr
    assert {store: content(platform, store) for store in STORES} == before


def run(platform: Platform, *words: str) -> Result:
    """The command line on this platform's data folder."""
    cleared = {name: None for name in process_environment() if name.startswith(ENV_PREFIX)}
    return CliRunner().invoke(main, [*words, "--data-dir", str(platform.data_dir)], env=cleared)


def describe_collections(platform: Platform) -> Mapping[str, object]:
    """MongoDB's own hash of each collection, its options and indexes, and the views."""
    client: MongoClient[dict[str, Any]] = MongoClient(platform.servers.mongo_admin_url)
    with client:
        database = client[platform.name]
        hashes = database.command("dbHash")["collections"]
        return {
            each["name"]: (
                each["options"],
                hashes.get(each["name"]),
                sorted(database[each["name"]].list_indexes(), key=itemgetter("name"))
                if each["type"] == "collection"
                else None,
            )
            for each in database.list_collections()
            if not each["name"].startswith("system.")
        }


def test_the_job_does_the_same_and_observes_each_partition(platform: Platform) -> None:
    """Who works in the UI restores from there, and sees how far it is."""
    platform.publish(QUOTES, numbered_quotes(1, 30))
    platform.load_both()
    before = content(platform, "mongo")
    truncate(platform)
    wipe(platform, "mongo")
    job = build_restore_job(
        platform.settings,
        lambda store: migrate(platform.settings, progress=lambda _: None, only=store),
    )
    config = {"ops": {RESTORE_OP: {"config": {"store": "mongo"}}}}
    result = job.execute_in_process(run_config=config)
    assert result.success
    [event] = [each for each in result.all_events if each.is_successful_output]
    metadata = {name: value.value for name, value in event.step_output_data.metadata.items()}
    assert (metadata["restored_records"], metadata["audit_whole"]) == (30, True)
    observed = result.get_asset_observation_events()
    assert {event.asset_observation_data.asset_observation.asset_key for event in observed} == {
        dg.AssetKey(["mongo", "quotes"])
    }
    assert content(platform, "mongo") == before

    wrong = {"ops": {RESTORE_OP: {"config": {"store": "mysql"}}}}
    assert not job.execute_in_process(run_config=wrong, raise_on_error=False).success
    assert platform.audit(deep=True).whole
