"""Dagster's GraphQL behind compose's proxy: asked as somebody, or as nobody."""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from tests.waiting import eventually

LAUNCH = """mutation { launchRun(executionParams: { selector: {
    repositoryLocationName: "crypto_platform", repositoryName: "__repository__",
    jobName: "ingest_live" }, runConfigData: {} }) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on UnauthorizedError { message } } }"""
"""One poll of every source that is read."""

_RUNS = """{ runsOrError(filter: {pipelineName: "ingest_live"}, limit: 50) { ... on Runs { results {
    runId status tags { key value } eventConnection { events {
        ... on ExecutionStepFailureEvent { error { message } }
        ... on RunFailureEvent { message } } } } } } }"""


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
        assert status == HTTPStatus.OK, body
        launched = json.loads(body)["data"]["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", body
        return launched["run"]["runId"]

    def list_polled(self) -> set[str]:
        """Runs of that job that ended well, the schedule's among them."""
        return {run["runId"] for run in self._read_runs() if run["status"] == "SUCCESS"}

    def tags_of(self, run_id: str) -> dict[str, str]:
        """What Dagster has written down of a run."""
        [run] = [each for each in self._read_runs() if each["runId"] == run_id]
        return {tag["key"]: tag["value"] for tag in run["tags"]}

    def explain(self) -> str:
        """How each run fared, for who reads why a test failed."""
        lines = [
            f"{run['runId']} {run['status']} {[e for e in run['eventConnection']['events'] if e]}"
            for run in self._read_runs()
        ]
        return "\n".join(lines)

    def _read_runs(self) -> list[dict[str, Any]]:
        status, body = self.ask("viewer", _RUNS)
        assert status == HTTPStatus.OK, body
        return json.loads(body)["data"]["runsOrError"]["results"]


def poll_once(dagster: DagsterClient, *, within_s: float) -> str:
    """Start a poll of every source and wait for one that ended well; the started run's id.

    The schedule's run may begin in the same second and take the sources over: then it is the one.
    """
    before = dagster.list_polled()
    run_id = dagster.launch()
    try:
        eventually(lambda: bool(dagster.list_polled() - before), within_s=within_s)
    except AssertionError:
        raise AssertionError(dagster.explain()) from None
    return run_id
