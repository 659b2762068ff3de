"""Every public recording, by the feed that its answers belong to, and how a source gets them.

Here: one `RecordedAnswer` for each REST answer of a feed, and for every other recording why it is
none. Not here: the recordings themselves (recordings.py), what becomes of them (the tests).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.recordings import (
    RECORDINGS,
    read_answers,
    read_cassette,
    read_market,
    read_recording,
)

STREAM = "messages of a WebSocket: not an answer to a question"
TICKERS = "tickers: no feed takes them"
PAST_QUOTES = "prices of the past, in steps of hours: no feed takes them"
OTHERS = "says nothing of a feed"

FILES_OF_NO_FEED = {
    "SOURCES.md": "says where the others are from",
    "coingecko_vcr/a_coins_tickers.yml": TICKERS,
    "coingecko_vcr/complete_data_for_an_exchange.yml": TICKERS,
    "coingecko_vcr/daily_historical_prices_for_one_coin.yml": PAST_QUOTES,
    "coingecko_vcr/global_crypto_data.yml": OTHERS,
    "coingecko_vcr/hourly_historical_prices_for_one_coin.yml": PAST_QUOTES,
    "coingecko_vcr/minutely_historical_prices_for_one_coin.yml": PAST_QUOTES,
    "coingecko_vcr/ohlc_data_for_one_coin_in_the_last_30_days_in_myr.yml": PAST_QUOTES,
    "coingecko_vcr/ohlc_data_for_one_coin_in_the_last_7_days.yml": PAST_QUOTES,
    "coingecko_vcr/the_list_of_categories_with_market_data.yml": OTHERS,
    "cryptofeed/BINANCE.ws.1.0": STREAM,
    "cryptofeed/BITHUMB.0": TICKERS,
    "cryptofeed/BITHUMB.ws.1.0": STREAM,
    "cryptofeed/BITSTAMP.ws.1.0": STREAM,
    "cryptofeed/COINBASE.ws.28.0": STREAM,
    "cryptofeed/GEMINI.ws.1.0": STREAM,
    "hftbacktest/spot_btcusdt_20240808.gz": STREAM,
    "xchange/coinbase_ticker.json": TICKERS,
    "xchange/kraken_stream_orderBookMessageSnapshot.json": STREAM,
    "xchange/kraken_stream_orderBookMessageUpdate00.json": STREAM,
    "xchange/kraken_stream_orderBookMessageUpdate01.json": STREAM,
    "xchange/kraken_stream_orderBookMessageUpdate02.json": STREAM,
    "xchange/kraken_stream_ticker.json": STREAM,
    "xchange/kraken_stream_trades.json": STREAM,
    "xchange/kraken_ticker.json": TICKERS,
}
PATHS_OF_NO_FEED = {
    "bitstamp/api/v2/ticker/btcusd/": TICKERS,
    "gemini/v1/auction/btcusd": OTHERS,
    "gemini/v1/auction/btcusd/history": OTHERS,
    "gemini/v1/pubticker/BTCUSD": TICKERS,
    "gemini/v1/pubticker/bla": "an error, shown by the dialect's own test",
    "gemini/v2/ticker/BTCUSD": TICKERS,
    "gemini/v2/ticker/bla": "an error, shown by the dialect's own test",
    "gemini/v1/symbols": "names alone: the dialect asks for each one's details",
    "poloniex/markets/BTC/collateralInfo": OTHERS,
    "poloniex/markets/BTCUSDT_PERP": "null: no such market",
    "poloniex/markets/BTC_USDT_PERP": "null: no such market",
    "poloniex/markets/ETH_USDTPERP": "null: no such market",
    "poloniex/markets/BTC_USDT/markPrice": TICKERS,
    "poloniex/markets/BTC_USDT/markPriceComponents": TICKERS,
    "poloniex/markets/BTC_USDT/price": TICKERS,
    "poloniex/markets/BTC_USDT/ticker24h": TICKERS,
    "poloniex/markets/ETHF_USDT/price": TICKERS,
    "poloniex/markets/borrowRatesInfo": OTHERS,
    "poloniex/markets/collateralInfo": OTHERS,
    "poloniex/markets/markPrice": TICKERS,
    "poloniex/markets/price": TICKERS,
    "poloniex/markets/ticker24h": TICKERS,
}
BATCH_SYMBOLS = 20
"""Of Gemini's symbols, of each of which an instance asks for the details."""


@dataclass(frozen=True, kw_only=True)
class RecordedAnswer:
    """One answer, and the settings of a source that asks for it.

    Attributes:
        name: Of the source instance; each has its own, so that no answer hides another.
        file: Below RECORDINGS.
        path: Where it is asked for.
        others: Path -> what else is asked for, hand-made; or more answers of the same kind.
        records: How many it holds, counted in the answer.
        rejected: How many of its items can only be rejected.
        settings: Beside dialect and feeds.
        base: Path below which the dialect asks.
        first_us: Open time of its first candle.
    """

    name: str
    file: str
    dialect: str
    feed: str
    path: str
    body: bytes
    records: int
    rejected: int = 0
    settings: Mapping[str, object] = field(default_factory=dict[str, object])
    others: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    base: str = ""
    first_us: int | None = None

    @property
    def bodies(self) -> dict[str, bytes]:
        """Everything that it is answered by path."""
        return {**self.others, self.path: self.body}


def list_recorded_answers() -> list[RecordedAnswer]:
    """All of them; none where the recordings are not here."""
    if not RECORDINGS.exists():
        return []
    return [
        *_list_coingecko(),
        *_list_coinbase(),
        *_list_kraken(),
        *_list_binance(),
        *_list_bitstamp(),
        *_list_gemini(),
        *_list_poloniex(),
    ]


def _list_coingecko() -> Iterator[RecordedAnswer]:
    for currency, name in (("USD", "for_a_coin"), ("ETH", "for_multiple_coins_in_eth")):
        file = f"market_data_{name}.yml"
        # those with another status are refusals: they lack the currency
        [page] = [
            exchange["response"]["body"]["string"].encode()
            for exchange in read_cassette(file)
            if exchange["response"]["status"]["code"] == 200
        ]
        yield RecordedAnswer(
            name=f"coingecko_{currency.lower()}",
            file=f"coingecko_vcr/{file}",
            dialect="coingecko",
            feed="quotes",
            path="/coins/markets",
            body=page,
            records=len(json.loads(page)),
            settings={
                "quote_currency": currency,
                "currency_ids": [coin["id"] for coin in json.loads(page)],
            },
        )


def _list_coinbase() -> Iterator[RecordedAnswer]:
    candles = read_recording("xchange/coinbase_candles.json")
    yield RecordedAnswer(
        name="coinbase_candles",
        file="xchange/coinbase_candles.json",
        dialect="coinbase",
        feed="candles",
        path="/products/BTC-USD/candles",
        body=candles,
        records=len(json.loads(candles)),
        settings={"symbols": ["BTC-USD"]},
        first_us=json.loads(candles)[-1][0] * 1_000_000,
    )
    [newer] = read_answers("COINBASE.0").values()
    lists = {
        "xchange/coinbase_products.json": read_recording("xchange/coinbase_products.json"),
        "cryptofeed/COINBASE.0": newer,
    }
    for number, (file, body) in enumerate(lists.items(), start=1):
        yield RecordedAnswer(
            name=f"coinbase_products_{number}",
            file=file,
            dialect="coinbase",
            feed="instruments",
            path="/products",
            body=body,
            # and one currency
            records=len(json.loads(body)) + 1,
            settings={"symbols": ["BTC-USD"]},
            others={"/currencies": b'[{"id": "BTC", "name": "Bitcoin"}]'},
        )


def _list_kraken() -> Iterator[RecordedAnswer]:
    pairs = read_recording("xchange/kraken_asset_pairs.json")
    candles = read_recording("xchange/kraken_ohlc.json")
    told = json.loads(candles)["result"]["XXBTZUSD"]
    trades = read_recording("xchange/kraken_trades.json")

    def build(
        file: str,
        feed: str,
        path: str,
        *,
        records: int,
        symbol: str = "XXBTZUSD",
        rejected: int = 0,
        first_us: int | None = None,
    ) -> RecordedAnswer:
        return RecordedAnswer(
            name=f"kraken_{feed}",
            file=f"xchange/{file}",
            dialect="kraken",
            feed=feed,
            path=path,
            body=read_recording(f"xchange/{file}"),
            settings={"symbols": [symbol]},
            others={"/AssetPairs": pairs},
            records=records,
            rejected=rejected,
            first_us=first_us,
        )

    # the last candle is still open
    yield build(
        "kraken_ohlc.json",
        "candles",
        "/OHLC",
        records=len(told) - 1,
        first_us=told[0][0] * 1_000_000,
    )
    yield build("kraken_depth.json", "order_books", "/Depth", symbol="XXBTZEUR", records=1)
    rejected = len(json.loads(trades)["result"]["XXBTZUSD"])
    yield build("kraken_trades.json", "trades", "/Trades", records=0, rejected=rejected)
    listed = len(json.loads(pairs)["result"])
    yield build("kraken_asset_pairs.json", "instruments", "/AssetPairs", records=listed)


def _list_binance() -> Iterator[RecordedAnswer]:
    for address, body in read_answers("BINANCE.http.0.0").items():
        symbol = address.partition("symbol=")[2].partition("&")[0]
        listed = {"symbol": symbol, "baseAsset": symbol[:3], "quoteAsset": symbol[3:]}
        yield RecordedAnswer(
            name=f"binance_book_{symbol.lower()}",
            file="cryptofeed/BINANCE.http.0.0",
            dialect="binance",
            feed="order_books",
            path="/depth",
            body=body,
            records=1,
            settings={"symbols": [symbol]},
            others={"/exchangeInfo": json.dumps({"symbols": [listed]}).encode()},
        )


def _list_bitstamp() -> Iterator[RecordedAnswer]:
    extract = "gocryptotrader/bitstamp_public_market.json"
    told = [(extract, answer.path, answer.body) for answer in read_market("bitstamp")]
    told += [
        ("cryptofeed/BITSTAMP.http.0.0", f"/api/v2/order_book/{address.rpartition('/')[2]}/", body)
        for address, body in read_answers("BITSTAMP.http.0.0").items()
    ]
    told += [
        ("cryptofeed/BITSTAMP.0", "/api/v2/trading-pairs-info/", body)
        for body in read_answers("BITSTAMP.0").values()
    ]
    for file, path in (
        ("xchange/bitstamp_full_depth.json", "/api/v2/order_book/btcusd/"),
        ("xchange/bitstamp_trades.json", "/api/v2/transactions/btcusd/"),
    ):
        told.append((file, path, read_recording(file)))
    kinds = {
        "ohlc": "candles",
        "order_book": "order_books",
        "transactions": "trades",
        "trading-pairs-info": "instruments",
    }
    for number, (file, path, body) in enumerate(told, start=1):
        if f"bitstamp{path}" in PATHS_OF_NO_FEED:
            continue
        kind, _, symbol = path.removeprefix("/api/v2/").rstrip("/").partition("/")
        feed, symbol = kinds[kind], symbol or "btcusd"
        pair = {"url_symbol": symbol, "name": f"{symbol[:-3]}/{symbol[-3:]}".upper()}
        answer = json.loads(body)
        items = answer["data"]["ohlc"] if feed == "candles" else answer
        first_s, step_s = 0, 60
        if feed == "candles":
            first_s = int(items[0]["timestamp"])
            step_s = int(items[1]["timestamp"]) - first_s
        yield RecordedAnswer(
            name=f"bitstamp_{feed}_{number}",
            file=file,
            dialect="bitstamp",
            feed=feed,
            path=path,
            body=body,
            records=1 if feed == "order_books" else len(items),
            settings={"symbols": [symbol], "intervals": ["1d" if step_s == 86_400 else "1m"]},
            others={"/api/v2/trading-pairs-info/": json.dumps([pair]).encode()},
            base="/api/v2",
            first_us=first_s * 1_000_000 or None,
        )


def _list_gemini() -> Iterator[RecordedAnswer]:
    details = b'{"symbol": "BTCUSD", "base_currency": "BTC", "quote_currency": "USD"}'
    for number, answer in enumerate(read_market("gemini"), start=1):
        if f"gemini{answer.path}" in PATHS_OF_NO_FEED:
            continue
        path = answer.path.lower()
        feed = {"trades": "trades", "book": "order_books"}[path.split("/")[2]]
        yield RecordedAnswer(
            name=f"gemini_{feed}_{number}",
            file="gocryptotrader/gemini_public_market.json",
            dialect="gemini",
            feed=feed,
            path=path,
            body=answer.body,
            records=1 if feed == "order_books" else len(json.loads(answer.body)),
            settings={"symbols": ["btcusd"]},
            others={"/v1/symbols/details/btcusd": details},
        )
    told = {
        address.removeprefix("https://api.gemini.com"): body
        for address, body in read_answers("GEMINI.0").items()
    }
    bodies = {path: body for path, body in told.items() if f"gemini{path}" not in PATHS_OF_NO_FEED}
    paths = list(bodies)
    for start in range(0, len(paths), BATCH_SYMBOLS):
        batch = paths[start : start + BATCH_SYMBOLS]
        yield RecordedAnswer(
            name=f"gemini_instruments_{start}",
            file="cryptofeed/GEMINI.0",
            dialect="gemini",
            feed="instruments",
            path=batch[0],
            body=bodies[batch[0]],
            records=len(batch),
            settings={"symbols": [path.rpartition("/")[2] for path in batch]},
            others={path: bodies[path] for path in batch},
        )


def _list_poloniex() -> Iterator[RecordedAnswer]:
    for number, answer in enumerate(read_market("poloniex"), start=1):
        if f"poloniex{answer.path}" in PATHS_OF_NO_FEED:
            continue
        _, _, symbol, kind = [*answer.path.split("/"), "", ""][:4]
        feed = {"trades": "trades", "orderBook": "order_books", "candles": "candles"}.get(
            kind, "instruments"
        )
        symbol = symbol or "BTC_USDT"
        base, _, quote = symbol.partition("_")
        market = {"symbol": symbol, "baseCurrencyName": base, "quoteCurrencyName": quote}
        market |= {"state": "NORMAL", "symbolTradeLimit": {}}
        items = json.loads(answer.body)
        is_candles = feed == "candles"
        is_hourly = is_candles and items[0][11] == "HOUR_1"
        yield RecordedAnswer(
            name=f"poloniex_{feed}_{number}",
            file="gocryptotrader/poloniex_public_market.json",
            dialect="ccxt",
            feed=feed,
            path="/markets" if feed == "instruments" else answer.path,
            body=answer.body,
            records=1 if feed == "order_books" else len(items),
            settings={
                "ccxt_id": "poloniex",
                "symbols": [symbol],
                "intervals": ["1h" if is_hourly else "5m"],
            },
            others={
                "/markets": json.dumps([market]).encode(),
                "/v3/market/allInstruments": b'{"code": 200, "data": [], "msg": "Success"}',
            },
            first_us=min(candle[12] for candle in items) * 1000 if is_candles else None,
        )
