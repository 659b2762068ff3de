"""`trades`, `book`, `candles`, `symbols` against real servers: either store answers the same."""

import json

import psycopg

from crypto_platform.feeds import FEED_BY_NAME, Record
from crypto_platform.feeds.instruments import Instrument, ListedKind, seal_instrument
from crypto_platform.migrations import migrate
from crypto_platform.settings import SETTINGS_FILE, load_settings
from tests.contract.test_market_reading import (
    BTC,
    NOON,
    book,
    candle,
    trade,
)
from tests.platform_harness import Platform
from tests.servers.test_cli_servers import REFUSED, quote, run

S = 1_000_000
ASKED = (
    ("trades", "coinbase", "BTC/USD", "--json"),
    ("trades", "coinbase", "BTC-USD", "--from", "2025-11-22T12:00:01", "--json"),
    ("candles", "coinbase", "BTC/USD", "--json"),
    ("book", "coinbase", "BTC/USD", "--as-of", "2025-11-22T12:00:05Z", "--json"),
    ("quotes", "--as-of", "2025-11-22T12:00:00.5", "--json"),
    ("symbols", "--json"),
    ("depth", "coinbase", "BTC/USD", "--size", "1", "--json"),
)


def publish(platform: Platform) -> None:
    """A little of each feed, into both stores."""
    listed = seal_instrument(
        Instrument(
            source="coinbase",
            kind=ListedKind.INSTRUMENT,
            native_id="ODD-USD",
            base_id="ODD",
            quote_id="USD",
            ts_ingest=NOON,
        )
    )
    records: dict[str, list[Record]] = {
        "trades": [trade(BTC, number, at=number * S, price="1.10") for number in range(3)],
        "candles": [candle(0, "1"), candle(1, "2.50")],
        "order_books": [book(at=0, bid="1.0"), book(at=10 * S, bid="2")],
        "instruments": [listed],
        "quotes": [quote(), quote(number=S)],
    }
    for name, each in records.items():
        platform.publish(FEED_BY_NAME[name], each)
    platform.load_both()


def test_either_store_gives_the_same_market(platform: Platform) -> None:
    """When PostgreSQL is down people go on with the same digits, and are told so."""
    publish(platform)
    first = [run(platform, *words) for words in ASKED]
    assert run(platform, "candles", "coinbase", "BTC/USD").stdout.endswith("\n▁█  2 closes\n")
    assert run(platform, "symbols", "--csv").stdout.splitlines()[1].split(",")[2] == "ODD-USD"
    platform.reload(CRYPTO_PLATFORM_POSTGRES__ANALYST_URL=REFUSED)
    second = [run(platform, *words) for words in ASKED]
    for words, one, other in zip(ASKED, first, second, strict=True):
        assert (one.returncode, other.returncode) == (0, 0), (words, one.stderr, other.stderr)
        documents = [json.loads(ended.stdout) for ended in (one, other)]
        assert [document.pop("store") for document in documents] == ["postgres", "mongo"]
        assert [document.pop("source")["is_home"] for document in documents] == [True, False]
        assert documents[0] == documents[1], words
        assert "read from mongo instead" in other.stderr
    trades, later, candles, books, quotes, symbols, depth = (
        json.loads(ended.stdout) for ended in first
    )
    assert [one["trade_id"] for one in trades["trades"]] == ["0", "1", "2"]
    assert [one["price"] for one in later["trades"]] == ["1.10", "1.10"]
    assert [one["close"] for one in candles["candles"]] == ["1", "2.50"]
    assert [one["bid_prices"] for one in books["books"]] == [["1.0"]]
    assert [one["best_bid"] for one in depth["metrics"]] == ["2"]
    assert [one["side"] for one in depth["orders"]] == ["buy", "sell"]
    assert [one["currency"] for one in quotes["quotes"]] == ["BTC"]
    assert [(one["native_id"], one["unmapped_ids"]) for one in symbols["symbols"]] == [
        ("ODD-USD", ["ODD"]),
        ("bitcoin", []),
    ]


def test_a_mapping_made_today_names_the_trades_of_yesterday(platform: Platform) -> None:
    """They are not published again, and nobody should have to know when it was made."""
    market = BTC._replace(venue_symbol="ODD-USD", symbol=None)
    publish(platform)
    platform.publish(FEED_BY_NAME["trades"], [trade(market, 1, at=0)])
    platform.load_both()
    assert run(platform, "trades", "coinbase", "ODD/USD").returncode == 1
    file = platform.data_dir / SETTINGS_FILE
    said = file.read_text("utf-8") if file.exists() else ""
    file.write_text(f'{said}\n[sources.coinbase.currencies]\n"ODD" = "ODD"\n', "utf-8")
    for _ in range(2):
        document = json.loads(run(platform, "trades", "coinbase", "ODD/USD", "--json").stdout)
        assert document["symbol"] == "ODD/USD"
        assert [one["symbol"] for one in document["trades"]] == ["ODD/USD"]
        platform.reload(CRYPTO_PLATFORM_POSTGRES__ANALYST_URL=REFUSED)


def test_an_unknown_market_names_what_is_near(platform: Platform) -> None:
    """From the store that answered, whichever it was."""
    publish(platform)
    ended = run(platform, "trades", "coinbase", "BTC/UDS")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "the nearest are BTC/USD" in ended.stderr


def test_quotes_of_two_sources_join_by_their_alias(platform: Platform) -> None:
    """In SQL too, and as the settings say at the last start."""
    publish(platform)
    file = platform.data_dir / SETTINGS_FILE
    said = file.read_text("utf-8") if file.exists() else ""
    file.write_text(f'{said}\n[sources.simulated.currencies]\n"bitcoin" = "XBT"\n', "utf-8")
    migrate(load_settings(platform.data_dir), progress=lambda _: None)
    url = platform.settings.postgres.analyst_url
    assert url is not None
    with psycopg.connect(url.get_secret_value()) as connection:
        rows = connection.execute(
            "SELECT a.currency, q.price FROM market.quote AS q "
            "JOIN market.currency_alias AS a USING (source, currency_id) "
            "WHERE q.ts_ingest = to_timestamp(%s)",
            [NOON // S],
        ).fetchall()
        aliases = connection.execute(
            "SELECT currency FROM market.currency_alias WHERE source = 'coingecko' "
            "AND currency_id = 'bitcoin'"
        ).fetchall()
    assert [currency for currency, _ in rows] == ["XBT"]
    assert aliases == [("BTC",)]
