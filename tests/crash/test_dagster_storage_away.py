"""Dagster's own database away for a minute: loads go on, freshness holds, Dagster recovers.

Slow (some minutes): `make test-crash`.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest

from crypto_platform.errors import StackError
from crypto_platform.serving.dagster_api import ask_dagster, find_url
from crypto_platform.serving.pauses import ask_paused
from crypto_platform.serving.status import StatusReader
from crypto_platform.settings import load_settings
from crypto_platform.stores import STORES
from tests.crash_harness import RunningPlatform
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

AWAY_S = 60.0
LAG_S_MAX = 5.0
POLLS_MIN = 5
"""Of those that the simulated market is asked in a minute (12 by its pace)."""
CURRENCIES_MIN = 100

_RUNS = """{ runsOrError(limit: 5, filter: {pipelineName: "ingest_live"}) { ... on Runs {
    results { runId startTime status } } } }"""


def stop_for_a_while(running: RunningPlatform) -> None:
    """Connections stay open and nobody answers."""
    server = psutil.Process(running.pid_of("dagster-postgres"))
    stopped = [server, *server.children(recursive=True)]
    for process in stopped:
        process.suspend()
    try:
        threading.Event().wait(AWAY_S)
    finally:
        for process in stopped:
            process.resume()


def kill_for_a_while(running: RunningPlatform) -> None:
    """Whenever it comes back, it is killed again: connections are refused."""
    until = time.monotonic() + AWAY_S
    while time.monotonic() < until:
        # between its death and its next start it has no process
        with suppress(AssertionError, ProcessLookupError):
            os.kill(running.pid_of("dagster-postgres"), signal.SIGKILL)
        threading.Event().wait(0.2)


@pytest.mark.parametrize("take_away", [stop_for_a_while, kill_for_a_while])
def test_loads_go_on_without_dagsters_database(
    running: RunningPlatform, take_away: Callable[[RunningPlatform], None]
) -> None:
    """Fault 25: the ledger is in the stores; what only triggers and shows may be away."""
    running.wait_for_progress()
    settings = load_settings(running.data_dir, environment={})
    before = {store: running.stored(store) for store in STORES}
    away = threading.Thread(target=take_away, args=(running,))
    began_at = time.time()
    reader = StatusReader(settings, read_paused=lambda: ask_paused(settings))
    lags: list[float] = []
    away.start()
    try:
        while away.is_alive():
            lags += [load.lag_s for load in reader.read().loads if load.lag_s is not None]
            threading.Event().wait(1.0)
    finally:
        reader.close()
        away.join()

    for store in STORES:
        assert running.stored(store) - before[store] >= POLLS_MIN * CURRENCIES_MIN
    assert len(lags) > 2 * AWAY_S
    assert max(lags) <= LAG_S_MAX

    def has_recovered() -> bool:
        try:
            answer = ask_dagster(find_url(settings), _RUNS, {}, timeout_s=30)
        except StackError:
            return False  # its database comes back a moment before its connections do
        runs = answer["runsOrError"]["results"]
        return any((run["startTime"] or 0) > began_at + AWAY_S for run in runs)

    eventually(has_recovered, within_s=150)
    running.wait_for_progress()
    assert running.audit()["whole"]
