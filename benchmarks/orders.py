"""An order of a user: from being sent to the company by HTTP until each store shows it.

Here: orders placed with a user's key beside the company's own trade, at its usual rate and at a
high one, and each store asked for them by the question a user's `orders` puts. Counted from the
moment before the order is sent: the company's disk, the next poll of its events, Kafka and the
store's commit are all in it, and so is the asking, POLL_S at most and what an answer takes. The
platform's own clock is not asked.
"""

import json
import random
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import click

from benchmarks.freshness import summarize, wait
from benchmarks.steady import run_stack
from crypto_platform.settings import CompanySettings, Settings
from crypto_platform.stores import STORES, open_store
from crypto_platform.stores.accounts import Whole

P50_S_MAX = 1.5
P99_S_MAX = 3.0
POLL_S = 0.02
UNSEEN_S_MAX = 30.0
"""So long after the last order, one that no store shows is called missing."""
BUSY_RATE = 200.0
USER_ID = "u999999"
"""No trader of the company: they are the first of all numbers."""
_TIMEOUT_S = 10.0


class Sent(NamedTuple):
    """An order that the company took.

    Attributes:
        at_s: When it was sent, by the monotonic clock.
    """

    order_id: str
    at_s: float


class OrderReader(Protocol):
    """As much of a store as is asked."""

    def read_order(self, user_id: str, order_id: str) -> Whole | None:
        """See Store.read_order."""
        ...

    def close(self) -> None:
        """See Store.close."""
        ...


class Watch:
    """Asks one store again and again for the orders it has not shown yet."""

    def __init__(self, store: OrderReader) -> None:
        """Ask `store`, which is this watch's alone."""
        self._store = store
        self._waiting: list[Sent] = []
        self._lock = threading.Lock()
        self.waits: list[float] = []
        """Seconds, of the orders that were seen."""

    def expect(self, sent: Sent) -> None:
        """Look for this one from now on."""
        with self._lock:
            self._waiting.append(sent)

    def count_unseen(self) -> int:
        """How many are still looked for."""
        with self._lock:
            return len(self._waiting)

    def look(self) -> None:
        """Ask once for each."""
        with self._lock:
            waiting = list(self._waiting)
        for sent in waiting:
            if self._store.read_order(USER_ID, sent.order_id) is not None:
                self.waits.append(time.monotonic() - sent.at_s)
                with self._lock:
                    self._waiting.remove(sent)

    def run(self, stop: threading.Event) -> None:
        """Look until stopped; then the store is closed."""
        with closing(self._store):
            while not stop.wait(POLL_S):
                self.look()


class Customer:
    """Somebody with an account at the company, and its operator, who lets the others trade."""

    def __init__(self, company: CompanySettings) -> None:
        """Get the user's key and money from outside."""
        if company.url is None or company.operator_key is None:
            message = "no company runs there"
            raise click.ClickException(message)
        self._url = company.url.rstrip("/")
        self._operator_key = company.operator_key.get_secret_value()
        # without a proxy: the address is one of ours
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._key = ""
        self._key = self._ask(self._operator_key, f"/v1/keys/{USER_ID}")["key"]
        self._ask(self._key, "/v1/deposits", {"currency": "USD", "amount": "10000"})

    def place(self) -> Sent:
        """An order that waits far from the market, so that nothing else happens to it."""
        order = {"product_id": "BTC-USD", "side": "buy", "type": "limit"}
        order |= {"price": "1000.00", "quantity": "0.001"}
        at_s = time.monotonic()
        answer = self._ask(self._key, "/v1/orders", order)
        if answer["order"]["status"] != "accepted":
            message = f"the company refused the order: {answer['order']}"
            raise click.ClickException(message)
        return Sent(answer["order"]["order_id"], at_s)

    def drive(self, *, rate: float, seconds: float) -> None:
        """Let the company's users trade at another rate for so long."""
        self._ask(self._operator_key, "/v1/drive", {"rate": rate, "seconds": seconds})

    def _ask(self, key: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._url}{path}", data=data)
        request.add_header("X-Api-Key", key)
        with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
            return json.load(answer)


@click.command()
@click.option("--minutes", default=1.5, show_default=True, help="How long, at each rate.")
@click.option("--orders", default=300, show_default=True, help="Placed at each rate.")
@click.option("--warm-up-s", default=45.0, show_default=True, help="Not counted, first.")
@click.option("--data-dir", type=Path, help="Measure the stack that runs there instead of an own.")
def orders(minutes: float, orders: int, warm_up_s: float, data_dir: Path | None) -> None:
    """Time from sending an order to seeing it in each store, beside trade at 5 and 200 a second."""
    with run_stack(data_dir, "") as (settings, _):
        customer = Customer(settings.company)
        wait(warm_up_s, "warming up")
        rates = (settings.company.rate, BUSY_RATE)
        found: dict[str, dict[str, Any]] = {}
        for rate in rates:
            if rate != settings.company.rate:
                customer.drive(rate=rate, seconds=minutes * 60 + UNSEEN_S_MAX)
            name = f"beside {rate:g} orders a second"
            click.echo(f"{orders} orders in {minutes:g} minutes, {name}", err=True)
            found[name] = measure(settings, customer, orders=orders, seconds=minutes * 60)
    missed = list_missed(found)
    click.echo(json.dumps({"sent_to_seen": found, "missed": missed}, indent=2))
    if missed:
        raise SystemExit(1)


def measure(
    settings: Settings, customer: Customer, *, orders: int, seconds: float
) -> dict[str, Any]:
    """Place orders spread over a time, and see when each store shows them.

    Returns:
        Seconds: what the company took to answer, and by store until the order was seen there.
    """
    stop = threading.Event()
    answers: list[float] = []
    with ThreadPoolExecutor(len(STORES)) as pool, ExitStack() as ending:
        ending.callback(stop.set)
        watches = {name: Watch(open_store(name, settings, role="analyst")) for name in STORES}
        running = [pool.submit(watch.run, stop) for watch in watches.values()]
        dice = random.Random(7)  # noqa: S311 - only so that orders keep no step with the polls
        due_s = time.monotonic()
        for _ in range(orders):
            due_s += seconds / orders * dice.uniform(0.5, 1.5)
            stop.wait(max(due_s - time.monotonic(), 0.0))
            sent = customer.place()
            answers.append(time.monotonic() - sent.at_s)
            for watch in watches.values():
                watch.expect(sent)
        until_s = time.monotonic() + UNSEEN_S_MAX
        while _count_unseen(watches) and time.monotonic() < until_s:
            stop.wait(POLL_S)
            for ended in filter(Future[None].done, running):
                ended.result()
    by_store = {
        name: summarize(watch.waits) | {"missing": watch.count_unseen()}
        for name, watch in watches.items()
    }
    return {"company": summarize(answers), **by_store}


def _count_unseen(watches: Mapping[str, Watch]) -> int:
    return sum(watch.count_unseen() for watch in watches.values())


def list_missed(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Sequence[str]:
    """Which targets were not met, in words; none: all were."""
    missed: list[str] = []
    for circumstances, by_name in found.items():
        for store in STORES:
            figures = by_name[store]
            if figures["missing"] or not figures["counted"]:
                missed.append(f"{store} {circumstances}: {figures['missing']:.0f} orders not seen")
                continue
            missed += [
                f"{store} {circumstances}: {name} {figures[name]} s, the target is {target:g}"
                for name, target in (("p50_s", P50_S_MAX), ("p99_s", P99_S_MAX))
                if figures[name] > target
            ]
    return missed
