"""A check recorded and replayed: what a bug report carries, and what never lands in it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from crypto_platform.cli import main
from tests.scripted_source import Reply, ScriptedSource, run_scripted_source

KEY = "CG-very/secret+key"
PAGE = b"""[{"id": "bitcoin", "symbol": "btc", "name": "Bitcoin", "current_price": 1.054e-05,
    "roi": null, "last_updated": "2026-01-01T12:00:00.123Z"}]"""
HEADERS = {
    "Content-Type": "application/json",
    "X-RateLimit-Remaining": "29",
    "Set-Cookie": "session=very-private",
    "X-Request-Id": "very-private",
}


@pytest.fixture
def server() -> Iterator[ScriptedSource]:
    with run_scripted_source() as running:
        yield running


def check(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(
        main, ["sources", "check", *words, "--data-dir", str(folder)], catch_exceptions=False
    )


def write_settings(folder: Path, server: ScriptedSource, **values: object) -> None:
    values |= {"base_url": f"{server.url}/v3", "requests_per_minute_max": 600}
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in values.items()]
    file = folder / "settings.toml"
    file.write_text("[sources.mine]\n" + "".join(lines), "utf-8")
    file.chmod(0o600)


def write_coingecko(folder: Path, server: ScriptedSource) -> None:
    write_settings(
        folder,
        server,
        dialect="coingecko",
        key=KEY,
        quote_currency="EUR",
        currency_ids=["bitcoin"],
    )


def test_a_record_holds_request_and_answer_word_for_word(
    server: ScriptedSource, tmp_path: Path
) -> None:
    """Enough to see what a venue said, digit by digit."""
    write_coingecko(tmp_path, server)
    server.script(Reply(body=PAGE, headers=HEADERS))
    file = tmp_path / "record.json"
    assert check(tmp_path, "mine", "--record", str(file)).exit_code == 0
    record = json.loads(file.read_bytes())
    [exchange] = record["exchanges"]
    assert (exchange["path"], exchange["status"]) == ("/v3/coins/markets", 200)
    assert "vs_currency=eur" in exchange["query"]
    assert exchange["body"].encode() == PAGE
    assert exchange["headers"]["X-RateLimit-Remaining"] == "29"
    assert record["settings"]["currency_ids"] == ["bitcoin"]


@pytest.mark.parametrize("status", [200, 401])
def test_neither_key_nor_cookie_nor_host_lands_in_a_record(
    server: ScriptedSource, tmp_path: Path, status: int
) -> None:
    """It goes into a public bug report; a source may even answer with the key it was sent."""
    write_coingecko(tmp_path, server)
    echoed = b'[{"error": "not allowed: %b"}]' % KEY.encode()
    server.script(Reply(body=echoed, status=status, headers=HEADERS | {"X-RateLimit-Key": KEY}))
    file = tmp_path / "record.json"
    assert check(tmp_path, "mine", "--record", str(file)).exit_code == 1
    assert server.asked[0].headers["x-cg-demo-api-key"] == KEY
    text = file.read_text("utf-8")
    assert "not allowed: (key)" in text
    for private in (KEY, "very-private", server.url, "x-cg-demo-api-key"):
        assert private not in text


def test_a_replay_finds_what_the_check_found_and_asks_nobody(
    server: ScriptedSource, tmp_path: Path
) -> None:
    """Whoever gets the report runs the very parser on it, without settings or network."""
    write_coingecko(tmp_path, server)
    server.script(Reply(body=PAGE))
    file = tmp_path / "record.json"
    told = check(tmp_path, "mine", "--record", str(file), "--json")
    asked = len(server.asked)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    replayed = check(elsewhere, "--replay", str(file), "--json")
    documents = [json.loads(ended.stdout)["checks"][0] for ended in (told, replayed)]
    for document in documents:
        for feed in document["feeds"]:
            del feed["seconds"]
    assert documents[0] == documents[1]
    assert documents[0]["feeds"][0]["unread_fields"] == {"roi": 1}
    assert len(server.asked) == asked
    assert replayed.exit_code == 0


def test_a_replay_is_read_at_the_time_of_its_recording(
    server: ScriptedSource, tmp_path: Path
) -> None:
    """Candles that were closed then would lie behind every window of today."""
    write_settings(tmp_path, server, dialect="gemini", symbols=["btcusd"], feeds=["candles"])
    server.routes["/v3/v1/symbols/details/btcusd"] = Reply(
        body=b'{"symbol": "BTCUSD", "base_currency": "BTC", "quote_currency": "USD"}'
    )
    file = tmp_path / "record.json"
    server.script(Reply(body=b"[[1559755800000, 7781.6, 7829.46, 7776.56, 7817.28, 1.054e-05]]"))
    assert check(tmp_path, "mine", "--record", str(file)).exit_code == 1
    record = json.loads(file.read_bytes())
    record["checked_us"] = 1_559_755_870_000_000
    file.write_text(json.dumps(record), "utf-8")
    replayed = json.loads(check(tmp_path, "--replay", str(file), "--json").stdout)
    assert replayed["checks"][0]["feeds"][0]["records"] == 1


@pytest.mark.parametrize("text", [None, "{}", "no json"])
def test_a_file_that_is_no_record_is_named(tmp_path: Path, text: str | None) -> None:
    """The wrong attachment is the usual mistake."""
    file = tmp_path / "other.json"
    if text is not None:
        file.write_text(text, "utf-8")
    ended = CliRunner().invoke(main, ["sources", "check", "--replay", str(file)])
    assert ended.exit_code != 0
    assert str(file) in str(ended.exception) + ended.output


def test_a_record_is_of_one_source_and_a_replay_of_none(tmp_path: Path) -> None:
    """Two sources in one file would be two reports."""
    file = str(tmp_path / "record.json")
    assert check(tmp_path, "--record", file).exit_code == 2
    assert check(tmp_path, "kraken", "--replay", file).exit_code == 2
