"""Soak: a whole platform under load, a random fault every few seconds, then the audit.

`python -m tests.soak --minutes 20 --seed 7 --orders-per-s 200` starts a stack in a folder of its
own, lets four simulated sources publish every second and the simulated company's users trade at a
rate, and hits it: kill -9 of a part (the company is one) or of a run's process, SIGSTOP for some
seconds, a cut of all connections of a store. The seed is printed; the same seed gives the same
faults in the same order. In the end it waits for lag 0 and audits: exit 0 if every record is stored
once, no partition waits for a person, and every wallet is its postings is the company's own word; 1
if not.

Not here: each fault by itself, with what is expected of it (docs/faults.md).
"""

import argparse
import json
import os
import random
import secrets
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
from pymongo import MongoClient

from crypto_platform.serving.status import StatusReader
from crypto_platform.settings import load_settings
from crypto_platform.stack.embedded import find_admin_urls
from crypto_platform.stack.targets import (
    KILLABLE_PARTS,
    RUN_PARTS,
    Target,
    find_runs,
)
from crypto_platform.stores import STORES
from tests.crash_harness import RunningPlatform
from tests.waiting import eventually

STOPPED_S = (1.0, 12.0)
"""Shortest and longest freeze: on both sides of the 5 s after which a transaction is aborted."""
SETTLE_S = 600.0
LOOK_S = 2.0
FAULT_EVERY_S = 10.0
SOURCES = 4
ORDERS_PER_S = 5.0
"""The company's own rate, where none is given."""
PAUSED = ("simulated", "simulated_exchange", "company")
"""In the end, with the markets below: what still publishes would never let the lag be 0."""

SETTINGS = "".join(
    f"""[sources.market{number}]
dialect = "coincap"
base_url = "http://127.0.0.1:8099/v3"
simulated = true
pace_s = {number}.0
requests_per_minute_max = 600.0
currencies_max = 250

"""
    for number in range(1, SOURCES)
)
"""Beside the simulated market's own source: three more that ask it every 1, 2 and 3 s."""

COMPANY_SETTINGS = """[company]
rate = {orders_per_s}
"""


@dataclass(kw_only=True)
class Tally:
    """What happened, for the summary.

    Attributes:
        lag_s_max: Longest lag seen of each store, in seconds.
        problems: Faults that could not be done (nothing of that kind ran just then).
    """

    faults: Counter[str] = field(default_factory=Counter[str])
    lag_s_max: dict[str, float] = field(default_factory=dict[str, float])
    problems: Counter[str] = field(default_factory=Counter[str])


class Soak:
    """One run: the platform, the dice, the tally."""

    def __init__(self, running: RunningPlatform, dice: random.Random) -> None:
        self.running = running
        self.dice = dice
        self.tally = Tally()
        self._pause = threading.Event()
        self._faults: dict[str, Callable[[], str]] = {
            "kill a part": self._kill_part,
            "kill a run": self._kill_run,
            "freeze a part": self._freeze_part,
            "freeze a run": self._freeze_run,
            "cut connections": self._cut_connections,
        }

    def go(self, until: float) -> None:
        """A fault every FAULT_EVERY_S, until then (monotonic seconds)."""
        while time.monotonic() < until:
            name = self.dice.choice(list(self._faults))
            try:
                what = self._faults[name]()
            except (AssertionError, psutil.Error, OSError) as error:
                # it is just being started again, or no run is there
                self.tally.problems[name] += 1
                say(f"{name}: not possible now ({type(error).__name__})")
            else:
                self.tally.faults[what] += 1
                say(what)
            self._pause.wait(FAULT_EVERY_S)

    def settle(self) -> bool:
        """Wait until no store lags; False where that takes longer than SETTLE_S."""
        deadline = time.monotonic() + SETTLE_S
        reader = self._open_reader()
        try:
            while time.monotonic() < deadline:
                loads = reader.read().loads
                if {load.store for load in loads} == set(STORES) and all(
                    load.lag_records == 0 for load in loads
                ):
                    return True
                self._pause.wait(LOOK_S)
        finally:
            reader.close()
        return False

    def watch(self, stop: threading.Event) -> None:
        """Note the longest lags, until told to stop; a store that is away has none just then."""
        # one reader throughout: it remembers since when something waits
        reader = self._open_reader()
        while not stop.wait(LOOK_S):
            for load in reader.read().loads:
                before = self.tally.lag_s_max.get(load.store, 0.0)
                self.tally.lag_s_max[load.store] = max(before, load.lag_s or 0.0)
        reader.close()

    def _open_reader(self) -> StatusReader:
        return StatusReader(load_settings(self.running.data_dir, environment={}))

    def _kill_part(self) -> str:
        # also one that is just starting: prove waits until it is ready, this does not
        part = self.dice.choice(KILLABLE_PARTS)
        os.kill(self.running.pid_of(part), signal.SIGKILL)
        return f"killed {part}"

    def _kill_run(self) -> str:
        name, process = self._choose_run()
        process.kill()
        return f"killed {name}"

    def _freeze_part(self) -> str:
        part = self.dice.choice(KILLABLE_PARTS)
        server = psutil.Process(self.running.pid_of(part))
        children = server.children(recursive=True) if part.endswith("postgres") else []
        seconds = self._freeze([server, *children])
        return f"froze {part} ({'some' if seconds < 5 else 'many'} seconds)"

    def _freeze_run(self) -> str:
        name, process = self._choose_run()
        self._freeze([process])
        return f"froze {name}"

    def _cut_connections(self) -> str:
        store = self.dice.choice(list(STORES))
        urls = find_admin_urls(self.running.data_dir)
        try:
            if store == "postgres":
                with psycopg.connect(urls.postgres, autocommit=True, connect_timeout=3) as admin:
                    admin.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                    )
            else:
                client: MongoClient[dict[str, object]] = MongoClient(
                    urls.mongo, serverSelectionTimeoutMS=3000
                )
                with client:
                    client.admin.command("killAllSessions", [])
        except Exception as error:
            raise OSError(str(error)) from error
        return f"cut all connections of {store}"

    def _choose_run(self) -> tuple[str, psutil.Process]:
        target = Target(part=self.dice.choice(RUN_PARTS), is_run=True)
        runs = find_runs(self.running.data_dir, target.part)
        assert runs, f"no {target.name} is there"
        return target.name, self.dice.choice(runs)

    def _freeze(self, processes: list[psutil.Process]) -> float:
        seconds = self.dice.uniform(*STOPPED_S)
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        self._pause.wait(seconds)
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()
        return seconds


def say(line: str) -> None:
    """To stdout at once, with the time."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run it; 0 if the platform is whole."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--orders-per-s", type=float, default=ORDERS_PER_S)
    arguments = parser.parse_args()
    say(
        f"seed {arguments.seed}, {arguments.minutes:g} minutes, "
        f"{arguments.orders_per_s:g} orders a second"
    )
    with tempfile.TemporaryDirectory(prefix="crypto_platform_soak_") as name:
        Path(name).chmod(0o755)
        running = RunningPlatform(Path(name) / "data")
        running.data_dir.mkdir(mode=0o711)
        company = COMPANY_SETTINGS.format(orders_per_s=arguments.orders_per_s)
        (running.data_dir / "settings.toml").write_text(SETTINGS + company, "utf-8")
        running.up()
        try:
            eventually(
                lambda: all(running.stored(store) > 0 for store in STORES), within_s=SETTLE_S
            )
            say("both stores load; here come the faults")
            return soak(running, random.Random(arguments.seed), minutes=arguments.minutes)
        finally:
            running.command("down")


def soak(running: RunningPlatform, dice: random.Random, *, minutes: float) -> int:
    """Hit it for so long, let it settle, audit, sum up."""
    run = Soak(running, dice)
    stop = threading.Event()
    watching = threading.Thread(target=run.watch, args=[stop])
    watching.start()
    try:
        run.go(time.monotonic() + 60 * minutes)
        say("no more faults; waiting for both stores to catch up")
        for source in (*PAUSED, *(f"market{number}" for number in range(1, SOURCES))):
            running.command("pause", source)
        settled = run.settle()
    finally:
        stop.set()
        watching.join()
    done = running.command("audit", "--json", "--wait", "60", "--deep")
    report = json.loads(done.stdout) if done.stdout else {}
    for line in summarize(run.tally, report, settled=settled, complaint=done.stderr):
        say(line)
    say(f"open incidents: {running.command('incident', 'list').stdout}")
    is_good = settled and done.returncode == 0 and is_compared(report) and not count_stopped(report)
    return 0 if is_good else 1


def count_stopped(report: dict[str, Any]) -> int:
    """Partitions that an incident holds: they are compared only as far as they are stored."""
    return sum(lag["blocked_partitions"] for lag in (report.get("lag") or {}).values())


def is_compared(report: dict[str, Any]) -> bool:
    """Whether accounts were reconciled, and with the company."""
    accounts = report.get("reconciliation") or {}
    return bool(accounts.get("through_event") and accounts["company"]["compared"])


def summarize(tally: Tally, report: dict[str, Any], *, settled: bool, complaint: str) -> list[str]:
    """Faults by kind, longest lags, and the audit's own table."""
    lines = [f"{count:4d} x {what}" for what, count in sorted(tally.faults.items())]
    lines.append(f"{sum(tally.faults.values()):4d} faults; not possible: {dict(tally.problems)}")
    lines += [
        f"longest lag of {store}: {lag:.0f} s" for store, lag in sorted(tally.lag_s_max.items())
    ]
    feeds = report.get("feeds")
    if not isinstance(feeds, dict):
        return [*lines, f"NOT WHOLE: the audit did not answer: {complaint[-500:]}"]
    for feed, places in feeds.items():
        lines += [f"{feed} in {place}: {count}" for place, count in places.items()]
    lines += [f"finding: {json.dumps(each)[:500]}" for each in report.get("findings", [])]
    accounts = report.get("reconciliation") or {}
    lines += [
        f"accounts {name}: {json.dumps(accounts.get(name))[:500]}"
        for name in ("through_event", "seconds", "stores", "company", "notes", "findings")
    ]
    lines.append(f"the audit took {report.get('seconds')} s")
    lines += [] if is_compared(report) else ["accounts were NOT compared with the company"]
    lines += [] if settled else [f"lag never came back to 0: {report.get('lag')}"]
    stopped = count_stopped(report)
    lines += [f"{stopped} partitions wait for a person: {report.get('lag')}"] if stopped else []
    is_whole = report.get("whole") and settled and not stopped
    return [*lines, "whole" if is_whole else "NOT WHOLE"]


if __name__ == "__main__":
    sys.exit(main())
