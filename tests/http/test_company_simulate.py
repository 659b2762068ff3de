"""`simulate` against a running company: what it does, sums up, and says where it cannot."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from crypto_platform.cli import main
from crypto_platform.simulation.company.keys import OPERATOR
from tests.company_harness import KEYS, run_company
from tests.local_server import QuietHandler, listening

URL = "CRYPTO_PLATFORM_COMPANY__URL"
KEY = "CRYPTO_PLATFORM_COMPANY__OPERATOR_KEY"


def simulate(folder: Path, *options: str, **environment: str) -> Result:
    arguments = ["simulate", "--data-dir", str(folder), *options]
    return CliRunner().invoke(main, arguments, env=environment)


def test_a_simulation_is_summed_up_when_its_last_order_is_made(tmp_path: Path) -> None:
    """Figures that are still moving would be compared with a store's in vain."""
    with run_company(tmp_path / "company") as client:
        given = {URL: f"http://127.0.0.1:{client.port}", KEY: KEYS.make_key(OPERATOR)}
        options = ("--rate", "200", "--seconds", "0.5", "--users", "30", "--seed", "3")
        done = simulate(tmp_path, *options, "--json", **given)
        assert done.exit_code == 0, done.output
        summed = json.loads(done.stdout)
        assert list(summed) == ["orders", "fills", "events", "last_sequence"]
        assert 0 < summed["orders"] <= 101
        assert summed["events"] == len(client.read_events()) == summed["last_sequence"]
        text = simulate(tmp_path, "--rate", "100", "--seconds", "0.1", **given).stdout
        assert f"the newest event is {len(client.read_events()):,}" in text


def test_what_is_missing_is_said_with_what_to_do(tmp_path: Path) -> None:
    """No company known, none there, another one's key."""
    unknown = simulate(tmp_path)
    assert (unknown.exit_code, "crypto-platform up" in unknown.output) == (1, True)
    away = simulate(tmp_path, **{URL: "http://127.0.0.1:1", KEY: "operator.x"})
    assert (away.exit_code, "did not answer" in away.output) == (1, True)
    with run_company(tmp_path / "company") as client:
        given = {URL: f"http://127.0.0.1:{client.port}", KEY: "operator.x"}
        refused = simulate(tmp_path, **given)
    assert (refused.exit_code, "no valid key" in refused.output) == (1, True)
    assert "operator.x" not in refused.output


def test_a_redirect_does_not_take_the_operators_key_along(tmp_path: Path) -> None:
    """It opens all accounts, and the other place may be anybody's, or speak plain text."""
    keys: dict[str, str | None] = {}

    class Handler(QuietHandler):
        def respond(self) -> None:
            keys[self.path] = self.headers["X-Api-Key"]
            self.answer(status=302, Location="/elsewhere")

    with listening(Handler) as port:
        given = {URL: f"http://127.0.0.1:{port}", KEY: "operator.canary"}
        assert simulate(tmp_path, **given).exit_code == 1
    assert keys.pop("/v1/drive") == "operator.canary"
    assert set(keys.values()) <= {None}


@pytest.mark.parametrize("option", [("--rate", "5001"), ("--seconds", "0"), ("--users", "1")])
def test_options_out_of_bounds_are_wrong_usage(tmp_path: Path, option: tuple[str, str]) -> None:
    """Exit code 2, before anything is asked."""
    assert simulate(tmp_path, *option).exit_code == 2
