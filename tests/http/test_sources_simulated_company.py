"""The dialect against the simulated company itself: what is derived is the company's own truth."""

import random
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from crypto_platform.domain.exact import add
from crypto_platform.feeds.accounts import ORDERS, WALLETS, AccountEvent
from crypto_platform.feeds.codec import to_columns
from crypto_platform.feeds.projection import Named, Projection, fold
from crypto_platform.settings import SourceSettings
from crypto_platform.sources.company import Company
from tests.company_harness import KEYS, OPERATOR, Client, run_company

USERS = [f"u{number:06d}" for number in range(1, 6)]
RECEIVED = 4_000_000_000_000_000


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Client]:
    """Five users who have traded with each other for a while."""
    dice = random.Random(7)
    with run_company(tmp_path) as client:
        for user in USERS:
            client.deposit(user, "USD", "100000.00")
            client.deposit(user, "BTC", "2")
        for _ in range(150):
            client.now_us += 1_000
            client.order(
                dice.choice(USERS),
                side=dice.choice(["buy", "sell"]),
                type="limit",
                quantity=f"0.{dice.randrange(1, 200):03d}",
                price=f"{dice.randrange(49_900, 50_100)}",
            )
        for user in USERS:
            for order in client.ask(f"/v1/accounts/{user}").document["orders"][::2]:
                client.ask(f"/v1/orders/{order['order_id']}", method="DELETE", holder=user)
        yield client


def poll_all(client: Client) -> list[AccountEvent]:
    """All events as records; none may be refused."""
    settings = SourceSettings.model_validate(
        {
            "dialect": "company",
            "base_url": f"http://127.0.0.1:{client.port}",
            "key": KEYS.make_key(OPERATOR),
            "requests_per_minute_max": 6000,
        }
    )
    source = Company(name="company", settings=settings)
    events: list[AccountEvent] = []
    positions: Mapping[str, str] = {}
    while True:
        poll = source.poll("account_events", positions=positions, ts_ingest=RECEIVED)
        assert not poll.rejected
        if not poll.positions:
            return events
        events += [record for record in poll.records if isinstance(record, AccountEvent)]
        positions = poll.positions


def fold_all(projection: Projection, events: list[AccountEvent]) -> list[Any]:
    columns: Named = dict(zip(AccountEvent.__struct_fields__, to_columns(events), strict=True))
    names = [field.name for field in projection.fields]
    rows = zip(*projection.columns_of(fold(projection, columns)), strict=True)
    return [projection.state(**dict(zip(names, row, strict=True))) for row in rows]


def test_wallets_and_open_orders_are_the_companys_own(company: Client) -> None:
    """Parsed, checked and folded by us; kept by the company in a ledger of its own."""
    events = poll_all(company)
    wallets, orders = fold_all(WALLETS, events), fold_all(ORDERS, events)
    assert {order.order_status for order in orders} >= {"accepted", "filled", "cancelled"}
    for user in USERS:
        truth = company.ask(f"/v1/accounts/{user}").document
        own = {(w.currency, w.available, w.locked) for w in wallets if w.user_id == user}
        assert own == {(w["currency"], w["available"], w["locked"]) for w in truth["wallets"]}
        still = {(o.order_id, o.filled_quantity) for o in orders if o.user_id == user and o.is_open}
        assert still == {(o["order_id"], o["filled_quantity"]) for o in truth["orders"]}


def test_postings_add_up_to_the_companys_totals(company: Client) -> None:
    """By account and currency, exactly."""
    events = poll_all(company)
    sums: dict[tuple[str, str], Decimal] = {}
    for event in events:
        for account, currency, amount in zip(
            event.posting_accounts, event.posting_currencies, event.posting_amounts, strict=True
        ):
            key = account, currency
            sums[key] = add(sums.get(key, Decimal(0)), Decimal(amount))
    totals = company.ask(f"/v1/totals?at_sequence={len(events)}").document
    assert totals["events"] == len(events)
    assert {key: total for key, total in sums.items() if total} == {
        (each["account"], each["currency"]): Decimal(each["amount"])
        for each in totals["by_account"]
        if Decimal(each["amount"])
    }
