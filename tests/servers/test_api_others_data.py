"""Whatever a user tries, no endpoint of the API gives him another user's data.

Here: a table of attempts, each made at an API on real stores, with either store away. A new
endpoint below `/v1/me` fails until it stands in the table. Not here: made-up tokens
(tests/unit/test_api_account.py), statements in parameters (test_api_injection.py), what the
database refuses the API's role (test_api.py).
"""

import itertools
import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import quote

import httpx
import pytest

from crypto_platform.serving.api.app import create_app
from crypto_platform.settings import Settings
from tests.api_harness import SECRET, list_routes, listening
from tests.platform_harness import Platform
from tests.servers.test_api import COMPANY, STORE_NAMES, filled, log_in, without

pytestmark = pytest.mark.timeout(300)

STREAM = "/v1/me/events"
OWN_ORDER = "/v1/me/orders/o-3"
OWN_READS: Mapping[str, Mapping[str, str]] = {
    "/v1/me/orders": {},
    OWN_ORDER: {},
    "/v1/me/wallets": {},
    "/v1/me/transactions": {},
    "/v1/me/portfolio": {},
    "/v1/me/portfolio/history": {"to": "2025-11-24"},
    "/v1/me/tax-report": {"year": "2025", "currency": "USD"},
    STREAM: {},
}
"""What bob may ask, and how, by path."""

OTHERS = {
    *(event.user_id for event in COMPANY.events if event.user_id != "bob"),
    *(event.event_id for event in COMPANY.events if event.user_id != "bob"),
    *(order.order_id for order in COMPANY.orders.values() if order.user_id != "bob"),
}
"""What bob is told of nobody."""

REFUSED = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)


class Attempt(NamedTuple):
    """What bob sends to read ann; `{…}` is something of hers, filled in where it is sent."""

    name: str
    method: str
    path: str
    parameters: Mapping[str, str]
    headers: Mapping[str, str]


NAMING_PARAMETERS = ("user", "user_id", "sub", "as", "asker", "account", "token", "user[]")
NAMING_HEADERS: Mapping[str, str] = {
    "X-User": "ann",
    "X-User-Id": "ann",
    "X-Forwarded-User": "ann",
    "X-Remote-User": "ann",
    "Remote-User": "ann",
    "From": "ann",
    "X-Original-URL": "/v1/users/ann",
    "X-Forwarded-For": "ann",
    "X-HTTP-Method-Override": "ann",
    "Cookie": "session={token}",
    "If-None-Match": "{tags}",
    "Last-Event-ID": "{stream}-0",
    "Authorization": "Basic YW5uOmFubg==",
}
CURSORS: Mapping[str, Mapping[str, str]] = {
    "her cursor": {"cursor": "{cursor}"},
    "her cursor, her page": {"cursor": "{cursor}", "limit": "1"},
    "her cursor, her filter": {"cursor": "{cursor}", "currency": "BTC"},
    "her event's id as a cursor": {"cursor": "{event}"},
    "a filter on what she has": {"currency": "BTC"},
    "a filter on her name": {"currency": "ann"},
    "all times": {"from": "1970-01-01", "to": "2100-01-01"},
}

ATTEMPTS = [
    *(
        Attempt(f"{path} with ?{name}=ann", "GET", path, {**asked, name: "ann"}, {})
        for (path, asked), name in itertools.product(OWN_READS.items(), NAMING_PARAMETERS)
    ),
    *(
        Attempt(f"{path} with {name}: {value}", "GET", path, asked, {name: value})
        for (path, asked), (name, value) in itertools.product(
            OWN_READS.items(), NAMING_HEADERS.items()
        )
    ),
    *(
        Attempt(f"{method} {path}", method, path, {**asked, "user": "ann"}, {})
        for (path, asked), method in itertools.product(
            OWN_READS.items(), ("HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
        )
    ),
    *(
        Attempt(f"the order {order_id}", "GET", "/v1/me/orders/" + quote(order_id, safe=""), {}, {})
        for order_id, order in COMPANY.orders.items()
        if order.user_id != "bob"
    ),
    *(
        Attempt(f"transactions with {name}", "GET", "/v1/me/transactions", asked, {})
        for name, asked in CURSORS.items()
    ),
    *(
        Attempt(f"the path {path}", "GET", path, {}, {})
        for path in (
            "/v1/me/orders/o-3/../o-1",
            "/v1/me/orders/ann/o-1",
            "/v1/me/ann/wallets",
            "/v1/users/ann/wallets",
            "/v1/ann/wallets",
            "/v1/me/../ann/wallets",
            "/v1/me/wallets/ann",
            "/v1/me;user=ann/wallets",
        )
    ),
]


def list_texts(value: object) -> Iterator[str]:
    """Every text in a document but the names of its fields and cursors, which are sealed."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from list_texts(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name != "next":
                yield from list_texts(each)


def send(client: httpx.Client, attempt: Attempt, own: Mapping[str, str]) -> tuple[int, str]:
    """The status and the body; of a stream its first message."""
    # the header's first name wins, as of a client that sets it once
    headers = {**own, **attempt.headers}
    if attempt.path == STREAM and attempt.method == "GET":
        return send_to_stream(client, attempt, headers)
    answer = client.request(
        attempt.method, attempt.path, params=attempt.parameters, headers=headers
    )
    return answer.status_code, answer.text


def send_to_stream(
    client: httpx.Client, attempt: Attempt, headers: Mapping[str, str]
) -> tuple[int, str]:
    with client.stream(
        "GET", attempt.path, params=attempt.parameters, headers=headers, timeout=5
    ) as answer:
        if answer.status_code != HTTPStatus.OK:
            return answer.status_code, answer.read().decode()
        lines: list[str] = []
        for line in answer.iter_lines():
            if lines and not line:
                break
            lines.append(line)
        return answer.status_code, "\n".join(lines)


def read_own(client: httpx.Client, own: Mapping[str, str]) -> dict[str, str]:
    """What a user is told of himself, by path; an order that is another's is not there."""
    answers = {
        path: client.get(path, params=asked, headers=own)
        for path, asked in OWN_READS.items()
        if path != STREAM
    }
    assert {a.status_code for a in answers.values()} <= {HTTPStatus.OK, HTTPStatus.NOT_FOUND}
    return {
        path: answer.text for path, answer in answers.items() if answer.status_code == HTTPStatus.OK
    }


def steal(client: httpx.Client, ann: Mapping[str, str]) -> dict[str, str]:
    """What could have come from ann to bob."""
    page = client.get("/v1/me/transactions", params={"limit": "1"}, headers=ann).json()
    tags = [
        client.get(path, params=asked, headers=ann).headers["ETag"]
        for path, asked in OWN_READS.items()
        if path not in {STREAM, OWN_ORDER}
    ]
    unknown = Attempt("", "GET", STREAM, {}, {"Last-Event-ID": "unknown-0"})
    _, message = send(client, unknown, ann)
    return {
        "token": ann["Authorization"].removeprefix("Bearer "),
        "cursor": page["next"],
        "event": COMPANY.events[0].event_id,
        "tags": ", ".join(tags),
        "stream": read_stream_name(message),
    }


def read_stream_name(message: str) -> str:
    [name] = [line for line in message.split("\n") if line.startswith("id:")]
    return name.removeprefix("id:").strip().partition("-")[0]


def fill_in(attempt: Attempt, stolen: Mapping[str, str]) -> Attempt:
    parameters = {name: value.format(**stolen) for name, value in attempt.parameters.items()}
    headers = {name: value.format(**stolen) for name, value in attempt.headers.items()}
    if attempt.path == STREAM:  # whoever comes back is answered at once
        headers = {"Last-Event-ID": f"{stolen['stream']}-0", **headers}
    return attempt._replace(parameters=parameters, headers=headers)


def test_whatever_bob_tries_he_reads_bob(platform: Platform) -> None:
    """One endpoint, filter or header that is forgotten, and customers read each other's money."""
    with filled(platform) as keys:
        for down in STORE_NAMES:
            settings = without(platform.settings, down)
            with (
                listening(create_app(settings)) as address,
                httpx.Client(base_url=address) as client,
            ):
                check_attempts(client, keys)
    assert platform.audit(deep=False).whole


def check_attempts(client: httpx.Client, keys: Mapping[str, str]) -> None:
    logged_in = {user: log_in(client, keys, user) for user in ("ann", "bob")}
    bob = logged_in["bob"]
    own = read_own(client, bob)
    assert set(own) == set(OWN_READS) - {STREAM}
    assert not {text for told in own.values() for text in list_texts(json.loads(told))} & OTHERS
    stolen = steal(client, logged_in["ann"])
    read: dict[str, str] = {}
    for attempt in ATTEMPTS:
        sent = fill_in(attempt, stolen)
        status, body = send(client, sent, bob)
        if status not in REFUSED and not (
            status == HTTPStatus.OK and is_own(sent, body, own, stolen)
        ):
            read[attempt.name] = f"{status} {body}"
    assert read == {}


def is_own(sent: Attempt, body: str, own: Mapping[str, str], stolen: Mapping[str, str]) -> bool:
    """Whether an answer is bob's: what he is told without any trick, or a part of it."""
    if sent.path == STREAM:
        return "event: reset" in body and read_stream_name(body) != stolen["stream"]
    if sent.parameters == OWN_READS.get(sent.path):
        return body == own[sent.path]
    if "cursor" in sent.parameters:  # it says how far she has come
        return False
    known = {text for told in own.values() for text in list_texts(json.loads(told))}
    return set(list_texts(json.loads(body))) <= known


def test_every_endpoint_of_a_user_is_tried() -> None:
    """A new one is a new way to somebody else's account."""
    app = create_app(Settings.model_validate({"api": {"secret": SECRET}}))
    own = [route for route in list_routes(app) if route.path.startswith("/v1/me")]
    tried = {*OWN_READS} - {OWN_ORDER} | {"/v1/me/orders/{order_id:path}"}
    assert {route.path for route in own} == tried
    assert {method for route in own for method in route.methods or ()} == {"GET"}
