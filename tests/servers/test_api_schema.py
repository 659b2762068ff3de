"""Whatever the API's own schema allows, and what it forbids, is answered without a server error.

Requests are made up by schemathesis. Not here: whether answers are right (test_api.py).
"""

import time
import warnings
from collections.abc import Mapping

import httpx
import hypothesis
import pytest

from crypto_platform.serving.api.app import create_app
from crypto_platform.serving.api.problems import PROBLEM_TYPE
from tests.api_harness import listening
from tests.platform_harness import Platform
from tests.servers.test_api import filled, log_in

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own, of what it imports
    import schemathesis

WITHOUT_END = ("/v1/stream/quotes", "/v1/stream/trades", "/v1/me/events")
SEED = 7
NOBODY: Mapping[str, str] = {}
"""Without a token."""


@pytest.mark.timeout(300)
def test_no_request_makes_a_server_error_nor_an_answer_that_the_schema_does_not_know(
    platform: Platform,
) -> None:
    """A fault of the asker's is told as his; every answer has a form that clients can rely on."""
    asked: dict[int, int] = {}
    begun = time.monotonic()
    with filled(platform) as keys, listening(create_app(platform.settings)) as address:
        with httpx.Client(base_url=address) as client:
            headers = log_in(client, keys, "ann")
            schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
        schema = schema.exclude(path=list(WITHOUT_END))
        for each in schema.get_all_operations():
            operation = each.ok()
            strategies = [operation.as_strategy(mode) for mode in schemathesis.GenerationMode]

            @hypothesis.seed(SEED)
            @hypothesis.given(
                case=hypothesis.strategies.one_of(strategies),
                who=hypothesis.strategies.sampled_from([headers, headers, NOBODY]),
            )
            @hypothesis.settings(
                max_examples=30,
                database=None,
                suppress_health_check=list(hypothesis.HealthCheck),
            )
            def ask(case: schemathesis.Case, who: Mapping[str, str]) -> None:
                answer = case.call(base_url=address, headers=dict(who))
                asked[answer.status_code] = asked.get(answer.status_code, 0) + 1
                assert answer.status_code < 500, (case, answer.text)
                if answer.status_code < 400:
                    assert who or "/me/" not in case.path, (case, answer.text)
                    case.operation.validate_response(answer)
                else:
                    assert answer.headers["content-type"] == [PROBLEM_TYPE], (case, answer.text)
                    assert answer.json()["status"] == answer.status_code

            ask()
    assert sum(asked.values()) > 200
    assert {200, 401, 422} <= set(asked)
    assert time.monotonic() - begun < 120
