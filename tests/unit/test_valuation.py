"""What something was worth: official rates for money, prices for the rest, else unknown."""

from datetime import date, datetime
from decimal import Decimal
from importlib.resources import files
from zoneinfo import ZoneInfo

from crypto_platform.domain.currencies import TABLE_FILE
from crypto_platform.domain.exchange_rates import MONEY, OfficialRates, Rate
from crypto_platform.domain.hours import to_time_us
from crypto_platform.domain.valuation import Money, Price, PriceFunction, Valuer

WEDNESDAY, FRIDAY, SUNDAY = date(2026, 11, 25), date(2026, 11, 27), date(2026, 11, 29)
RATES = OfficialRates(
    base="EUR",
    source="ECB",
    days={
        WEDNESDAY: {"USD": Decimal("1.25"), "GBP": Decimal("0.8"), "RUB": Decimal(80)},
        FRIDAY: {"USD": Decimal("1.20"), "GBP": Decimal("0.8")},
    },
)
BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> int:
    return to_time_us(datetime.fromisoformat(text))


def no_price(currency: str, ts_event: int) -> Price | None:
    return None


def prices(**values: tuple[str, str]) -> PriceFunction:
    def find(currency: str, ts_event: int) -> Price | None:
        if currency not in values:
            return None
        value, quote = values[currency]
        return Price(Decimal(value), quote, ts_event, "coinbase")

    return find


def test_a_rate_of_a_weekend_is_the_last_before_it_and_says_so() -> None:
    """Nothing is published on Sundays; a reader has to see that it is Friday's."""
    assert RATES.find("USD", SUNDAY) == Rate(Decimal("1.20"), FRIDAY)
    found = RATES.convert(Decimal(12), currency="USD", into="EUR", day=SUNDAY)
    assert found is not None
    assert found.amount == 10
    assert found.how == "ECB: 1.20 USD for 1 EUR of 2026-11-27, the last before 2026-11-29"


def test_a_rate_is_never_one_of_a_later_day() -> None:
    """Tomorrow's rate was not known, and would make the value depend on when one asks."""
    assert RATES.find("USD", date(2026, 11, 26)) == Rate(Decimal("1.25"), WEDNESDAY)
    assert RATES.find("USD", date(2026, 11, 24)) is None


def test_a_rate_stands_in_for_a_week_not_for_ever() -> None:
    """A currency that is no longer quoted has no rate; its last one would be years old."""
    assert RATES.find("RUB", FRIDAY) == Rate(Decimal(80), WEDNESDAY)
    assert RATES.find("RUB", date(2026, 12, 2)) is not None
    assert RATES.find("RUB", date(2026, 12, 3)) is None
    assert RATES.find("XAU", FRIDAY) is None


def test_two_currencies_meet_over_the_base() -> None:
    """The ECB quotes nothing but euros: 12 USD are 10 EUR are 8 GBP."""
    found = RATES.convert(Decimal(12), currency="USD", into="GBP", day=FRIDAY)
    assert found is not None
    assert found.amount == 8
    assert "1.20 USD" in found.how
    assert "0.8 GBP" in found.how


def test_a_moment_has_the_rate_of_its_day_in_the_time_zone() -> None:
    """23:30Z on Thursday is Friday in Berlin, and Friday has another rate."""
    late_on_thursday = at("2026-11-26T23:30:00Z")
    in_berlin = Valuer(RATES, no_price, "EUR", BERLIN)
    in_utc = Valuer(RATES, no_price, "EUR", ZoneInfo("UTC"))
    assert in_berlin.value(Money("USD", Decimal(6)), late_on_thursday).value == 5
    assert in_utc.value(Money("USD", Decimal(5)), late_on_thursday).value == 4


def test_usdt_is_not_usd() -> None:
    """It has its own price; in May 2022 it was 0.95 dollars for a while."""
    noon = at("2026-11-27T12:00:00Z")
    valuer = Valuer(RATES, prices(USDT=("0.96", "USD")), "EUR", BERLIN)
    valued = valuer.value(Money("USDT", Decimal(100)), noon)
    assert valued.value == 80
    assert valued.how == (
        "coinbase: 0.96 USD for 1 USDT at 2026-11-27T12:00:00+00:00; "
        "ECB: 1.20 USD for 1 EUR of 2026-11-27"
    )
    assert (
        Valuer(RATES, no_price, "EUR", BERLIN).value(Money("USDT", Decimal(1)), noon).value is None
    )


def test_a_price_in_a_stablecoin_takes_the_stablecoins_price_along() -> None:
    """Most venues quote in USDT; treating it as dollars would be the same error again."""
    noon = at("2026-11-27T12:00:00Z")
    valuer = Valuer(RATES, prices(BTC=("100000", "USDT"), USDT=("0.96", "USD")), "EUR", BERLIN)
    assert valuer.value(Money("BTC", Decimal(1)), noon).value == 80_000


def test_prices_that_lead_in_a_circle_lead_nowhere() -> None:
    """Two sources that quote each other would be asked for ever."""
    valuer = Valuer(RATES, prices(A=("2", "B"), B=("0.5", "A")), "EUR", BERLIN)
    valued = valuer.value(Money("A", Decimal(1)), at("2026-11-27T12:00:00Z"))
    assert valued.value is None
    assert "no price of A that leads to money" in valued.how


def test_a_price_of_zero_is_a_value() -> None:
    """A worthless token is worth zero; a token of which nobody knows is worth something."""
    valuer = Valuer(RATES, prices(LUNA=("0", "USD")), "EUR", BERLIN)
    assert valuer.value(Money("LUNA", Decimal(5)), at("2026-11-27T12:00:00Z")).value == 0


def test_what_is_unknown_says_what_is_missing() -> None:
    """The reader has to know which price or rate to look for."""
    early, noon = at("2025-01-01T12:00:00Z"), at("2026-11-27T12:00:00Z")
    valuer = Valuer(RATES, no_price, "EUR", BERLIN)
    dollars = valuer.value(Money("USD", Decimal(1)), early)
    tokens = valuer.value(Money("PEPE", Decimal(1)), noon)
    assert (dollars.value, tokens.value) == (None, None)
    assert dollars.how == "no rate of USD in EUR of 2025-01-01 from ECB"
    assert tokens.how == "no price of PEPE at 2026-11-27T12:00:00+00:00"


def test_the_money_of_the_currency_table_is_money_here() -> None:
    """A state's currency that is taken for a coin would get lots, and gains that nobody taxes."""
    text = files("crypto_platform.domain").joinpath(TABLE_FILE).read_text("utf-8")
    listed = text.partition("# money of states")[2].partition("# cryptocurrencies")[0]
    codes = {line.partition(" ")[0] for line in listed.splitlines() if line}
    assert {"EUR", "USD"} < codes <= MONEY
    assert "USDT" not in MONEY
