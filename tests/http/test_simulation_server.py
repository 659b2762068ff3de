"""The simulated market over a real socket: CoinCap's dialect, the key, each fault, the process."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.venue_harness import NOON_MS, Venue, calm, read_answer, run_venue

ITEM_FIELDS = [
    "id", "rank", "symbol", "name", "supply", "maxSupply", "marketCapUsd", "volumeUsd24Hr",
    "priceUsd", "changePercent24Hr", "vwap24Hr", "explorer", "tokens",
]  # fmt: skip


@pytest.fixture(scope="module")
def served() -> Iterator[Venue]:
    with run_venue() as client:
        yield client


@pytest.fixture
def venue(served: Venue) -> Venue:
    return calm(served)


def test_an_answer_has_coincaps_fields_its_own_time_and_no_number_but_ranks(venue: Venue) -> None:
    """A JSON number would lose digits on the way through most parsers; CoinCap sends text."""
    venue.now_ms = NOON_MS + 1234
    body = venue.ask("/v3/assets?limit=2000").body
    document = json.loads(body, parse_float=lambda text: pytest.fail(f"a number: {text}"))
    assert document["timestamp"] == NOON_MS + 1234
    assert len(document["data"]) == 220
    assert [list(item) for item in document["data"]] == [ITEM_FIELDS] * 220
    assert {type(item["rank"]) for item in document["data"]} == {str, int}
    assert [int(item["rank"]) for item in document["data"]] == list(range(1, 221))
    assert document["data"][0]["supply"] == "19952631.0000000000000000"
    assert any(item["maxSupply"] is None for item in document["data"])
    assert any(item["volumeUsd24Hr"] is None for item in document["data"])


def test_paging_covers_each_currency_once(venue: Venue) -> None:
    """A currency at a page's edge is the one that gets lost or doubled."""
    pages = [venue.ask(f"/v3/assets?limit=50&offset={at}").data for at in range(0, 300, 50)]
    assert [len(page) for page in pages] == [50, 50, 50, 50, 20, 0]
    assert len({item["id"] for page in pages for item in page}) == 220


def test_a_page_has_100_currencies_unless_told_otherwise(venue: Venue) -> None:
    """CoinCap's default: who forgets limit sees half of the market."""
    assert len(venue.ask("/v3/assets").data) == 100


def test_ids_and_search_narrow_the_list(venue: Venue) -> None:
    """An ignored filter would feed a hundred currencies to a reader of two."""
    chosen = venue.ask("/v3/assets?ids=ethereum,bitcoin,nocoin").data
    assert [item["id"] for item in chosen] == ["bitcoin", "ethereum"]
    assert [item["id"] for item in venue.ask("/v3/assets?search=PEP").data] == ["pepe"]


@pytest.mark.parametrize("query", ["limit=2001", "limit=x", "limit=-1", "offset=-1"])
def test_a_page_out_of_bounds_is_refused(venue: Venue, query: str) -> None:
    """Clamping in silence would hide a client's mistake."""
    answer = venue.ask(f"/v3/assets?{query}")
    assert answer.status == 400
    assert "must be a whole number" in answer.document["error"]


def test_one_currency_is_the_same_as_in_the_list(venue: Venue) -> None:
    """Two endpoints that disagree would look like a conflict of facts."""
    [listed] = venue.ask("/v3/assets?ids=pepe").data
    assert venue.ask("/v3/assets/pepe").document == {"timestamp": NOON_MS, "data": listed}


def test_an_unknown_currency_is_not_found(venue: Venue) -> None:
    """CoinCap answers 404 with an error and a time, in JSON."""
    answer = venue.ask("/v3/assets/nocoin")
    assert answer.status == 404
    assert answer.document == {"error": "nocoin not found", "timestamp": NOON_MS}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer another"}])
def test_without_the_key_nothing_is_told(venue: Venue, headers: dict[str, str]) -> None:
    """A venue that takes any key could not show that ours is sent."""
    for path in ("/v3/assets", "/v3/assets/bitcoin", "/v3/assets/nocoin"):
        answer = venue.ask(path, headers=headers)
        assert answer.status == 403
        assert "invalid api key" in answer.document["error"]


def test_a_refused_request_uses_up_no_fault(venue: Venue) -> None:
    """Else a stray client would take the fault a test waits for."""
    venue.order(kind="500")
    assert venue.ask("/v3/assets", headers={}).status == 403
    assert venue.ask("/v3/assets").status == 500


def test_a_connection_is_kept_for_the_next_request(venue: Venue) -> None:
    """A new connection every second would cost both sides more than the answer."""
    connection = venue.connect()
    connection.connect()
    sock = connection.sock
    for _ in range(3):
        connection.request("GET", "/v3/assets", headers=venue.headers)
        assert read_answer(connection).status == 200
        assert connection.sock is sock
    connection.close()


def test_429_says_when_to_come_back_and_ends_after_its_count(venue: Venue) -> None:
    """Without Retry-After the client's obedience would go untested."""
    venue.order(kind="429", count=2, retry_after_s=5)
    answers = [venue.ask("/v3/assets") for _ in range(3)]
    assert [answer.status for answer in answers] == [429, 429, 200]
    assert [answer.headers.get("retry-after") for answer in answers] == ["5", "5", None]


@pytest.mark.parametrize(
    ("kind", "status"),
    [("500", 500), ("502", 502), ("503", 503), ("504", 504), ("wrong_key", 403)],
)
def test_an_error_on_demand_is_json_with_its_status(venue: Venue, kind: str, status: int) -> None:
    """403 despite the right key is how CoinCap treats one that was revoked."""
    venue.order(kind=kind)
    answer = venue.ask("/v3/assets")
    assert answer.status == status
    assert set(answer.document) == {"error", "timestamp"}
    assert venue.ask("/v3/assets").status == 200


def test_a_slow_answer_comes_whole_after_its_delay(venue: Venue) -> None:
    """A delay that also loses the answer would be another fault."""
    venue.order(kind="slow", delay_s=0.3)
    started = time.monotonic()
    answer = venue.ask("/v3/assets")
    assert time.monotonic() - started >= 0.3
    assert len(answer.data) == 100


def test_a_truncated_answer_promises_more_than_it_sends(venue: Venue) -> None:
    """The client must notice by the length: half a JSON may even be valid elsewhere."""
    whole = venue.ask("/v3/assets").body
    venue.order(kind="truncated")
    with pytest.raises(http.client.IncompleteRead) as cut:
        venue.ask("/v3/assets")
    assert cut.value.partial == whole[: len(whole) // 2]
    assert venue.ask("/v3/assets").body == whole


def test_html_comes_with_status_200(venue: Venue) -> None:
    """A maintenance page in front of the API: only the body tells."""
    venue.order(kind="html")
    answer = venue.ask("/v3/assets")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.body.startswith(b"<!DOCTYPE html>")


def test_nan_spoils_one_currency_and_waits_for_the_page_that_has_it(venue: Venue) -> None:
    """Decimal takes "NaN" without complaint, and every sum behind it becomes NaN."""
    venue.order(kind="nan", currency_id="simcoin-220")
    first = venue.ask("/v3/assets?limit=5").data
    everything = venue.ask("/v3/assets?limit=2000").data
    assert [item["id"] for item in first if item["priceUsd"] == "NaN"] == []
    assert [item["id"] for item in everything if item["priceUsd"] == "NaN"] == ["simcoin-220"]


def test_nan_spoils_bitcoin_unless_told_otherwise_and_only_for_its_count(venue: Venue) -> None:
    """The market itself must stay sound: a spoilt answer may not be kept for the next."""
    venue.order(kind="nan")
    assert venue.ask("/v3/assets/bitcoin").document["data"]["priceUsd"] == "NaN"
    assert venue.ask("/v3/assets/bitcoin").document["data"]["priceUsd"] != "NaN"


def test_a_repeated_page_is_the_last_one_byte_for_byte(venue: Venue) -> None:
    """A stuck cache at the source: the same facts again must not be stored twice."""
    page = venue.ask("/v3/assets?limit=10").body
    venue.now_ms += 1000
    venue.ask("/v3/assets?limit=20")
    venue.order(kind="repeated", count=2)
    venue.now_ms += 1000
    assert [venue.ask("/v3/assets?limit=10").body for _ in range(2)] == [page, page]
    fresh = venue.ask("/v3/assets?limit=10")
    assert fresh.body != page
    assert fresh.document["timestamp"] == NOON_MS + 2000


def test_an_empty_list_is_well_formed_and_never_told_of_one_currency(venue: Venue) -> None:
    """An empty answer read as "nothing is listed any more" would be the worst of all faults."""
    venue.order(kind="empty")
    assert venue.ask("/v3/assets/bitcoin").document["data"]["id"] == "bitcoin"
    assert venue.ask("/v3/assets").document == {"timestamp": NOON_MS, "data": []}


def test_a_fault_by_time_ends_with_the_market_clock(venue: Venue) -> None:
    """An outage of ten seconds, however many polls fall into it."""
    venue.order(kind="503", for_s=10)
    assert [venue.ask("/v3/assets").status for _ in range(2)] == [503, 503]
    venue.now_ms += 10_000
    assert venue.ask("/v3/assets").status == 200


def test_faults_can_be_listed_and_ended(venue: Venue) -> None:
    """A test has to see that its fault arrived, and leave none behind."""
    venue.order(kind="slow", delay_s=2, count=3)
    listed = venue.ask("/simulation/faults").document["faults"]
    assert listed == [{"kind": "slow", "count": 3, "delay_s": 2.0}]
    assert venue.ask("/simulation/faults", method="DELETE").document["faults"] == []
    assert venue.ask("/v3/assets").status == 200


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("{", "not a JSON object"),
        ("[" * 9000, "not a JSON object"),
        ('{"kind": "418"}', "429, 500, 502"),
        ('{"kind": "429", "counts": 3}', "count, for_s"),
    ],
)
def test_a_bad_order_is_answered_with_what_is_allowed(venue: Venue, body: str, says: str) -> None:
    """An order taken in silence would make a test pass without its fault."""
    answer = venue.ask("/simulation/faults", method="POST", body=body)
    assert answer.status == 400
    assert says in answer.document["error"]
    assert venue.ask("/simulation/faults").document["faults"] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_says_its_port_and_ends_within_a_second_even_while_slow(
    number: signal.Signals,
) -> None:
    """A market that lingers after the stack's end would hold its port against the next."""
    process = subprocess.Popen(
        [sys.executable, "-m", "crypto_platform.simulation", "--port", "0", "--currencies", "5"],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        client = Venue(port=json.loads(process.stdout.readline())["port"], headers={})
        health = client.ask("/simulation/health").document
        assert (health["status"], health["seed"], health["currencies"]) == ("ok", 7, 5)
        assert [item["id"] for item in client.ask("/v3/assets?limit=1").data] == ["bitcoin"]
        client.order(kind="slow", delay_s=60)
        waiting = client.connect()
        waiting.request("GET", "/v3/assets")
        wait_until_applied(client, "slow")
        started = time.monotonic()
        process.send_signal(number)
        output, log = process.communicate(timeout=5)
        assert time.monotonic() - started < 1
        assert (process.returncode, output, log) == (0, "", "")
        assert len(read_answer(waiting).data) == 5
        waiting.close()
    finally:
        process.kill()
        process.communicate()


def wait_until_applied(client: Venue, kind: str) -> None:
    deadline = time.monotonic() + 5
    while kind not in client.ask("/simulation/faults").document["applied"]:
        assert time.monotonic() < deadline, f"{kind} was not applied within 5 s"


def test_a_port_in_use_is_named_with_a_way_out() -> None:
    """A trace of fifty lines would hide the one thing to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "crypto_platform.simulation", "--port", str(port)],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert "--port" in ended.stderr
