"""The HTTP client over a real socket: limits, repeats, refusals, and what it keeps secret."""

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from crypto_platform.errors import (
    SourceError,
    SourceMalformedError,
    SourceRefusedError,
    SourceUnavailableError,
)
from crypto_platform.sources.http import HttpClient
from tests.recordings import read_cassette
from tests.scripted_source import Reply, ScriptedSource, run_scripted_source

KEY = "a-key-for-tests"
BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def source() -> Iterator[ScriptedSource]:
    with run_scripted_source() as running:
        yield running


def build_client(
    source: ScriptedSource, *, stop: threading.Event | None = None, **changes: object
) -> HttpClient:
    return HttpClient(source="mine", settings=source.build_settings(**changes), stop=stop)


def fail(client: HttpClient, kind: type[SourceError]) -> SourceError:
    with pytest.raises(kind) as failed:
        client.get("/assets", params={"limit": 5}, headers=BEARER)
    assert type(failed.value) is kind
    assert failed.value.source == "mine"
    assert "?" not in failed.value.url
    assert "limit" not in str(failed.value)
    return failed.value


def test_a_page_is_asked_for_with_its_query_and_key(source: ScriptedSource) -> None:
    """The key travels in a header: addresses are written into logs on the way."""
    source.script(Reply(body=b'{"data": []}'))
    answer = build_client(source).get("/assets", params={"limit": 5}, headers=BEARER)
    assert answer.body == b'{"data": []}'
    assert answer.url == f"{source.url}/v3/assets"
    [asked] = source.asked
    assert (asked.path, asked.query) == ("/v3/assets", {"limit": "5"})
    assert asked.headers["authorization"] == "Bearer a-key-for-tests"


def test_too_many_requests_is_not_repeated_and_says_when_to_come_back(
    source: ScriptedSource,
) -> None:
    """Asking on after a 429 is what gets an address banned."""
    source.script(Reply(status=429, headers={"Retry-After": "7"}))
    error = fail(build_client(source), SourceUnavailableError)
    assert isinstance(error, SourceUnavailableError)
    assert error.retry_after_s == 7
    assert len(source.asked) == 1


def test_a_429_without_a_time_is_not_repeated_either(source: ScriptedSource) -> None:
    """Then the back-off of ingestion decides."""
    source.script(Reply(status=429))
    error = fail(build_client(source), SourceUnavailableError)
    assert isinstance(error, SourceUnavailableError)
    assert error.retry_after_s is None
    assert len(source.asked) == 1


def test_a_date_to_come_back_at_is_obeyed(source: ScriptedSource) -> None:
    """RFC 9110 allows both forms, and servers use both."""
    at = datetime.now(UTC) + timedelta(seconds=90)
    source.script(Reply(status=503, headers={"Retry-After": format_datetime(at, usegmt=True)}))
    error = fail(build_client(source), SourceUnavailableError)
    assert isinstance(error, SourceUnavailableError)
    assert error.retry_after_s == pytest.approx(90, abs=5)
    assert len(source.asked) == 1


@pytest.mark.parametrize("text", ["soon", "-5", "", "Wed, 99 Foo 2026", "Wed, 01 Jan 99999 0:0:0"])
def test_a_time_that_is_none_is_ignored(source: ScriptedSource, text: str) -> None:
    """A typing mistake of the server must not end the poll with a ValueError."""
    source.script(Reply(status=429, headers={"Retry-After": text}))
    error = fail(build_client(source), SourceUnavailableError)
    assert isinstance(error, SourceUnavailableError)
    assert error.retry_after_s is None


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504, 520])
def test_a_short_failure_is_repeated(source: ScriptedSource, status: int) -> None:
    """A restart behind a load balancer costs a second, not a poll."""
    source.script(Reply(status=status), Reply(body=b"[1]"))
    assert build_client(source).get("/assets").body == b"[1]"
    assert len(source.asked) == 2


def test_after_two_repeats_the_failure_is_told(source: ScriptedSource) -> None:
    """Going on would keep a failing source under load and the run waiting."""
    source.script(Reply(status=503, body=b"maintenance until noon"))
    error = fail(build_client(source), SourceUnavailableError)
    assert "503" in str(error)
    assert "maintenance until noon" in str(error)
    assert len(source.asked) == 3


def test_nothing_is_repeated_once_a_stop_is_asked_for(source: ScriptedSource) -> None:
    """A run that is told to end should not spend its last seconds on pauses."""
    source.script(Reply(status=503))
    stop = threading.Event()
    stop.set()
    fail(build_client(source, stop=stop), SourceUnavailableError)
    assert len(source.asked) == 1


def test_repeats_end_with_the_time_limit(source: ScriptedSource) -> None:
    """The limit is for the page, not for each of three attempts."""
    source.script(Reply(status=503, wait_s=0.25))
    started_s = time.monotonic()
    fail(build_client(source, timeout_s=0.4), SourceUnavailableError)
    assert time.monotonic() - started_s < 1


def test_a_source_nobody_serves_is_unavailable() -> None:
    """Its text must name the address and the cause, without the query."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with run_scripted_source() as source:
        client = build_client(source, base_url=f"http://127.0.0.1:{port}/v3")
        error = fail(client, SourceUnavailableError)
    assert f"http://127.0.0.1:{port}/v3/assets" in str(error)
    assert "Connection refused" in str(error)


@pytest.mark.parametrize(
    "reply", [Reply(wait_s=30), Reply(body=b"{" + b" " * 2000, drip_s=0.02)], ids=["wait", "drip"]
)
def test_a_slow_answer_is_given_up_within_the_time_limit(
    source: ScriptedSource, reply: Reply
) -> None:
    """A byte now and then keeps a socket's own time-out from ever ringing."""
    source.script(reply)
    started_s = time.monotonic()
    error = fail(build_client(source, timeout_s=0.3), SourceUnavailableError)
    assert time.monotonic() - started_s < 1
    assert "timeout_s" in str(error)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
def test_an_answer_cut_short_is_malformed(source: ScriptedSource, *, chunked: bool) -> None:
    """Half a list may be valid elsewhere; the length tells."""
    source.script(Reply(body=b'[{"id": "bitcoin"}]', missing_bytes=10, chunked=chunked))
    error = fail(build_client(source), SourceMalformedError)
    assert "hung up before its answer was whole" in str(error)


def test_a_whole_answer_in_chunks_is_taken(source: ScriptedSource) -> None:
    """Most public APIs send chunks."""
    source.script(Reply(body=b'[{"id": "bitcoin"}]', chunked=True))
    assert build_client(source).get("/assets").body == b'[{"id": "bitcoin"}]'


@pytest.mark.parametrize("body", [b"<!DOCTYPE html><h1>We'll be right back</h1>", b"", b"\x00\xff"])
def test_a_page_with_200_that_is_no_json_is_malformed(source: ScriptedSource, body: bytes) -> None:
    """Maintenance pages come with status 200."""
    source.script(Reply(body=body))
    error = fail(build_client(source), SourceMalformedError)
    assert "neither a JSON object nor a list" in str(error)
    assert body.decode("utf-8", "backslashreplace").strip() in str(error)


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_an_answer_that_is_too_long_is_refused(source: ScriptedSource, *, compressed: bool) -> None:
    """10 MB of blanks take 10 KB on the way and the memory of a run when unpacked."""
    body = b"[" + b" " * 10_000_000
    headers = {"Content-Encoding": "gzip"} if compressed else {}
    source.script(Reply(body=gzip.compress(body) if compressed else body, headers=headers))
    error = fail(build_client(source, body_bytes_max=100_000), SourceMalformedError)
    assert "more than 100000 bytes" in str(error)
    assert "sources.mine.body_bytes_max" in str(error)


def test_a_body_that_only_says_it_is_compressed_is_malformed(source: ScriptedSource) -> None:
    """The decompressor's own error would end the run instead of the poll."""
    source.script(Reply(body=b"[1, 2]", headers={"Content-Encoding": "gzip"}))
    fail(build_client(source), SourceMalformedError)


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_names_the_setting_and_stays_secret(
    source: ScriptedSource, status: int
) -> None:
    """The error goes into Dagster's UI, and servers like to repeat what was wrong."""
    source.script(Reply(status=status, body=b'{"error": "invalid api key a-key-for-tests"}'))
    error = fail(build_client(source, key=KEY), SourceRefusedError)
    assert "CRYPTO_PLATFORM_SOURCES__MINE__KEY" in str(error)
    assert "[sources.mine]" in str(error)
    assert "invalid api key (key)" in str(error)
    assert KEY not in str(error)
    assert len(source.asked) == 1


def test_a_key_that_the_excerpt_would_cut_in_two_stays_secret(source: ScriptedSource) -> None:
    """Half a key is half a secret."""
    source.script(Reply(status=403, body=b"x" * 195 + KEY.encode()))
    assert "a-key" not in str(fail(build_client(source, key=KEY), SourceRefusedError))


def test_a_key_in_an_answer_with_200_stays_secret(source: ScriptedSource) -> None:
    """Some APIs answer 200 with an error object; the parser would print its beginning."""
    source.script(Reply(body=b'{"error": "invalid api key a-key-for-tests"}'))
    assert KEY not in str(fail(build_client(source, key=KEY), SourceMalformedError))


def test_a_source_that_wants_a_key_says_so(source: ScriptedSource) -> None:
    """Without one, 'wrong key' would send people looking for a mistake in it."""
    source.script(Reply(status=401))
    assert "it wants a key" in str(fail(build_client(source), SourceRefusedError))


def test_the_recorded_422_tells_what_was_wrong(source: ScriptedSource) -> None:
    """Asking again changes nothing: its own words are the only help."""
    [_, error] = read_cassette("market_data_for_multiple_coins_in_eth.yml")
    body = error["response"]["body"]["string"].encode()
    source.script(Reply(status=422, body=body))
    refused = fail(build_client(source), SourceRefusedError)
    assert "Missing parameter vs_currency" in str(refused)
    assert "sources.mine.quote_currency" in str(refused)
    assert not refused.retryable
    assert len(source.asked) == 1


def test_a_redirect_is_not_followed_with_our_key(source: ScriptedSource) -> None:
    """The library would take off Authorization only; CoinGecko's key header would go along."""
    with run_scripted_source() as other:
        source.script(Reply(status=302, headers={"Location": f"{other.url}/v3/assets?a=b"}))
        error = fail(build_client(source), SourceRefusedError)
        assert other.asked == []
    assert "sources.mine.base_url" in str(error)


def test_a_204_is_malformed(source: ScriptedSource) -> None:
    """No content is not an empty market."""
    source.script(Reply(status=204, body=b""))
    fail(build_client(source), SourceMalformedError)


def test_a_login_from_netrc_neither_replaces_the_key_nor_goes_out(
    source: ScriptedSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library puts it in place of any Authorization header, for whatever host is listed."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine source.example login me password netrc-password\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", source.url)  # so that this name is reached without DNS
    monkeypatch.delenv("no_proxy", raising=False)
    client = build_client(source, base_url="http://source.example/v3")
    client.get("/assets", headers=BEARER)
    client.get("/assets")
    assert [asked.headers.get("authorization") for asked in source.asked] == [
        "Bearer a-key-for-tests",
        None,
    ]
    assert source.asked[0].target == "http://source.example/v3/assets"


def test_this_machine_is_not_asked_through_a_proxy(
    source: ScriptedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a company's proxy the simulated market would else be out of reach."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert build_client(source).get("/assets").body == b"{}"


def test_over_budget_nothing_is_sent_and_the_wait_is_told(source: ScriptedSource) -> None:
    """A request too many may cost the key."""
    client = build_client(source, requests_per_minute_max=5)
    for _ in range(3):
        client.get("/assets")
    error = fail(client, SourceUnavailableError)
    assert isinstance(error, SourceUnavailableError)
    assert error.retry_after_s == pytest.approx(60, abs=5)
    assert "sources.mine.requests_per_minute_max" in str(error)
    assert len(source.asked) == 3


def test_repeats_count_against_the_budget_too(source: ScriptedSource) -> None:
    """The source counts them."""
    source.script(Reply(status=503))
    client = build_client(source, requests_per_minute_max=3)
    assert "503" in str(fail(client, SourceUnavailableError))
    assert len(source.asked) == 2


def test_a_short_wait_for_the_budget_is_waited(source: ScriptedSource) -> None:
    """A poll of several pages at the edge of a minute should not fail for a blink."""
    client = build_client(source, requests_per_minute_max=1)
    client.budget.take(time.monotonic() - client.budget.window_s + 0.2)
    started_s = time.monotonic()
    client.get("/assets")
    assert 0.1 < time.monotonic() - started_s < 2
