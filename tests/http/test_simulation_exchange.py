"""The simulated market in Coinbase's words over a real socket, and each fault there."""

import http.client
import time
from collections.abc import Iterator

import pytest

from tests.venue_harness import NOON_MS, Venue, calm, run_venue

TRADES = "/exchange/products/BTC-USD/trades"
PAGE = f"{TRADES}?limit=5"


@pytest.fixture(scope="module")
def served() -> Iterator[Venue]:
    with run_venue() as client:
        client.headers = {}  # Coinbase asks nobody for a key to its market data
        yield client


@pytest.fixture
def venue(served: Venue) -> Venue:
    return calm(served)


def list_ids(page: list[dict]) -> list[int]:
    return [trade["trade_id"] for trade in page]


def test_a_page_has_coinbases_fields_newest_first_and_its_edges_as_headers(venue: Venue) -> None:
    """The headers are what Coinbase's own clients page by."""
    answer = venue.ask(f"{TRADES}?limit=2")
    assert answer.document == [
        {
            "trade_id": 86_400,
            "side": "buy",
            "size": "0.02378593",
            "price": "98501.73",
            "time": "2026-01-01T11:59:59.843491Z",
        },
        {
            "trade_id": 86_399,
            "side": "sell",
            "size": "0.00592571",
            "price": "98515.95",
            "time": "2026-01-01T11:59:59.250163Z",
        },
    ]
    assert (answer.headers["cb-before"], answer.headers["cb-after"]) == ("86400", "86399")


def test_a_page_has_1000_trades_unless_told_otherwise(venue: Venue) -> None:
    """Coinbase's default and its most."""
    assert len(venue.ask(TRADES).document) == 1000


def test_paging_back_by_the_header_gives_each_trade_once(venue: Venue) -> None:
    """Trades that come meanwhile must not move the older pages."""
    ids, page = [], venue.ask(PAGE)
    for _ in range(4):
        ids += list_ids(page.document)
        venue.now_ms += 10_000
        page = venue.ask(f"{PAGE}&after={page.headers['cb-after']}")
    assert ids == list(range(86_400, 86_380, -1))


def test_an_empty_page_has_no_edges(venue: Venue) -> None:
    """A header of a page without trades could only be made up."""
    answer = venue.ask(f"{TRADES}?before=86400")
    assert answer.document == []
    assert not {"cb-before", "cb-after"} & set(answer.headers)


@pytest.mark.parametrize(
    "query", ["limit=1001", "limit=0", "limit=x", "after=x", "after=-1", "before=1.5"]
)
def test_a_page_out_of_bounds_is_refused_in_coinbases_words(venue: Venue, query: str) -> None:
    """Clamping in silence would hide a client's mistake."""
    answer = venue.ask(f"{TRADES}?{query}")
    assert answer.status == 400
    assert list(answer.document) == ["message"]


def test_a_product_that_is_not_listed_is_not_found(venue: Venue) -> None:
    """As Coinbase says it."""
    answer = venue.ask("/exchange/products/NO-USD/trades")
    assert (answer.status, answer.document) == (404, {"message": "NotFound"})


def test_products_are_those_that_trade(venue: Venue) -> None:
    """Who reads the list must be able to ask for each."""
    products = venue.ask("/exchange/products").document
    assert [product["id"] for product in products] == [
        "BTC-USD",
        "ETH-USD",
        "SOL-USD",
        "XRP-USD",
        "DOGE-USD",
    ]
    assert (products[0]["quote_increment"], products[0]["base_increment"]) == ("0.01", "0.00000001")
    for product in products:
        assert venue.ask(f"/exchange/products/{product['id']}/trades?limit=1").document


def test_429_says_when_to_come_back_and_ends_after_its_count(venue: Venue) -> None:
    """Without Retry-After the client's obedience would go untested."""
    venue.order(kind="429", count=2, retry_after_s=5)
    answers = [venue.ask(PAGE) for _ in range(3)]
    assert [answer.status for answer in answers] == [429, 429, 200]
    assert [answer.headers.get("retry-after") for answer in answers] == ["5", "5", None]
    assert answers[0].document == {"message": "too many requests"}


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_error_on_demand_is_json_in_coinbases_words(venue: Venue, status: int) -> None:
    """CoinCap's {"error": ...} would be read by nobody here."""
    venue.order(kind=str(status))
    answer = venue.ask(PAGE)
    assert answer.status == status
    assert list(answer.document) == ["message"]


def test_html_comes_with_status_200(venue: Venue) -> None:
    """A maintenance page in front of the API: only the body tells."""
    venue.order(kind="html")
    answer = venue.ask(PAGE)
    assert answer.status == 200
    assert answer.body.startswith(b"<!DOCTYPE html>")


def test_a_truncated_page_promises_more_than_it_sends(venue: Venue) -> None:
    """The client must notice by the length."""
    whole = venue.ask(PAGE).body
    venue.order(kind="truncated")
    with pytest.raises(http.client.IncompleteRead) as cut:
        venue.ask(PAGE)
    assert cut.value.partial == whole[: len(whole) // 2]


def test_a_slow_page_comes_whole_after_its_delay(venue: Venue) -> None:
    """A delay that also loses the page would be another fault."""
    venue.order(kind="slow", delay_s=0.3)
    started = time.monotonic()
    assert len(venue.ask(PAGE).document) == 5
    assert time.monotonic() - started >= 0.3


def test_a_repeated_page_is_the_last_one_byte_for_byte(venue: Venue) -> None:
    """A stuck cache: the trades since then come later, and none twice."""
    page = venue.ask(PAGE).body
    venue.order(kind="repeated")
    venue.now_ms += 10_000
    assert venue.ask(PAGE).body == page
    assert list_ids(venue.ask(PAGE).document)[0] == 86_420


def test_an_empty_page_on_demand_is_well_formed(venue: Venue) -> None:
    """Read as "nothing was traded", it would be the worst of all faults."""
    venue.order(kind="empty")
    assert venue.ask(PAGE).document == []


def test_nan_spoils_one_trade_of_its_currency_and_waits_for_its_product(venue: Venue) -> None:
    """One bad trade among good ones: the others must not suffer."""
    venue.order(kind="nan", currency_id="bitcoin")
    other = venue.ask("/exchange/products/ETH-USD/trades?limit=5").document
    spoilt = venue.ask(PAGE).document
    assert [trade["price"] for trade in other].count("NaN") == 0
    assert [trade["price"] for trade in spoilt].count("NaN") == 1
    assert [trade["price"] for trade in venue.ask(PAGE).document].count("NaN") == 0


def test_a_fault_ordered_for_one_api_waits_for_it(venue: Venue) -> None:
    """With two sources polling, a test has to say whose answer goes wrong."""
    venue.order(kind="500", path="/exchange")
    venue.order(kind="503", path="/v3")
    key = {"Authorization": "Bearer a-key-for-tests"}
    assert venue.ask("/v3/assets", headers=key).status == 503
    assert venue.ask(PAGE).status == 500
    assert venue.ask("/simulation/faults").document["faults"] == []


def test_a_wrong_key_is_no_fault_where_none_is_asked_for(venue: Venue) -> None:
    """It waits for CoinCap's dialect."""
    venue.order(kind="wrong_key", path="/")
    assert venue.ask(PAGE).status == 200
    assert len(venue.ask("/simulation/faults").document["faults"]) == 1


def test_no_trade_is_told_before_the_answers_own_clock(venue: Venue) -> None:
    """Clocks are what such servers get wrong first."""
    for now_ms in (NOON_MS, NOON_MS + 1, NOON_MS + 499, NOON_MS + 999):
        venue.now_ms = now_ms
        newest = venue.ask(PAGE).document[0]["time"]
        assert newest <= f"2026-01-01T12:00:00.{now_ms - NOON_MS:03}000Z"
