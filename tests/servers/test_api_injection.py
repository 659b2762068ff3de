"""Nothing that is typed means anything: not to a database, not to a page, in no place there is.

Here: every parameter, path and body field of every operation that OpenAPI names, so that a new one
is tried by itself; headers, the log-in form, the pages. Not here: other users' rows by plain
requests (test_api_others_data.py), made-up requests (test_api_schema.py).
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import pytest

from crypto_platform.serving.api.app import create_app
from crypto_platform.serving.api.problems import PROBLEM_TYPE
from tests.api_harness import VENUE, listening
from tests.platform_harness import Platform
from tests.servers.test_api import HERE, filled, log_in, serving

pytestmark = pytest.mark.timeout(300)

NASTY = (
    "' OR '1'='1",
    "'; DROP TABLE accounts.wallet; --",
    '{"$gt": ""}',
    "$where",
    "[$ne]",
    "ann' --",
    "%",
    "_",
    "*",
    "\\",
    "ann\n",
    "ANN",
    "ánn",
    "ann\u200b",
    "../ann",
    "ann%00",
    "ann\x00",
    "null",
    "0",
    "-1",
    "1e400",
    "9" * 40,
    "NaN",
    "{{7*7}}",
    "<script>alert('ann')</script>",
    '"><img src=x onerror=alert(1)>',
    "x" * 5000,
)
AS_CREDENTIALS = (
    "' OR '1'='1",
    '{"$gt": ""}',
    "ann' --",
    "ann\n",
    "ann\x00",
    "<script>alert('ann')</script>",
    "x" * 5000,
)
"""Fewer, for each is compared with a key's hash, which is made to take its time."""
HEADERS = (
    "Last-Event-ID",
    "If-None-Match",
    "Cookie",
    "X-Forwarded-For",
    "Authorization",
    "Accept-Encoding",
    "Origin",
    "Range",
    "X-User",
)
STREAMS = ("/v1/stream/quotes", "/v1/stream/trades", "/v1/me/events")
"""Without an end, so only what they refuse is typed there."""
VALUES: Mapping[str, str] = {**HERE, "names": "sma:20", "year": "2025", "order_id": "o-3"}
"""What is asked beside what is typed."""
OF_ONE_PATH: Mapping[str, Mapping[str, str]] = {"/v1/me/tax-report": {"currency": "USD"}}
"""More of the same, where a platform without official rates has no answer to less."""

FINDS = frozenset({"venue", "symbol", "cursor", "interval", "order_id"})
"""What is found by a name: nothing is called like this."""


class Place(NamedTuple):
    """Where something can be typed."""

    method: str
    path: str
    kind: str
    name: str
    beside: Mapping[str, str]


def list_places(api: Mapping[str, Any]) -> Iterator[Place]:
    """Every parameter and field of a body of every operation."""
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            asked = operation.get("parameters", [])
            required = {p["name"]: VALUES[p["name"]] for p in asked if p["required"]}
            required |= OF_ONE_PATH.get(path, {})
            for each in asked:
                yield Place(method, path, each["in"], each["name"], required)
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            for name in () if body is None else list_fields(api, body["schema"]):
                yield Place(method, path, "body", name, required)
            yield Place(method, path, "query", "typed[$ne]", required)


def list_typed(api: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    for place in list_places(api):
        for text in AS_CREDENTIALS if place.kind == "body" else NASTY:
            yield place, text


def list_fields(api: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    name = schema["$ref"].rpartition("/")[2]
    return list(api["components"]["schemas"][name]["properties"])


def type_in(
    client: httpx.Client,
    place: Place,
    text: str,
    own: Mapping[str, str],
    credentials: Mapping[str, str],
) -> httpx.Response:
    """Ask with this text at this place, and what is right at all others."""
    path = place.path.format_map({"order_id": quote(VALUES["order_id"], safe="")})
    query = {name: value for name, value in place.beside.items() if f"{{{name}}}" not in place.path}
    headers = dict(own)
    body: dict[str, str] | None = None
    if place.kind == "path":
        path = place.path.format_map({place.name: quote(text, safe="")})
    elif place.kind == "query":
        query[place.name] = text
    elif place.kind == "header":
        headers[place.name] = quote(text)
    else:
        body = {**credentials, place.name: text}
    return client.request(place.method, path, params=query, headers=headers, json=body)


def check_refusal(answer: httpx.Response, asked: object) -> None:
    """Never our fault; a refusal has the one form."""
    assert answer.status_code < 500, (asked, answer.text)
    if answer.status_code >= 400:
        assert answer.headers["Content-Type"] == PROBLEM_TYPE, asked
        assert answer.json()["status"] == answer.status_code


def count_rows(document: object) -> int:
    """Rows of all lists in an answer."""
    if not isinstance(document, dict):
        return 0
    return sum(len(each) for each in document.values() if isinstance(each, list))


def test_nothing_that_is_typed_anywhere_means_anything_to_a_database(platform: Platform) -> None:
    """In each parameter and body field: refused or not found, never more rows, never a 500."""
    with filled(platform) as keys, serving(platform.settings) as client:
        own = log_in(client, keys, "bob")
        api = client.get("/openapi.json").json()
        before = read_all(client, api, own)
        for place, text in list_typed(api):
            if place.path in STREAMS and place.name in VALUES:
                continue
            answer = type_in(client, place, text, own, {"user": "ann", "key": keys["ann"]})
            check_refusal(answer, (place, text))
            if place.name in FINDS or place.kind == "body":
                assert answer.status_code != 200, (place, text)
            if answer.status_code == 200 and answer.headers["Content-Type"] == "application/json":
                assert_no_other_user(answer.json(), (place, text))
                rows_max = 0 if place.name == "currency" else before[place.path]
                assert count_rows(answer.json()) <= rows_max, (place, text)
        assert read_all(client, api, own) == before
    assert platform.audit(deep=False).whole


def read_all(
    client: httpx.Client, api: Mapping[str, Any], own: Mapping[str, str]
) -> dict[str, int]:
    """How many rows each endpoint gives to bob who asks for all."""
    found: dict[str, int] = {}
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            if path in STREAMS or method != "get" or path == "/metrics":
                continue
            asked = operation.get("parameters", [])
            required = {p["name"] for p in asked if p["required"]}
            query = {n: VALUES[n] for n in required if f"{{{n}}}" not in path}
            query |= OF_ONE_PATH.get(path, {})
            for parameter in asked:
                if parameter["name"] == "limit":
                    query["limit"] = str(parameter["schema"]["maximum"])
            answer = client.get(path.format_map(VALUES), params=query, headers=own)
            assert answer.status_code == 200, (path, answer.text)
            found[path] = count_rows(answer.json())
    return found


def assert_no_other_user(document: object, asked: object) -> None:
    if isinstance(document, dict):
        for name, value in document.items():
            assert name not in {"user", "user_id"} or value == "bob", asked
            assert_no_other_user(value, asked)
    elif isinstance(document, list):
        for each in document:
            assert_no_other_user(each, asked)


def test_no_header_means_anything(platform: Platform) -> None:
    """Headers are typed as well, by whoever writes a program."""
    with (
        filled(platform) as keys,
        listening(create_app(platform.settings)) as address,
        httpx.Client(base_url=address, timeout=10) as client,
    ):
        own = log_in(client, keys, "bob")
        wallets = client.get("/v1/me/wallets", headers=own).json()
        for name, text in itertools.product(HEADERS, NASTY):
            sent = {name: text if text.isascii() and text.isprintable() else quote(text)}
            answer = client.get("/v1/me/wallets", headers=own | sent)
            check_refusal(answer, (name, text))
            if answer.status_code == 304:
                assert (name, text) == ("If-None-Match", "*")
            elif answer.status_code == 200:
                assert answer.json() == wallets, (name, text)
            check_page(client.get("/", headers=sent), text)
            if name == "Last-Event-ID":
                check_stream(client, own | sent)


def check_stream(client: httpx.Client, headers: Mapping[str, str]) -> None:
    """Nobody was sent such an id: he is told that he missed some, and is sent no row."""
    with client.stream("GET", "/v1/me/events", headers=headers) as answer:
        assert answer.status_code == 200
        first = next(line for line in answer.iter_lines() if line.startswith("event:"))
        assert first == "event: reset", headers


def check_page(answer: httpx.Response, text: str) -> None:
    """No fault of ours, and what was typed stands in a page only as text."""
    assert answer.status_code < 500, (answer.url, text)
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        typed = {text} if set(text) & set('<">') else set()
        for marked in typed | {"<script>alert", "<img src=x", ">49<"}:
            assert marked not in answer.text, answer.url


def test_nothing_that_is_typed_means_anything_to_a_page(platform: Platform) -> None:
    """What one user is shown of what another typed would run as him."""
    with filled(platform), serving(platform.settings) as client:
        origin = {"Origin": "http://testserver"}
        for text in NASTY:
            part = quote(text, safe="")
            for path in (f"/markets/{part}/{part}", f"/markets/{VENUE}/{part}", f"/{part}"):
                check_page(client.get(path), text)
            for name in ("next", "problem", "given_user"):
                check_page(client.get("/login", params={name: text}), text)
        for text in AS_CREDENTIALS:
            form = {"user": text, "key": text, "next": text}
            answer = client.post("/login", data=form, headers=origin)
            check_page(answer, text)
            assert answer.status_code == 401, text
            assert "Set-Cookie" not in answer.headers
            for path in ("/login", "/logout"):
                answer = client.post(path, data=form, headers={"Origin": quote(text)})
                check_page(answer, text)
                assert answer.status_code == 403
