"""Which stored record is a currency's price at a past time, and how few statements find it."""

from pathlib import Path

import pytest

from crypto_platform.domain.exchange_rates import OfficialRates
from crypto_platform.domain.valuation import Price
from crypto_platform.feeds import Record
from crypto_platform.feeds.candles import Candle, Interval, seal_candle
from crypto_platform.serving.prices import Moment, PriceBook, build_price_book, build_with_prices
from crypto_platform.serving.rates import NO_RATES, build_rates
from crypto_platform.settings import load_settings
from tests import report_fakes
from tests.report_fakes import DAY, FakeStore, as_store, build_quote, build_trade

NOON = 20_000 * DAY + DAY // 2
MINUTE = 60_000_000


@pytest.fixture
def book(tmp_path: Path) -> PriceBook:
    return build_price_book(load_settings(tmp_path, environment={}), preferred="EUR")


def find(book: PriceBook, *records: Record, at: int = NOON, currency: str = "BTC") -> Price | None:
    return book.read(as_store(FakeStore(records=records)), [Moment(currency, at)])[
        Moment(currency, at)
    ]


def candle(close: str, open_us: int, interval: Interval = Interval.MINUTE) -> Candle:
    return seal_candle(
        Candle(
            venue="coinbase",
            venue_symbol="BTC-USD",
            symbol="BTC/USD",
            interval=interval,
            ts_event=open_us,
            open="1",
            high="9",
            low="1",
            close=close,
            base_volume="1",
            ts_ingest=1,
        )
    )


def told(price: Price | None) -> tuple[str, str, int, str] | None:
    return None if price is None else (str(price[0]), *price[1:])


def test_a_quote_goes_before_a_trade_and_a_trade_before_a_candle(book: PriceBook) -> None:
    """As the portfolio of now is valued: today's history and it must not disagree."""
    quoted, traded = build_quote("bitcoin", "3", NOON - 3), build_trade("BTC/USD", "2", NOON - 2)
    closed = candle("1", NOON - MINUTE)
    assert told(find(book, closed, traded, quoted)) == ("3", "USD", NOON - 3, "coingecko")
    assert told(find(book, closed, traded)) == ("2", "USD", NOON - 2, "coinbase")
    assert told(find(book, closed)) == ("1", "USD", NOON, "coinbase")
    assert find(book) is None


def test_a_candle_counts_when_it_has_closed(book: PriceBook) -> None:
    """The close of a candle that was open then is a price of the future."""
    assert find(book, candle("1", NOON - MINUTE + 1)) is None
    hour = candle("2", NOON - 60 * MINUTE, Interval.HOUR)
    assert told(find(book, hour, candle("1", NOON - 2 * MINUTE)))[0] == "2"


def test_what_is_older_than_a_day_or_later_is_no_price(book: PriceBook) -> None:
    """A price of last month says nothing of today, and unknown is an answer."""
    assert told(find(book, build_quote("bitcoin", "3", NOON - DAY))) is not None
    assert find(book, build_quote("bitcoin", "3", NOON - DAY - 1)) is None
    assert find(book, build_quote("bitcoin", "3", NOON + 1)) is None
    assert find(book, build_quote("bitcoin", None, NOON)) is None


def test_a_simulated_price_is_marked_and_goes_behind_a_real_one(book: PriceBook) -> None:
    """However fresh it is: it is made up."""
    simulated = build_quote("bitcoin", "9", NOON, source="simulated")
    real = build_quote("bitcoin", "3", NOON - 9)
    assert told(find(book, simulated, real)) == ("3", "USD", NOON - 9, "coingecko")
    assert told(find(book, simulated)) == ("9", "USD", NOON, "simulated (simulated)")


def test_a_price_in_money_goes_before_one_in_a_coin(book: PriceBook) -> None:
    """USDT is not USD, and takes another price along; the report's own currency takes nothing."""
    in_tether = build_trade("BTC/USDT", "4", NOON)
    in_dollars = build_trade("BTC/USD", "3", NOON - 1)
    in_euros = build_trade("BTC/EUR", "2", NOON - 2)
    swap = build_trade("BTC/USDT:USDT", "8", NOON, venue="kraken")
    assert told(find(book, in_tether, in_dollars, in_euros))[:2] == ("2", "EUR")
    assert told(find(book, in_tether, in_dollars))[:2] == ("3", "USD")
    assert told(find(book, in_tether))[:2] == ("4", "USDT")
    assert find(book, swap) is None


def test_all_that_is_needed_is_read_at_once(book: PriceBook) -> None:
    """A probe an event would be a round trip an event: a year takes minutes instead of a second."""
    store = FakeStore(
        records=[
            build_trade("BTC/USDT", "4", NOON),
            *(build_quote("tether", "0.9", NOON + n) for n in range(100)),
            *(build_quote("ethereum", "2", NOON + n) for n in range(100)),
        ]
    )

    def build(find_price: object) -> list[Price | None]:
        assert callable(find_price)
        prices = [find_price("ETH", NOON + n) for n in range(100)]
        bitcoin = find_price("BTC", NOON)
        return [*prices, bitcoin, find_price(bitcoin.quote_currency, NOON) if bitcoin else None]

    built = build_with_prices(build, lambda moments: book.read(as_store(store), moments))
    assert [str(price.value) for price in built if price is not None] == ["2"] * 100 + ["4", "0.9"]
    assert len(store.asked) == 3  # quotes of all, the trade, the quote of what it is in


def test_rates_are_those_of_one_publisher_a_real_one_first() -> None:
    """Half of a year by a made-up bank would be a wrong year."""
    simulated = [report_fakes.build_rates(n, source="simulated_ecb", USD="9") for n in range(9)]
    real = [report_fakes.build_rates(3, USD="1.0842", JPY="171.9")]
    rates = build_rates([*simulated, *real], simulated={"simulated_ecb"})
    assert (rates.source, rates.base, len(rates.days)) == ("ecb", "EUR", 1)
    only = build_rates(simulated, simulated={"simulated_ecb"})
    assert (only.source, len(only.days)) == ("simulated_ecb (simulated)", 9)
    assert isinstance(only, OfficialRates)
    assert build_rates([], simulated=()) is NO_RATES
