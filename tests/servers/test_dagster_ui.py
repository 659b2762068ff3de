"""What people see in Dagster's UI and do from there, over GraphQL against a running stack.

One stack for the whole file: three past hours of quotes (Kafka is told their append times, which
nobody else may do), then everything that `up` starts.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from pymongo import MongoClient

from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.quotes import QUOTES, Quote, seal_quote
from crypto_platform.kafka.connection import client_config
from crypto_platform.kafka.cursors import Cursor, cursor_key, encode_cursor
from crypto_platform.kafka.topics import CURSORS_TOPIC
from crypto_platform.serving.dagster_api import ask_dagster, find_url
from crypto_platform.settings import Settings, load_settings
from crypto_platform.stack.embedded import embedded_servers, find_admin_urls
from tests.stack_harness import run_cli, running_up, stack_folder
from tests.waiting import eventually

pytestmark = [pytest.mark.timeout(600), pytest.mark.servers]

QUOTES_AN_HOUR = 40
LOADS = [["postgres", "market", "quote"], ["mongo", "quotes"]]
CHECKS = """{ assetNodes { assetKey { path } assetChecksOrError { ... on AssetChecks { checks {
    name executionForLatestMaterialization { status evaluation { success description } }
} } } } }"""


class Stack:
    """A running stack and its three past hours."""

    def __init__(self, folder: Path, hours: list[datetime]) -> None:
        self.folder = folder
        self.hours = hours
        self.settings: Settings = load_settings(folder)

    @property
    def partitions(self) -> list[str]:
        return [hour.strftime("%Y-%m-%d-%H:00") for hour in self.hours]

    def ask(self, query: str, **variables: object) -> Any:  # noqa: ANN401 - JSON
        return ask_dagster(find_url(self.settings), query, variables)

    def ask_node(self, path: list[str], fields: str) -> Any:  # noqa: ANN401 - JSON
        query = "query Node($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) {"
        query += f" ... on AssetNode {{ {fields} }} }} }}"
        return self.ask(query, key={"path": path})["assetNodeOrError"]

    def audit(self) -> dict[str, Any]:
        said = run_cli("audit", "--json", "--wait", "60", "--data-dir", str(self.folder))
        document: dict[str, Any] = json.loads(said.stdout)
        return document

    def delete_past_hours(self) -> None:
        """Somebody's mistake, in both stores."""
        end = self.hours[-1] + timedelta(hours=1)
        admin = find_admin_urls(self.folder)
        url = admin.postgres.rpartition("/")[0] + "/crypto_platform"
        with psycopg.connect(url, autocommit=True) as connection:
            deleted = connection.execute("DELETE FROM market.quote WHERE ts_append < %s", [end])
            assert deleted.rowcount == 3 * QUOTES_AN_HOUR
        mongo: MongoClient[dict[str, object]] = MongoClient(admin.mongo)
        with mongo:
            quotes = mongo[self.settings.mongo.database]["quotes"]
            assert (
                quotes.delete_many({"ts_append": {"$lt": end}}).deleted_count == 3 * QUOTES_AN_HOUR
            )


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [now - timedelta(hours=ago) for ago in (3, 2, 1)]
    with pytest.MonkeyPatch.context() as patch, stack_folder() as folder:
        patch.setenv("CRYPTO_PLATFORM_INSTALLED_AT", (now - timedelta(hours=4)).isoformat())
        with embedded_servers(folder, migrate=True) as settings:
            publish_past_hours(settings, hours)
        with running_up(folder):
            made = Stack(folder, hours)
            eventually(
                lambda: made.audit()["feeds"]["quotes"]["mongo"]["records"] > 120, within_s=90
            )
            yield made


def publish_past_hours(settings: Settings, hours: list[datetime]) -> None:
    """Quotes with append times of ours; later ones get the broker's again."""
    admin = AdminClient(client_config(settings))
    entry = ConfigEntry(
        "message.timestamp.type", "CreateTime", incremental_operation=AlterConfigOpType.SET
    )
    topic = ConfigResource(ResourceType.TOPIC, QUOTES.topic, incremental_configs=[entry])
    for future in admin.incremental_alter_configs([topic]).values():
        future.result(timeout=10)
    producer = Producer(client_config(settings) | {"partitioner": "murmur2_random"})
    for hour in hours:
        for number in range(QUOTES_AN_HOUR):
            quote = build_quote(number, hour)
            ms = int(hour.timestamp() * 1000) + 60_000 + number
            producer.produce(
                QUOTES.topic, key=QUOTES.key_of(quote), value=encode(quote), timestamp=ms
            )
        assert producer.flush(10) == 0
    # records without any cursor are an incident of their own
    polled = Cursor(polled_at=int(hours[-1].timestamp()) * 1_000_000)
    producer.produce(CURSORS_TOPIC, key=cursor_key("past", "quotes"), value=encode_cursor(polled))
    assert producer.flush(10) == 0


def build_quote(number: int, hour: datetime) -> Quote:
    time_us = int(hour.timestamp()) * 1_000_000
    draft = Quote(
        source="past",
        currency_id=f"c{number}",
        quote_currency="USD",
        price=f"{number}.10",
        ts_event=time_us,
        ts_ingest=time_us + 1,
    )
    return seal_quote(draft)


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
    for path in LOADS:
        found = stack.ask_node(
            path, "assetMaterializations(limit: 1) { runId metadataEntries { label } }"
        )
        [latest] = found["assetMaterializations"]
        labels = {entry["label"] for entry in latest["metadataEntries"]}
        assert labels >= {"stored_records", "freshness_s_max", "lag_records", "preview"}


def test_the_checks_of_a_running_platform_are_answered_and_good(stack: Stack) -> None:
    """Within a minute of `up`, and they stay visible while loads go on materializing."""

    def answers() -> dict[tuple[str, ...], Any]:
        return {
            (*node["assetKey"]["path"], check["name"]): check["executionForLatestMaterialization"]
            for node in stack.ask(CHECKS)["assetNodes"]
            for check in node["assetChecksOrError"].get("checks", [])
            if node["assetKey"]["path"][0] != "audit"
        }

    bad: dict[tuple[str, ...], Any] = {}

    def all_good() -> bool:
        found = answers()
        bad.clear()
        bad.update({k: a for k, a in found.items() if not a or a["status"] != "SUCCEEDED"})
        return not bad

    try:
        eventually(all_good, within_s=150)
    except AssertionError:
        pytest.fail(f"not good: {bad}")
    assert ("mongo", "quotes", "fresh") in answers()


def test_past_hours_come_back_by_a_backfill_of_the_ui(stack: Stack) -> None:
    """Rows deleted by mistake are restored by whoever finds the Materialize button."""
    stack.delete_past_hours()
    assert not stack.audit()["whole"]
    launched = stack.ask(
        "mutation Launch($params: LaunchBackfillParams!) { launchPartitionBackfill("
        "backfillParams: $params) { __typename ... on LaunchBackfillSuccess { backfillId }"
        " ... on PythonError { message } } }",
        params={
            "assetSelection": [{"path": path} for path in LOADS],
            "partitionNames": stack.partitions,
        },
    )["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched

    def status() -> str:
        query = "query Backfill($id: String!) { partitionBackfillOrError(backfillId: $id) {"
        query += " ... on PartitionBackfill { status } } }"
        found = stack.ask(query, id=launched["backfillId"])["partitionBackfillOrError"]
        return str(found["status"])

    eventually(lambda: status() not in {"REQUESTED", "COMPLETING"}, within_s=180)
    assert status() == "COMPLETED_SUCCESS"
    assert stack.audit()["whole"]


def test_past_hours_come_back_by_the_dagster_command_line(stack: Stack) -> None:
    """The same from a script."""
    stack.delete_past_hours()
    span = f"{stack.partitions[0]}...{stack.partitions[-1]}"
    for path in LOADS:
        said = run_cli(
            *("exec", "--data-dir", str(stack.folder), "--", "dagster", "asset", "materialize"),
            *("-m", "crypto_platform.definitions", "--select", "/".join(path)),
            *("--partition-range", span),
            timeout_s=120,
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
    audit_hour = (
        *("exec", "--data-dir", str(stack.folder), "--", "dagster", "asset", "materialize"),
        *("-m", "crypto_platform.definitions", "--select", "audit/quotes", "--partition", hour),
    )

    def answers() -> dict[str, Any]:
        [node] = [
            n
            for n in stack.ask(CHECKS)["assetNodes"]
            if n["assetKey"]["path"][0] == "audit" and n["assetKey"]["path"][1] == "quotes"
        ]
        return {
            check["name"]: check["executionForLatestMaterialization"]["evaluation"]
            for check in node["assetChecksOrError"]["checks"]
        }

    assert run_cli(*audit_hour, timeout_s=120).returncode == 0
    assert {name: answer["success"] for name, answer in answers().items()} == {
        "counts": True,
        "coverage": True,
        "hashes": True,
        "incidents": True,
        "quarantine": True,
    }
    stack.delete_past_hours()
    assert run_cli(*audit_hour, timeout_s=120).returncode == 0
    counts = answers()["counts"]
    assert not counts["success"]
    assert "missing: " in counts["description"]
    assert "in postgres" in counts["description"]
    assert "replay these hours" in counts["description"]
    for store in ("postgres", "mongo"):
        span = ("--partition", stack.partitions[0], "--to", stack.partitions[-1])
        replayed = run_cli("replay", "--store", store, *span, "--data-dir", str(stack.folder))
        assert replayed.returncode == 0, replayed.stderr
    assert run_cli(*audit_hour, timeout_s=120).returncode == 0
    assert answers()["counts"]["success"]
    assert stack.audit()["whole"]


def test_a_paused_source_rests_and_goes_on(stack: Stack) -> None:
    """Somebody's API budget is used up; the others must go on, and so must this one later."""
    folder = ("--data-dir", str(stack.folder))
    assert run_cli("pause", "simulated", *folder).stdout == "simulated paused\n"
    assert run_cli("pause", "simulated", *folder).stdout == "simulated was paused already\n"

    def polled() -> int:
        said = run_cli("status", "--json", *folder)
        [feed] = [f for f in json.loads(said.stdout)["feeds"] if f["name"] == "quotes"]
        return int(feed["high"])

    seen: list[int] = []

    def rests() -> bool:
        seen.append(polled())
        return len(seen) > 3 and seen[-1] == seen[-4]

    # the simulated market is asked every 5 s; each look takes two or three
    eventually(rests, within_s=60)
    assert run_cli("resume", "simulated", *folder).stdout == "simulated goes on\n"
    rested_at = polled()
    eventually(lambda: polled() > rested_at, within_s=120)


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
