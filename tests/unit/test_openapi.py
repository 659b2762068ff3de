"""What OpenAPI says of the API, and what holds for every operation that it names.

Here: tests over all operations, so that a new one is under them by itself. Not here: what one of
them answers (test_api_*.py), whether answers have the form it says (tests/servers/).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from docs.reference.endpoints import read_openapi
from tests.api_harness import serving
from tests.unit.test_api_account import build_store, log_in


class Operation(NamedTuple):
    """One method of one path."""

    path: str
    method: str
    says: dict[str, Any]

    @property
    def query(self) -> dict[str, str]:
        """Its required parameters, as their examples say."""
        return {
            each["name"]: each["schema"]["examples"][0]
            for each in self.says.get("parameters", [])
            if each["in"] == "query" and each["required"]
        }


OPERATIONS = [
    Operation(path, method, says)
    for path, methods in read_openapi()["paths"].items()
    for method, says in methods.items()
]


REPORTS = ("/v1/me/tax-report", "/v1/me/portfolio/history")


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with serving(build_store()) as client:
        yield client


def test_a_parameter_that_an_endpoint_does_not_know_is_refused_by_each(
    client: httpx.Client,
) -> None:
    """A filter with a slip in its name was left out: all rows came, as if they were asked for."""
    own = log_in(client, "ann")
    asked = [each for each in OPERATIONS if each.path.startswith("/v1/")]
    for path, method, says in asked:
        query = Operation(path, method, says).query | {"unknown": "1"}
        answer = client.request(method, path, params=query, headers=own)
        assert answer.status_code == 422, path
        wrong = {(each["in"], each["name"]) for each in answer.json()["errors"]}
        assert ("query", "unknown") in wrong, path


def list_examples(parameter: dict[str, Any]) -> list[Any]:
    schema = parameter["schema"]
    ways = [schema, *schema.get("anyOf", [])]
    return [example for way in ways for example in way.get("examples", [])]


def test_every_parameter_has_an_example_that_is_let_in(client: httpx.Client) -> None:
    """An example is what people copy; one that is refused costs them an hour."""
    own = log_in(client, "ann")
    for operation in OPERATIONS:
        for parameter in operation.says.get("parameters", []):
            named = (operation.path, parameter["name"])
            [example, *_] = list_examples(parameter) or [None]
            assert example is not None, named
            if "stream" in operation.path or parameter["name"] == "cursor":
                continue  # without an end; signed
            path = operation.path.replace("{order_id}", "o-000017")
            query = dict(operation.query)
            if parameter["in"] == "query":
                query[parameter["name"]] = example
            if parameter["name"] == "table":  # of this form alone
                query["format"] = "csv"
            if operation.path in REPORTS:  # there are no rates here
                query["currency"] = "USD"
            answer = client.get(path, params=query, headers=own)
            assert answer.status_code in {200, 404}, (named, answer.text)


def test_every_document_and_refusal_has_an_example() -> None:
    """Whoever writes a program wants to see what comes before it does."""
    missing = [
        (operation.path, status, kind)
        for operation in OPERATIONS
        for status, response in operation.says["responses"].items()
        for kind, content in response.get("content", {}).items()
        if "json" in kind and "example" not in content
    ]
    assert missing == []
