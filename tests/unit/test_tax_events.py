"""Account events as exchanges and transfers, by their postings."""

from decimal import Decimal

import msgspec
import pytest

from crypto_platform.domain.tax_events import Exchange, Origin, TransferIn, TransferOut
from crypto_platform.domain.valuation import Money
from crypto_platform.errors import AccountingError
from crypto_platform.feeds.accounts import AccountEvent, EventKind
from crypto_platform.serving.tax_events import build_tax_events, sum_moved
from tests.account_steps import SmallCompany


def usd(amount: str) -> Money:
    return Money("USD", Decimal(amount))


def btc(amount: str) -> Money:
    return Money("BTC", Decimal(amount))


def post(event: AccountEvent, *legs: tuple[str, str, str], **changes: object) -> AccountEvent:
    """The event with these postings instead."""
    accounts, currencies, amounts = zip(*legs, strict=True)
    return msgspec.structs.replace(
        event,
        posting_accounts=accounts,
        posting_currencies=currencies,
        posting_amounts=amounts,
        **changes,
    )


@pytest.fixture
def company() -> SmallCompany:
    """Ann buys 0.5 BTC at 100 of a house that deposited 10."""
    company = SmallCompany()
    company.deposit("house", "BTC", "10")
    company.deposit("ann", "USD", "1000.00")
    company.accept("ann", "o-1", price="100.0", quantity="2")
    company.take(company.fill("o-1", "0.5"), user="house")
    company.cancel("o-1")
    return company


def test_fills_are_exchanges_and_orders_alone_are_nothing(company: SmallCompany) -> None:
    """An order that waits moves nothing; its fill says what was given, whichever side it was."""
    deposit, ann, bought, sold = build_tax_events(company.events, {})
    assert isinstance(deposit, TransferIn)
    assert (deposit.user, deposit.received, deposit.origin) == ("house", btc("10"), None)
    assert isinstance(ann, TransferIn)
    assert ann.received == usd("1000.00")
    assert isinstance(bought, Exchange)
    assert (bought.sold, bought.bought, bought.fee) == (usd("50.00"), btc("0.5"), None)
    assert (bought.event_id, bought.sequence) == ("ev-00000000000000000004", 4)
    assert bought.ts_event == company.events[3].ts_event
    assert isinstance(sold, Exchange)
    assert (sold.user, sold.sold, sold.bought) == ("house", btc("0.5"), usd("50.00"))


@pytest.mark.parametrize("currency", ["USD", "BTC", "BNB"])
def test_the_fee_of_a_fill_is_what_went_to_the_companys_fees(
    company: SmallCompany, currency: str
) -> None:
    """Paid on top, withheld or in a third currency: what was exchanged stays what it was."""
    fill = post(
        company.events[3],
        ("locked", "USD", "-50"),
        ("clearing", "USD", "50"),
        ("available", "BTC", "0.5"),
        ("clearing", "BTC", "-0.5"),
        ("available", currency, "-0.02"),
        ("fees", currency, "0.02"),
    )
    [event] = build_tax_events([fill], {})
    assert isinstance(event, Exchange)
    assert (event.sold, event.bought) == (usd("50"), btc("0.5"))
    assert event.fee == Money(currency, Decimal("0.02"))


def test_a_withdrawal_is_what_left_and_its_fee_apart(company: SmallCompany) -> None:
    """The fee stays with the company: who counts it as sent would name too large a cost later."""
    event = post(
        company.events[0],
        ("available", "BTC", "-1.001"),
        ("outside", "BTC", "1"),
        ("fees", "BTC", "0.001"),
        kind=EventKind.WITHDRAWAL,
    )
    [sent] = build_tax_events([event], {})
    assert isinstance(sent, TransferOut)
    assert (sent.sent, sent.fee) == (btc("1"), btc("0.001"))
    assert sum_moved(event) == {"BTC": Decimal("-1.001")}


def test_a_deposit_whose_origin_is_known_has_it(company: SmallCompany) -> None:
    """By the event's own id, and no other deposit does."""
    origin = Origin(1, Money("EUR", Decimal(7)))
    first, second, *_ = build_tax_events(company.events, {"ev-00000000000000000001": origin})
    assert isinstance(first, TransferIn)
    assert first.origin == origin
    assert isinstance(second, TransferIn)
    assert second.origin is None


@pytest.mark.parametrize(
    "legs",
    [
        [("clearing", "USD", "50")],
        [("clearing", "USD", "50"), ("clearing", "BTC", "-1"), ("clearing", "ETH", "-1")],
        [("available", "USD", "50")],
        [
            *[("clearing", "USD", "50"), ("clearing", "BTC", "-1")],
            *[("fees", "BTC", "1"), ("fees", "USD", "1")],
        ],
    ],
)
def test_a_fill_that_exchanges_nothing_is_refused_with_its_postings(
    company: SmallCompany, legs: list[tuple[str, str, str]]
) -> None:
    """Guessed at, it would be a gain that nobody made."""
    with pytest.raises(AccountingError, match=r"ev-0+4 of user ann.* 50 USD") as refused:
        build_tax_events([post(company.events[3], *legs)], {})
    assert refused.value.kind == "impossible_event"
