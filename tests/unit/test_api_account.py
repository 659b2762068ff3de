"""The API's log-in and account endpoints over fake stores: whose rows, by which key."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus

import argon2
import httpx
import jwt
import pytest
from fastapi import Request

from crypto_platform.feeds.api_keys import ApiKey, Key, KeyState, list_keys
from crypto_platform.serving import keys
from crypto_platform.serving.api.log_in import KNOWN_EVERY_S, USERS_SHARE, LogIns
from crypto_platform.serving.api.problems import ApiError
from crypto_platform.serving.api.tokens import Asker, Tokens, derive_secret
from crypto_platform.serving.keys import _NOBODY, find_matching
from crypto_platform.settings import ApiSettings
from tests.account_steps import build_busy_company
from tests.api_harness import SECRET, FakeStore, build_app, listening, serving
from tests.store_steps import NOON

CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
KEY_OF = {"ann": "ck_a1_secretofann", "bob": "ck_b1_secretofbob"}


def list_own(client: httpx.Client) -> list[str]:
    """Every address of an account, as the API itself lists them."""
    paths = client.get("/openapi.json").json()["paths"]
    return [path.format(order_id="o-1") for path in paths if path.startswith("/v1/me/")]


def made(key_id: str, user_id: str, text: str) -> ApiKey:
    return ApiKey(
        event_id=f"{key_id}:made",
        key_id=key_id,
        user_id=user_id,
        state=KeyState.MADE,
        key_hash=CHEAP.hash(text),
        ts_ingest=NOON,
    )


def revoked(key_id: str, user_id: str) -> ApiKey:
    return ApiKey(
        event_id=f"{key_id}:revoked",
        key_id=key_id,
        user_id=user_id,
        state=KeyState.REVOKED,
        ts_ingest=NOON + 1,
    )


def build_store() -> FakeStore:
    """A busy company, and a key for each of two users."""
    keys = [made(f"{user[0]}1", user, text) for user, text in KEY_OF.items()]
    return FakeStore(company=build_busy_company(), keys=keys)


def log_in(client: httpx.Client, user: str) -> dict[str, str]:
    """The header of a user who has logged in."""
    answer = client.post("/v1/tokens", json={"user": user, "key": KEY_OF[user]})
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return {"Authorization": f"Bearer {answer.json()['token']}"}


@pytest.fixture
def store() -> FakeStore:
    return build_store()


@pytest.fixture
def client(store: FakeStore) -> Iterator[httpx.Client]:
    with serving(store) as client:
        yield client


def test_a_user_reads_his_own(client: httpx.Client, store: FakeStore) -> None:
    """Everything that is his, with every digit, and private to caches."""
    own = log_in(client, "ann")
    orders = client.get("/v1/me/orders", headers=own)
    assert [each["order_id"] for each in orders.json()["orders"]] == ["o-5", "o: 4%"]
    assert orders.headers["Cache-Control"] == "private, no-cache"
    assert orders.headers["X-Data-Source"] == "mongo"
    wallets = client.get("/v1/me/wallets", headers=own).json()["wallets"]
    assert [(w["currency"], w["available"], w["locked"]) for w in wallets] == [
        (w.currency, w.available, w.locked) for w in store.read_wallets("ann")
    ]
    order = client.get("/v1/me/orders/o-1", headers=own).json()
    assert order["order"]["order_id"] == "o-1"
    assert len(order["fills"]) == len(store.company.fills["o-1"])
    odd = client.get("/v1/me/orders/o%3A%204%25", headers=own).json()
    assert odd["order"]["order_id"] == "o: 4%"


@pytest.mark.parametrize("limit", [1, 2, 4, 100])
def test_the_pages_of_transactions_give_each_once_newest_first(
    client: httpx.Client, store: FakeStore, limit: int
) -> None:
    """A statement that lacks a line, or has one twice, is none."""
    own = log_in(client, "ann")
    given: list[int] = []
    cursor: dict[str, str] = {}
    for _ in range(20):
        page = client.get("/v1/me/transactions", params={"limit": limit, **cursor}, headers=own)
        given += dict.fromkeys(each["sequence"] for each in page.json()["transactions"])
        if page.json()["next"] is None:
            break
        cursor = {"cursor": page.json()["next"]}
    assert given == [14, 13, 12, 8, 7, 5, 4, 3, 1]


def test_nobody_reads_an_account_without_a_token_of_ours(client: httpx.Client) -> None:
    """Made up, over, unsigned, signed by another, of another purpose: all alike."""
    secret = derive_secret(SECRET, "tokens")
    claims = {"iss": "crypto-platform", "sub": "ann", "key": "a1", "iat": 1, "exp": 2**40}
    wrong: Mapping[str, str] = {
        "none": "",
        "made up": "Bearer abc",
        "not a bearer": f"Basic {jwt.encode(claims, secret, 'HS256')}",
        "over": f"Bearer {jwt.encode(claims | {'exp': 1}, secret, 'HS256')}",
        "unsigned": f"Bearer {jwt.encode(claims, '', 'none')}",
        "another's": f"Bearer {jwt.encode(claims, b'x' * 32, 'HS256')}",
        "of another purpose": f"Bearer {jwt.encode(claims, SECRET.encode(), 'HS256')}",
        "another issuer": f"Bearer {jwt.encode(claims | {'iss': 'me'}, secret, 'HS256')}",
        "no key": f"Bearer {jwt.encode(claims | {'key': 7}, secret, 'HS256')}",
        "an unknown key": f"Bearer {jwt.encode(claims | {'key': 'zz'}, secret, 'HS256')}",
        "another's key": f"Bearer {jwt.encode(claims | {'key': 'b1'}, secret, 'HS256')}",
        "long": "Bearer " + "a" * 5000,
    }
    own = list_own(client)
    assert len(own) >= 8
    for name, header in wrong.items():
        for path in own:
            answer = client.get(path, headers={"Authorization": header} if header else {})
            assert answer.status_code == 401, (name, path)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert answer.headers["Content-Type"] == "application/problem+json"
    good = {"Authorization": f"Bearer {jwt.encode(claims, secret, 'HS256')}"}
    assert client.get("/v1/me/wallets", headers=good).status_code == 200


def test_a_session_cookie_is_as_good_but_not_beside_a_wrong_header(client: httpx.Client) -> None:
    """Who sends a header means it."""
    token = log_in(client, "bob")["Authorization"].removeprefix("Bearer ")
    client.cookies.set("session", token)
    assert client.get("/v1/me/wallets").status_code == 200
    wrong = client.get("/v1/me/wallets", headers={"Authorization": "Bearer x"})
    assert wrong.status_code == 401


def test_no_parameter_header_or_cursor_opens_anothers_account(
    client: httpx.Client, store: FakeStore
) -> None:
    """Whatever bob tries, he reads bob."""
    ann, bob = log_in(client, "ann"), log_in(client, "bob")
    for order_id, order in store.company.orders.items():
        if order.user_id != "bob":
            answer = client.get("/v1/me/orders/" + order_id.replace("%", "%25"), headers=bob)
            assert answer.status_code == 404
    cursor = client.get("/v1/me/transactions", params={"limit": 1}, headers=ann).json()["next"]
    stolen = client.get("/v1/me/transactions", params={"limit": 1, "cursor": cursor}, headers=bob)
    assert stolen.status_code == 422
    other = client.get(
        "/v1/me/transactions",
        params={"limit": 1, "cursor": cursor, "currency": "BTC"},
        headers=ann,
    )
    assert other.status_code == 422, "a place in another list"
    names = ("user", "user_id", "sub", "as")
    for params in [{name: "ann"} for name in names]:
        for path in ("/v1/me/transactions", "/v1/me/wallets"):
            assert client.get(path, params=params, headers=bob).status_code == 422
    for name in ("X-User", "X-User-Id", "X-Forwarded-User", "Remote-User", "Cookie"):
        own = client.get("/v1/me/wallets", headers={**bob, name: "ann"}).json()["wallets"]
        assert {wallet["user_id"] for wallet in own} == {"bob"}


def test_of_two_streams_each_tells_its_own_users_events_only(store: FakeStore) -> None:
    """Who listens to the same shares a question and its answers: the same is a user's own."""
    with (
        listening(build_app(store)) as address,
        httpx.Client(base_url=address, timeout=10) as client,
        client.stream("GET", "/v1/me/events", headers=log_in(client, "ann")) as of_ann,
        client.stream("GET", "/v1/me/events", headers=log_in(client, "bob")) as of_bob,
    ):
        store.company.deposit("bob", "EUR", "1")
        store.company.deposit("ann", "CHF", "2")
        assert (read_currencies(of_ann), read_currencies(of_bob)) == ({"CHF"}, {"EUR"})


def read_currencies(answer: httpx.Response) -> set[str]:
    """Of the first message of a stream of events."""
    data = next(line for line in answer.iter_lines() if line.startswith("data: "))
    rows = json.loads(data.removeprefix("data: "))["transactions"]
    return {row["currency"] for row in rows}


def test_an_unknown_user_and_a_wrong_key_are_answered_alike(client: httpx.Client) -> None:
    """Else anybody could ask who is a customer."""
    tried = [
        {"user": "ann", "key": "ck_a1_wrong"},
        {"user": "ann", "key": "nonsense"},
        {"user": "ann", "key": KEY_OF["bob"]},
        {"user": "nobody", "key": KEY_OF["ann"]},
        {"user": "Ann", "key": KEY_OF["ann"]},
    ]
    answers = [client.post("/v1/tokens", json=each) for each in tried]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1


def test_a_key_is_compared_also_where_there_is_none() -> None:
    """By the time it takes, an unknown user could be told from a known one."""
    parameters = argon2.extract_parameters(_NOBODY)
    assert parameters == argon2.extract_parameters(argon2.PasswordHasher().hash("x"))
    begun = time.perf_counter()
    assert find_matching([], "ck_a1_x") is None
    assert time.perf_counter() - begun > 0.01


def test_a_revoked_key_gives_no_token_and_its_tokens_end(
    client: httpx.Client, store: FakeStore
) -> None:
    """A stolen laptop must not read the account for the rest of the day."""
    own = log_in(client, "ann")
    store.keys.append(revoked("a1", "ann"))
    refused = client.post("/v1/tokens", json={"user": "ann", "key": KEY_OF["ann"]})
    assert refused.status_code == 401
    now = [0.0]
    tokens = Tokens(b"x" * 32, valid_s=60)
    keys = {"ann": [made("a1", "ann", "t")]}
    log_ins = LogIns(tokens, lambda user: list_keys(keys[user]), per_minute=9, clock=lambda: now[0])
    asker = Asker(user_id="ann", key_id="a1")
    assert log_ins.holds(asker)
    keys["ann"].append(revoked("a1", "ann"))
    now[0] = KNOWN_EVERY_S + 1
    assert not log_ins.holds(asker)
    assert own["Authorization"].startswith("Bearer ")


def test_attempts_to_log_in_are_throttled(store: FakeStore) -> None:
    """Guessing, and filling the memory with hashes, have to stop somewhere."""
    slow = ApiSettings.model_validate({"secret": SECRET, "logins_per_minute": 2})
    with serving(store, api=slow) as client:
        body = {"user": "ann", "key": "ck_a1_wrong"}
        codes = [client.post("/v1/tokens", json=body).status_code for _ in range(3)]
        assert codes == [401, 401, 429]
        right = client.post("/v1/tokens", json={"user": "bob", "key": KEY_OF["bob"]})
        assert right.status_code == 429
        assert int(right.headers["Retry-After"]) > 0


def attempt(log_ins: LogIns, user_id: str, *, client: str) -> HTTPStatus:
    """How an attempt with a wrong key from this address is refused."""
    request = Request({"type": "http", "client": (client, 1), "headers": []})
    with pytest.raises(ApiError) as refused:
        log_ins.log_in(request, user_id, "ck_a1_wrong")
    return refused.value.status


def test_guessing_from_one_address_keeps_nobody_else_out() -> None:
    """Else whoever knows a name could lock its user out with a request every few seconds."""
    log_ins = LogIns(Tokens(b"x" * 32, valid_s=60), lambda _: [], per_minute=2, clock=lambda: 0.0)
    codes = [attempt(log_ins, "ann", client="10.0.0.1") for _ in range(100)]
    assert codes.count(HTTPStatus.UNAUTHORIZED) == 2
    assert attempt(log_ins, "ann", client="10.0.0.2") == HTTPStatus.UNAUTHORIZED


def test_guessing_from_everywhere_has_an_end() -> None:
    """A thousand addresses are cheap."""
    log_ins = LogIns(Tokens(b"x" * 32, valid_s=60), lambda _: [], per_minute=2, clock=lambda: 0.0)
    codes = [attempt(log_ins, "ann", client=f"10.0.0.{number}") for number in range(30)]
    assert codes.count(HTTPStatus.UNAUTHORIZED) == 2 * USERS_SHARE
    assert attempt(log_ins, "bob", client="10.0.0.1") == HTTPStatus.UNAUTHORIZED


def test_what_nobody_can_be_called_reaches_no_store() -> None:
    """A form takes any text, and PostgreSQL refuses a NUL: that would look like a store down."""
    asked: list[str] = []

    def read_keys(user_id: str) -> list[Key]:
        asked.append(user_id)
        return []

    log_ins = LogIns(Tokens(b"x" * 32, valid_s=60), read_keys, per_minute=100)
    request = Request({"type": "http", "client": ("127.0.0.1", 1), "headers": []})
    for name in ("a\x00", "x" * 129, "ann"):
        with pytest.raises(ApiError, match="no such key"):
            log_ins.log_in(request, name, "k")
    assert asked == ["ann"]


def test_log_ins_from_everywhere_leave_threads_to_others(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand clients that guess keys must not keep anybody from reading a price."""
    monkeypatch.setattr(keys, "_hashing", threading.BoundedSemaphore(1))
    monkeypatch.setattr(keys, "HASH_WAIT_S_MAX", 0.01)
    with keys._hashing:  # noqa: SLF001 - as if another's key were being looked at
        busy = client.post("/v1/tokens", json={"user": "ann", "key": KEY_OF["ann"]})
    assert (busy.status_code, busy.headers["Retry-After"]) == (503, "2")
    assert log_in(client, "ann")


def test_a_body_that_is_too_long_wrong_or_none_is_refused(client: httpx.Client) -> None:
    """Before it is kept in memory, and never as a 500."""
    for body, status in (
        (b'{"user": "ann", "key": "' + b"x" * 20_000 + b'"}', 413),
        (b'{"user": "ann"}', 422),
        (b'{"user": {"$gt": ""}, "key": "x"}', 422),
        (b'{"user": ["ann"], "key": "x"}', 422),
        (b'{"user": "a\\u0000", "key": "x"}', 422),
        (b'{"user": "a\\ud800", "key": "x"}', 422),
        (b"{", 422),
        (b"[" * 9000, 400),
        (b"", 422),
    ):
        answer = client.post(
            "/v1/tokens", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == status, body[:40]
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_what_a_user_has_is_worth_what_quotes_say(client: httpx.Client, store: FakeStore) -> None:
    """Without any price the sum leaves it out and says so."""
    portfolio = client.get("/v1/me/portfolio", headers=log_in(client, "ann")).json()
    assert portfolio["value_currency"] == "USD"
    assert "BTC" in portfolio["unpriced"]
    priced = [each for each in portfolio["holdings"] if each["currency"] == "USD"]
    assert priced[0]["value"] == portfolio["value"]
