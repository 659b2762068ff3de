"""Dagster's GraphQL behind compose's proxy: asked as somebody, or as nobody."""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

LAUNCH = """mutation { launchRun(executionParams: { selector: {
    repositoryLocationName: "crypto_platform", repositoryName: "__repository__",
    jobName: "ingest_live" }, runConfigData: {} }) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on UnauthorizedError { message } } }"""
"""One poll of every source that is read."""

_RUN = "{ runOrError(runId: %s) { ... on Run { status tags { key value } } } }"
_FAILURES = """{ logsForRun(runId: %s) { ... on EventConnection { events { __typename
    ... on ExecutionStepFailureEvent { error { message } failureMetadata { description } }
    ... on RunFailureEvent { message error { message } } } } } }"""
_ENDED_BADLY = {"FAILURE", "CANCELED"}


class DagsterClient:
    """Whoever has these passwords, at the proxy's address."""

    def __init__(self, url: str, values: Mapping[str, str]) -> None:
        """Nothing is asked yet.

        Args:
            url: Of the proxy.
            values: What `.env` holds.
        """
        self._url = url
        self._values = values

    def ask(self, user: str | None, query: str) -> tuple[int, str]:
        """Status and body of the answer to this user (operator, viewer), or to nobody."""
        request = urllib.request.Request(
            f"{self._url}/graphql",
            data=json.dumps({"query": query}).encode(),
            headers={"Content-Type": "application/json"},
        )
        if user is not None:
            password = self._values[f"{user.upper()}_PASSWORD"]
            pair = base64.b64encode(f"{user}:{password}".encode()).decode()
            request.add_header("Authorization", f"Basic {pair}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def launch(self) -> str:
        """Start one poll of every source as operator; the run's id."""
        status, body = self.ask("operator", LAUNCH)
        assert status == 200, body
        launched = json.loads(body)["data"]["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", body
        return launched["run"]["runId"]

    def has_succeeded(self, run_id: str) -> bool:
        """Whether a run has ended well; fails the test where it ended otherwise."""
        status = self._read_run(run_id)["status"]
        if status in _ENDED_BADLY:
            _, body = self.ask("viewer", _FAILURES % json.dumps(run_id))
            events = json.loads(body)["data"]["logsForRun"]["events"]
            raise AssertionError([event for event in events if len(event) > 1])
        return status == "SUCCESS"

    def tags_of(self, run_id: str) -> dict[str, str]:
        return {tag["key"]: tag["value"] for tag in self._read_run(run_id)["tags"]}

    def _read_run(self, run_id: str) -> dict[str, Any]:
        status, body = self.ask("viewer", _RUN % json.dumps(run_id))
        assert status == 200, body
        return json.loads(body)["data"]["runOrError"]
