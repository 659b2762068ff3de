"""What people see in Dagster's UI and do from there, over GraphQL against a running stack."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from crypto_platform.assets.audits import ACCOUNT_QUESTIONS, COMPANY, RECONCILED
from crypto_platform.assets.names import HEALTH_SENSOR
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.jobs.restore import RESTORE_JOB, RESTORE_OP
from crypto_platform.stores import STORES
from tests.stack_harness import pid_of, run_cli
from tests.trouble_steps import (
    count_blocked,
    discard_quarantine,
    is_quarantined_when_settled,
    lose_records,
    make_source_drift,
    suspended,
)
from tests.ui_harness import LOADS, QUOTES_AN_HOUR, Stack, name_partition, read_bounds
from tests.waiting import eventually

SEEN_WITHIN_S = 75.0
"""Sensor health looks once a minute; a store that is deaf holds it up for some seconds."""
REST_S = 12.0
"""The simulated market is asked every 5 s."""
TROUBLED = (
    "mongo/quotes/fresh",
    "postgres/market/quote/incidents",
    "postgres/platform/rejected/incidents",
)
HOURLY = ("audit/", "quality/")
"""Checks that answer once an hour is over."""

pytestmark = [pytest.mark.timeout(600), pytest.mark.servers]


def test_the_lineage_leads_from_the_source_to_both_stores(stack: Stack) -> None:
    """The graph is the first thing a new colleague looks at."""
    topic = stack.ask_node(
        ["kafka", "market", "quotes"],
        "dependencyKeys { path } dependedByKeys { path } kinds groupName owners {"
        " ... on TeamAssetOwner { team } } metadataEntries { label }",
    )
    assert topic["dependencyKeys"] == [{"path": ["simulated", "quotes"]}]
    assert sorted(key["path"] for key in topic["dependedByKeys"]) == sorted(LOADS)
    assert topic["owners"] == [{"team": "data-platform"}]
    table = stack.ask_node(
        ["postgres", "market", "quote"],
        "metadataEntries { label ... on TableSchemaMetadataEntry { schema { columns {"
        " name type } } } ... on TableColumnLineageMetadataEntry { lineage { columnName"
        " columnDeps { assetKey { path } columnName } } } }",
    )
    entries = {entry["label"]: entry for entry in table["metadataEntries"]}
    columns = entries["dagster/column_schema"]["schema"]["columns"]
    assert {"name": "price", "type": "numeric"} in columns
    lineage = {line["columnName"]: line for line in entries["dagster/column_lineage"]["lineage"]}
    assert lineage["price"]["columnDeps"] == [
        {"assetKey": {"path": ["kafka", "market", "quotes"]}, "columnName": "price"}
    ]
    assert "dagster/code_references" in entries


def test_a_materialization_says_what_people_want_to_know(stack: Stack) -> None:
    """Rate, lag and freshness beside the asset, not in a log."""

    def labels(path: list[str]) -> set[str]:
        query = "assetMaterializations(limit: 1) { metadataEntries { label } }"
        newest = stack.ask_node(path, query)["assetMaterializations"]
        return {entry["label"] for found in newest for entry in found["metadataEntries"]}

    wanted = {"stored_records", "freshness_s_max", "lag_records", "preview"}
    for path in LOADS:
        # a replay before this test has its own; the live load's come every minute or two
        eventually(lambda path=path: labels(path) >= wanted, within_s=180)


def test_the_checks_of_a_running_platform_are_answered_and_good(stack: Stack) -> None:
    """Within a minute of `up`, and they stay visible while loads go on materializing."""
    bad: dict[str, Any] = {}

    def all_good() -> bool:
        bad.clear()
        bad.update(
            {
                name: answer
                for name, answer in stack.ask_checks().items()
                if not name.startswith(HOURLY) and (not answer or answer["status"] != "SUCCEEDED")
            }
        )
        return not bad

    try:
        eventually(all_good, within_s=150)
    except AssertionError:
        latest = {"/".join(path): stack.ask_latest(path) for path in LOADS}
        ticks = stack.ask_ticks(HEALTH_SENSOR)
        pytest.fail(f"not good: {bad}\nmaterialized: {latest}\nthe sensor's ticks: {ticks}")
    assert "mongo/quotes/fresh" in stack.ask_checks()


@dataclass(frozen=True, kw_only=True)
class Backfills:
    """How two backfills ended that the UI was asked for together, and what the runs failed of.

    Attributes:
        kept: Of deleted hours that Kafka still has.
        lost: Of these and one more, which Kafka has lost: it replays none of them.
        whole: What the audit said before and after.
    """

    kept: tuple[str, list[str]]
    lost: tuple[str, list[str]]
    whole: tuple[bool, bool]


@pytest.fixture(scope="module")
def backfills(stack: Stack) -> Backfills:
    stack.delete_past_hours()
    before = stack.audit()["whole"]
    stack.remove_oldest_hour_from_kafka()
    kept = stack.launch_backfill(stack.partitions)
    lost = stack.launch_backfill([name_partition(stack.oldest_hour), *stack.partitions])
    return Backfills(
        kept=stack.wait_for_backfill(kept),
        lost=stack.wait_for_backfill(lost),
        whole=(before, stack.audit()["whole"]),
    )


def test_past_hours_come_back_by_a_backfill_of_the_ui(backfills: Backfills) -> None:
    """Rows deleted by mistake are restored by whoever finds the Materialize button."""
    assert backfills.kept == ("COMPLETED_SUCCESS", [])
    assert backfills.whole == (False, True)


def test_a_backfill_of_hours_that_kafka_has_lost_fails_and_names_the_way_out(
    stack: Stack, backfills: Backfills
) -> None:
    """Green and empty would be taken for a repair; a bare red sends people through logs."""
    status, reasons = backfills.lost
    assert status == "COMPLETED_FAILED"
    assert len(reasons) == len(LOADS)
    oldest = name_partition(stack.oldest_hour)
    for store in ("postgres", "mongo"):
        [reason] = [text for text in reasons if f"what {store} lacks" in text]
        assert f"Kafka's retention has removed records of {oldest} (" in reason
        assert f"nothing of {QUOTES.topic} was replayed" in reason
        assert f"Hours from {stack.partitions[0]} on can be replayed" in reason
        assert "can only come from the other store" in reason


def test_past_hours_come_back_by_the_dagster_command_line(stack: Stack) -> None:
    """The same from a script."""
    stack.delete_past_hours()
    span = f"{stack.partitions[0]}...{stack.partitions[-1]}"
    both = ",".join("/".join(path) for path in LOADS)
    said = run_cli(
        *("exec", "--data-dir", str(stack.folder), "--", "dagster", "asset", "materialize"),
        *("-m", "crypto_platform.definitions", "--select", both, "--partition-range", span),
        timeout_s=240,
    )
    assert said.returncode == 0, said.stderr[-2000:]
    assert stack.audit()["whole"]


def test_past_hours_come_back_by_our_own_command_line(stack: Stack) -> None:
    """And with a dry run before."""
    stack.delete_past_hours()
    span = ("--partition", stack.partitions[0], "--to", stack.partitions[-1])
    for store in ("postgres", "mongo"):
        common = ("replay", "--store", store, *span, "--data-dir", str(stack.folder))
        planned = run_cli(*common, "--dry-run", "--json")
        to_read = [
            r["next_offset"] - r["first_offset"] for r in json.loads(planned.stdout)["ranges"]
        ]
        assert sum(to_read) == 3 * QUOTES_AN_HOUR
        said = run_cli(*common, "--feed", "quotes")
        assert "restored 120" in said.stdout, said
    assert stack.audit()["whole"]


def test_the_audit_of_an_hour_answers_its_checks_and_names_what_is_missing(stack: Stack) -> None:
    """A check that only says `failed` sends a person searching through millions of rows."""
    hour = stack.partitions[1]

    def audit_hour() -> Mapping[str, Any]:
        said = run_cli(
            *("exec", "--data-dir", str(stack.folder), "--", "dagster", "asset", "materialize"),
            *("-m", "crypto_platform.definitions", "--select", "audit/quotes"),
            *("--partition", hour),
            timeout_s=240,
        )
        assert said.returncode == 0, said.stderr[-2000:]
        return stack.ask_audit(hour)

    stack.delete_past_hours()
    counts = audit_hour()["counts"]
    assert not counts["success"]
    assert "missing: " in counts["description"]
    assert "in postgres" in counts["description"]
    assert "replay these hours" in counts["description"]
    for store in ("postgres", "mongo"):
        span = ("--partition", stack.partitions[0], "--to", stack.partitions[-1])
        replayed = run_cli("replay", "--store", store, *span, "--data-dir", str(stack.folder))
        assert replayed.returncode == 0, replayed.stderr
    assert {name: answer["success"] for name, answer in audit_hour().items()} == {
        "counts": True,
        "coverage": True,
        "hashes": True,
        "incidents": True,
        "quarantine": True,
    }
    assert stack.audit()["whole"]


@pytest.mark.slow
def test_accounts_are_reconciled_and_a_changed_order_is_mended_from_the_ui(stack: Stack) -> None:
    """Whoever finds the red check in the graph can do all that follows there."""
    hour = stack.partitions[0]

    def reconcile() -> Mapping[str, Any]:
        assert stack.materialize(["audit", "account_events"], hour) == []
        return stack.ask_audit(hour, feed="account_events", checks=ACCOUNT_QUESTIONS)

    def is_good() -> bool:
        return all(answer["success"] for answer in reconcile().values())

    assert is_good()

    user_id = stack.change_ended_order()
    found = reconcile()
    assert (found[RECONCILED]["success"], found[COMPANY]["success"]) == (False, True)
    assert f"{user_id} " in found[RECONCILED]["description"]
    assert "restore STORE --derived" in found[RECONCILED]["description"]

    wanted = {"store": "mongo", "derived": True}
    [refused], _ = stack.run_job(RESTORE_JOB, {"ops": {RESTORE_OP: {"config": wanted}}})
    assert "mongo is not empty" in refused
    wanted["yes"] = True
    failures, said = stack.run_job(RESTORE_JOB, {"ops": {RESTORE_OP: {"config": wanted}}})
    assert (failures, said["audit_whole"]) == ([], True)
    assert is_good()
    assert stack.audit()["whole"]


def test_a_paused_source_rests_and_goes_on(stack: Stack) -> None:
    """Somebody's API budget is used up; the others must go on, and so must this one later."""
    folder = ("--data-dir", str(stack.folder))
    assert run_cli("pause", "simulated", *folder).stdout == "simulated paused\n"
    assert run_cli("pause", "simulated", *folder).stdout == "simulated was paused already\n"

    def polled() -> int:
        return sum(bound.high for bound in read_bounds(stack.settings).values())

    since: dict[int, float] = {}

    def rests() -> bool:
        now = time.monotonic()
        return now - since.setdefault(polled(), now) > REST_S

    eventually(rests, within_s=60, every_s=1)
    told = run_cli("status", *folder).stdout
    assert "source simulated is paused: `crypto-platform resume simulated` goes on\n" in told
    assert run_cli("resume", "simulated", *folder).stdout == "simulated goes on\n"
    rested_at = polled()
    eventually(lambda: polled() > rested_at, within_s=120, every_s=1)
    assert "is paused" not in run_cli("status", *folder).stdout


def test_a_row_leads_to_its_run_its_offset_and_its_poll(stack: Stack) -> None:
    """Somebody doubts a price, and wants to know who brought it."""
    said = run_cli(
        "trace", "quotes", "--latest", "bitcoin", "--json", "--data-dir", str(stack.folder)
    )
    found = json.loads(said.stdout)
    runs = {load["run_id"] for store in found["stores"].values() for load in store["loads"]}
    for run_id in [found["ingest_run_id"], *runs]:
        answer = stack.ask(
            "query Run($id: ID!) { runOrError(runId: $id) { ... on Run { jobName } } }", id=run_id
        )["runOrError"]
        assert answer["jobName"] in {"ingest_live", "load_postgres", "load_mongo"}
    assert found["stores"]["postgres"]["offset"] == found["stores"]["mongo"]["offset"]
    unknown = run_cli("trace", "quotes", "nobody:knows", "--data-dir", str(stack.folder))
    assert unknown.returncode == 1
    assert "no store holds nobody:knows" in unknown.stdout


@dataclass(frozen=True, kw_only=True)
class Troubles:
    """What the graph said of three troubles at once, and after their mend.

    Attributes:
        seen, left: The failed checks, by name, and what they say.
        seen_after_s, mended_after_s: How long that took; None where it did not come.
    """

    seen: Mapping[str, str]
    seen_after_s: float | None
    left: Mapping[str, str]
    mended_after_s: float | None


def read_failed(stack: Stack) -> dict[str, str]:
    """Health checks that the graph shows as failed; what one has not heard yet is none."""
    return {
        name: answer["evaluation"]["description"]
        for name, answer in stack.ask_checks().items()
        if answer and answer["status"] == "FAILED" and not name.startswith("audit/")
    }


def are_told(failed: Mapping[str, str]) -> bool:
    """All troubles, and of a stop what stopped it: its incident may arrive behind it."""
    return set(TROUBLED) <= set(failed) and not any(
        "`crypto-platform incident list` says more" in failed[name] for name in TROUBLED
    )


def measure(condition: Callable[[], bool]) -> float | None:
    """Seconds until it holds; None where it does not within SEEN_WITHIN_S."""
    began = time.monotonic()
    try:
        eventually(condition, within_s=SEEN_WITHIN_S)
    except AssertionError:
        return None
    return time.monotonic() - began


@pytest.fixture(scope="module")
def troubles(stack: Stack) -> Troubles:
    """PostgreSQL has lost records of the quotes, all rejected pieces drift, MongoDB is deaf."""
    folder = stack.folder
    make_source_drift(folder)
    for store in STORES:
        eventually(lambda store=store: count_blocked(folder, store) == 1, within_s=90)
    lose_records(folder, "postgres", QUOTES)
    with suspended(pid_of(folder, "mongo")):
        seen_after_s = measure(lambda: are_told(read_failed(stack)))
        seen = read_failed(stack)
    eventually(lambda: is_quarantined_when_settled(folder), within_s=180)
    discard_quarantine(folder)
    mended_after_s = measure(lambda: not read_failed(stack))
    return Troubles(
        seen=seen,
        seen_after_s=seen_after_s,
        left=read_failed(stack),
        mended_after_s=mended_after_s,
    )


def test_a_store_that_is_down_is_seen_in_the_graph(troubles: Troubles) -> None:
    """On the store's own assets, and on no others: the first question is which one it is."""
    assert "mongo is down: no answer" in troubles.seen["mongo/quotes/fresh"]
    assert "`crypto-platform logs mongo`" in troubles.seen["mongo/quotes/fresh"]
    assert "postgres/market/quote/fresh" not in troubles.seen


def test_a_stopped_partition_is_seen_in_the_graph_with_the_way_out(troubles: Troubles) -> None:
    """It causes no lag, so nothing else would tell."""
    text = troubles.seen["postgres/market/quote/incidents"]
    assert text.startswith("1 partitions are stopped: retention_gap: ")
    assert "-> restore the range from the other store" in text


def test_a_breaker_that_tripped_is_seen_in_the_graph_with_the_way_out(troubles: Troubles) -> None:
    """Fault 21: the load is fine, its source is not."""
    text = troubles.seen["postgres/platform/rejected/incidents"]
    assert text.startswith("1 partitions are stopped: source_drift: 1000 records of ")
    assert "-> mend the source or the feed's schema" in text


def test_troubles_are_seen_within_a_minute_and_are_gone_as_soon_when_mended(
    stack: Stack, troubles: Troubles
) -> None:
    """A red that stays is the reason why nobody looks at the next one."""
    assert troubles.seen_after_s is not None, troubles.seen
    assert troubles.mended_after_s is not None, troubles.left
    assert stack.audit()["whole"]
