"""The company's market feeds: Coinbase's words, and read by the dialect coinbase as it is."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from crypto_platform.feeds.candles import Candle
from crypto_platform.feeds.instruments import Instrument
from crypto_platform.feeds.order_books import OrderBook
from crypto_platform.feeds.trades import Trade
from crypto_platform.settings import DEFAULT_SOURCES, SourceSettings
from crypto_platform.sources.base import Poll
from crypto_platform.sources.coinbase import Coinbase
from tests.company_harness import Client, run_company
from tests.company_steps import NOON_US
from tests.waiting import eventually

ANN, BOB = "u000001", "u000002"
MINUTE_US = 60_000_000
TRADES = "/products/BTC-USD/trades"


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Client]:
    with run_company(tmp_path) as client:
        client.deposit(ANN, "USD", "1000000")
        client.deposit(BOB, "BTC", "20")
        yield client


def trade(company: Client, *, at_us: int, price: str, quantity: str = "0.1") -> None:
    """Bob waits, Ann takes."""
    company.now_us = at_us
    company.place(BOB, "sell", quantity, price)
    company.place(ANN, "buy", quantity, price)


def drive(company: Client, *, seed: int) -> None:
    """Users trade 300 orders at one moment of the company's clock."""
    body = {"rate": 3000, "seconds": 0.1, "seed": seed}
    assert company.ask("/v1/drive", method="POST", body=body).status == 200
    eventually(lambda: company.ask("/v1/drive").document["is_on"] is False, within_s=20)


def build(company: Client, **changes: object) -> Coinbase:
    values = dict(DEFAULT_SOURCES["company_exchange"]) | {
        "base_url": f"http://127.0.0.1:{company.port}",
        "enabled": True,
        "symbols": ("BTC-USD",),
    }
    return Coinbase(
        name="company_exchange", settings=SourceSettings.model_validate(values | changes)
    )


def poll(
    source: Coinbase, feed: str, company: Client, positions: Mapping[str, str] | None = None
) -> Poll:
    return source.poll(feed, positions=positions or {}, ts_ingest=company.now_us + 1000)


def test_trades_of_a_product_are_numbered_without_gaps_and_told_newest_first(
    company: Client,
) -> None:
    """The maker's side, all decimals, the edges as headers."""
    trade(company, at_us=NOON_US + 1, price="50000")
    trade(company, at_us=NOON_US + 2, price="50001", quantity="0.25")
    answer = company.ask(f"{TRADES}?limit=1")
    assert answer.document == [
        {
            "trade_id": 2,
            "side": "sell",
            "size": "0.250000",
            "price": "50001.00",
            "time": "2026-11-23T12:00:00.000002Z",
        }
    ]
    assert (answer.headers["cb-before"], answer.headers["cb-after"]) == ("2", "2")
    assert [each["trade_id"] for each in company.ask(f"{TRADES}?after=2").document] == [1]
    assert company.ask(f"{TRADES}?before=2").document == []


def test_the_book_is_what_waits(company: Client) -> None:
    """Levels with their number of orders; the sequence rises only where the book changes."""
    company.place(ANN, "buy", "0.1", "49999.99")
    company.place(ANN, "buy", "0.2", "49999.99")
    company.place(ANN, "buy", "1", "40000")
    company.place(BOB, "sell", "0.5", "50000")
    book = company.ask("/products/BTC-USD/book?level=2").document
    assert book["bids"] == [["49999.99", "0.300000", 2], ["40000.00", "1.000000", 1]]
    assert book["asks"] == [["50000.00", "0.500000", 1]]
    company.deposit(ANN, "USD", "1")
    same = company.ask("/products/BTC-USD/book?level=2").document
    assert same["sequence"] == book["sequence"]
    company.place(ANN, "buy", "0.1", "50000")
    changed = company.ask("/products/BTC-USD/book?level=1").document
    assert changed["asks"] == [["50000.00", "0.400000", 1]]
    assert changed["sequence"] > book["sequence"]


def test_candles_are_what_the_trades_of_their_time_say(company: Client) -> None:
    """Minutes, and longer ones made of them; a minute without a trade has none."""
    trade(company, at_us=NOON_US, price="50000")
    trade(company, at_us=NOON_US + 30_000_000, price="50010")
    trade(company, at_us=NOON_US + MINUTE_US - 1, price="49990")
    trade(company, at_us=NOON_US + 3 * MINUTE_US, price="50005", quantity="0.3")
    noon_s = NOON_US // 1_000_000
    assert company.ask("/products/BTC-USD/candles?granularity=60").document == [
        [noon_s + 180, 50005.0, 50005.0, 50005.0, 50005.0, 0.3],
        [noon_s, 49990.0, 50010.0, 50000.0, 49990.0, 0.3],
    ]
    assert company.ask("/products/BTC-USD/candles?granularity=300").document == [
        [noon_s, 49990.0, 50010.0, 50000.0, 50005.0, 0.6]
    ]
    query = f"granularity=60&start={noon_s + 60}&end={noon_s + 180}"
    found = company.ask(f"/products/BTC-USD/candles?{query}").document
    assert [row[0] for row in found] == [noon_s + 180]


def test_products_are_those_that_trade_and_errors_are_coinbases(company: Client) -> None:
    """Who reads the list must be able to ask for each."""
    products = company.ask("/products", holder=None).document
    ids = [product["id"] for product in products]
    assert ids == ["BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "DOGE-USD"]
    assert (products[0]["quote_increment"], products[0]["base_increment"]) == ("0.01", "0.000001")
    for path in ("/products/ADA-USD/trades", "/products/NO-USD/book", "/currencies/NO"):
        answer = company.ask(path)
        assert (answer.status, answer.document) == (404, {"message": "NotFound"})


def test_the_dialect_reads_every_trade_once_while_users_trade(company: Client) -> None:
    """Its polls over busy moments miss nothing and repeat nothing."""
    source = build(company)
    trade(company, at_us=NOON_US, price="93000")
    positions: Mapping[str, str] = {}
    ids: list[int] = []
    for seed in range(4):
        company.now_us += 1_000_000
        drive(company, seed=seed)
        found = poll(source, "trades", company, positions)
        assert found.rejected == []
        positions = found.positions
        ids += [int(each.trade_id) for each in found.records if isinstance(each, Trade)]
    newest = company.ask(f"{TRADES}?limit=1").document[0]["trade_id"]
    assert ids == list(range(1, newest + 1))
    assert newest > 20


def test_the_dialect_reads_books_candles_and_instruments(company: Client) -> None:
    """All four feeds, every figure with its digits."""
    source = build(company)
    trade(company, at_us=NOON_US, price="50000")
    company.place(ANN, "buy", "0.1", "49999.99")
    company.place(BOB, "sell", "0.1", "50000.01")
    company.now_us += 2 * MINUTE_US
    [book] = poll(source, "order_books", company).records
    assert isinstance(book, OrderBook)
    assert (book.bid_prices, book.ask_prices) == (("49999.99",), ("50000.01",))
    [candle] = poll(source, "candles", company).records
    assert isinstance(candle, Candle)
    assert (candle.ts_event, Decimal(candle.base_volume or "")) == (NOON_US, Decimal("0.1"))
    listed = poll(source, "instruments", company).records
    steps = {each.native_id: each.price_step for each in listed if isinstance(each, Instrument)}
    assert steps["BTC-USD"] == "0.01"


def test_no_trade_is_told_before_the_answers_own_clock(company: Client) -> None:
    """A clock that fell back must not tell of the future; nothing is lost by it."""
    trade(company, at_us=NOON_US + MINUTE_US, price="50000")
    company.now_us = NOON_US
    assert company.ask(TRADES).document == []
    trade(company, at_us=NOON_US, price="50001")
    company.now_us = NOON_US + MINUTE_US
    times = [each["time"] for each in company.ask(TRADES).document]
    assert times == ["2026-11-23T12:01:00.000000Z"] * 2


def test_faults_spoil_market_feeds_too(company: Client) -> None:
    """A repeated page of trades is the page of then."""
    trade(company, at_us=NOON_US, price="50000")
    page = company.ask(TRADES).body
    trade(company, at_us=NOON_US + 5000, price="50000")
    company.fault(kind="repeated", path="/products")
    assert company.ask(TRADES).body == page
    assert len(company.ask(TRADES).document) == 2
    company.fault(kind="503", path="/products")
    assert company.ask(TRADES).status == 503
    assert company.ask(TRADES).status == 200
