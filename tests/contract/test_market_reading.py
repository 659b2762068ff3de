"""What people read of the market: every store of STORES gives the same answer, and the right one.

The same records are committed to all stores in the same order. Not here: speed and plans
(benchmarks/market.py), commands (tests/servers/test_cli_market.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from crypto_platform.feeds import FEED_BY_NAME, Record
from crypto_platform.feeds.candles import Candle, Interval, seal_candle
from crypto_platform.feeds.exchange_rates import ExchangeRates, seal_exchange_rates
from crypto_platform.feeds.instruments import Instrument, ListedKind, seal_instrument
from crypto_platform.feeds.order_books import OrderBook, TimedBy, seal_order_book
from crypto_platform.feeds.quotes import Quote
from crypto_platform.feeds.trades import Trade, seal_trade
from crypto_platform.settings import load_settings
from crypto_platform.stores import STORES, open_store
from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.market import ALWAYS, AsOf, Market, Span
from tests.store_steps import NOON, TOPIC_ID, claim, piece, quote

TRADES, CANDLES = FEED_BY_NAME["trades"], FEED_BY_NAME["candles"]
ORDER_BOOKS = FEED_BY_NAME["order_books"]
S = 1_000_000
AGAIN = tuple(f"{number}{TOPIC_ID[1:]}" for number in (3, 2, 4))
"""Of a topic that was created again and again."""
MINUTE = 60 * S
DAY = 24 * 60 * MINUTE
BTC = Market("coinbase", "BTC-USD", "BTC/USD")
XBT = Market("kraken", "XXBTZUSD", "BTC/USD")
ODD = Market("kraken", "Ödd'%s\"", None)


def trade(market: Market, number: int, *, at: int, price: str = "1.10") -> Trade:
    """A trade so many microseconds after noon."""
    return seal_trade(
        Trade(
            venue=market.venue,
            venue_symbol=market.venue_symbol,
            symbol=market.symbol,
            trade_id=str(number),
            price=price,
            quantity="0.00000001",
            ts_event=NOON + at,
            ts_ingest=NOON,
        )
    )


def book(*, at: int, bid: str) -> OrderBook:
    """A book of one bid and no ask."""
    return seal_order_book(
        OrderBook(
            venue="coinbase",
            venue_symbol="BTC-USD",
            symbol="BTC/USD",
            depth=1,
            bid_prices=(bid,),
            bid_quantities=("2.50",),
            ask_prices=(),
            ask_quantities=(),
            ts_event=NOON + at,
            ts_ingest=NOON,
            timed_by=TimedBy.VENUE,
        )
    )


def candle(
    minute: int, close: str, *, ingested: int = 0, interval: Interval = Interval.MINUTE
) -> Candle:
    """A candle that opens so many minutes after noon."""
    return seal_candle(
        Candle(
            venue="coinbase",
            venue_symbol="BTC-USD",
            symbol="BTC/USD",
            interval=interval,
            ts_event=NOON + minute * MINUTE,
            open="1",
            high="9",
            low="1",
            close=close,
            base_volume="3.0",
            ts_ingest=NOON + ingested,
        )
    )


def listed(native_id: str, status: str, *, at: int, kind: ListedKind) -> Instrument:
    """A revision of something a venue lists."""
    return seal_instrument(
        Instrument(
            source="coinbase", kind=kind, native_id=native_id, status=status, ts_ingest=NOON + at
        )
    )


def rates(source: str, day: int, usd: str, *, ingested: int = 0) -> ExchangeRates:
    """What a bank says of a day so many days after the first."""
    return seal_exchange_rates(
        ExchangeRates(
            source=source,
            base_currency="EUR",
            ts_event=DAY * day,
            currencies=("JPY", "USD"),
            rates=("171.90", usd),
            ts_ingest=NOON + ingested,
        )
    )


# at 5 s there are three within a microsecond: 6, 4, 5 in the order of their arrival
COINBASE_TRADES = [
    trade(BTC, 1, at=1 * S),
    trade(BTC, 3, at=3 * S),
    trade(BTC, 2, at=2 * S),
    trade(BTC, 6, at=5 * S),
    trade(BTC, 4, at=5 * S),
    trade(BTC, 5, at=5 * S),
    trade(BTC, 7, at=7 * S, price="123456789012345678901234.0000000010"),
]
RECORDS: Mapping[str, Sequence[Record]] = {
    "trades": [*COINBASE_TRADES, trade(XBT, 1, at=9 * S), trade(ODD, 1, at=0)],
    "order_books": [book(at=0, bid="1.0"), book(at=20 * S, bid="2.0"), book(at=10 * S, bid="3.00")],
    "candles": [
        candle(0, "1", ingested=1),
        candle(1, "2.0", ingested=2),
        candle(0, "1.5", ingested=3),
        candle(0, "1.6", ingested=3),
        candle(2, "3", ingested=4),
        candle(0, "7", ingested=5, interval=Interval.HOUR),
    ],
    "instruments": [
        listed("b-usd", "online", at=0, kind=ListedKind.INSTRUMENT),
        listed("B-USD", "online", at=0, kind=ListedKind.INSTRUMENT),
        listed("b-usd", "delisted", at=1, kind=ListedKind.INSTRUMENT),
        listed("b-usd", "online", at=0, kind=ListedKind.CURRENCY),
    ],
    "quotes": [
        quote(0),
        quote(1),
        quote(0, currency_id="ether"),
        msgspec.structs.replace(quote(2), ts_ingest=NOON + 5 * S),
    ],
    "exchange_rates": [
        rates("b", 2, "1.2"),
        rates("B", 1, "1.10"),
        rates("b", 2, "1.21", ingested=1),
        rates("b", 1, "1.1"),
        rates("b", 3, "1.3"),
    ],
}


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store with RECORDS in it."""
    environment = request.getfixturevalue(f"{request.param}_environment")
    opened = open_store(request.param, load_settings(Path("/nonexistent"), environment=environment))
    for number, (name, records) in enumerate(RECORDS.items()):
        part = TopicPart(TOPIC_ID, number)
        [own] = claim(opened, part, feed=FEED_BY_NAME[name])
        opened.commit([piece(own, records)], run_id="run-a")
    yield opened
    opened.close()


def ids(records: Sequence[Record]) -> list[str]:
    """Numbers of trades, bids of books, closes of candles."""
    told: list[str] = []
    for record in records:
        if isinstance(record, Trade):
            told.append(record.trade_id)
        elif isinstance(record, OrderBook):
            told += record.bid_prices
        elif isinstance(record, Candle):
            told.append(record.close)
    return told


@pytest.mark.parametrize(
    ("span", "records_max", "expected"),
    [
        (Span(), 100, "7546321"),
        (Span(), 1, "7"),
        (Span(), 2, "75"),
        (Span(), 3, "754"),
        (Span(), 4, "7546"),
        (Span(NOON + 2 * S, NOON + 5 * S), 100, "32"),
        (Span(NOON + 2 * S, NOON + 5 * S + 1), 2, "54"),
        (Span(None, NOON + 2 * S), 100, "1"),
        (Span(NOON + 8 * S, None), 100, ""),
    ],
)
def test_trades_come_newest_first_and_equal_times_in_their_order(
    store: Store, span: Span, records_max: int, expected: str
) -> None:
    """The last price of a crowd within one microsecond is not any of them."""
    found = store.read_newest(TRADES, BTC, span, records_max=records_max)
    assert "".join(ids(found)) == expected


def test_trades_come_back_as_they_were_published(store: Store) -> None:
    """With every digit, and with what nobody knew still unknown."""
    assert store.read_newest(TRADES, BTC, records_max=1) == [COINBASE_TRADES[-1]]
    assert store.read_newest(TRADES, ODD, records_max=9) == [trade(ODD, 1, at=0)]


def test_what_is_one_of_a_few_comes_back_as_that(store: Store) -> None:
    """A text that only looks like an interval has no length."""
    [page] = store.read_market(CANDLES, BTC, interval=Interval.HOUR)
    [hourly] = [record for record in page if isinstance(record, Candle)]
    assert hourly.interval is Interval.HOUR
    [newest] = store.read_newest(ORDER_BOOKS, BTC, records_max=1)
    assert isinstance(newest, OrderBook)
    assert newest.timed_by is TimedBy.VENUE
    listed_first = store.read_instruments()[0]
    assert isinstance(listed_first, Instrument)
    assert listed_first.kind is ListedKind.CURRENCY
    assert listed_first.trade_numbering is None


def tell(pages: Iterator[Sequence[Record]]) -> list[str]:
    """What `read_market` gives, a text a page."""
    return ["".join(ids(page)) for page in pages]


@pytest.mark.parametrize(
    ("span", "newest", "pages"),
    [
        (Span(), None, ["12", "36", "45", "7"]),
        (Span(), 1, ["7"]),
        (Span(), 2, ["57"]),
        (Span(), 3, ["45", "7"]),
        (Span(), 4, ["64", "57"]),
        (Span(), 7, ["12", "36", "45", "7"]),
        (Span(), 99, ["12", "36", "45", "7"]),
        (Span(NOON + 2 * S, NOON + 5 * S), None, ["23"]),
        (Span(NOON + 2 * S, NOON + 5 * S + 1), 2, ["45"]),
        (Span(NOON + 8 * S, None), None, []),
    ],
)
def test_a_market_is_read_oldest_first_page_by_page(
    store: Store, span: Span, newest: int | None, pages: list[str]
) -> None:
    """A border between two pages may lie within a microsecond; a million trades fit no memory."""
    found = store.read_market(TRADES, BTC, span, newest=newest, page_records=2)
    assert tell(found) == pages


def test_a_border_between_pages_may_lie_within_one_offset(store: Store) -> None:
    """Where a topic was created again, two trades of a microsecond may have one offset."""
    topics = {topic_id: trade(XBT, int(topic_id[0]), at=10 * S) for topic_id in AGAIN}
    for topic_id, each in topics.items():
        [own] = claim(store, TopicPart(topic_id, 0), feed=TRADES)
        store.commit([piece(own, [each])], run_id="run-a")
    span = Span(NOON + 10 * S, None)
    assert tell(store.read_market(TRADES, XBT, span, page_records=1)) == ["2", "3", "4"]
    assert tell(store.read_market(TRADES, XBT, span, newest=2, page_records=1)) == ["3", "4"]
    assert ids(store.read_newest(TRADES, XBT, span, records_max=2)) == ["4", "3"]


def test_the_markets_of_a_feed_are_those_it_has_records_of(store: Store) -> None:
    """What is not there cannot be read, whatever a venue lists."""
    assert store.list_markets(TRADES) == [BTC, XBT, ODD]
    assert store.list_markets(CANDLES) == [BTC]
    assert store.list_markets(ORDER_BOOKS) == [BTC]


@pytest.mark.parametrize(
    ("as_of", "bids"), [(10 * S, ["3.00"]), (10 * S - 1, ["1.0"]), (60 * S, ["2.0"]), (-1, [])]
)
def test_the_book_as_of_a_time_is_the_one_that_stood_then(
    store: Store, as_of: int, bids: list[str]
) -> None:
    """One snapshot too late is a price that nobody could have had."""
    span = Span(None, NOON + as_of + 1)
    assert ids(store.read_newest(ORDER_BOOKS, BTC, span, records_max=1)) == bids


def test_a_candle_is_its_last_revision(store: Store) -> None:
    """The venue has corrected itself; of two corrections in one poll the later one counts."""

    def read(interval: Interval, span: Span = ALWAYS, newest: int | None = None) -> list[str]:
        pages = store.read_market(
            CANDLES, BTC, span, interval=interval, newest=newest, page_records=1
        )
        return tell(pages)

    assert read(Interval.MINUTE) == read(Interval.MINUTE, newest=3) == ["1.6", "2.0", "3"]
    assert read(Interval.MINUTE, newest=2) == ["2.0", "3"]
    assert read(Interval.HOUR) == ["7"]
    assert read(Interval.MINUTE, Span(NOON, NOON + MINUTE)) == ["1.6"]


def test_what_is_listed_is_its_last_revision_in_order(store: Store) -> None:
    """An id is the venue's own: b-usd and B-USD are two."""
    told = [
        (f"{record.kind}", record.native_id, record.status)
        for record in store.read_instruments()
        if isinstance(record, Instrument)
    ]
    assert told == [
        ("currency", "b-usd", "online"),
        ("instrument", "B-USD", "online"),
        ("instrument", "b-usd", "delisted"),
    ]


def test_what_one_source_lists_is_read_alone(store: Store) -> None:
    """A venue's trades need its own list only."""
    assert len(store.read_instruments("coinbase")) == 3
    assert store.read_instruments("kraken") == []


def test_quotes_as_of_a_time_are_those_received_by_then(store: Store) -> None:
    """What came later was not known then."""
    assert len(store.read_latest_quotes(as_of_us=NOON)) == 2
    assert store.read_latest_quotes(as_of_us=NOON - 1) == []
    [found] = store.read_latest_quotes(["ether"], as_of_us=NOON + 1)
    assert isinstance(found, Quote)
    assert found.currency_id == "ether"


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (ALWAYS, [("B", 1, "1.10"), ("b", 1, "1.1"), ("b", 2, "1.21"), ("b", 3, "1.3")]),
        (Span(DAY * 2, DAY * 3), [("b", 2, "1.21")]),
        (Span(DAY * 4, None), []),
    ],
)
def test_of_each_day_the_last_revision_of_its_rates_is_read(
    store: Store, span: Span, expected: list[tuple[str, int, str]]
) -> None:
    """A report valued by a rate that its bank took back is a wrong report."""
    found = store.read_exchange_rates(span)
    assert [(day.source, day.ts_event // DAY, day.rates[1]) for day in found] == expected


def test_the_last_record_of_many_is_found_at_once_each_as_of_its_time(store: Store) -> None:
    """Of one microsecond the last in Kafka; what is too old, too young or of another is none."""
    coinbase, odd = (("coinbase", "BTC-USD"), (ODD.venue, ODD.venue_symbol))
    wanted = [
        AsOf(coinbase, NOON, NOON + 5 * S),
        AsOf(coinbase, NOON, NOON + 5 * S - 1),
        AsOf(coinbase, NOON + 4 * S, NOON + 5 * S - 1),
        AsOf(coinbase, NOON + 7 * S, NOON + 7 * S),
        AsOf(coinbase, NOON, NOON + S - 1),
        AsOf(odd, 0, NOON + DAY),
        AsOf(("kraken", "BTC-USD"), 0, NOON + DAY),
        AsOf(coinbase, NOON, NOON + 5 * S),
    ]
    found = store.read_as_of(TRADES, wanted)
    told = [record.trade_id if isinstance(record, Trade) else None for record in found]
    assert told == ["5", "3", None, "7", None, "1", None, "5"]
    assert found[3] == COINBASE_TRADES[-1]
    assert store.read_as_of(TRADES, []) == []


def test_quotes_and_candles_are_found_as_of_a_time_by_their_own_names(store: Store) -> None:
    """Quotes by when they were received, candles by when they opened, the last revision."""
    bitcoin, ether = ("simulated", "bitcoin"), ("simulated", "ether")
    wanted = [AsOf(bitcoin, 0, NOON), AsOf(bitcoin, 0, NOON + DAY), AsOf(ether, 0, NOON + DAY)]
    found = store.read_as_of(FEED_BY_NAME["quotes"], wanted)
    first, _, ether_quote, last = RECORDS["quotes"]
    assert first.ts_ingest == NOON
    assert found == [RECORDS["quotes"][1], last, ether_quote]
    minute = ("coinbase", "BTC-USD", "1m")
    [candle_found] = store.read_as_of(CANDLES, [AsOf(minute, NOON, NOON + MINUTE - 1)])
    assert isinstance(candle_found, Candle)
    assert candle_found.close == "1.6"
