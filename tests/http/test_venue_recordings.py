"""Every recorded REST answer of Coinbase, Kraken and Binance, over a real socket to records.

The recordings are of 2013 to 2021, so they say nothing of later changes. Lists of Kraken's and
Binance's symbols beside them are hand-made where no recording of the same day holds the symbol.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from crypto_platform.feeds.candles import Candle
from crypto_platform.feeds.instruments import Instrument, ListedKind, TradeNumbering
from crypto_platform.feeds.order_books import OrderBook, TimedBy
from crypto_platform.feeds.trades import Side, Trade
from crypto_platform.sources import DIALECTS
from crypto_platform.sources.base import Poll
from crypto_platform.sources.candle_pages import CandleCursor, encode_cursor
from crypto_platform.sources.venue import Venue
from tests.recordings import read_answers, read_coinbase_snapshots, read_recording
from tests.scripted_source import Reply, ScriptedSource, run_scripted_source

RECEIVED = 1_650_000_000_000_000
"""In 2022, after all that is recorded here."""
KRAKEN_PAIRS = "xchange/kraken_asset_pairs.json"


@pytest.fixture
def server() -> Iterator[ScriptedSource]:
    with run_scripted_source() as running:
        yield running


def build(server: ScriptedSource, dialect: str, *symbols: str, **changes: object) -> Venue:
    settings = server.build_settings(
        dialect=dialect, base_url=server.url, symbols=symbols, **changes
    )
    source = DIALECTS[dialect](name="mine", settings=settings)
    assert isinstance(source, Venue)
    return source


def answer(server: ScriptedSource, **bodies: bytes) -> None:
    """Answer each path, written with __ for its slashes, with a body."""
    paths = {"/" + path.replace("__", "/"): body for path, body in bodies.items()}
    server.routes = {path: Reply(body=body) for path, body in paths.items()}


def load_digits(body: bytes) -> Any:  # noqa: ANN401 whatever an answer is
    """JSON with each number as its text."""
    return json.loads(body, parse_float=str, parse_int=str)


def poll(source: Venue, feed: str, *, ts_ingest: int = RECEIVED, **positions: str) -> Poll:
    return source.poll(feed, positions=positions, ts_ingest=ts_ingest)


def list_candles(found: Poll) -> list[Candle]:
    return [record for record in found.records if isinstance(record, Candle)]


def list_instruments(found: Poll) -> list[Instrument]:
    return [record for record in found.records if isinstance(record, Instrument)]


def one_book(found: Poll) -> OrderBook:
    [book] = found.records
    assert isinstance(book, OrderBook)
    return book


def test_coinbase_candles_are_time_low_high_open_close_volume_newest_first(
    server: ScriptedSource,
) -> None:
    """Read in the order of other venues, a low would be an open, and every chart wrong."""
    body = read_recording("xchange/coinbase_candles.json")
    server.routes = {"/products/BTC-USD/candles": Reply(body=body)}
    found = poll(build(server, "coinbase", "BTC-USD"), "candles", ts_ingest=1_517_443_900_000_000)
    candles = list_candles(found)
    told = [
        [str(c.ts_event // 1_000_000), c.low, c.high, c.open, c.close, c.base_volume]
        for c in candles
    ]
    assert told == load_digits(body)[::-1]
    assert len(candles) == 10
    assert not found.rejected
    assert (candles[0].symbol, candles[0].interval) == ("BTC/USD", "1m")


def test_coinbase_volumes_with_odd_digits_are_kept_as_they_were_sent(
    server: ScriptedSource,
) -> None:
    """4.727521520000001 is what the venue said; rounding it would be our opinion."""
    body = read_recording("xchange/coinbase_candles.json")
    server.routes = {"/products/BTC-USD/candles": Reply(body=body)}
    found = poll(build(server, "coinbase", "BTC-USD"), "candles", ts_ingest=1_517_443_900_000_000)
    volumes = [candle.base_volume for candle in list_candles(found)]
    assert "4.727521520000001" in volumes
    assert "2.2357688599999963" in volumes


@pytest.mark.parametrize(
    ("recording", "count"), [("xchange/coinbase_products.json", 10), ("cryptofeed/COINBASE.0", 162)]
)
def test_coinbase_products_become_instruments(
    server: ScriptedSource, recording: str, count: int
) -> None:
    """Every product, with the venue's steps and least sizes."""
    if recording.startswith("cryptofeed"):
        body = read_answers("COINBASE.0")["https://api.pro.coinbase.com/products"]
    else:
        body = read_recording(recording)
    hand_made = b'[{"id": "BTC", "name": "Bitcoin", "max_precision": "0.00000001"}]'
    answer(server, products=body, currencies=hand_made)
    found = poll(build(server, "coinbase", "BTC-USD"), "instruments")
    listed = [
        instrument
        for instrument in list_instruments(found)
        if instrument.kind is ListedKind.INSTRUMENT
    ]
    told = {product["id"]: product for product in load_digits(body)}
    assert not found.rejected
    assert (len(listed), len(told)) == (count, count)
    for instrument in listed:
        product = told[instrument.native_id]
        unified = instrument.native_id.replace("-", "/").replace("CGLD", "CELO")
        # nobody has mapped Golem's token of before its exchange
        assert instrument.symbol == (None if "GNT" in unified else unified)
        assert instrument.price_step == product["quote_increment"]
        assert instrument.quantity_step == product.get("base_increment")
        assert instrument.quantity_min == product["base_min_size"]
        assert instrument.notional_min == product.get("min_market_funds")
        assert instrument.trade_numbering is TradeNumbering.GAPLESS


def test_coinbase_book_of_all_levels_is_cut_to_the_best(server: ScriptedSource) -> None:
    """Levels and order as its WebSocket sent them in 2021, the frame around them hand-made."""
    snapshots = read_coinbase_snapshots()
    assert len(snapshots) == 10
    for snapshot in snapshots:
        frame = {"sequence": 7, "time": "2021-04-17T16:43:37.140491Z"}
        for side in ("bids", "asks"):
            frame[side] = [[*level, 1] for level in snapshot[side]]
        product_id = snapshot["product_id"]
        server.routes = {f"/products/{product_id}/book": Reply(body=json.dumps(frame).encode())}
        book = one_book(poll(build(server, "coinbase", product_id, depth=5), "order_books"))
        levels = list(zip(book.bid_prices, book.bid_quantities, strict=True))
        highest = sorted(snapshot["bids"], key=lambda level: Decimal(level[0]), reverse=True)
        assert levels == [tuple(level) for level in highest[:5]]
        levels = list(zip(book.ask_prices, book.ask_quantities, strict=True))
        lowest = sorted(snapshot["asks"], key=lambda level: Decimal(level[0]))
        assert levels == [tuple(level) for level in lowest[:5]]
        assert (book.sequence, book.timed_by) == ("7", TimedBy.VENUE)
        assert book.ts_event == 1_618_677_817_140_491


def test_kraken_trades_of_the_older_shape_are_refused_with_their_bytes(
    server: ScriptedSource,
) -> None:
    """Without a trade_id two that look alike cannot be told apart: said openly, not guessed."""
    body = read_recording("xchange/kraken_trades.json")
    answer(server, AssetPairs=read_recording(KRAKEN_PAIRS), Trades=body)
    found = poll(build(server, "kraken", "XXBTZUSD"), "trades")
    assert list(found.records) == []
    assert len(found.rejected) == 14
    assert {piece.error for piece in found.rejected} == {
        "6 fields: the shape without a trade_id, which has no identity"
    }
    assert all(piece.raw in body for piece in found.rejected)
    assert found.positions == {"XXBTZUSD": "1385579841881785998:"}


def test_kraken_trade_times_go_from_text_to_integer(server: ScriptedSource) -> None:
    """Through a float 1385579841.7774 is a microsecond off. The recorded trades with a number."""
    recorded = load_digits(read_recording("xchange/kraken_trades.json"))
    trades = recorded["result"]["XXBTZUSD"]
    items = [
        f'["{price}", "{volume}", {time}, "{side}", "{kind}", "", {number}]'
        for number, (price, volume, time, side, kind, _) in enumerate(trades, start=1)
    ]
    body = f'{{"error": [], "result": {{"XXBTZUSD": [{",".join(items)}], "last": "1"}}}}'.encode()
    answer(server, AssetPairs=read_recording(KRAKEN_PAIRS), Trades=body)
    found = poll(build(server, "kraken", "XXBTZUSD"), "trades")
    told = [(t.price, t.quantity, t.ts_event, t.taker_side) for t in found.records]
    assert told[0] == ("1023.82219", "0.00435995", 1_385_579_841_777_400, Side.SELL)
    assert told[13] == ("999.56699", "0.02300000", 1_385_579_841_881_800, Side.SELL)
    assert [f"{t.price} {t.quantity}" for t in found.records] == [f"{t[0]} {t[1]}" for t in trades]


def test_kraken_sides_are_b_and_s_whatever_the_kind_of_order(server: ScriptedSource) -> None:
    """Beside it stands l or m, no side. All recorded trades sold, so some are turned round."""
    trades = load_digits(read_recording("xchange/kraken_trades.json"))["result"]["XXBTZUSD"]
    for trade, side, kind in zip(trades, "bsbs", "lmml", strict=False):
        trade[3:5] = [side, kind]
    items = [[*trade, number] for number, trade in enumerate(trades, start=1)]
    result = {"XXBTZUSD": items, "last": "1"}
    body = json.dumps({"error": [], "result": result}).encode()
    answer(server, AssetPairs=read_recording(KRAKEN_PAIRS), Trades=body)
    found = poll(build(server, "kraken", "XXBTZUSD"), "trades")
    sides = {"b": Side.BUY, "s": Side.SELL}
    read = [trade.taker_side for trade in found.records if isinstance(trade, Trade)]
    assert read == [sides[trade[3]] for trade in trades]
    assert set(read) == {Side.BUY, Side.SELL}


def test_kraken_depth_becomes_a_book_timed_by_our_poll(server: ScriptedSource) -> None:
    """Levels have times, the book has none: what the venue did not say is not said for it."""
    answer(
        server,
        AssetPairs=read_recording(KRAKEN_PAIRS),
        Depth=read_recording("xchange/kraken_depth.json"),
    )
    book = one_book(poll(build(server, "kraken", "XXBTZEUR"), "order_books"))
    assert book.bid_prices == ("526.26000", "526.25000", "526.10000")
    assert book.bid_quantities == ("0.500", "5.562", "0.200")
    assert book.ask_prices == ("530.75513", "530.76113", "530.78014")
    assert book.ask_quantities == ("0.248", "1.014", "1.003")
    assert (book.symbol, book.sequence, book.depth) == ("BTC/EUR", None, 20)
    assert (book.timed_by, book.ts_event) == (TimedBy.PLATFORM, RECEIVED)


def test_kraken_candle_behind_last_is_still_open_and_never_published(
    server: ScriptedSource,
) -> None:
    """The array's last candle changes until its minute is over; as closed it would be wrong."""
    body = read_recording("xchange/kraken_ohlc.json")
    answer(server, AssetPairs=read_recording(KRAKEN_PAIRS), OHLC=body)
    told = load_digits(body)["result"]["XXBTZUSD"]
    begin_us = int(told[0][0]) * 1_000_000
    position = encode_cursor(CandleCursor(read_us=begin_us + 300_000_000, hashes={}))
    # hours after the recording: our clock alone would take the open candle for closed
    found = poll(
        build(server, "kraken", "XXBTZUSD"),
        "candles",
        ts_ingest=1_502_450_000_000_000,
        **{"XXBTZUSD:1m": position},
    )
    candles = list_candles(found)
    assert len(told) == 720
    assert told[-1][0] == "1502445660"
    assert [
        [
            str(c.ts_event // 1_000_000),
            c.open,
            c.high,
            c.low,
            c.close,
            c.vwap,
            c.base_volume,
            str(c.trade_count),
        ]
        for c in candles
    ] == told[:-1]
    assert not found.rejected


def test_kraken_pairs_are_unified_by_the_ids_of_their_currencies(server: ScriptedSource) -> None:
    """XXBT is BTC, XXDG is DOGE; a dark pool without a wsname is no second BTC/EUR."""
    body = read_recording(KRAKEN_PAIRS)
    answer(server, AssetPairs=body)
    found = poll(build(server, "kraken", "XXBTZUSD"), "instruments")
    pairs = {instrument.native_id: instrument for instrument in list_instruments(found)}
    assert (len(pairs), len(found.rejected)) == (86, 0)
    assert sum(instrument.symbol is None for instrument in pairs.values()) == 11
    assert pairs["XXBTZEUR.d"].symbol is None
    assert pairs["XXDGXXBT"].symbol == "DOGE/BTC"
    bitcoin = pairs["XXBTZUSD"]
    assert (bitcoin.symbol, bitcoin.base_id, bitcoin.quote_id) == ("BTC/USD", "XXBT", "ZUSD")
    assert (bitcoin.name, bitcoin.price_step, bitcoin.quantity_step) == (
        "XBT/USD",
        "0.1",
        "0.00000001",
    )
    assert bitcoin.quantity_min == load_digits(body)["result"]["XXBTZUSD"]["ordermin"]


@pytest.mark.parametrize("symbol", ["NKNUSDT", "BLZETH", "LRCBTC", "RUNEEUR"])
def test_binance_books_are_cut_to_the_best_levels_and_numbered(
    server: ScriptedSource, symbol: str
) -> None:
    """`lastUpdateId` is what the changes of a stream are joined to."""
    address = f"https://api.binance.com/api/v3/depth?symbol={symbol}&limit=1000"
    body = read_answers("BINANCE.http.0.0")[address]
    hand_made = json.dumps(
        {"symbols": [{"symbol": symbol, "baseAsset": "BTC", "quoteAsset": "EUR"}]}
    )
    answer(server, exchangeInfo=hand_made.encode(), depth=body)
    book = one_book(poll(build(server, "binance", symbol), "order_books"))
    told = load_digits(body)
    assert book.sequence == told["lastUpdateId"]
    for side, prices, quantities in (
        ("bids", book.bid_prices, book.bid_quantities),
        ("asks", book.ask_prices, book.ask_quantities),
    ):
        assert len(prices) == 20
        assert [list(level) for level in zip(prices, quantities, strict=True)] == told[side][:20]
    assert book.symbol == "BTC/EUR"


def test_a_book_out_of_order_is_sorted_by_value_before_it_is_cut(server: ScriptedSource) -> None:
    """The recorded books turned round, and 9 is below 10 though not as text."""
    address = "https://api.binance.com/api/v3/depth?symbol=RUNEEUR&limit=1000"
    told = load_digits(read_answers("BINANCE.http.0.0")[address])
    body = {
        "lastUpdateId": 1,
        "bids": [["9.99", "1"], ["10.5", "2"], *told["bids"][::-1]],
        "asks": [["10.5", "2"], *told["asks"][::-1], ["9.99", "1"]],
    }
    listed = b'{"symbols": [{"symbol": "RUNEEUR", "baseAsset": "RUNE", "quoteAsset": "EUR"}]}'
    answer(server, exchangeInfo=listed, depth=json.dumps(body).encode())
    book = one_book(poll(build(server, "binance", "RUNEEUR", depth=3), "order_books"))
    assert book.bid_prices == ("10.5", "9.99", told["bids"][0][0])
    assert book.ask_prices == tuple(price for price, _ in told["asks"][:3])
