"""Histories of one user in one currency, for tax lots to be tested with: seeded, or drawn."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

from crypto_platform.domain.exchange_rates import OfficialRates
from crypto_platform.domain.tax_events import Exchange, TaxEvent
from crypto_platform.domain.tax_lots import BookingMethod
from crypto_platform.domain.tax_report import TaxReport, build_tax_report
from crypto_platform.domain.valuation import Money, Price, PriceFunction

USER = "u000001"
FIRST_US = 1_735_689_600_000_000
"""2025-01-01, UTC."""
UTC_ZONE = ZoneInfo("UTC")
NO_RATES = OfficialRates(base="USD", source="nobody", days={})
CENT = Decimal("0.01")
SATOSHI = Decimal("0.00000001")


def no_prices(currency: str, ts_event: int) -> Price | None:
    return None


def price_of(value: str | Decimal, currency: str = "BTC") -> PriceFunction:
    """One price for ever, in USD."""
    return lambda asked, ts: Price(Decimal(value), "USD", ts, "test") if asked == currency else None


def report_of(
    events: Sequence[TaxEvent],
    method: BookingMethod = BookingMethod.FIFO,
    *,
    prices: PriceFunction = no_prices,
    year: int = 2025,
) -> TaxReport:
    """In US dollars and UTC, so that nothing but lots matters."""
    return build_tax_report(
        events,
        prices,
        NO_RATES,
        user=USER,
        year=year,
        time_zone=UTC_ZONE,
        booking_method=method,
        reporting_currency="USD",
    )


def buy(
    event_id: str,
    quantity: str | Decimal,
    paid: str | Decimal,
    *,
    at: int,
    fee: Money | None = None,
) -> Exchange:
    """BTC for US dollars, so many seconds after the first moment of 2025."""
    return Exchange(
        event_id=event_id,
        user=USER,
        sequence=at,
        ts_event=FIRST_US + at * 1_000_000,
        sold=Money("USD", Decimal(paid)),
        bought=Money("BTC", Decimal(quantity)),
        fee=fee,
    )


def sell(
    event_id: str,
    quantity: str | Decimal,
    received: str | Decimal,
    *,
    at: int,
    fee: Money | None = None,
) -> Exchange:
    """US dollars for BTC."""
    return Exchange(
        event_id=event_id,
        user=USER,
        sequence=at,
        ts_event=FIRST_US + at * 1_000_000,
        sold=Money("BTC", Decimal(quantity)),
        bought=Money("USD", Decimal(received)),
        fee=fee,
    )


@dataclass(frozen=True)
class Step:
    """An event of ours, and what it is for somebody else's books.

    Attributes:
        kind: buy, sell or fee (of something else, paid in BTC).
        quantity: Of BTC, without the fee.
        fee: Of BTC, on top.
        value: Paid or received in all, in US dollars.
    """

    event: TaxEvent
    kind: str
    quantity: Decimal
    fee: Decimal
    value: Decimal


def generate_history(seed: int) -> list[Step]:
    """3 to 60 events, a second to 60 days apart; amounts of 8 decimals, prices of 2."""
    rng = random.Random(seed)
    prices = [Decimal(rng.randrange(1_000, 10_000_000)) * CENT for _ in range(rng.randint(2, 12))]
    steps: list[Step] = []
    held, at = Decimal(0), 0
    for number in range(rng.randint(3, 60)):
        at += rng.choice((1, 60, 3_600, 86_400, rng.randrange(1, 60 * 86_400)))
        price = rng.choice(prices)
        dice = rng.random()
        if held < 10 * SATOSHI or dice < 0.45:
            step = _buy(rng, f"b{number}", price, at)
        elif dice < 0.9:
            step = _sell(rng, f"s{number}", price, at, held)
        else:
            step = _pay(rng, f"f{number}", price, at, held)
        steps.append(step)
        held += step.quantity if step.kind == "buy" else -step.quantity - step.fee
    return steps


def _quantity(rng: random.Random, most: Decimal) -> Decimal:
    return max(SATOSHI, (most * Decimal(rng.randrange(1, 10_000)) / 10_000).quantize(SATOSHI))


def _buy(rng: random.Random, event_id: str, price: Decimal, at: int) -> Step:
    quantity = _quantity(rng, Decimal(rng.choice((1, 100, 10_000))))
    paid = quantity * price
    if rng.random() < 0.2 and quantity > 1000 * SATOSHI:
        withheld = (quantity / 1000).quantize(SATOSHI)
        event = buy(event_id, quantity, paid, at=at, fee=Money("BTC", withheld))
        return Step(event, "buy", quantity - withheld, Decimal(0), paid)
    fee = Money("USD", paid * Decimal(rng.choice(("0", "0.001", "0.0025"))))
    event = buy(event_id, quantity, paid, at=at, fee=fee)
    return Step(event, "buy", quantity, Decimal(0), paid + fee.amount)


def _sell(rng: random.Random, event_id: str, price: Decimal, at: int, held: Decimal) -> Step:
    out = held if rng.random() < 0.1 else _quantity(rng, held)
    if rng.random() < 0.2 and out > 1000 * SATOSHI:
        on_top = (out / 1000).quantize(SATOSHI)
        received = (out - on_top) * price
        event = sell(event_id, out - on_top, received, at=at, fee=Money("BTC", on_top))
        return Step(event, "sell", out - on_top, on_top, received)
    received = out * price
    fee = Money("USD", received * Decimal(rng.choice(("0", "0.001", "0.0025"))))
    event = sell(event_id, out, received, at=at, fee=fee)
    return Step(event, "sell", out, Decimal(0), received - fee.amount)


def _pay(rng: random.Random, event_id: str, price: Decimal, at: int, held: Decimal) -> Step:
    amount = _quantity(rng, held / 100)
    event = Exchange(
        event_id=event_id,
        user=USER,
        sequence=at,
        ts_event=FIRST_US + at * 1_000_000,
        sold=Money("USD", Decimal(100)),
        bought=Money("ETH", Decimal(1)),
        fee=Money("BTC", amount),
    )
    return Step(event, "fee", Decimal(0), amount, amount * price)


def prices_of(steps: Sequence[Step]) -> PriceFunction:
    """BTC's price at each fee paid in it, in US dollars."""
    known = {step.event.ts_event: step.value / step.fee for step in steps if step.kind == "fee"}
    return lambda currency, ts: (
        Price(known[ts], "USD", ts, "test") if currency == "BTC" and ts in known else None
    )
