"""A running stack with past hours of quotes, asked as the Dagster UI asks: over GraphQL.

Here: `stack`, one for a module: what `up` starts, on a Kafka that was told the append times of four
past hours (which nobody else may do). The oldest of them is for Kafka's retention to remove. Not
here: what people see there (tests/servers/test_dagster_ui.py).
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from pymongo import MongoClient

from crypto_platform.assets.audits import QUESTIONS
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.quotes import QUOTES, Quote, seal_quote
from crypto_platform.kafka.connection import client_config
from crypto_platform.kafka.cursors import Cursor, cursor_key, encode_cursor
from crypto_platform.kafka.topics import CURSORS_TOPIC
from crypto_platform.kafka.watermarks import Bounds, Part, Watermarks
from crypto_platform.serving.dagster_api import REPOSITORY, ask_dagster, find_url
from crypto_platform.settings import Settings, load_settings
from crypto_platform.stack.embedded import embedded_servers, find_admin_urls
from crypto_platform.stores import open_stores
from tests.stack_harness import run_cli, running_up, stack_folder
from tests.waiting import eventually

QUOTES_AN_HOUR = 40
LOADS = [["postgres", "market", "quote"], ["mongo", "quotes"]]
_CHECKS = """{ assetNodes { assetKey { path } assetChecksOrError { ... on AssetChecks { checks {
    name executionForLatestMaterialization { status evaluation { success description } }
} } } } }"""
_TICKS = """query Ticks($sensor: InstigationSelector!) {
    instigationStateOrError(instigationSelector: $sensor) { ... on InstigationState {
        ticks(limit: 5) { status timestamp endTimestamp skipReason error { message } } } } }"""
_ANSWERS = """query Answers($key: AssetKeyInput!, $check: String!) {
    assetCheckExecutions(assetKey: $key, checkName: $check, limit: 10) {
        runId evaluation { success description } } }"""
_LAUNCH = """mutation Launch($params: LaunchBackfillParams!) {
    launchPartitionBackfill(backfillParams: $params) { __typename
        ... on LaunchBackfillSuccess { backfillId }
        ... on PythonError { message } } }"""
_BACKFILL = """query Backfill($id: String!) { partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill { status } } }"""
_RUNS = """query Runs($filter: RunsFilter!) { runsOrError(filter: $filter) {
    ... on Runs { results { runId status } } } }"""
_LAUNCH_RUN = """mutation Launch($params: ExecutionParams!) {
    launchRun(executionParams: $params) { __typename
        ... on LaunchRunSuccess { run { runId } }
        ... on RunConfigValidationInvalid { errors { message } }
        ... on PythonError { message } } }"""
_OUTPUTS = """query Outputs($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
    ... on ExecutionStepOutputEvent { metadataEntries { label
        ... on IntMetadataEntry { intValue } ... on BoolMetadataEntry { boolValue } } } } } } }"""
_FAILURES = """query Failures($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
    ... on ExecutionStepFailureEvent { failureMetadata { description } } } } } }"""


class Stack:
    """A running stack and its past hours: three to work with, and one before them."""

    def __init__(self, folder: Path, hours: list[datetime]) -> None:
        self.folder = folder
        self.oldest_hour, *self.hours = hours
        self.settings: Settings = load_settings(folder)

    @property
    def partitions(self) -> list[str]:
        return [name_partition(hour) for hour in self.hours]

    def ask(self, query: str, **variables: object) -> Any:  # noqa: ANN401 - JSON
        return ask_dagster(find_url(self.settings), query, variables)

    def ask_node(self, path: list[str], fields: str) -> Any:  # noqa: ANN401 - JSON
        query = "query Node($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) {"
        query += f" ... on AssetNode {{ {fields} }} }} }}"
        return self.ask(query, key={"path": path})["assetNodeOrError"]

    def ask_checks(self) -> Mapping[str, Any]:
        """The answer to each check as the graph shows it, by postgres/market/quote/fresh."""
        return {
            "/".join([*node["assetKey"]["path"], check["name"]]): (
                check["executionForLatestMaterialization"]
            )
            for node in self.ask(_CHECKS)["assetNodes"]
            for check in node["assetChecksOrError"].get("checks", [])
        }

    def ask_ticks(self, sensor: str) -> list[Mapping[str, Any]]:
        """How a sensor's last ticks went, the latest first."""
        selector = {**REPOSITORY, "name": sensor}
        state = self.ask(_TICKS, sensor=selector)["instigationStateOrError"]
        ticks: list[Mapping[str, Any]] = state["ticks"]
        return ticks

    def ask_latest(self, path: list[str]) -> Mapping[str, Any]:
        """The asset's latest materialization: its run and time."""
        fields = "assetMaterializations(limit: 1) { runId timestamp partition }"
        [latest] = self.ask_node(path, fields)["assetMaterializations"]
        answer: Mapping[str, Any] = latest
        return answer

    def ask_audit(
        self, partition: str, *, feed: str = "quotes", checks: Iterable[str] = QUESTIONS
    ) -> Mapping[str, Any]:
        """What the last audit of this hour answered, by check; the schedule audits others."""
        path = ["audit", feed]
        latest = f'assetMaterializations(partitions: ["{partition}"], limit: 1) {{ runId }}'
        [audited] = self.ask_node(path, latest)["assetMaterializations"]
        answers: dict[str, Any] = {}
        for check in checks:
            found = self.ask(_ANSWERS, key={"path": path}, check=check)["assetCheckExecutions"]
            [answers[check]] = [
                answer["evaluation"]
                for answer in found
                # beside the answer stands the plan to ask, which has none
                if answer["runId"] == audited["runId"] and answer["evaluation"]
            ]
        return answers

    def backfill(
        self,
        partitions: Sequence[str],
        assets: Sequence[Sequence[str]] = LOADS,
        *,
        within_s: float = 180,
    ) -> tuple[str, list[str]]:
        """These assets, else both loads of quotes; how it ended, and why its runs failed."""
        return self.wait_for_backfill(self.launch_backfill(partitions, assets), within_s=within_s)

    def launch_backfill(
        self, partitions: Sequence[str], assets: Sequence[Sequence[str]] = LOADS
    ) -> str:
        """Dagster looks at its backfills every 30 s: what begins together is over together."""
        params = {
            "assetSelection": [{"path": path} for path in assets],
            "partitionNames": list(partitions),
        }
        launched = self.ask(_LAUNCH, params=params)["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return str(launched["backfillId"])

    def wait_for_backfill(
        self, backfill_id: str, *, within_s: float = 180
    ) -> tuple[str, list[str]]:
        """How it ended, and why its runs failed."""

        def status() -> str:
            return str(self.ask(_BACKFILL, id=backfill_id)["partitionBackfillOrError"]["status"])

        eventually(
            lambda: status() in {"COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED"},
            within_s=within_s,
            every_s=0.2,
        )
        tags = {"tags": [{"key": "dagster/backfill", "value": backfill_id}]}
        runs = self.ask(_RUNS, filter=tags)["runsOrError"]["results"]
        return status(), [text for run in runs for text in self._ask_failures(run["runId"])]

    def materialize(self, path: Sequence[str], partition: str) -> list[str]:
        """One hour of one asset, as its button does; why that failed."""
        wanted = {"jobName": "__ASSET_JOB", "assetSelection": [{"path": path}]}
        return self._ask_failures(self._run(wanted, tags={"dagster/partition": partition}))

    def run_job(self, name: str, config: Mapping[str, object]) -> tuple[list[str], dict[str, Any]]:
        """Launch a job as the launchpad does; why it failed, and what its step said in the end."""
        run_id = self._run({"jobName": name}, config=config)
        events = self.ask(_OUTPUTS, id=run_id)["logsForRun"]["events"]
        said = {
            entry["label"]: entry.get("intValue", entry.get("boolValue"))
            for event in events
            for entry in event.get("metadataEntries", [])
        }
        return self._ask_failures(run_id), said

    def _ask_failures(self, run_id: str) -> list[str]:
        events = self.ask(_FAILURES, id=run_id)["logsForRun"]["events"]
        found = [event["failureMetadata"] for event in events if event.get("failureMetadata")]
        return [failure["description"] for failure in found]

    def audit(self) -> dict[str, Any]:
        folder = str(self.folder)
        said = run_cli("audit", "--json", "--wait", "60", "--data-dir", folder, timeout_s=180)
        document: dict[str, Any] = json.loads(said.stdout)
        return document

    def _run(
        self,
        job: Mapping[str, object],
        *,
        config: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Launch a run and wait for its end."""
        params = {
            "selector": {**REPOSITORY, **job},
            "runConfigData": config or {},
            "executionMetadata": {
                "tags": [{"key": key, "value": value} for key, value in (tags or {}).items()]
            },
        }
        launched = self.ask(_LAUNCH_RUN, params=params)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id = str(launched["run"]["runId"])

        def has_ended() -> bool:
            [run] = self.ask(_RUNS, filter={"runIds": [run_id]})["runsOrError"]["results"]
            return run["status"] in {"SUCCESS", "FAILURE", "CANCELED"}

        eventually(has_ended, within_s=180)
        return run_id

    def change_ended_order(self) -> str:
        """Somebody's mistake in MongoDB, which no later event covers; whose order it was."""
        mongo: MongoClient[dict[str, Any]] = MongoClient(find_admin_urls(self.folder).mongo)
        with mongo:
            orders = mongo[self.settings.mongo.database]["orders"]
            changed = orders.find_one_and_update(
                {"is_open": False}, {"$set": {"order_reason": "by hand"}}
            )
        assert changed is not None
        return str(changed["user_id"])

    def delete_past_hours(self) -> None:
        """Somebody's mistake, in both stores."""
        begin, end = self.hours[0], self.hours[-1] + timedelta(hours=1)
        admin = find_admin_urls(self.folder)
        url = admin.postgres.rpartition("/")[0] + "/crypto_platform"
        with psycopg.connect(url, autocommit=True) as connection:
            deleted = connection.execute(
                "DELETE FROM market.quote WHERE ts_append >= %s AND ts_append < %s", [begin, end]
            )
            assert deleted.rowcount == 3 * QUOTES_AN_HOUR
        mongo: MongoClient[dict[str, object]] = MongoClient(admin.mongo)
        with mongo:
            quotes = mongo[self.settings.mongo.database]["quotes"]
            removed = quotes.delete_many({"ts_append": {"$gte": begin, "$lt": end}})
            assert removed.deleted_count == 3 * QUOTES_AN_HOUR

    def remove_oldest_hour_from_kafka(self) -> None:
        """As retention does, some day."""
        parts = [Part(QUOTES.topic, part) for part in range(QUOTES.partitions)]
        begin_us = int(self.hours[0].timestamp()) * 1_000_000
        found = Watermarks(self.settings).read_offsets_at(parts, time_us=begin_us)
        kept = [TopicPartition(p.topic, p.part, offset) for p, offset in found.items() if offset]
        admin = AdminClient(client_config(self.settings))
        for future in admin.delete_records(kept).values():
            future.result(timeout=10)


def name_partition(hour: datetime) -> str:
    """As Dagster does."""
    return hour.strftime("%Y-%m-%d-%H:00")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [now - timedelta(hours=ago) for ago in (4, 3, 2, 1)]
    with pytest.MonkeyPatch.context() as patch, stack_folder() as folder:
        patch.setenv("CRYPTO_PLATFORM_INSTALLED_AT", (now - timedelta(hours=5)).isoformat())
        with embedded_servers(folder, migrate=True) as settings:
            publish_past_hours(settings, hours)
            past = {part: bound.high for part, bound in read_bounds(settings).items()}
        with running_up(folder):
            made = Stack(folder, hours)
            eventually(lambda: is_loaded_beyond(made.settings, past), within_s=180, every_s=1)
            yield made


def read_bounds(settings: Settings) -> Mapping[int, Bounds]:
    """Of the quotes' partitions."""
    parts = [Part(QUOTES.topic, part) for part in range(QUOTES.partitions)]
    return {part.part: bound for part, bound in Watermarks(settings).read_bounds(parts).items()}


def is_loaded_beyond(settings: Settings, past: Mapping[int, int]) -> bool:
    """Whether both stores hold quotes of these minutes behind the past ones, in each partition."""
    with open_stores(settings, role="analyst") as stores:
        for store in stores.values():
            offsets = {
                row.partition.part: row.next_offset
                for row in store.read_offsets()
                if row.topic == QUOTES.topic
            }
            if any(offsets.get(part, 0) <= end for part, end in past.items()):
                return False
    return True


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
