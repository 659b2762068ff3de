"""What tells how the platform is opens to its operator only, or on its own machine."""

import base64

import pytest

from crypto_platform.settings import ApiSettings
from tests.api_harness import SECRET, FakeStore, serving
from tests.unit.test_api_account import KEY_OF, build_store

KEY = "operators-key-0123456789"
PATHS = ("/metrics", "/operations")
OPEN = ("/health", "/", "/v1/markets")
WITH_KEY = ApiSettings.model_validate({"secret": SECRET, "operator_key": KEY})


def basic(user: str, key: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{key}'.encode()).decode()}"


@pytest.mark.parametrize("path", PATHS)
def test_without_a_key_it_is_open_on_its_own_machine_and_closed_beyond(path: str) -> None:
    """Addresses, lags and incidents are read by who looks for a weak hour."""
    with serving(FakeStore()) as client:
        assert client.get(path).status_code == 200
    with serving(FakeStore(), is_local=False) as client:
        refused = client.get(path)
        assert refused.status_code == 403
        assert "api.operator_key" in refused.text
        assert [client.get(other).status_code for other in OPEN] == [200] * 3


@pytest.mark.parametrize("is_local", [True, False])
@pytest.mark.parametrize("path", PATHS)
def test_a_key_opens_it_by_either_way_and_nothing_else_does(path: str, is_local: bool) -> None:
    """A browser asks for it by itself; Prometheus sends it as a token."""
    right = (basic("operator", KEY), f"Bearer {KEY}", f"bearer  {KEY}")
    wrong = (
        basic("operator", KEY[:-1]),
        basic("somebody", KEY),
        basic("operator", ""),
        f"Bearer {KEY}x",
        f"Basic {KEY}",
        "Basic ====",
        f"Digest {KEY}",
        "Bearer",
        "",
    )
    with serving(FakeStore(), api=WITH_KEY, is_local=is_local) as client:
        for header in right:
            assert client.get(path, headers={"Authorization": header}).status_code == 200
        for header in wrong:
            refused = client.get(path, headers={"Authorization": header})
            assert refused.status_code == 401, header
            assert refused.headers["WWW-Authenticate"].startswith('Basic realm="operator"')
            assert KEY not in refused.text
        assert client.get(path).status_code == 401


def test_an_operators_log_in_does_not_end_a_users() -> None:
    """A browser sends it with every request, beside the cookie of the user's session."""
    with serving(build_store(), api=WITH_KEY) as client:
        form = {"user": "ann", "key": KEY_OF["ann"], "next": "/portfolio"}
        client.post("/login", data=form, headers={"Origin": "http://testserver"})
        client.headers["Authorization"] = basic("operator", KEY)
        assert client.get("/operations").status_code == 200
        assert client.get("/v1/me/wallets").status_code == 200
