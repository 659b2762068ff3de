"""The API under load: mixed questions at a steady rate to a running stack, as clients ask them.

Requests are due at fixed times and counted from then, so that a slow answer makes the following
late ones slow, too, and nothing hides in a queue. The asking process shares the machine, and its
CPU is told beside the API's.
"""

import http.client
import itertools
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from statistics import quantiles
from urllib.parse import quote, urlencode, urlsplit

import click
import psutil

from benchmarks.freshness import wait
from benchmarks.steady import run_stack
from crypto_platform.stack.state import read_state

USERS = ("u000001", "u000002", "u000003", "u000004")
VENUE = "simulated_exchange"
SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "DOGE-USD")
CONNECTIONS = 16
SETTINGS = """[api]
requests_per_s = 100000
burst = 100000
logins_per_minute = 6000
"""
WEIGHTS: Mapping[str, int] = {
    "/v1/quotes": 30,
    "/v1/trades": 22,
    "/v1/candles": 14,
    "/v1/book": 12,
    "/v1/markets": 6,
    "/v1/me/wallets": 6,
    "/v1/me/orders": 4,
    "/v1/me/transactions": 4,
    "/v1/me/portfolio": 2,
}


@click.command()
@click.option("--rate", default=200.0, show_default=True, help="Requests a second.")
@click.option("--seconds", default=60.0, show_default=True, help="How long to ask.")
@click.option("--warm-up-s", default=60.0, show_default=True, help="Not counted, first.")
@click.option("--data-dir", type=Path, help="Ask the stack that runs there instead of an own.")
def api(rate: float, seconds: float, warm_up_s: float, data_dir: Path | None) -> None:
    """p50, p95, p99 of mixed questions by endpoint, and what they cost."""
    with run_stack(data_dir, SETTINGS) as (settings, folder):
        address = urlsplit(settings.api.url or "").netloc
        keys = [_make_key(folder, user) for user in USERS]
        wait(warm_up_s, "warming up")
        tokens = [_log_in(address, user, key) for user, key in zip(USERS, keys, strict=True)]
        _ask_many(address, tokens, rate=rate, seconds=5)
        process = _find_process(folder)
        cpu_s, own_cpu_s = _cpu_s(process), time.process_time()
        begun = time.monotonic()
        found = _ask_many(address, tokens, rate=rate, seconds=seconds)
        took_s = time.monotonic() - begun
        result = {
            "rate": rate,
            "answered_per_s": round(sum(map(len, found.values())) / took_s, 1),
            "statuses": _count_statuses(found),
            "all": _describe([ms for each in found.values() for ms, _ in each]),
            "by_path": {path: _describe([ms for ms, _ in own]) for path, own in found.items()},
            "api_cores": round((_cpu_s(process) - cpu_s) / took_s, 2),
            "api_memory_mib": round(process.memory_full_info().pss / 1024**2),
            "asking_cores": round((time.process_time() - own_cpu_s) / took_s, 2),
        }
        click.echo(json.dumps(result, indent=2))


def _make_key(folder: Path, user: str) -> str:
    command = [sys.executable, "-m", "crypto_platform.cli", "keys", "create", "--user", user]
    made = subprocess.run(
        [*command, "--json", "--data-dir", str(folder)], check=True, stdout=subprocess.PIPE
    )
    return json.loads(made.stdout)["key"]


def _log_in(address: str, user: str, key: str) -> str:
    connection = http.client.HTTPConnection(address, timeout=30)
    body = json.dumps({"user": user, "key": key})
    connection.request("POST", "/v1/tokens", body, {"Content-Type": "application/json"})
    return json.loads(connection.getresponse().read())["token"]


def _find_process(folder: Path) -> psutil.Process:
    state = read_state(folder)
    assert state is not None
    return psutil.Process(state.parts["api"].pid)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _ask_many(
    address: str, tokens: Sequence[str], *, rate: float, seconds: float
) -> dict[str, list[tuple[float, int]]]:
    """Milliseconds from when it was due, and status, of every request, by path."""
    found: dict[str, list[tuple[float, int]]] = {path: [] for path in WEIGHTS}
    chance = random.Random(7)  # noqa: S311 - the same questions every time
    paths = chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=round(rate * seconds))
    local = threading.local()
    begun = time.monotonic() + 0.5

    def ask(number: int, path: str, target: str, token: str | None) -> None:
        due = begun + number / rate
        pause_s = due - time.monotonic()
        if pause_s > 0:
            threading.Event().wait(pause_s)
        connection = getattr(local, "connection", None)
        if connection is None:
            connection = local.connection = http.client.HTTPConnection(address, timeout=30)
        headers = {"Accept-Encoding": "gzip"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        connection.request("GET", target, headers=headers)
        answer = connection.getresponse()
        answer.read()
        found[path].append(((time.monotonic() - due) * 1000, answer.status))

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        users = itertools.cycle(tokens)
        asked: list[Future[None]] = []
        for number, path in enumerate(paths):
            token = next(users) if path.startswith("/v1/me") else None
            asked.append(pool.submit(ask, number, path, _build_target(path, chance), token))
        for each in asked:
            each.result()  # what could not be asked is an error, not an answer less
    return found


def _build_target(path: str, chance: random.Random) -> str:
    if path == "/v1/quotes":
        return f"{path}?currency={chance.choice(('BTC', 'ETH', 'BTC,ETH,SOL'))}"
    if path in {"/v1/trades", "/v1/candles", "/v1/book"}:
        asked = {"venue": VENUE, "symbol": chance.choice(SYMBOLS)}
        return f"{path}?{urlencode(asked, quote_via=quote)}"
    return path


def _count_statuses(found: Mapping[str, Sequence[tuple[float, int]]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for own in found.values():
        for _, status in own:
            counts[str(status)] = counts.get(str(status), 0) + 1
    return counts


def _describe(milliseconds: Sequence[float]) -> dict[str, float]:
    if len(milliseconds) < 2:
        return {}
    cuts = quantiles(milliseconds, n=100)
    return {
        "count": len(milliseconds),
        "p50_ms": round(cuts[49], 1),
        "p95_ms": round(cuts[94], 1),
        "p99_ms": round(cuts[98], 1),
        "max_ms": round(max(milliseconds), 1),
    }
