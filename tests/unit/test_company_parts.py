"""Smaller parts of the company: pace, keys, what is sent to it, its prices, its list."""

import json
from decimal import Decimal

import pytest

from crypto_platform.settings import CompanyProduct, CompanySettings
from crypto_platform.simulation.company.dice import Dice
from crypto_platform.simulation.company.events import OrderRequest
from crypto_platform.simulation.company.keys import KeyRing, parse_user_id, print_user_id
from crypto_platform.simulation.company.orders_in import (
    UnreadableError,
    parse_drive,
    parse_order,
    parse_transfer,
)
from crypto_platform.simulation.company.pace import Drive, Pace
from crypto_platform.simulation.company.products import PRODUCTS, QUOTE_DECIMALS
from crypto_platform.simulation.company.references import (
    STALE_S,
    FollowedPrices,
    NoQuotesError,
    OwnPrices,
)
from crypto_platform.simulation.company.render import parse_order_id, print_order_id
from crypto_platform.stack.company import make_operator_key
from tests.company_steps import NOON_US

SECRET = "a secret of a test"
LIMIT = {"product_id": "BTC-USD", "side": "buy", "type": "limit", "price": "1", "quantity": "2"}
MARKET = {"product_id": "BTC-USD", "side": "buy", "type": "market", "funds": "10"}


def test_the_pace_makes_as_many_steps_as_are_due() -> None:
    """Five a second, whenever it is looked at."""
    pace = Pace(rate=5, now_s=100)
    taken = [pace.take(now_s=100 + tenth / 10, steps_max=100) for tenth in range(11)]
    assert sum(taken) == 5
    assert max(taken) == 1
    assert pace.wait_s(now_s=101.05) == pytest.approx(0.15)


def test_steps_that_were_missed_for_long_are_left_out() -> None:
    """After a suspended hour nobody trades an hour's orders at once."""
    pace = Pace(rate=10, now_s=0)
    assert pace.take(now_s=3600, steps_max=100) == 100
    assert pace.take(now_s=3600, steps_max=100) <= 10


def test_a_drive_has_its_rate_and_its_end() -> None:
    """Afterwards the usual rate goes on, from then."""
    pace = Pace(rate=1, now_s=0)
    pace.begin(Drive(rate=100, seconds=2), now_s=10)
    steps = sum(pace.take(now_s=10 + tenth / 10, steps_max=1000) for tenth in range(40))
    assert steps == 200 + 1
    assert pace.drive is None
    assert pace.left_s(now_s=14) == 0


def test_a_slow_drive_is_over_in_time() -> None:
    """Its next step would come long after its end."""
    pace = Pace(rate=0, now_s=0)
    pace.begin(Drive(rate=0.01, seconds=5), now_s=10)
    assert pace.wait_s(now_s=12) == pytest.approx(3)
    assert pace.take(now_s=15, steps_max=10) == 0
    assert pace.drive is None


def test_nobody_trades_at_rate_0() -> None:
    """For tests that want to be alone."""
    pace = Pace(rate=0, now_s=0)
    assert (pace.take(now_s=100, steps_max=10), pace.wait_s(now_s=100)) == (0, None)


def test_a_key_is_its_holders_alone() -> None:
    """A user's key opens no other account, and no key is guessed from another."""
    keys = KeyRing(SECRET)
    key = keys.make_key("u000042")
    assert keys.find_holder(key) == "u000042"
    for wrong in ("", "u000042", key[:-1], key + "0", key.replace("42", "43"), "u000042.é", "x.y"):
        assert keys.find_holder(wrong) is None
    assert KeyRing(SECRET + "!").find_holder(key) is None
    with pytest.raises(ValueError, match="16 characters"):
        KeyRing("short")


def test_the_stack_makes_the_operators_key_as_the_company_does() -> None:
    """The two share no code; a key that does not fit would only be noticed by its refusal."""
    assert KeyRing(SECRET).make_key("operator") == make_operator_key(SECRET)


def test_user_ids_have_six_digits() -> None:
    """One user has one id."""
    assert print_user_id(42) == "u000042"
    assert parse_user_id("u000042") == 42
    for wrong in ("u42", "u0000042", "u000000", "000042", "u00004²", "u-00042"):
        assert parse_user_id(wrong) is None


def test_an_order_is_read_in_ticks_and_lots() -> None:
    """93,000.01 dollars are 9,300,001 ticks."""
    document = LIMIT | {"price": "93000.01", "quantity": "0.5", "client_order_id": "mine"}
    assert parse_order(document, PRODUCTS) == OrderRequest(
        product_id="BTC-USD",
        side="buy",
        type="limit",
        price=9_300_001,
        quantity=500_000,
        client_order_id="mine",
    )
    assert parse_order(MARKET, PRODUCTS).funds == 10 * 10**8
    assert parse_order(MARKET, PRODUCTS).time_in_force == "ioc"


@pytest.mark.parametrize(
    ("document", "word"),
    [
        ([], "JSON object"),
        (LIMIT | {"product_id": "BTC-EUR"}, "product_id"),
        (LIMIT | {"product_id": ["BTC-USD"]}, "product_id"),
        (LIMIT | {"side": "long"}, "side"),
        (LIMIT | {"type": "stop"}, "type"),
        (LIMIT | {"price": None}, "price"),
        (LIMIT | {"price": 93000.01}, "price"),
        (LIMIT | {"price": "0"}, "price"),
        (LIMIT | {"price": "-1"}, "price"),
        (LIMIT | {"price": "1.001"}, "price"),
        (LIMIT | {"price": "1e3"}, "price"),
        (LIMIT | {"price": "NaN"}, "price"),
        (LIMIT | {"price": "1_000"}, "price"),
        (LIMIT | {"price": "٣"}, "price"),
        (LIMIT | {"price": "1" * 30}, "price"),
        (LIMIT | {"price": "1." + "0" * 31 + "1"}, "price"),
        (LIMIT | {"price": "0" * 5_000 + "1"}, "price"),
        (LIMIT | {"price": "1.2.3"}, "price"),
        (LIMIT | {"price": "."}, "price"),
        (LIMIT | {"price": ""}, "price"),
        (LIMIT | {"quantity": None}, "quantity"),
        (LIMIT | {"quantity": "0.0000001"}, "quantity"),
        (LIMIT | {"funds": "1"}, "funds"),
        (LIMIT | {"post_only": "yes"}, "post_only"),
        (LIMIT | {"post_only": True, "time_in_force": "ioc"}, "post_only"),
        (LIMIT | {"time_in_force": "fok"}, "time_in_force"),
        (LIMIT | {"client_order_id": ""}, "client_order_id"),
        (LIMIT | {"client_order_id": "a b"}, "client_order_id"),
        (LIMIT | {"client_order_id": "a" * 65}, "client_order_id"),
        (LIMIT | {"prise": "1"}, "prise"),
        (MARKET | {"price": "1"}, "price"),
        (MARKET | {"side": "sell"}, "funds"),
        (MARKET | {"quantity": "1"}, "quantity"),
        (MARKET | {"time_in_force": "gtc"}, "ioc"),
    ],
)
def test_what_is_no_order_is_refused_by_the_name_of_its_field(document: object, word: str) -> None:
    """A guess at what somebody meant costs money."""
    with pytest.raises(UnreadableError, match=word):
        parse_order(document, PRODUCTS)


@pytest.mark.parametrize("text", ["1", "1.", "1.0", "01.00", "1.000000"])
def test_a_figure_may_have_zeros_that_say_nothing(text: str) -> None:
    """The bound is on what it comes to."""
    assert parse_order(LIMIT | {"price": text}, PRODUCTS).price == 100


@pytest.mark.parametrize("text", ["or-" + "1" * 5_000, "or-17", "or-" + "²" * 20, "17", ""])
def test_what_is_no_id_of_an_order_is_told_as_such(text: str) -> None:
    """However long it is."""
    assert parse_order_id(text) is None


def test_an_orders_id_is_its_number() -> None:
    """Written one way."""
    assert parse_order_id(print_order_id(17)) == 17


def test_transfers_and_drives_are_read_within_their_bounds() -> None:
    """Nobody drives a laptop with a million orders a second by a typing mistake."""
    assert parse_transfer({"currency": "BTC", "amount": "1.5"}) == ("BTC", 1_500_000)
    assert parse_drive({"rate": 100, "seconds": 2.5, "users": 7, "seed": 1}) == Drive(
        rate=100, seconds=2.5, users=7, seed=1
    )
    for wrong in ({"currency": "EUR", "amount": "1"}, {"currency": "USD"}):
        with pytest.raises(UnreadableError):
            parse_transfer(wrong)
    for wrong in (
        {"rate": 5001, "seconds": 1},
        {"rate": True, "seconds": 1},
        {"rate": float("nan"), "seconds": 1},
        {"seconds": 1},
        {"rate": 1, "seconds": 1, "users": 1},
        {"rate": 1, "seconds": 1, "seed": 1.5},
    ):
        with pytest.raises(UnreadableError):
            parse_drive(wrong)


def test_every_amount_of_a_product_is_a_whole_number_of_units() -> None:
    """Else a fill's price x quantity would have to be rounded, and value be lost."""
    for product in PRODUCTS.values():
        tick = Decimal(1).scaleb(-product.price_decimals)
        lot = Decimal(1).scaleb(-product.quantity_decimals)
        assert tick * lot == product.notional_unit * Decimal(1).scaleb(-QUOTE_DECIMALS)


def test_the_settings_list_what_the_company_can_trade() -> None:
    """The two share no code."""
    assert list(CompanyProduct.__args__) == list(PRODUCTS)
    assert set(CompanySettings().products) <= set(PRODUCTS)


def test_own_prices_are_those_around_which_the_simulated_market_trades() -> None:
    """Two venues of one simulation must not be far apart."""
    prices = OwnPrices(seed=7)
    for product in PRODUCTS.values():
        ticks = prices.read(product, NOON_US)
        usd = Decimal(ticks).scaleb(-product.price_decimals)
        assert abs(usd / product.currency.price_usd - 1) < Decimal("0.7")
        assert ticks == OwnPrices(seed=7).read(product, NOON_US)


def test_followed_prices_are_believed_while_they_are_young() -> None:
    """A feed that stopped must not fix prices for good."""
    bitcoin, now_s = PRODUCTS["BTC-USD"], [0.0]
    own = OwnPrices(seed=7)
    prices = FollowedPrices(own, clock_s=lambda: now_s[0])
    assert prices.read(bitcoin, NOON_US) == own.read(bitcoin, NOON_US)
    prices.take(json.dumps({"data": [{"id": "bitcoin", "priceUsd": "123.456789"}]}).encode())
    now_s[0] = STALE_S
    assert prices.read(bitcoin, NOON_US) == 12_345
    now_s[0] = STALE_S + 1
    assert prices.read(bitcoin, NOON_US) == own.read(bitcoin, NOON_US)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b'{"data": 1}',
        b'{"data": [{"id": "bitcoin"}]}',
        b'{"data": [{"id": "bitcoin", "priceUsd": "x"}]}',
    ],
)
def test_an_answer_without_quotes_is_not_believed(body: bytes) -> None:
    """A maintenance page is no price."""
    with pytest.raises(NoQuotesError):
        FollowedPrices(OwnPrices(seed=7)).take(body)


def test_a_quote_that_is_no_price_is_left_out() -> None:
    """The others of the page are good; one too large for an event would end the company."""
    bitcoin = PRODUCTS["BTC-USD"]
    own = OwnPrices(seed=7)
    for price in ("NaN", "0", "-1", "Infinity", "2e17", "1e999999"):
        prices = FollowedPrices(own, clock_s=lambda: 0.0)
        prices.take(json.dumps({"data": [{"id": "bitcoin", "priceUsd": price}]}).encode())
        assert prices.read(bitcoin, NOON_US) == own.read(bitcoin, NOON_US)


def test_dice_are_looked_up_and_even() -> None:
    """The same step gives the same numbers; each face comes about as often."""
    assert [Dice(7, 1).below(10**6) for _ in range(2)] == [Dice(7, 1).below(10**6)] * 2
    faces = [0] * 6
    for step in range(6000):
        faces[Dice(7, step).below(6)] += 1
    assert min(faces) > 900
