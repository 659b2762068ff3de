"""The company killed at any moment: what it answered for is there, and its history has no gap."""

import http.client
import random
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from crypto_platform.simulation.company.journal import Journal
from crypto_platform.simulation.company.proof import prove
from tests.company_harness import Client, start_company
from tests.waiting import eventually

KILLS = 6
SENDERS = 4
BUSY = ("--rate", "400", "--users", "60")
AWAY = (OSError, http.client.HTTPException)


@dataclass
class Sender:
    """One user who sends order after order; remembers what was answered, and what was not."""

    user_id: str
    acknowledged: dict[str, dict] = field(default_factory=dict)
    unanswered: list[dict] = field(default_factory=list)
    count: int = 0

    def run(self, client: Client, stop: threading.Event) -> None:
        while not stop.is_set():
            self.count += 1
            body = {
                "side": "buy" if self.count % 2 else "sell",
                "type": "limit",
                "price": f"{80_000 + self.count % 7}",
                "quantity": "0.0002",
                "client_order_id": f"mine-{self.count}",
            }
            try:
                reply = client.order(self.user_id, **body)
            except AWAY:
                self.unanswered.append(body)
                return
            if reply.status == 503:  # whether it happened, the company does not know
                self.unanswered.append(body)
                return
            assert reply.status == 200, reply.body
            self.acknowledged[body["client_order_id"]] = reply.document

    def check(self, client: Client, events: list[dict]) -> None:
        """Each order of mine is there once, as it was answered."""
        mine = [event for event in events if event["user_id"] == self.user_id]
        begun: dict[str, dict] = {}
        for event in mine:
            order = event["order"]
            if order and event["type"] in {"order_accepted", "order_rejected"}:
                assert order["client_order_id"] not in begun
                begun[order["client_order_id"]] = order
        for name, answer in self.acknowledged.items():
            assert begun[name]["order_id"] == answer["order"]["order_id"]
            assert answer["sequence"] <= events[-1]["sequence"]
        # what was sent and not answered is there once or not at all: sending it again settles it
        for body in self.unanswered:
            reply = client.order(self.user_id, **body)
            assert reply.status == 200
            name = body["client_order_id"]
            if name in begun:
                assert reply.document["order"]["order_id"] == begun[name]["order_id"]
            self.acknowledged[name] = reply.document
        self.unanswered.clear()


@contextmanager
def sending(client: Client, senders: list[Sender]) -> Iterator[None]:
    stop = threading.Event()
    threads = [threading.Thread(target=each.run, args=(client, stop)) for each in senders]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=20)
    assert not any(thread.is_alive() for thread in threads)


def fund(client: Client, senders: list[Sender]) -> None:
    for sender in senders:
        client.deposit(sender.user_id, "USD", "100000")
        client.deposit(sender.user_id, "BTC", "1")


def await_sequence(client: Client, sequence: int) -> None:
    eventually(lambda: client.ask("/healthz").document["last_sequence"] > sequence, within_s=30)


def check_history(events: list[dict]) -> None:
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))


def prove_folder(folder: Path) -> int:
    journal = Journal(folder)
    try:
        return prove(journal)
    finally:
        journal.close()


@pytest.mark.timeout(300)
def test_a_company_killed_again_and_again_keeps_all_that_it_answered_for(tmp_path: Path) -> None:
    """Kill -9 in the middle of trading and ordering; then the proof over the whole history."""
    dice = random.Random(5)
    senders = [Sender(f"u9000{number:02}") for number in range(1, SENDERS + 1)]
    known: list[dict] = []
    for kill in range(KILLS):
        with start_company(tmp_path, *BUSY) as (process, client):
            if kill == 0:
                fund(client, senders)
            events = client.read_events()
            check_history(events)
            # the history that was read before is the beginning of this one
            assert events[: len(known)] == known
            for sender in senders:
                sender.check(client, events)
            with sending(client, senders):
                await_sequence(client, len(events) + dice.randint(200, 900))
                known = client.read_events()
                process.kill()
                process.wait()
    acknowledged = sum(len(sender.acknowledged) for sender in senders)
    with start_company(tmp_path, "--rate", "0") as (process, client):
        events = client.read_events()
        check_history(events)
        for sender in senders:
            sender.check(client, events)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    assert acknowledged > 50
    assert prove_folder(tmp_path) >= len(events)


@pytest.mark.timeout(120)
def test_a_full_disk_ends_the_company_and_loses_nothing_it_answered_for(tmp_path: Path) -> None:
    """It must not go on with events that are nowhere; with room again it goes on whole."""
    sender = Sender("u900001")
    with start_company(tmp_path, *BUSY) as (process, client):
        fund(client, [sender])
        with sending(client, [sender]):
            # no file of the process may grow beyond 1 MB: writing fails as on a full disk
            limits = (1_000_000, 1_000_000)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limits)
            assert process.wait(timeout=60) == 1
    assert sender.acknowledged
    with start_company(tmp_path, "--rate", "0") as (_, client):
        events = client.read_events()
        check_history(events)
        sender.check(client, events)
    assert prove_folder(tmp_path) >= len(events)


def test_the_command_says_what_it_lacks(tmp_path: Path) -> None:
    """Exit codes as everywhere: 1 for what is not good, 2 for wrong usage."""
    with start_company(tmp_path, "--rate", "0"):
        second = run("--port", "0", "--data-dir", str(tmp_path))
    assert (second.returncode, "another company may have it open" in second.stderr) == (1, True)
    with_secret = run("--port", "0", "--data-dir", str(tmp_path), "--users", "1")
    assert (with_secret.returncode, "--users must be 2" in with_secret.stderr) == (2, True)
    products = run("--port", "0", "--data-dir", str(tmp_path), "--products", "BTC-EUR")
    assert (products.returncode, "BTC-EUR" in products.stderr) == (2, True)
    bare = run("--port", "0", "--data-dir", str(tmp_path), secret="")
    assert (bare.returncode, "COMPANY_SECRET" in bare.stderr) == (2, True)


def run(*options: str, secret: str = "a-secret-for-tests") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "crypto_platform.simulation.company", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"COMPANY_SECRET": secret},
    )
