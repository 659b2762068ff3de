"""Logging in and out by the dashboard's form: whose session begins, and from where."""

from collections.abc import Iterator
from http.cookies import SimpleCookie

import pytest

from crypto_platform.serving.dashboard.session import find_own_path
from tests.api_harness import TestClient, serving
from tests.unit.test_api_account import KEY_OF, build_store

OURS = {"Origin": "http://testserver"}


@pytest.fixture
def client() -> Iterator[TestClient]:
    with serving(build_store()) as made:
        made.follow_redirects = False
        yield made


def send(client: TestClient, user: str = "ann", key: str = KEY_OF["ann"], **fields: str):  # noqa: ANN201 - httpx
    form = {"user": user, "key": key, "next": "/portfolio", **fields}
    return client.post("/login", data=form, headers=OURS)


def test_a_session_is_a_cookie_that_no_script_and_no_other_site_can_use(client: TestClient) -> None:
    """Whoever holds it is the user."""
    answer = send(client)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/portfolio")
    cookie = SimpleCookie(answer.headers["Set-Cookie"])["session"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "strict"
    assert KEY_OF["ann"] not in answer.headers["Set-Cookie"]


def test_one_is_oneself_until_one_logs_out(client: TestClient) -> None:
    """The portfolio is asked for by the browser: with the cookie, and with nothing else."""
    assert client.get("/portfolio").headers["Location"] == "/login?next=/portfolio"
    send(client)
    assert ">ann<" in client.get("/portfolio").text
    assert client.get("/v1/me/wallets").status_code == 200
    answer = client.post("/logout", headers=OURS)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert client.get("/portfolio").status_code == 303
    assert client.get("/v1/me/wallets").status_code == 401


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://testserver.evil", None])
def test_a_form_of_another_site_begins_and_ends_no_session(
    client: TestClient, origin: str | None
) -> None:
    """Else a stranger's page logs a reader in as the stranger, and sees what he types there."""
    headers = {} if origin is None else {"Origin": origin}
    form = {"user": "ann", "key": KEY_OF["ann"]}
    for path in ("/login", "/logout"):
        answer = client.post(path, data=form, headers=headers)
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers


def test_a_wrong_key_begins_no_session_and_keeps_what_was_typed_but_the_key(
    client: TestClient,
) -> None:
    """The user's name is shown again, as text."""
    answer = send(client, user='ann"><script>', key="ck_a1_wrong")
    assert answer.status_code == 401
    assert "no such key of this user" in answer.text
    assert "ck_a1_wrong" not in answer.text
    assert 'value="ann&#34;&gt;&lt;script&gt;"' in answer.text
    assert "Set-Cookie" not in answer.headers


def test_too_many_attempts_are_told_when_to_come_again(client: TestClient) -> None:
    """A key must not be found by trying."""
    for _ in range(10):
        send(client, key="ck_a1_wrong")
    answer = send(client)
    assert answer.status_code == 429
    assert "try again in" in answer.text
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        *("http://evil.example", "//evil.example", "/\\evil.example", "evil", ""),
        *("/\n/evil.example", "//[", "/\\[", "//\u2100.com"),
    ],
)
def test_logging_in_leads_to_no_other_site(path: str) -> None:
    """A link to our log-in that ends at a copy of it asks for the key a second time."""
    assert find_own_path(path) == "/portfolio"
    assert find_own_path("/markets/kraken/XBTUSD?x=1") == "/markets/kraken/XBTUSD?x=1"
