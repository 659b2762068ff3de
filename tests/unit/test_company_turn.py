"""One turn of the company: commands that came together are one write, and answered after it."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from crypto_platform.simulation.company.company import Company, UnwrittenError
from crypto_platform.simulation.company.engine import RefusedError
from crypto_platform.simulation.company.events import Order, OrderRequest, Trade
from crypto_platform.simulation.company.journal import Journal
from crypto_platform.simulation.company.references import OwnPrices
from crypto_platform.simulation.company.traders import Traders
from tests.company_steps import FIVE, NOON_US, USD

ANN = 1
BUY = OrderRequest(
    product_id="BTC-USD", side="buy", type="limit", price=5_000_000, quantity=100_000
)


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    """Ann has 100,000 dollars; nobody trades by himself."""
    journal = Journal(tmp_path)
    company = Company(
        journal,
        build_traders=lambda engine, seed: Traders(
            engine, OwnPrices(seed=7), seed=seed or 7, products=FIVE
        ),
        users=10,
        rate=0,
        clock_us=lambda: NOON_US,
        clock_s=lambda: 0.0,
    )
    company.deposit(ANN, "USD", 100_000 * USD)
    company.turn()
    yield company
    with contextlib.suppress(sqlite3.Error):
        journal.close()


def make(company: Company, *commands: object) -> list[object]:
    """Submit all, take one turn, give the answers."""

    async def run() -> list[object]:
        waiting = [asyncio.create_task(company.submit(command)) for command in commands]
        await asyncio.sleep(0)
        company.turn()
        return await asyncio.gather(*waiting, return_exceptions=True)

    return asyncio.run(run())


def test_one_name_twice_in_a_turn_is_one_order(company: Company) -> None:
    """A client that gives up waiting and sends again may do so within a turn."""
    named = OrderRequest(
        product_id="BTC-USD",
        side="buy",
        type="limit",
        price=5_000_000,
        quantity=100_000,
        client_order_id="a",
    )
    first, second = make(
        company, lambda: company.place(ANN, named), lambda: company.place(ANN, named)
    )
    assert isinstance(first, Order)
    assert first is second
    assert company.engine.sequence == 2


def test_a_refused_command_stops_no_other_of_its_turn(company: Company) -> None:
    """Each is answered for itself."""
    refused, placed = make(
        company,
        lambda: company.withdraw(ANN, "USD", 10**15),
        lambda: company.place(ANN, BUY),
    )
    assert isinstance(refused, RefusedError)
    assert isinstance(placed, Order)


def test_an_order_placed_and_cancelled_in_one_turn_leaves_nothing_behind(
    company: Company,
) -> None:
    """It was never open as far as the journal knows."""

    def both() -> Order:
        number = company.place(ANN, BUY).number
        assert company.cancel(ANN, number) is company.cancel(ANN, number)
        return company.engine.outbox.ended[number][1]

    [order] = make(company, both)
    assert isinstance(order, Order)
    assert company.find_order(order.number) == order
    assert company.journal.load().orders == {}


def test_where_the_journal_fails_nobody_is_told_that_it_happened(company: Company) -> None:
    """The memory is ahead of the file; the process ends."""
    company.journal.close()

    async def run() -> list[object]:
        waiting = asyncio.create_task(company.submit(lambda: company.deposit(ANN, "USD", 1)))
        await asyncio.sleep(0)
        with pytest.raises(sqlite3.Error):
            company.turn()
        late = asyncio.create_task(company.submit(lambda: None))
        return await asyncio.gather(waiting, late, return_exceptions=True)

    answers = asyncio.run(run())
    assert [type(answer) for answer in answers] == [UnwrittenError, UnwrittenError]


def test_whatever_fails_in_a_turn_nobody_waits_for_good(company: Company) -> None:
    """SQLite refuses a figure beyond 64 bits with an error that is none of its own."""

    def trade() -> None:
        beyond = Trade("BTC-USD", 1, NOON_US, 1, 2**63, "buy")
        company.engine.outbox.trades.append(beyond)

    async def run() -> list[object]:
        waiting = [
            asyncio.create_task(company.submit(lambda: company.deposit(ANN, "USD", 1))),
            asyncio.create_task(company.submit(trade)),
        ]
        await asyncio.sleep(0)
        with pytest.raises(OverflowError):
            company.turn()
        async with asyncio.timeout(5):
            return await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(answer) for answer in asyncio.run(run())] == [UnwrittenError, UnwrittenError]
