"""`sources`: which are asked, and why others are not."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from crypto_platform.cli import main
from crypto_platform.cli.sources import choose_states, explain_choice
from crypto_platform.errors import ConfigurationError
from crypto_platform.settings import load_settings
from crypto_platform.sources import SourceState, explain_sources


def state(*, enabled: bool, reason: str) -> SourceState:
    """A public source."""
    return SourceState(
        name="coingecko", dialect="coingecko", simulated=False, enabled=enabled, reason=reason
    )


def test_without_live_no_public_api_is_asked(tmp_path: Path) -> None:
    """A check typed in a loop must not use up somebody's budget."""
    settings = load_settings(tmp_path, environment={})
    states = explain_sources(settings)
    chosen = choose_states(settings, states, names=(), live=False)
    assert [s.name for s in chosen] == ["simulated", "simulated_exchange", "simulated_ecb"]
    live = choose_states(settings, states, names=(), live=True)
    assert [s.name for s in live] == [
        "simulated",
        "simulated_exchange",
        "simulated_ecb",
        "coingecko",
        "coinbase",
        "kraken",
        "binance",
        "bitstamp",
        "gemini",
        "ecb",
    ]


def test_a_source_named_is_asked_once_whatever_it_is(tmp_path: Path) -> None:
    """Who names it means it."""
    settings = load_settings(tmp_path, environment={})
    names = ("coingecko", "coingecko")
    chosen = choose_states(settings, explain_sources(settings), names=names, live=False)
    assert [s.name for s in chosen] == ["coingecko"]


@pytest.mark.parametrize(
    ("name", "text"), [("nobody", "there is no source 'nobody'"), ("coincap", "needs a key")]
)
def test_a_source_that_cannot_be_asked_is_named(tmp_path: Path, name: str, text: str) -> None:
    """An empty check would pass for a good one."""
    settings = load_settings(tmp_path, environment={})
    with pytest.raises(ConfigurationError, match=text):
        choose_states(settings, explain_sources(settings), names=(name,), live=True)


def test_the_reason_is_one_a_person_can_act_on() -> None:
    """`up` writes enabled=false for a missing key too, and that hides the key."""
    off = state(enabled=False, reason="switched off")
    no_key = state(enabled=False, reason="needs a key")
    on = state(enabled=True, reason="asked at")
    assert explain_choice(off, no_key).reason == "needs a key"
    assert explain_choice(off, on).reason.startswith("the last `up` left it out")
    assert explain_choice(on, on) is on


def test_list_tells_how_to_add_a_key(tmp_path: Path) -> None:
    """The first question of everybody who reads `not read`."""
    ended = CliRunner().invoke(main, ["sources", "--data-dir", str(tmp_path)])
    assert ended.exit_code == 0
    assert "[sources.coincap]" in ended.stdout
    assert "CRYPTO_PLATFORM_SOURCES__COINCAP__KEY" in ended.stdout


def test_list_as_json_is_one_document(tmp_path: Path) -> None:
    """Programs read it."""
    ended = CliRunner().invoke(main, ["sources", "list", "--json", "--data-dir", str(tmp_path)])
    rows = {row["name"]: row for row in json.loads(ended.stdout)["sources"]}
    assert (rows["coincap"]["enabled"], rows["coincap"]["has_key"]) == (False, False)
