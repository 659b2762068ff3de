"""The simulated market in Coinbase's words over a real socket, and each fault there."""

import http.client
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.venue_harness import NOON_MS, Venue, calm, read_answer, run_venue

TRADES = "/exchange/products/BTC-USD/trades"
PAGE = f"{TRADES}?limit=5"
BOOK = "/exchange/products/BTC-USD/book"
CANDLES = "/exchange/products/BTC-USD/candles"
PAGES = (PAGE, f"{BOOK}?level=2", f"{CANDLES}?granularity=60", "/exchange/products")
every_page = pytest.mark.parametrize("page", PAGES, ids=["trades", "book", "candles", "products"])


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
            "size": "0.01308688",
            "price": "99074.09",
            "time": "2026-01-01T11:59:59.913094Z",
        },
        {
            "trade_id": 86_399,
            "side": "buy",
            "size": "0.00803456",
            "price": "99075.71",
            "time": "2026-01-01T11:59:59.418327Z",
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


def test_answers_on_a_kept_connection_come_at_once(venue: Venue) -> None:
    """With Nagle's algorithm each body waits 40 ms for its head: twenty a second take it all."""
    connection = venue.connect()
    started = time.monotonic()
    for _ in range(25):
        connection.request("GET", PAGE)
        assert read_answer(connection).status == 200
    connection.close()
    assert time.monotonic() - started < 25 * 0.03


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


def test_products_are_those_that_trade(venue: Venue) -> None:
    """Who reads the list must be able to ask for each."""
    products = venue.ask("/exchange/products").document
    ids = [product["id"] for product in products]
    assert len(ids) == len(set(ids)) >= 20
    assert ids[:5] == ["BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "DOGE-USD"]
    assert products[0] == {
        "id": "BTC-USD",
        "base_currency": "BTC",
        "quote_currency": "USD",
        "quote_increment": "0.01",
        "base_increment": "0.00000001",
        "display_name": "BTC/USD",
        "min_market_funds": "1",
        "margin_enabled": False,
        "post_only": False,
        "limit_only": False,
        "cancel_only": False,
        "status": "online",
        "status_message": "",
        "trading_disabled": False,
        "fx_stablecoin": False,
        "max_slippage_percentage": "0.02000000",
        "auction_mode": False,
        "high_bid_limit_percentage": "",
    }
    for product in products:
        path = f"/exchange/products/{product['id']}"
        assert venue.ask(path).document == product
        [trade] = venue.ask(f"{path}/trades?limit=1").document
        for figure, step in (("price", "quote_increment"), ("size", "base_increment")):
            assert Decimal(trade[figure]) % Decimal(product[step]) == 0


def test_every_product_is_made_of_listed_currencies(venue: Venue) -> None:
    """A currency's smallest unit is read from this list."""
    currencies = {item["id"]: item for item in venue.ask("/exchange/currencies").document}
    for product in venue.ask("/exchange/products").document:
        assert {product["base_currency"], product["quote_currency"]} <= set(currencies)
    bitcoin = venue.ask("/exchange/currencies/BTC").document
    assert bitcoin == currencies["BTC"]
    assert (bitcoin["name"], bitcoin["details"]["type"]) == ("Bitcoin", "crypto")
    assert bitcoin["max_precision"] == "0.00000001"
    assert currencies["USD"]["details"]["type"] == "fiat"
    assert venue.ask("/exchange/currencies/NONE").document == {"message": "NotFound"}


def test_the_venue_tells_its_time(venue: Venue) -> None:
    """For who wants to know how far clocks are apart."""
    venue.now_ms = NOON_MS + 201
    assert venue.ask("/exchange/time").document == {
        "iso": "2026-01-01T12:00:00.201Z",
        "epoch": 1_767_268_800.201,
    }


def test_a_book_has_coinbases_fields(venue: Venue) -> None:
    """Price, size, number of orders; the best first on both sides."""
    book = venue.ask(f"{BOOK}?level=2").document
    assert list(book) == ["bids", "asks", "sequence", "auction_mode", "auction", "time"]
    assert (book["sequence"], book["time"]) == (172_802, "2026-01-01T12:00:00.000000Z")
    assert len(book["bids"]) >= 50
    assert len(book["asks"]) >= 50
    [price, size, orders] = book["bids"][0]
    assert Decimal(price) < Decimal(book["asks"][0][0])
    assert (len(price.partition(".")[2]), len(size.partition(".")[2])) == (2, 8)
    assert orders >= 1
    for query in ("", "?level=1"):
        top = venue.ask(f"{BOOK}{query}").document
        assert (top["bids"], top["asks"]) == (book["bids"][:1], book["asks"][:1])
        assert top["sequence"] == book["sequence"]


@pytest.mark.parametrize("level", ["0", "3", "x"])
def test_another_level_is_refused(venue: Venue, level: str) -> None:
    """Answering another one would look like a shallow market."""
    answer = venue.ask(f"{BOOK}?level={level}")
    assert (answer.status, list(answer.document)) == (400, ["message"])


def test_candles_are_rows_of_numbers_newest_first(venue: Venue) -> None:
    """time, low, high, open, close, volume: in this odd order, as numbers."""
    venue.now_ms = NOON_MS + 30_000
    rows = venue.ask(f"{CANDLES}?granularity=60").document
    assert [row[0] for row in rows] == [NOON_MS // 1000 - 60 * i for i in range(300)]
    trades = venue.ask(f"{TRADES}?limit=60").document
    prices = [float(trade["price"]) for trade in trades]
    assert rows[0] == [
        NOON_MS // 1000,
        min(prices),
        max(prices),
        prices[-1],
        prices[0],
        float(sum(Decimal(trade["size"]) for trade in trades)),
    ]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-01-01T11:00:00Z", "2026-01-01T11:02:59.999Z"),
        ("2026-01-01T10:59:01", "2026-01-01T11:02:00"),
        ("1767265200", "1767265320"),
    ],
)
def test_candles_of_a_stretch_open_in_it(venue: Venue, start: str, end: str) -> None:
    """Both ends belong to it; ISO 8601 and seconds are both understood."""
    rows = venue.ask(f"{CANDLES}?granularity=60&start={start}&end={end}").document
    assert [row[0] for row in rows] == [1_767_265_320, 1_767_265_260, 1_767_265_200]


def test_one_end_of_a_stretch_alone_is_ignored(venue: Venue) -> None:
    """As Coinbase says."""
    alone = venue.ask(f"{CANDLES}?granularity=300&start=1767265200").document
    assert alone == venue.ask(f"{CANDLES}?granularity=300").document


@pytest.mark.parametrize(
    "query",
    [
        "granularity=61",
        "granularity=x",
        "granularity=60&start=1767200000&end=1767268800",
        "granularity=60&start=yesterday&end=1767268800",
    ],
)
def test_candles_out_of_bounds_are_refused_in_coinbases_words(venue: Venue, query: str) -> None:
    """More than 300 are refused, not cut: a client would take the rest for empty."""
    answer = venue.ask(f"{CANDLES}?{query}")
    assert (answer.status, list(answer.document)) == (400, ["message"])


@pytest.mark.parametrize("path", ["book", "candles", "trades"])
def test_nothing_is_known_of_a_product_that_is_not_listed(venue: Venue, path: str) -> None:
    """As Coinbase says it."""
    answer = venue.ask(f"/exchange/products/NO-USD/{path}")
    assert (answer.status, answer.document) == (404, {"message": "NotFound"})


@every_page
def test_429_says_when_to_come_back_and_ends_after_its_count(venue: Venue, page: str) -> None:
    """Without Retry-After the client's obedience would go untested."""
    venue.order(kind="429", count=2, retry_after_s=5)
    answers = [venue.ask(page) for _ in range(3)]
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


@every_page
def test_html_comes_with_status_200(venue: Venue, page: str) -> None:
    """A maintenance page in front of the API: only the body tells."""
    venue.order(kind="html")
    answer = venue.ask(page)
    assert answer.status == 200
    assert answer.body.startswith(b"<!DOCTYPE html>")


@every_page
def test_a_truncated_page_promises_more_than_it_sends(venue: Venue, page: str) -> None:
    """The client must notice by the length."""
    whole = venue.ask(page).body
    venue.order(kind="truncated")
    with pytest.raises(http.client.IncompleteRead) as cut:
        venue.ask(page)
    assert cut.value.partial == whole[: len(whole) // 2]


@every_page
def test_a_slow_page_comes_whole_after_its_delay(venue: Venue, page: str) -> None:
    """A delay that also loses the page would be another fault."""
    whole = venue.ask(page).document
    venue.order(kind="slow", delay_s=0.3)
    started = time.monotonic()
    assert venue.ask(page).document == whole
    assert time.monotonic() - started >= 0.3


def test_a_repeated_page_is_the_last_one_byte_for_byte(venue: Venue) -> None:
    """A stuck cache: the trades since then come later, and none twice."""
    page = venue.ask(PAGE).body
    venue.order(kind="repeated")
    venue.now_ms += 10_000
    assert venue.ask(PAGE).body == page
    assert list_ids(venue.ask(PAGE).document)[0] == 86_420


@pytest.mark.parametrize("page", PAGES[1:3], ids=["book", "candles"])
def test_a_repeated_book_or_candle_is_the_last_one_too(venue: Venue, page: str) -> None:
    """Its sequence does not rise; its newest minute stays half done."""
    given = venue.ask(page).body
    venue.order(kind="repeated")
    venue.now_ms += 10_000
    assert venue.ask(page).body == given
    assert venue.ask(page).body != given


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


def test_nan_spoils_one_figure_of_a_book_and_of_a_page_of_candles(venue: Venue) -> None:
    """The best bid; the newest candle's close. All else stays as it is."""
    book, rows = venue.ask(f"{BOOK}?level=2").document, venue.ask(CANDLES).document
    venue.order(kind="nan", currency_id="bitcoin", count=2)
    spoilt = venue.ask(f"{BOOK}?level=2").document
    assert spoilt["bids"][0] == ["NaN", *book["bids"][0][1:]]
    assert spoilt["bids"][1:] == book["bids"][1:]
    spoilt_rows = venue.ask(CANDLES).document
    assert spoilt_rows[0] == [*rows[0][:4], "NaN", rows[0][5]]
    assert spoilt_rows[1:] == rows[1:]


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
