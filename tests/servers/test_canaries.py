"""Canaries: no secret is found where people or programs read.

Every secret is a word of its own. The main job runs and fails in many ways; then logs, Dagster's
events, GraphQL, Kafka and the API are searched for these words. The passwords are those of the
running servers, made at random; the other secrets are planted.
"""

import asyncio
import fnmatch
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, get_args, get_origin
from urllib.parse import urlsplit, urlunsplit

import dagster as dg
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster_graphql.schema import create_schema
from pydantic import BaseModel, SecretStr

from crypto_platform.assets.names import INGEST_JOB, load_job
from crypto_platform.definitions import build_definitions
from crypto_platform.kafka.connection import client_config
from crypto_platform.serving.alert_text import write_message
from crypto_platform.serving.alerts import plan_news
from crypto_platform.serving.api.app import create_app
from crypto_platform.serving.faults import find_faults
from crypto_platform.serving.messages import send
from crypto_platform.serving.status import read_status
from crypto_platform.settings import ENVIRONMENT_FILE, Settings
from crypto_platform.stores import STORES
from tests.api_harness import TestClient
from tests.platform_harness import Platform
from tests.scripted_source import Reply, ScriptedSource, run_scripted_source
from tests.servers.test_main_job import COINCAP_PAGE, this_hour, use_only

KEY = "canary-key-1415926535"
PLANTED = {
    "SOURCES__COINCAP__KEY": KEY,
    "API__SECRET": "canary-secret-8979323846-2643383279",
    "ALERTS__RECEIVERS__TEAM": "json://127.0.0.1:9/canary-alert-5028841971",
    "KAFKA__PASSWORD": "canary-kafka-7816406286",
    "API__OPERATOR_KEY": "canary-api-operator-2089986280",
    "COMPANY__OPERATOR_KEY": "canary-operator-6939937510",
    "DAGSTER__POSTGRES_URL": "postgresql+psycopg2://d:canary-dagster-5820974944@127.0.0.1:9/d",
}
WRONG = "canary-wrong-5923078164"
_EVENTS = """{ runsOrError { ... on Runs { results {
  runId status tags { key value } runConfigYaml
  eventConnection { events { __typename ... on MessageEvent { message level }
    ... on ExecutionStepFailureEvent { error { message stack causes { message stack } }
      failureMetadata { description metadataEntries { label description } } }
    ... on RunFailureEvent { error { message stack } }
    ... on MaterializationEvent { metadataEntries { label description
      ... on TextMetadataEntry { text } ... on UrlMetadataEntry { url } } } } }
} } } }"""


class Found:
    """What was written where, to be searched."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def add(self, place: str, text: str) -> None:
        self.texts[place] = self.texts.get(place, "") + text

    def leaks(self, secrets: Mapping[str, str]) -> set[tuple[str, str]]:
        """Which secret stands where."""
        return {
            (name, place)
            for name, secret in secrets.items()
            for place, text in self.texts.items()
            if secret in text
        }


def list_secrets(section: BaseModel, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every secret of the settings by its path; of a URL its password, else its path."""
    for name in type(section).model_fields:
        yield from _look(f"{prefix}{name}", getattr(section, name))


def list_places(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every setting that may hold a secret, by its path, with `*` for a name of the user's."""
    for name, field in section.model_fields.items():
        for path, kind in _list_kinds(f"{prefix}{name}", field.annotation):
            if kind is SecretStr:
                yield path
            elif isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from list_places(kind, f"{path}.")


def _list_kinds(path: str, annotation: object) -> Iterator[tuple[str, object]]:
    if get_origin(annotation) is dict:
        yield from _list_kinds(f"{path}.*", get_args(annotation)[1])
    elif inner := get_args(annotation):
        for each in inner:
            yield from _list_kinds(path, each)
    else:
        yield path, annotation


def _look(path: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, SecretStr):
        text = value.get_secret_value()
        url = urlsplit(text)
        yield path, url.password or url.path.strip("/") if "://" in text else text
    elif isinstance(value, BaseModel):
        yield from list_secrets(value, f"{path}.")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _look(f"{path}.{name}", item)


@pytest.fixture
def source() -> Iterator[ScriptedSource]:
    with run_scripted_source() as running:
        yield running


def run_jobs(
    platform: Platform, instance: dg.DagsterInstance, *names: str, hour: str | None = None
) -> list[bool]:
    """Execute jobs one after another; whether each succeeded.

    Args:
        hour: Loads replay it, and so give up at once where a live load waits for its store.
    """
    definitions = build_definitions(platform.settings)
    return [
        definitions.resolve_job_def(name)
        .execute_in_process(instance=instance, raise_on_error=False, partition_key=hour)
        .success
        for name in names
    ]


def change_urls(
    platform: Platform, *, password: str | None = None, port: int | None = None
) -> None:
    """Give every role of both stores another password, or another port."""
    for store in STORES:
        for role in ("migrator", "loader", "analyst", "api"):
            name = f"CRYPTO_PLATFORM_{store.upper()}__{role.upper()}_URL"
            if name in platform.variables:
                url = urlsplit(platform.variables[name])
                user = f"{url.username}:{password or url.password}"
                moved = url._replace(netloc=f"{user}@{url.hostname}:{port or url.port}")
                platform.reload(**{name: urlunsplit(moved)})


def read_kafka(platform: Platform) -> bytes:
    """Keys, values and headers of every message of every topic of this platform."""
    config = client_config(platform.settings) | {
        "group.id": "canaries",
        "enable.partition.eof": True,
        "isolation.level": "read_uncommitted",
    }
    found = b""
    with closing(Consumer(config)) as consumer:
        topics = consumer.list_topics(timeout=10).topics
        parts = [
            TopicPartition(topic, part, OFFSET_BEGINNING)
            for topic, metadata in topics.items()
            if topic.startswith(f"{platform.name}.")
            for part in metadata.partitions
        ]
        consumer.assign(parts)
        ended: set[tuple[str | None, int | None]] = set()
        while len(ended) < len(parts):
            for message in consumer.consume(1000, 1):
                if message.error() is not None:
                    ended.add((message.topic(), message.partition()))
                    continue
                headers = message.headers() or []
                pairs = headers.items() if isinstance(headers, dict) else headers
                pieces = [message.key(), message.value(), *(h for pair in pairs for h in pair)]
                found += b" ".join(p.encode() if isinstance(p, str) else p or b"" for p in pieces)
    return found


def ask_graphql(instance: dg.DagsterInstance) -> str:
    """What Dagster's web server tells of every run."""
    with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as process:
        asked = create_schema().execute_async(
            _EVENTS, context_value=process.create_request_context()
        )
        answer: Any = asyncio.run(asked)
    assert answer.errors is None, answer.errors
    return str(answer.data)


def ask_api(platform: Platform) -> str:
    """Every page that a stranger or the operator may ask for, answered or refused."""
    operator = {"Authorization": f"Bearer {PLANTED['API__OPERATOR_KEY']}"}
    paths = ("/health", "/metrics", "/v1/quotes", "/v1/markets", "/openapi.json", "/operations")
    with TestClient(create_app(platform.settings), raise_server_exceptions=False) as client:
        answers = [client.get(p, headers=who) for p in paths for who in ({}, operator)]
        assert answers[paths.index("/metrics") * 2 + 1].status_code == 200
        answers.append(client.post("/v1/tokens", json={"user_id": "u", "key": "none"}))
    return " ".join(f"{answer.headers} {answer.text}" for answer in answers)


def look(platform: Platform) -> str:
    """What `status` and the alerts say, and why a message was not taken."""
    settings = platform.settings
    status = read_status(settings)
    faults = find_faults(settings, status, [])
    news, _ = plan_news(settings.alerts.model_copy(update={"after_s": 0}), faults, {}, now=0)
    message = write_message(settings, news, now=0)
    problems = [send(settings, receiver, message) for receiver in settings.alerts.receivers]
    assert all(problems)
    return f"{status} {message} {problems}"


def test_no_secret_is_found_where_anybody_reads(  # noqa: PLR0915 - a tour, stop by stop
    platform: Platform,
    source: ScriptedSource,
    instance: dg.DagsterInstance,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A log is copied into a ticket, a run is shown in a meeting, a topic is read by others."""
    caplog.set_level("DEBUG", logger="crypto_platform")
    use_only(platform, source, "coincap", "/v3")
    platform.reload(**{f"CRYPTO_PLATFORM_{name}": value for name, value in PLANTED.items()})
    secrets = {"wrong": WRONG, **dict(list_secrets(platform.settings))}
    assert len(set(secrets.values())) == len(secrets)
    assert [place for place in list_places(Settings) if not fnmatch.filter(secrets, place)] == []
    found = Found()
    # the words that are looked for are those that the settings hold
    environment = (platform.data_dir / ENVIRONMENT_FILE).read_text("utf-8")
    assert [name for name, secret in secrets.items() if secret not in environment] == ["wrong"]
    loads = [load_job(store) for store in STORES]

    source.script(Reply(body=COINCAP_PAGE))
    assert run_jobs(platform, instance, INGEST_JOB, *loads) == [True, True, True]
    assert any(KEY in str(asked) for asked in source.asked)
    found.add("api", ask_api(platform))
    source.script(Reply(status=403, body=f'{{"error": "no such key: {KEY}"}}'.encode()))
    assert run_jobs(platform, instance, INGEST_JOB) == [False]
    source.script(Reply(body=f"<html>Bearer {KEY} is over its limit</html>".encode()))
    assert run_jobs(platform, instance, INGEST_JOB) == [False]
    found.add("kafka", read_kafka(platform).decode(errors="replace"))

    right = dict(platform.variables)
    change_urls(platform, password=WRONG)
    assert run_jobs(platform, instance, *loads, hour=this_hour()) == [False, False]
    found.add("status", look(platform))
    found.add("api", ask_api(platform))
    platform.variables = dict(right)
    platform.reload()
    change_urls(platform, port=9)
    assert run_jobs(platform, instance, *loads, hour=this_hour()) == [False, False]
    found.add("status", look(platform))
    platform.variables = dict(right)
    platform.reload()
    assert platform.audit().whole

    for record in instance.get_run_records():
        run = record.dagster_run
        found.add("runs", dg.serialize_value(run))
        found.add("events", "".join(dg.serialize_value(e) for e in instance.all_logs(run.run_id)))
    found.add("graphql", ask_graphql(instance))
    out, err = capfd.readouterr()
    found.add("logs", f"{out}{err}{caplog.text}")
    for path in platform.data_dir.rglob("*"):
        if path.is_file() and path.name != ENVIRONMENT_FILE:
            found.add("files", path.read_bytes().decode(errors="replace"))

    # each place was written to, and about what went wrong
    assert "bitcoin" in found.texts["kafka"]
    assert "password" in found.texts["events"]
    assert "CRYPTO_PLATFORM_SOURCES__COINCAP__KEY" in found.texts["graphql"]
    assert found.leaks(secrets) == set()
