"""Venues through ccxt, over a real socket: what they say arrives with every digit.

Poloniex as recorded in 2024 and 2025; Kraken and Bitvavo by hand-made answers in the shape of their
documentation, for what recordings do not hold: numbers of 20 digits and more, times finer than
microseconds, ids that are no numbers.
"""

import json
from collections.abc import Iterator

import pytest

from crypto_platform.errors import (
    ConfigurationError,
    SourceMalformedError,
    SourceRefusedError,
    SourceUnavailableError,
)
from crypto_platform.feeds.candles import Candle
from crypto_platform.feeds.instruments import Instrument
from crypto_platform.feeds.order_books import OrderBook, TimedBy
from crypto_platform.feeds.trades import Side, Trade
from crypto_platform.sources.base import Poll
from crypto_platform.sources.ccxt import Ccxt
from tests.recordings import read_market, read_market_answers
from tests.scripted_source import Reply, ScriptedSource, run_scripted_source

RECEIVED = 1_800_000_000_000_000
"""In 2027, after everything recorded."""

NO_SWAPS = b'{"code": 200, "data": [], "msg": "Success"}'
POLONIEX_MARKETS = b"""[
    {"symbol": "BTC_USDT", "baseCurrencyName": "BTC", "quoteCurrencyName": "USDT",
     "displayName": "BTC/USDT", "state": "NORMAL", "tradableStartTime": 1659018819512,
     "symbolTradeLimit": {"symbol": "BTC_USDT", "priceScale": 2, "quantityScale": 6,
      "amountScale": 2, "minQuantity": "0.000001", "minAmount": "1"}}]"""
KRAKEN_PAIRS = b"""{"error": [], "result": {"XXBTZUSD": {
    "altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD", "pair_decimals": 1,
    "lot_decimals": 8, "lot": "unit", "ordermin": "0.0001", "costmin": "0.5", "tick_size": "0.1",
    "status": "online", "leverage_buy": [], "leverage_sell": [], "fees": [[0, 0.26]],
    "fees_maker": [[0, 0.16]]}}}"""
BITVAVO_MARKETS = b"""[
    {"market": "BTC-EUR", "status": "trading", "base": "BTC", "quote": "EUR",
     "pricePrecision": 5, "tickSize": "0.01", "minOrderInBaseAsset": "0.0001",
     "minOrderInQuoteAsset": "5.00", "quantityDecimals": 8}]"""


@pytest.fixture
def venue() -> Iterator[ScriptedSource]:
    with run_scripted_source() as running:
        running.routes = {
            "/markets": Reply(body=POLONIEX_MARKETS),
            "/v3/market/allInstruments": Reply(body=NO_SWAPS),
            "/0/public/AssetPairs": Reply(body=KRAKEN_PAIRS),
            "/v2/markets": Reply(body=BITVAVO_MARKETS),
        }
        yield running


SYMBOLS = {"poloniex": "BTC_USDT", "kraken": "XXBTZUSD", "bitvavo": "BTC-EUR"}


def build(venue: ScriptedSource, ccxt_id: str = "poloniex", **changes: object) -> Ccxt:
    values = {
        "dialect": "ccxt",
        "ccxt_id": ccxt_id,
        "base_url": venue.url,
        "symbols": SYMBOLS.get(ccxt_id, "BTC-USD"),
    }
    return Ccxt(name="mine", settings=venue.build_settings(**(values | changes)))


def poll(source: Ccxt, feed: str, position: str | None = None, *, at_us: int = RECEIVED) -> Poll:
    [symbol] = source.symbols
    positions = {} if position is None else {symbol: position}
    return source.poll(feed, positions=positions, ts_ingest=at_us)


def list_trades(found: Poll) -> list[Trade]:
    return [record for record in found.records if isinstance(record, Trade)]


def test_every_recorded_page_of_trades_is_records_with_their_digits(venue: ScriptedSource) -> None:
    """Oldest first; the time is when it was made, not the `ts` of months later that ccxt takes."""
    pages = read_market_answers("poloniex", "/markets/BTC_USDT/trades")
    assert [len(json.loads(body)) for body in pages] == [500, 5, 5]
    for body in pages:
        venue.script(Reply(body=body))
        found = poll(build(venue), "trades")
        assert found.rejected == []
        told = sorted(json.loads(body), key=lambda trade: (trade["createTime"], int(trade["id"])))
        assert [
            (t.trade_id, t.price, t.quantity, t.ts_event, t.taker_side) for t in list_trades(found)
        ] == [
            (
                trade["id"],
                trade["price"],
                trade["quantity"],
                trade["createTime"] * 1000,
                Side(trade["takerSide"].lower()),
            )
            for trade in told
        ]
        assert {trade.symbol for trade in list_trades(found)} == {"BTC/USDT"}


def test_every_recorded_book_whose_lists_alternate_price_and_quantity_is_a_record(
    venue: ScriptedSource,
) -> None:
    """With its digits; one market's spread is threefold: no matter."""
    books = [told for told in read_market("poloniex") if told.path.endswith("/orderBook")]
    assert len(books) == 6
    for told in books:
        symbol = told.path.split("/")[2]
        venue.routes["/markets"] = Reply(
            body=POLONIEX_MARKETS.replace(b"BTC_USDT", symbol.encode())
        )
        venue.script(Reply(body=told.body))
        found = poll(build(venue, symbols=symbol), "order_books")
        [book] = found.records
        answer = json.loads(told.body)
        assert isinstance(book, OrderBook)
        assert list(book.bid_prices) == answer["bids"][:40:2]
        assert list(book.bid_quantities) == answer["bids"][1:40:2]
        assert list(book.ask_prices) == answer["asks"][:40:2]
        assert list(book.ask_quantities) == answer["asks"][1:40:2]
        assert (book.ts_event, book.timed_by) == (answer["time"] * 1000, TimedBy.VENUE)


def test_a_book_with_nobody_in_it_is_a_record(venue: ScriptedSource) -> None:
    """An empty market is a fact too."""
    venue.script(
        Reply(body=b'{"time": 1734350596658, "scale": "1", "asks": [], "bids": [], "ts": 1}')
    )
    [book] = poll(build(venue), "order_books").records
    assert isinstance(book, OrderBook)
    assert (book.bid_prices, book.ask_prices) == ((), ())


def test_recorded_candles_of_fourteen_fields_and_implausible_prices_are_records(
    venue: ScriptedSource,
) -> None:
    """Fourteen fields in Poloniex's own order, and prices that no BTC ever had: 5e-06."""
    pages = [told for told in read_market("poloniex") if told.path.endswith("/candles")]
    assert len(pages) == 8
    for told in pages:
        venue.script(Reply(body=told.body))
        candles = json.loads(told.body)
        interval = {"MINUTE_5": "5m", "HOUR_1": "1h"}[candles[0][11]]
        after_us = candles[-1][13] * 1000 + 6_000_000
        found = poll(build(venue, intervals=interval), "candles", at_us=after_us)
        records = [record for record in found.records if isinstance(record, Candle)]
        assert [(c.ts_event, c.low, c.high, c.open, c.close, c.base_volume) for c in records] == [
            (c[12] * 1000, *c[:4], c[5]) for c in candles
        ]
        assert found.rejected == []


def test_recorded_markets_are_instruments(venue: ScriptedSource) -> None:
    """Scales are steps."""
    [body] = read_market_answers("poloniex", "/markets")
    venue.routes["/markets"] = Reply(body=body)
    found = poll(build(venue), "instruments")
    listed = {each.native_id: each for each in found.records if isinstance(each, Instrument)}
    assert set(listed) == {market["symbol"] for market in json.loads(body)}
    bitcoin = listed["BTC_USDT"]
    assert (bitcoin.symbol, bitcoin.status) == ("BTC/USDT", "active")
    assert (bitcoin.price_step, bitcoin.quantity_step) == ("0.01", "0.000001")
    assert (bitcoin.quantity_min, bitcoin.notional_min) == ("0.000001", "1")


PRICE = "64000.1234567890123456789"
SMALL = "0.00000000000000000123"


def test_twenty_digits_from_poloniex_reach_the_record(venue: ScriptedSource) -> None:
    """Hand-made; as a float the price would end behind 64000.12345678901."""
    source = build(venue)
    venue.script(
        Reply(
            body=f"""[{{"id": "7", "price": "{PRICE}", "quantity": "{SMALL}", "amount": "1",
            "takerSide": "BUY", "ts": 1, "createTime": 1720071844418}}]""".encode()
        )
    )
    [trade] = list_trades(poll(source, "trades"))
    assert (trade.price, trade.quantity) == (PRICE, SMALL)
    venue.script(
        Reply(
            body=f"""{{"time": 1720071844418, "scale": "1", "ts": 1, "bids": ["9", "1", "{SMALL}",
            "2", "10.50", "{SMALL}"], "asks": ["100", "1", "{PRICE}", "2"]}}""".encode()
        )
    )
    [book] = poll(source, "order_books").records
    assert isinstance(book, OrderBook)
    # by value: as text 9 would be above 10.50
    assert book.bid_prices == ("10.50", "9", SMALL)
    assert book.bid_quantities == (SMALL, "1", "2")
    assert book.ask_prices == ("100", PRICE)


def test_twenty_digits_and_nanoseconds_from_kraken_reach_the_record(venue: ScriptedSource) -> None:
    """Hand-made; its times are JSON numbers, which ccxt cuts to milliseconds."""
    source = build(venue, "kraken")
    venue.script(
        Reply(
            body=f"""{{"error": [], "result": {{"XXBTZUSD": [
            ["{PRICE}", "0.34507674", 1688669597.827736912, "b", "m", "", 61044952],
            ["30243.3", "{SMALL}", 1688669597.8277369, "s", "l", "", 61044953]],
            "last": "1688669597827736912"}}}}""".encode()
        )
    )
    [newer, older] = sorted(list_trades(poll(source, "trades")), key=lambda t: t.trade_id)
    assert (newer.price, newer.taker_side, newer.trade_id) == (PRICE, Side.BUY, "61044952")
    assert (newer.ts_event, newer.ts_event_text) == (
        1_688_669_597_827_736,
        "1688669597.827736912",
    )
    # not `last`, which ccxt puts into the last trade: on the next page it is not the last
    assert (older.quantity, older.ts_event_text) == (SMALL, "1688669597.8277369")
    assert newer.symbol == "BTC/USD"
    venue.script(
        Reply(
            body=f"""{{"error": [], "result": {{"XXBTZUSD": {{
            "asks": [["100.0", "1", 1688671659], ["{PRICE}", "{SMALL}", 1688671659]],
            "bids": [["9.9", "2", 1688671624], ["10.10", "1", 1688671624]]}}}}}}""".encode()
        )
    )
    [book] = poll(source, "order_books").records
    assert isinstance(book, OrderBook)
    assert (book.ask_prices, book.ask_quantities) == (("100.0", PRICE), ("1", SMALL))
    assert book.bid_prices == ("10.10", "9.9")
    # its levels have times, the book has none
    assert (book.timed_by, book.ts_event) == (TimedBy.PLATFORM, RECEIVED)


def test_twenty_digits_as_json_numbers_from_bitvavo_reach_the_record(
    venue: ScriptedSource,
) -> None:
    """Hand-made; also ids that are no numbers, the book's sequence and its candles."""
    source = build(venue, "bitvavo")
    venue.script(
        Reply(
            body=f"""[{{"id": "94154c98-6e8b", "timestamp": 1590382761859, "amount": 1.054e-05,
            "price": {PRICE}, "side": "sell"}}]""".encode()
        )
    )
    [trade] = list_trades(poll(source, "trades"))
    assert (trade.trade_id, trade.price, trade.quantity) == ("94154c98-6e8b", PRICE, "0.00001054")
    venue.script(
        Reply(
            body=f"""{{"market": "BTC-EUR", "nonce": 35883831, "timestamp": 1590382761859123456,
            "bids": [["9", 1.10]], "asks": [[{PRICE}, {SMALL}]]}}""".encode()
        )
    )
    [book] = poll(source, "order_books").records
    assert isinstance(book, OrderBook)
    assert (book.sequence, book.bid_quantities) == ("35883831", ("1.10",))
    assert (book.ask_prices, book.ask_quantities) == ((PRICE,), (SMALL,))
    venue.script(Reply(body=f'[[1590382740000, {PRICE}, "2", "1", "1.50", {SMALL}]]'.encode()))
    [candle] = poll(source, "candles", at_us=1_590_382_806_000_000).records
    assert isinstance(candle, Candle)
    assert (candle.open, candle.close, candle.base_volume) == (PRICE, "1.50", SMALL)


def page_of(*trades: tuple[int, str]) -> Reply:
    """A page of Bitvavo's: milliseconds and id of each trade."""
    told = [
        {
            "id": trade_id,
            "timestamp": 1590382761000 + ms,
            "amount": "1",
            "price": "2",
            "side": "buy",
        }
        for ms, trade_id in trades
    ]
    return Reply(body=json.dumps(told).encode())


def test_polls_one_after_another_read_each_trade_once(venue: ScriptedSource) -> None:
    """Two trades of one millisecond, of which the first page had but one."""
    source = build(venue, "bitvavo")
    venue.script(
        page_of((7, "c"), (5, "b"), (5, "a")),
        page_of((7, "d"), (7, "c"), (5, "b")),
        page_of((9, "e"), (7, "d"), (7, "c")),
    )
    read, position = [], None
    for _ in range(3):
        found = poll(source, "trades", position)
        position = found.positions["BTC-EUR"]
        read += [trade.trade_id for trade in list_trades(found)]
        assert not found.gaps
    assert read == ["a", "b", "c", "d", "e"]


def test_a_page_that_does_not_reach_back_to_the_last_is_a_gap(venue: ScriptedSource) -> None:
    """Nobody can ask ccxt for what lies between; that it may be missing is said."""
    source = build(venue, "bitvavo")
    venue.script(page_of((7, "c")), page_of((99, "y"), (98, "x")))
    first = poll(source, "trades")
    found = poll(source, "trades", first.positions["BTC-EUR"])
    [gap] = found.gaps
    assert (gap.after_id, gap.before_id, gap.missing_records) == ("c", "x", None)
    assert [trade.trade_id for trade in list_trades(found)] == ["x", "y"]


def test_a_gap_inside_of_a_millisecond_is_told_once(venue: ScriptedSource) -> None:
    """More trades of one millisecond than a page: those between stand on neither."""
    source = build(venue, "bitvavo")
    cut = page_of((7, "z"), (7, "y"), (7, "x"))
    venue.script(page_of((7, "c"), (5, "b")), cut, cut, page_of((7, "z"), (7, "y"), (9, "zz")))
    gaps, position = [], None
    for _ in range(4):
        found = poll(source, "trades", position)
        position = found.positions["BTC-EUR"]
        gaps.append([(gap.after_id, gap.before_id) for gap in found.gaps])
    assert gaps == [[], [("c", "x")], [], []]


def test_one_bad_trade_costs_neither_the_page_nor_its_own_bytes(venue: ScriptedSource) -> None:
    """Left to itself, ccxt gives up the page."""
    body = b"""[{"id": "8", "price": "NaN", "quantity": "bad", "takerSide": "BUY",
        "createTime": 1720071844418, "ts": 1},
        {"id": "7", "price": "1.10", "quantity": "2", "takerSide": "SELL",
        "createTime": 1720071844418, "ts": 1}]"""
    venue.script(Reply(body=body))
    found = poll(build(venue), "trades")
    assert [trade.trade_id for trade in list_trades(found)] == ["7"]
    [piece] = found.rejected
    assert b'"bad"' in piece.raw
    assert piece.raw in body


def test_a_trade_without_an_id_is_rejected(venue: ScriptedSource) -> None:
    """It has no identity, so the same trade read again would be another."""
    venue.script(
        Reply(
            body=b"""[{"price": "1", "quantity": "2", "takerSide": "BUY",
                "createTime": 1720071844418, "ts": 1},
                {"id": "7", "price": "1", "quantity": "2", "takerSide": "BUY",
                "createTime": 1720071844418, "ts": 1}]"""
        )
    )
    found = poll(build(venue), "trades")
    assert (len(found.records), len(found.rejected)) == (1, 1)


def test_what_the_venue_lists_is_asked_for_once(venue: ScriptedSource) -> None:
    """By whichever feed is first; the instruments' own polls apart."""
    source = build(venue)
    venue.script(Reply(body=b'{"time": 1720071844418, "bids": [], "asks": []}'))
    for _ in range(3):
        poll(source, "order_books")
    paths = [asked.path for asked in venue.asked]
    assert paths.count("/markets") == 1
    assert paths.count("/markets/BTC_USDT/orderBook") == 3


def test_every_request_counts_in_our_budget(venue: ScriptedSource) -> None:
    """The limiter and the session of ccxt are not asked."""
    source = build(venue, feeds="trades", requests_per_minute_max=6)
    [body, *_] = read_market_answers("poloniex", "/markets/BTC_USDT/trades")
    venue.script(Reply(body=body))
    for _ in range(2):
        poll(source, "trades")
    with pytest.raises(SourceUnavailableError, match="budget of 4 requests"):
        poll(source, "trades")
    assert len(venue.asked) == 4


def test_a_venue_that_is_busy_is_asked_again_by_our_rules(venue: ScriptedSource) -> None:
    """503 is repeated, 429 with its time is obeyed."""
    source = build(venue)
    venue.script(Reply(status=503), Reply(body=b'{"time": 1720071844418, "bids": [], "asks": []}'))
    assert len(poll(source, "order_books").records) == 1
    asked = len(venue.asked)
    venue.script(Reply(status=429, headers={"Retry-After": "7"}))
    with pytest.raises(SourceUnavailableError) as refused:
        poll(source, "order_books")
    assert refused.value.retry_after_s == 7
    assert len(venue.asked) == asked + 1


def test_an_answer_that_never_ends_is_left_in_time(venue: ScriptedSource) -> None:
    """The time limit is that of every dialect."""
    source = build(venue, timeout_s=1.0)
    poll_body = b'{"time": 1720071844418, "bids": [], "asks": []}'
    venue.script(Reply(body=poll_body, drip_s=0.2))
    with pytest.raises(SourceUnavailableError, match="not done within"):
        poll(source, "order_books")


def test_an_error_with_a_status_of_200_is_ccxts_to_tell(venue: ScriptedSource) -> None:
    """Each venue says it in its own way."""
    venue.script(Reply(body=b'{"code": 500, "message": "Internal System Error"}'))
    with pytest.raises((SourceMalformedError, SourceUnavailableError), match="Internal System"):
        poll(build(venue), "trades")
    venue.script(Reply(body=b'{"error": ["EAPI:Rate limit exceeded"]}'))
    with pytest.raises(SourceUnavailableError, match="Rate limit"):
        poll(build(venue, "kraken"), "trades")


def test_a_symbol_that_the_venue_does_not_list_names_the_setting(venue: ScriptedSource) -> None:
    """A unified name where the venue's own is wanted, for example."""
    with pytest.raises(SourceRefusedError, match=r"sources\.mine\.symbols"):
        poll(build(venue, symbols="BTC/XYZ"), "trades")


@pytest.mark.parametrize("ccxt_id", ["", "nowhere", "../base", "base"])
def test_a_venue_that_ccxt_does_not_know_is_a_wrong_setting(
    venue: ScriptedSource, ccxt_id: str
) -> None:
    """Known before ccxt is imported, which takes seconds."""
    with pytest.raises(ConfigurationError, match=r"sources\.mine\.ccxt_id"):
        build(venue, ccxt_id)
