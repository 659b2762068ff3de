"""How fast a user's documents are read where a million of them are stored, in both stores.

Here: generated users with a wallet of each of four currencies, orders (one in eight open) and their
events, loaded by the platform's own writer; then each question of one user again and again, at
other users. Timed is what a reader waits for: statement, answer, records. One user in a thousand is
busy: he has a hundred times as many events.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks.made import START_US
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS, seal_account_event
from crypto_platform.feeds.accounts import (
    AccountEvent,
    EventKind,
    Liquidity,
    OrderStatus,
    OrderType,
)
from crypto_platform.feeds.trades import Side
from crypto_platform.migrations import migrate
from crypto_platform.stack.embedded import embedded_servers
from crypto_platform.stores import open_store
from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import Claim, TopicPart
from crypto_platform.stores.market import Span
from crypto_platform.stores.slices import Arrival, Slice, build_arrivals

EVENTS = FEED_BY_NAME[ACCOUNT_EVENTS.name]
CURRENCIES = ("USD", "BTC", "ETH", "SOL")
TOPIC_ID = "11111111-2222-3333-4444-555555555555"
P95_MS_MAX = 5.0
BATCH_EVENTS = 10_000
BUSY_EVERY, BUSY_TIMES = 1_000, 100
ORDERS_OF_USER = 6
PAGE = 50


@dataclass(frozen=True, kw_only=True)
class Question:
    """Something a user asks; returns how many records came."""

    name: str
    ask: Callable[[Store, str], int]


def _read_order(store: Store, user_id: str) -> int:
    whole = store.read_order(user_id, f"{user_id}-o0")
    return 0 if whole is None else 1 + len(whole.parts)


def _read_old_page(store: Store, user_id: str) -> int:
    newest = store.read_transactions(user_id, records_max=PAGE)
    before = newest[-1].sequence
    return len(store.read_transactions(user_id, before_sequence=before, records_max=PAGE))


QUESTIONS = (
    Question(name="wallets", ask=lambda store, user: len(store.read_wallets(user))),
    Question(
        name="open orders",
        ask=lambda store, user: len(store.read_open_orders(user, records_max=99)),
    ),
    Question(name="one order with fills", ask=_read_order),
    Question(
        name="newest transactions",
        ask=lambda store, user: len(store.read_transactions(user, records_max=PAGE)),
    ),
    Question(name="two pages of transactions", ask=_read_old_page),
    Question(
        name="transactions of a currency",
        ask=lambda store, user: len(
            store.read_transactions(user, currency="SOL", records_max=PAGE)
        ),
    ),
    Question(
        name="transactions of a time",
        ask=lambda store, user: len(
            store.read_transactions(user, Span(None, START_US + 10**10), records_max=PAGE)
        ),
    ),
)


def make_events(documents: int) -> Iterator[AccountEvent]:
    """Events that leave so many orders and wallets, user by user, an order's one after another."""
    users = documents // (ORDERS_OF_USER + len(CURRENCIES))
    sequence = 0
    for round_ in range(ORDERS_OF_USER * BUSY_TIMES):
        for user in range(0, users, 1 if round_ < ORDERS_OF_USER else BUSY_EVERY):
            for kind in (EventKind.ORDER_ACCEPTED, EventKind.ORDER_FILLED):
                if kind is EventKind.ORDER_FILLED and (user + round_) % 8 == 0:
                    continue
                sequence += 1
                yield _make_event(sequence, f"u{user:07d}", round_, kind)


def _make_event(sequence: int, user_id: str, number: int, kind: EventKind) -> AccountEvent:
    is_fill = kind is EventKind.ORDER_FILLED
    other = CURRENCIES[1 + number % 3]
    at_us = START_US + sequence * 1_000
    figure = f"{sequence % 99_991}.{sequence % 100:02d}"
    fill: dict[str, Any] = {
        "trade_id": str(sequence),
        "fill_price": "93000.01",
        "fill_quantity": figure if figure != "0.00" else "1",
        "liquidity": Liquidity.MAKER,
        "fill_fee": "0.01",
        "fill_fee_currency": "USD",
    }
    wallets = ("USD", other)
    return seal_account_event(
        AccountEvent(
            user_id=user_id,
            sequence=sequence,
            user_sequence=2 * number + 1 + is_fill,
            kind=kind,
            ts_event=at_us,
            order_id=f"{user_id}-o{number}",
            venue_symbol=f"{other}-USD",
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            time_in_force="gtc",
            post_only=False,
            limit_price="93000.01",
            order_quantity=figure,
            filled_quantity=figure if is_fill else "0",
            filled_notional=figure if is_fill else "0",
            order_fees="0.01" if is_fill else "0",
            order_fee_currency="USD",
            order_status=OrderStatus.FILLED if is_fill else OrderStatus.ACCEPTED,
            ts_created=at_us,
            posting_accounts=("available", "locked"),
            posting_currencies=("USD", "USD"),
            posting_amounts=(f"-{figure}", figure) if figure != "0.00" else ("0", "0"),
            wallet_currencies=wallets,
            wallet_available=(figure, figure),
            wallet_locked=("0", "0.5"),
            ts_ingest=at_us,
            **(fill if is_fill else {}),
        ),
        event_id=f"ev-{sequence:020d}",
    )


@click.command()
@click.option("--documents", default=1_000_000, show_default=True, help="Orders and wallets.")
@click.option("--rounds", default=500, show_default=True, help="How often each question is asked.")
@click.option("--seed", default=7, show_default=True, help="Of the users who ask.")
def accounts(*, documents: int, rounds: int, seed: int) -> None:
    """Time what a user asks of his documents, in both stores."""
    with tempfile.TemporaryDirectory(prefix="crypto_platform_accounts_") as temporary:
        Path(temporary).chmod(0o755)
        folder = Path(temporary) / "data"
        with embedded_servers(folder, parts=("postgres", "mongo")) as settings:
            migrate(settings, progress=lambda line: click.echo(line, err=True))
            stores = {name: open_store(name, settings) for name in ("mongo", "postgres")}
            events = 0
            for name, store in stores.items():
                began = time.monotonic()
                events = _fill(store, documents)
                click.echo(f"{name}: {events:,} events, {time.monotonic() - began:.0f} s", err=True)
            users = documents // (ORDERS_OF_USER + len(CURRENCIES))
            click.echo(f"{users:,} users, {events:,} events; milliseconds")
            click.echo(f"{'':10}{'':28}{'p50':>8}{'p95':>8}{'busy':>8}{'records':>9}")
            good = [
                _report(name, store, question, users, rounds, random.Random(seed))  # noqa: S311
                for name, store in stores.items()
                for question in QUESTIONS
            ]
            for store in stores.values():
                store.close()
    if not all(good):
        raise SystemExit(1)


def _fill(store: Store, documents: int) -> int:
    part = TopicPart(TOPIC_ID, 0)
    [claim] = store.claim([(EVENTS, EVENTS.topic, part)], run_id="bench")
    offset, batch = 0, list[AccountEvent]()
    for event in make_events(documents):
        batch.append(event)
        if len(batch) == BATCH_EVENTS:
            offset = _commit(store, claim, batch, offset)
            batch = []
    return _commit(store, claim, batch, offset)


def _commit(store: Store, claim: Claim, batch: Sequence[AccountEvent], offset: int) -> int:
    arrivals = [Arrival(event, offset + n, event.ts_event) for n, event in enumerate(batch)]
    end = offset + len(batch)
    hour = START_US - START_US % 3_600_000_000
    piece = Slice(
        claim=claim,
        hour=hour,
        first_offset=offset,
        next_offset=end,
        max_ts_append=hour + end,
        leader_epoch=None,
        arrivals=build_arrivals(arrivals, feed=EVENTS),
    )
    outcome = store.commit([piece], run_id="bench")
    assert not outcome.fenced
    return end


def _report(
    name: str, store: Store, question: Question, users: int, rounds: int, dice: random.Random
) -> bool:
    """A line of figures; whether the usual user waits no longer than he may."""
    usual = [f"u{dice.randrange(users):07d}" for _ in range(rounds)]
    busy = [f"u{dice.randrange(0, users, BUSY_EVERY):07d}" for _ in range(max(rounds // 5, 20))]
    ms, records = _ask(store, question, usual)
    slow, _ = _ask(store, question, busy)
    p50, p95 = statistics.median(ms), statistics.quantiles(ms, n=20)[-1]
    p95_busy = statistics.quantiles(slow, n=20)[-1]
    click.echo(
        f"{name:10}{question.name:28}{p50:8.2f}{p95:8.2f}{p95_busy:8.2f}{records / rounds:9.1f}"
    )
    return p95 <= P95_MS_MAX


def _ask(store: Store, question: Question, users: Sequence[str]) -> tuple[list[float], int]:
    question.ask(store, users[0])
    ms: list[float] = []
    records = 0
    for user in users:
        began = time.perf_counter()
        records += question.ask(store, user)
        ms.append(1000 * (time.perf_counter() - began))
    return ms, records
