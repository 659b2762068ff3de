"""What every dialect must do, whatever its API: a new one is tested before it has a test file.

A new dialect adds a sample for each of its feeds: an answer with good items and a bad one, and what
it must refuse.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import pytest

from crypto_platform.errors import (
    SourceMalformedError,
    SourceRefusedError,
    SourceUnavailableError,
)
from crypto_platform.feeds import FEED_BY_NAME, FEEDS
from crypto_platform.feeds.codec import decode, encode
from crypto_platform.feeds.feed import hash_facts
from crypto_platform.feeds.rejected import Rejected
from crypto_platform.settings import SourceSettings
from crypto_platform.sources import DIALECTS, Source
from crypto_platform.sources.base import Poll
from tests.scripted_source import Reply, ScriptedSource, run_scripted_source

RECEIVED = 4_000_000_000_000_000
"""In 2096, after all events here: one from the future would be refused."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Hand-made bodies in one API's shape, for one of its feeds.

    Attributes:
        body: Good items and, but for a book and a table of rates, which are whole or nothing, a bad
            one, with nulls, 30 digits and an exponent.
        figures: Some of its numbers, as a record prints them.
        empty: A well-formed answer that says nothing; None where that is an answer.
        error: A well-formed answer that is an error object.
        others: Path -> what else the dialect asks for.
        good, bad: How many of each a poll gives.
        id_prefix: What an id begins with: usually the source's name.
        same: What the same answer shares with itself read later: all of a record but the time, its
            content (a list: when we noticed is in the id), or nothing (a book without a time).
    """

    feed: str
    body: bytes
    figures: tuple[str, ...]
    empty: bytes | None
    error: bytes = b'{"message": "Internal server error"}'
    settings: dict[str, object] = field(default_factory=dict)
    others: dict[str, bytes] = field(default_factory=dict)
    good: int = 2
    bad: int = 1
    id_prefix: str = "mine:"
    same: Literal["record", "content", "nothing"] = "record"


COINBASE = {"symbols": "BTC-USD"}
KRAKEN = {"symbols": "XXBTZUSD"}
KRAKEN_PAIRS = {
    "/v3/AssetPairs": b"""{"error": [], "result": {
        "XXBTZUSD": {"wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD"}}}"""
}
BINANCE = {"symbols": "BTCUSDT"}
BINANCE_SYMBOLS = {
    "/v3/exchangeInfo": b"""{"symbols": [
        {"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT"}]}"""
}
BITSTAMP = {"symbols": "btcusd"}
BITSTAMP_PAIRS = {"/v3/trading-pairs-info/": b'[{"url_symbol": "btcusd", "name": "BTC/USD"}]'}
GEMINI = {"symbols": "btcusd"}
GEMINI_DETAILS = {"/v3/v1/symbols/details/btcusd": b'{"symbol": "BTCUSD"}'}
POLONIEX = {"ccxt_id": "poloniex", "symbols": "BTC_USDT"}
NO_SWAPS = b'{"code": 200, "data": []}'
POLONIEX_MARKETS = {
    "/v3/v3/market/allInstruments": NO_SWAPS,
    "/v3/markets": b"""[{"symbol": "BTC_USDT", "baseCurrencyName": "BTC",
        "quoteCurrencyName": "USDT", "state": "NORMAL", "symbolTradeLimit": {}}]""",
}
FIGURES = ("64000.1234567890123456789012345", "19970000.0", "0.00001054", "1.10")

VENUE_SAMPLES = (
    (
        "coinbase",
        Sample(
            feed="trades",
            body=b"""[
            {"trade_id": 9, "side": null, "size": "19970000.0", "price": "1.054e-05",
             "time": "2026-01-01T12:00:00.123456Z"},
            {"trade_id": 8, "side": "sell", "size": "bad", "price": "NaN",
             "time": "2026-01-01T12:00:00.123Z"},
            {"trade_id": 7, "side": "buy", "price": "64000.1234567890123456789012345",
             "size": 1.10, "time": "2026-01-01T12:00:00Z"}]""",
            figures=FIGURES,
            empty=None,
            settings=COINBASE,
        ),
    ),
    (
        "coinbase",
        Sample(
            feed="order_books",
            body=b"""{"bids": [["1.054e-05", "19970000.0", 3]],
             "asks": [["64000.1234567890123456789012345", 1.10, 1]],
             "sequence": 13051505638, "auction_mode": false, "auction": null,
             "time": "2026-01-01T12:00:00.123456Z"}""",
            figures=(*FIGURES, "13051505638"),
            empty=b"{}",
            settings=COINBASE,
            good=1,
            bad=0,
        ),
    ),
    (
        "coinbase",
        Sample(
            feed="candles",
            body=b"""[
            [3999999900, 1.054e-05, 64000.1234567890123456789012345, 1.10, 2, 19970000.0],
            [3999999840, "bad", 2, 1, 2, 3], [3999999780, 1, 2, 1, 2, 3]]""",
            figures=FIGURES,
            empty=None,
            settings=COINBASE,
        ),
    ),
    (
        "coinbase",
        Sample(
            feed="instruments",
            body=b"""[
            {"id": "BTC-USD", "base_currency": "BTC", "quote_currency": "USD", "status": null,
             "quote_increment": "1.054e-05", "base_increment": "19970000.0",
             "min_market_funds": "1.10"},
            {"id": "bad", "quote_increment": "NaN"}]""",
            figures=FIGURES[1:],
            empty=b"[]",
            settings=COINBASE,
            others={"/v3/currencies": b'[{"id": "BTC", "name": "Bitcoin", "max_precision": null}]'},
            same="content",
        ),
    ),
    (
        "kraken",
        Sample(
            feed="trades",
            body=b"""{"error": [], "result": {"XXBTZUSD": [
            ["64000.1234567890123456789012345", 1.10, 1688669597.827736912, "b", "m", "", 7],
            ["bad", "1", 1688669597.9, "s", "l", "", 8],
            ["1.054e-05", "19970000.0", 1688669598, "s", "l", "", 9]],
            "last": "1688669598000000000"}}""",
            figures=(*FIGURES, "1688669597.827736912"),
            empty=b'{"error": [], "result": {}}',
            settings=KRAKEN,
            others=KRAKEN_PAIRS,
        ),
    ),
    (
        "kraken",
        Sample(
            feed="order_books",
            body=b"""{"error": [], "result": {"XXBTZUSD": {
            "asks": [["64000.1234567890123456789012345", 1.10, 1688671659]],
            "bids": [["1.054e-05", "19970000.0", 1688671624]]}}}""",
            figures=FIGURES,
            empty=b'{"error": [], "result": {"XXBTZUSD": {}}}',
            settings=KRAKEN,
            others=KRAKEN_PAIRS,
            good=1,
            bad=0,
            same="nothing",
        ),
    ),
    (
        "kraken",
        Sample(
            feed="candles",
            body=b"""{"error": [], "result": {"XXBTZUSD": [
            [3999999780, "1", "2", "1", "2", "1.10", "3", 4],
            [3999999840, "bad", "2", "1", "2", "1.5", "3", 4],
            [3999999900, "2", "64000.1234567890123456789012345", "1.054e-05", "2", "0",
             "19970000.0", 5],
            [3999999960, "2", "2", "2", "2", "2", "1", 1]],
            "last": 3999999900}}""",
            figures=FIGURES,
            empty=b'{"error": [], "result": {}}',
            settings=KRAKEN,
            others=KRAKEN_PAIRS,
        ),
    ),
    (
        "kraken",
        Sample(
            feed="instruments",
            body=b"""{"error":[],"result":{
            "XXBTZUSD":{"wsname":"XBT/USD","tick_size":"1.054e-05","ordermin":"19970000.0"},
            "bad":{"tick_size":"NaN"},
            "XETHZUSD":{"wsname":"ETH/USD","status":null,"costmin":"1.10","lot_decimals":8}}}""",
            figures=(*FIGURES[1:], "0.00000001"),
            empty=b'{"error": [], "result": {}}',
            settings=KRAKEN,
            same="content",
        ),
    ),
    (
        "binance",
        Sample(
            feed="trades",
            body=b"""[
            {"id": 7, "price": "64000.1234567890123456789012345", "qty": 1.10, "quoteQty": "48.0",
             "time": 1499865549590, "isBuyerMaker": true, "isBestMatch": true},
            {"id": 8, "price": "bad", "qty": "1", "time": 1499865549590, "isBuyerMaker": true},
            {"id": 9, "price": "1.054e-05", "qty": "19970000.0", "time": 1499865549591,
             "isBuyerMaker": null}]""",
            figures=FIGURES,
            empty=None,
            error=b'{"code": -1121, "msg": "Invalid symbol."}',
            settings=BINANCE,
            others=BINANCE_SYMBOLS,
        ),
    ),
    (
        "binance",
        Sample(
            feed="order_books",
            body=b"""{"lastUpdateId": 1027024, "bids": [["1.054e-05", "19970000.0"]],
            "asks": [["64000.1234567890123456789012345", 1.10]]}""",
            figures=(*FIGURES, "1027024"),
            empty=b"{}",
            error=b'{"code": -1121, "msg": "Invalid symbol."}',
            settings=BINANCE,
            others=BINANCE_SYMBOLS,
            good=1,
            bad=0,
            same="nothing",
        ),
    ),
    (
        "binance",
        Sample(
            feed="candles",
            body=b"""[
            [3999999780000, "1", "2", "1", "2", "3", 3999999839999, "1.10", 4, "1", "1", "0"],
            [3999999840000, "bad", "2", "1", "2", "3", 3999999899999, "5", 4, "1", "1", "0"],
            [3999999900000, "2", "64000.1234567890123456789012345", "1.054e-05", "2",
             "19970000.0", 3999999959999, "5", 4, "1", "1", "0"]]""",
            figures=FIGURES,
            empty=None,
            error=b'{"code": -1121, "msg": "Invalid symbol."}',
            settings=BINANCE,
            others=BINANCE_SYMBOLS,
        ),
    ),
    (
        "binance",
        Sample(
            feed="instruments",
            body=b"""{"timezone": "UTC", "rateLimits": [], "symbols": [
            {"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
             "filters": [{"filterType": "PRICE_FILTER", "tickSize": "1.054e-05"},
              {"filterType": "LOT_SIZE", "stepSize": "19970000.0", "minQty": "1.10"}]},
            {"symbol": "ETHUSDT", "baseAsset": "ETH", "quoteAsset": "USDT"},
            {"symbol": "bad", "filters": [{"filterType": "LOT_SIZE", "stepSize": "x"}]}]}""",
            figures=FIGURES[1:],
            empty=b'{"symbols": []}',
            error=b'{"code": -1121, "msg": "Invalid symbol."}',
            settings=BINANCE,
            same="content",
        ),
    ),
    (
        "bitstamp",
        Sample(
            feed="trades",
            body=b"""[
            {"date": "1767268800", "tid": "9", "price": "1.054e-05", "amount": "19970000.0"},
            {"date": "1767268800", "tid": "8", "price": "NaN", "amount": "bad", "type": "0"},
            {"date": "1767268800", "tid": 7, "price": "64000.1234567890123456789012345",
             "amount": 1.10, "type": 1}]""",
            figures=FIGURES,
            empty=None,
            settings=BITSTAMP,
            others=BITSTAMP_PAIRS,
        ),
    ),
    (
        "bitstamp",
        Sample(
            feed="order_books",
            body=b"""{"timestamp": "1767268800", "microtimestamp": "1767268800123456",
            "bids": [["1.054e-05", "19970000.0"]],
            "asks": [["64000.1234567890123456789012345", 1.10]]}""",
            figures=FIGURES,
            empty=b"{}",
            settings=BITSTAMP,
            others=BITSTAMP_PAIRS,
            good=1,
            bad=0,
        ),
    ),
    (
        "bitstamp",
        Sample(
            feed="candles",
            body=b"""{"data": {"pair": "BTC/USD", "ohlc": [
            {"timestamp": "3999999900", "open": "1.10", "low": 1.054e-05, "close": "2",
             "high": "64000.1234567890123456789012345", "volume": "19970000.0"},
            {"timestamp": "3999999840", "open": "bad", "low": "1", "close": "1", "high": "2",
             "volume": "1"},
            {"timestamp": "3999999780", "open": "1", "low": "1", "close": "1", "high": "2",
             "volume": "0"}]}}""",
            figures=FIGURES,
            empty=None,
            settings=BITSTAMP,
            others=BITSTAMP_PAIRS,
        ),
    ),
    (
        "bitstamp",
        Sample(
            feed="instruments",
            body=b"""[
            {"url_symbol": "btcusd", "name": "BTC/USD", "minimum_order": "19970000.0 USD",
             "base_decimals": 8, "counter_decimals": 2, "trading": null},
            {"url_symbol": "ethusd", "name": "ETH/USD", "minimum_order": "1.054e-05 USD"},
            {"url_symbol": "bad", "name": "BAD/USD", "minimum_order": "NaN USD"}]""",
            figures=("19970000.0", "0.00001054", "0.01", "0.00000001"),
            empty=b"[]",
            settings=BITSTAMP,
            same="content",
        ),
    ),
    (
        "gemini",
        Sample(
            feed="trades",
            body=b"""[
            {"timestampms": 1767268800123, "tid": 9, "price": "1.054e-05", "amount": "19970000.0",
             "type": "auction"},
            {"timestampms": 1767268800123, "tid": 8, "price": "NaN", "amount": "bad"},
            {"timestampms": 1767268800122, "tid": 7, "price": "64000.1234567890123456789012345",
             "amount": 1.10, "type": "buy"}]""",
            figures=FIGURES,
            empty=None,
            settings=GEMINI,
            others=GEMINI_DETAILS,
        ),
    ),
    (
        "gemini",
        Sample(
            feed="order_books",
            body=b"""{"bids": [{"price": "1.054e-05", "amount": "19970000.0", "timestamp": "1"}],
            "asks": [{"price": "64000.1234567890123456789012345", "amount": 1.10}]}""",
            figures=FIGURES,
            empty=b"{}",
            settings=GEMINI,
            others=GEMINI_DETAILS,
            good=1,
            bad=0,
            same="nothing",
        ),
    ),
    (
        "gemini",
        Sample(
            feed="candles",
            body=b"""[
            [3999999900000, 1.10, 64000.1234567890123456789012345, 1.054e-05, 2, 19970000.0],
            [3999999840000, "bad", 2, 1, 2, 3], [3999999780000, 1, 2, 1, 2, 3]]""",
            figures=FIGURES,
            empty=None,
            settings=GEMINI,
            others=GEMINI_DETAILS,
        ),
    ),
    (
        "gemini",
        Sample(
            feed="instruments",
            body=b"""{"symbol": "BTCUSD", "base_currency": "BTC", "quote_currency": "USD",
            "tick_size": 1.054e-05, "quote_increment": 1.10, "min_order_size": "19970000.0",
            "status": null}""",
            figures=FIGURES[1:],
            empty=b"{}",
            settings=GEMINI,
            good=1,
            bad=0,
            same="content",
        ),
    ),
    (
        "ccxt",
        Sample(
            feed="trades",
            body=b"""[
            {"id": "9", "price": "1.054e-05", "quantity": "19970000.0", "takerSide": null,
             "createTime": 1767268800123, "ts": 1},
            {"id": "8", "price": "NaN", "quantity": "bad", "createTime": 1767268800123, "ts": 1},
            {"id": "7", "price": "64000.1234567890123456789012345", "quantity": 1.10,
             "takerSide": "BUY", "createTime": 1767268800123, "ts": 1}]""",
            figures=FIGURES,
            empty=None,
            settings=POLONIEX,
            others=POLONIEX_MARKETS,
        ),
    ),
    (
        "ccxt",
        Sample(
            feed="order_books",
            body=b"""{"time": 1767268800123, "scale": "0.01", "ts": 1,
            "bids": ["1.054e-05", "19970000.0"],
            "asks": ["64000.1234567890123456789012345", 1.10]}""",
            figures=FIGURES,
            empty=b"{}",
            settings=POLONIEX,
            others=POLONIEX_MARKETS,
            good=1,
            bad=0,
        ),
    ),
    (
        "ccxt",
        Sample(
            feed="candles",
            body=b"""[
            ["1.054e-05", "64000.1234567890123456789012345", 1.10, "2", "3", "19970000.0", "1",
             "1", 5, 0, "2", "MINUTE_1", 3999999900000, 3999999959999],
            ["bad", "2", "1", "2", "3", "4", "1", "1", 5, 0, "2", "MINUTE_1", 3999999840000,
             3999999899999],
            ["1", "2", "1", "2", "3", "4", "1", "1", 5, 0, "2", "MINUTE_1", 3999999780000,
             3999999839999]]""",
            figures=FIGURES,
            empty=None,
            settings=POLONIEX,
            others=POLONIEX_MARKETS,
        ),
    ),
    (
        "ccxt",
        Sample(
            feed="instruments",
            # ccxt prints them anew, so without blanks
            body=b'[{"symbol":"BTC_USDT","baseCurrencyName":"BTC","quoteCurrencyName":"USDT",'
            b'"state":"NORMAL","symbolTradeLimit":{"priceScale":2,"minQuantity":"19970000.0",'
            b'"minAmount":"1.054e-05"}},'
            b'{"symbol":"ETH_USDT","baseCurrencyName":"ETH","quoteCurrencyName":"USDT",'
            b'"state":null,"symbolTradeLimit":{"minQuantity":"1.10"}},'
            b'{"symbol":"XRP_USDT","baseCurrencyName":"XRP","quoteCurrencyName":"USDT",'
            b'"symbolTradeLimit":{"minQuantity":"bad"}}]',
            figures=FIGURES[1:],
            empty=b"[]",
            settings=POLONIEX,
            others={"/v3/v3/market/allInstruments": NO_SWAPS},
            same="content",
        ),
    ),
)

QUOTE_SAMPLES = (
    (
        "coincap",
        Sample(
            feed="quotes",
            body=b"""{"timestamp": 1767268800123, "data": [
            {"id": "bitcoin", "rank": "1", "symbol": "BTC", "name": "Bitcoin", "maxSupply": null,
             "priceUsd": "64000.1234567890123456789012345", "supply": "19970000.0"},
            {"id": "bad", "rank": 2, "priceUsd": "NaN"},
            {"id": "pepe", "rank": 3, "priceUsd": "1.054e-05", "changePercent24Hr": "-0.0"}]}""",
            figures=("64000.1234567890123456789012345", "19970000.0", "0.00001054", "0.0"),
            empty=b'{"timestamp": 1767268800123, "data": []}',
            error=b'{"error": "internal error", "timestamp": 1767268800123}',
        ),
    ),
    (
        "coingecko",
        Sample(
            feed="quotes",
            body=b"""[
            {"id": "bitcoin", "symbol": "btc", "name": "Bitcoin", "max_supply": null,
             "current_price": 64000.1234567890123456789012345, "circulating_supply": 19970000.0,
             "last_updated": "2026-01-01T12:00:00.123Z"},
            {"id": "bad", "current_price": NaN, "last_updated": "2026-01-01T12:00:00.123Z"},
            {"id": "pepe", "current_price": 1.054e-05, "market_cap_change_24h": -0.0,
             "last_updated": null}]""",
            figures=("64000.1234567890123456789012345", "19970000.0", "0.00001054", "0.0"),
            empty=b"[]",
            error=b'{"status": {"error_code": 429, "error_message": "too many"}}',
            settings={"quote_currency": "EUR"},
        ),
    ),
)

ORDER = (
    '{"order_id": "o-1", "client_order_id": null, "product_id": "BTC-USD", "side": "buy", '
    '"type": "limit", "time_in_force": "gtc", "post_only": true, '
    '"price": "64000.1234567890123456789012345", "quantity": "19970000.0", "funds": null, '
    '"filled_quantity": "0", "filled_notional": "0", "fees": "0", "fee_currency": "USD", '
    '"status": "accepted", "reason": null, "created": "2026-01-01T12:00:00Z"}'
)

ACCOUNT_SAMPLES = (
    (
        "company",
        Sample(
            feed="account_events",
            body=b"""{"last_sequence": 3, "events": [
            {"sequence": 1, "event_id": "ev-1", "user_id": "u1", "user_sequence": 1,
             "type": "order_accepted", "time": "2026-01-01T12:00:00.123456Z", "order": %b,
             "fill": null, "postings": [
              {"account": "available", "currency": "USD", "amount": "-1.10"},
              {"account": "locked", "currency": "USD", "amount": "1.10"}],
             "wallets": [{"currency": "USD", "available": "0", "locked": "1.10"}]},
            {"sequence": 2, "event_id": "ev-2", "user_id": "bad", "user_sequence": 1,
             "type": "deposit", "time": "2026-01-01T12:00:00Z", "order": null, "fill": null,
             "postings": [{"account": "available", "currency": "USD", "amount": "1.10"}],
             "wallets": [{"currency": "USD", "available": "1.10", "locked": "0"}]},
            {"sequence": 3, "event_id": "ev-3", "user_id": "u1", "user_sequence": 2,
             "type": "deposit", "time": "2026-01-01T12:00:01Z", "order": null, "fill": null,
             "postings": [{"account": "outside", "currency": "BTC", "amount": "-1.054e-05"},
              {"account": "available", "currency": "BTC", "amount": "0.00001054"}],
             "wallets": [{"currency": "BTC", "available": "1.054E-5", "locked": "-0.0"}]}]}"""
            % ORDER.encode(),
            figures=("64000.1234567890123456789012345", "19970000.0", "0.00001054", "0.0"),
            empty=None,
            id_prefix="ev-",
        ),
    ),
)

RATES = """<?xml version="1.0"?><e xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
    <Cube><Cube time="%s"><Cube currency="USD" rate="%s"/></Cube></Cube></e>"""

RATE_SAMPLES = (
    (
        "ecb",
        Sample(
            feed="exchange_rates",
            body=(RATES % ("2026-01-02", "64000.1234567890123456789012345")).encode(),
            figures=("64000.1234567890123456789012345", "1.10"),
            empty=(RATES.replace("<Cube><Cube time", "<No><No time") % ("", "")).encode(),
            others={"/v3/eurofxref-hist.xml": (RATES % ("2026-01-01", "1.10")).encode()},
            bad=0,
        ),
    ),
)

SAMPLES = {
    f"{dialect}-{each.feed}": (dialect, each)
    for dialect, each in (*VENUE_SAMPLES, *QUOTE_SAMPLES, *ACCOUNT_SAMPLES, *RATE_SAMPLES)
}

REFUSED_PAGES = {
    "empty": lambda sample: sample.empty,
    "error object": lambda sample: sample.error,
    "cut short": lambda sample: sample.body[:-20],
    "html": lambda _: b"<!DOCTYPE html><html><body>We'll be right back</body></html>",
    "nothing": lambda _: b"",
    "other json": lambda _: b'"hello"',
}


@pytest.fixture
def server() -> Iterator[ScriptedSource]:
    with run_scripted_source() as running:
        yield running


@pytest.fixture(params=sorted(SAMPLES))
def spoken(request: pytest.FixtureRequest) -> tuple[str, Sample]:
    return SAMPLES[request.param]


@pytest.fixture
def sample(spoken: tuple[str, Sample]) -> Sample:
    return spoken[1]


@pytest.fixture
def source(server: ScriptedSource, spoken: tuple[str, Sample]) -> Source:
    dialect, sample = spoken
    server.routes = {path: Reply(body=body) for path, body in sample.others.items()}
    settings = server.build_settings(dialect=dialect, **sample.settings)
    return DIALECTS[dialect](name="mine", settings=settings)


def settings_of(dialect: str) -> SourceSettings:
    """Such as its samples are read with."""
    values = next(each.settings for name, each in SAMPLES.values() if name == dialect)
    values = {"dialect": dialect, "base_url": "https://venue.example"} | values
    return SourceSettings.model_validate(values | {"requests_per_minute_max": 600})


def poll(
    source: Source, server: ScriptedSource, sample: Sample, *, ts_ingest: int = RECEIVED
) -> Poll:
    server.script(Reply(body=sample.body))
    return source.poll(sample.feed, positions={}, ts_ingest=ts_ingest)


def test_every_feed_of_every_dialect_has_a_sample() -> None:
    """One without would pass this suite by not taking part."""
    given = {
        f"{name}-{feed}"
        for name, dialect in DIALECTS.items()
        for feed in dialect(name="mine", settings=settings_of(name)).feeds
    }
    assert given <= set(SAMPLES)
    assert {name for name, _ in SAMPLES.values()} == set(DIALECTS)


def test_a_source_knows_its_name_and_gives_catalogued_feeds(source: Source) -> None:
    """A feed nobody catalogued has no topic."""
    assert source.name == "mine"
    assert source.feeds
    assert set(source.feeds) <= {feed.name for feed in FEEDS if not feed.owned_by_platform}


def test_good_items_become_records_and_the_bad_one_is_rejected_with_its_bytes(
    source: Source, server: ScriptedSource, sample: Sample
) -> None:
    """One broken coin must cost neither the others nor what it said."""
    found = poll(source, server, sample)
    assert (len(found.records), len(found.rejected)) == (sample.good, sample.bad)
    for piece in found.rejected:
        check_rejected(piece, sample)


def check_rejected(piece: Rejected, sample: Sample) -> None:
    assert b'"bad"' in piece.raw
    assert piece.raw in sample.body
    assert (piece.source, piece.feed, piece.ts_ingest) == ("mine", sample.feed, RECEIVED)


def test_records_are_sealed_and_pass_the_decoder_of_the_loads(
    source: Source, server: ScriptedSource, sample: Sample
) -> None:
    """What is published and then quarantined was never worth publishing."""
    for record in poll(source, server, sample).records:
        assert record.event_id.startswith(sample.id_prefix)
        assert record.content_hash == hash_facts(record)
        assert record.ts_ingest == RECEIVED
        feed = FEED_BY_NAME[sample.feed]
        assert decode(feed, encode(record), record_bytes_max=100_000) == record


def test_no_figure_passed_through_a_float(
    source: Source, server: ScriptedSource, sample: Sample
) -> None:
    """29 digits, an exponent, a zero that is signed or last: each is another as a float."""
    found = poll(source, server, sample)
    facts = [msgspec.structs.asdict(record) for record in found.records]
    assert not any(isinstance(value, float) for record in facts for value in record.values())
    printed = b"".join(map(encode, found.records))
    for figure in sample.figures:
        assert f'"{figure}"'.encode() in printed


def test_the_same_answer_read_later_is_the_same_facts(
    source: Source, server: ScriptedSource, sample: Sample
) -> None:
    """Ids that depend on when we asked would store each fact once a poll."""
    early = poll(source, server, sample, ts_ingest=RECEIVED)
    late = poll(source, server, sample, ts_ingest=RECEIVED + 6)
    if sample.same == "record":
        assert [record.event_id for record in early.records] == [r.event_id for r in late.records]
    if sample.same != "nothing":
        assert [record.content_hash for record in early.records] == [
            r.content_hash for r in late.records
        ]
    assert [piece.event_id for piece in early.rejected] == [p.event_id for p in late.rejected]
    assert {record.ts_ingest for record in late.records} == {RECEIVED + 6}


@pytest.mark.parametrize("page", sorted(REFUSED_PAGES))
def test_a_page_that_is_not_what_it_promises_is_refused_whole(
    source: Source, server: ScriptedSource, sample: Sample, page: str
) -> None:
    """Nothing of it may be published, and the next poll may well succeed."""
    body = REFUSED_PAGES[page](sample)
    if body is None:
        pytest.skip("nothing new is an answer of this feed")
    server.script(Reply(body=body))
    with pytest.raises(SourceMalformedError) as refused:
        source.poll(sample.feed, positions={}, ts_ingest=RECEIVED)
    assert refused.value.source == "mine"
    assert refused.value.url.startswith(server.url)
    assert refused.value.retryable


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=429, headers={"Retry-After": "3"}), SourceUnavailableError),
        (Reply(status=500), SourceUnavailableError),
        (Reply(status=403), SourceRefusedError),
        (Reply(status=404), SourceRefusedError),
        (Reply(body=b"[{}]", missing_bytes=5), SourceMalformedError),
    ],
    ids=["429", "500", "403", "404", "truncated"],
)
def test_an_answer_that_is_no_page_is_the_right_error(
    source: Source, server: ScriptedSource, sample: Sample, reply: Reply, kind: type[Exception]
) -> None:
    """Ingestion decides by the type alone: come again, change a setting, or wait."""
    server.script(reply)
    with pytest.raises(kind):
        source.poll(sample.feed, positions={}, ts_ingest=RECEIVED)
