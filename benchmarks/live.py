"""The trial: twenty symbols of the simulated venue live, one poll a second, for twenty minutes.

A stack of its own runs; freshness here is the venue's own time of a trade to its commit in each
store, so half a second of waiting for the next poll is in it. Afterwards each store is asked
whether its trades' numbers are without a hole, and the audit compares everything.
"""

import json
import subprocess
import sys
from pathlib import Path

import click
import psycopg
from pymongo import MongoClient

from benchmarks.freshness import Freshness, wait
from benchmarks.steady import Cost, run_stack
from crypto_platform.feeds.trades import TRADES
from crypto_platform.settings import DEFAULT_SOURCES, Settings

SOURCE = "simulated_exchange"
MEMORY_EVERY_S = 60.0
AUDIT_WAIT_S = 60


@click.command()
@click.option("--minutes", default=20.0, show_default=True, help="How long to measure.")
@click.option("--warm-up-s", default=60.0, show_default=True, help="Not counted, first.")
@click.option("--pace-s", default=1.0, show_default=True, help="Between two polls of trades.")
@click.option("--data-dir", type=Path, help="Measure the stack that runs there instead of an own.")
def live(minutes: float, warm_up_s: float, pace_s: float, data_dir: Path | None) -> None:
    """Freshness from the venue's time, holes in trade ids, CPU and memory over time."""
    with run_stack(data_dir, build_settings(pace_s)) as (settings, folder):
        wait(warm_up_s, "warming up")
        cost = Cost(folder)
        memory: list[int] = []

        def measure() -> None:
            for _ in range(max(round(minutes * 60 / MEMORY_EVERY_S), 1)):
                memory.append(round(sum(cost.memory().values())))
                wait(min(MEMORY_EVERY_S, minutes * 60), f"measuring, {memory[-1]} MiB")

        freshness = Freshness(settings, [TRADES], of_event=True)
        freshness.watch(measure)
        found = freshness.result() | cost.result() | {"memory_mib_by_minute": memory}
        audit = [sys.executable, "-m", "crypto_platform.cli", "audit"]
        audited = subprocess.run(
            [*audit, "--wait", str(AUDIT_WAIT_S), "--data-dir", str(folder)],
            check=False,
            stdout=sys.stderr,
        )
        found |= {"trade_ids": find_holes(settings), "whole": audited.returncode == 0}
        click.echo(json.dumps(found, indent=2))


def build_settings(pace_s: float) -> str:
    """TOML: the trial's pace; all else as it is by default."""
    symbols = DEFAULT_SOURCES[SOURCE]["symbols"]
    return "\n".join(
        (
            f"[sources.{SOURCE}]",
            f"pace_s = {pace_s}",
            f"symbols = {json.dumps(symbols)}",
            "requests_per_minute_max = 6000.0",
            "",
        )
    )


def find_holes(settings: Settings) -> dict[str, object]:
    """By store: how many symbols and trades there are, and the symbols whose numbers have holes."""
    found: dict[str, object] = {}
    for store, rows in (("postgres", _ask_postgres(settings)), ("mongo", _ask_mongo(settings))):
        holes = [symbol for symbol, lowest, highest, count in rows if highest - lowest + 1 != count]
        total = sum(count for *_, count in rows)
        found[store] = {"symbols": len(rows), "trades": total, "symbols_with_holes": holes}
    return found


def _ask_postgres(settings: Settings) -> list[tuple[str, int, int, int]]:
    url = settings.postgres.analyst_url
    if url is None:
        message = "no URL of PostgreSQL"
        raise click.ClickException(message)
    with psycopg.connect(url.get_secret_value()) as connection:
        return connection.execute(
            "SELECT venue_symbol, min(trade_id::bigint), max(trade_id::bigint), count(*)"
            " FROM market.trade WHERE venue = %s GROUP BY venue_symbol",
            (SOURCE,),
        ).fetchall()


def _ask_mongo(settings: Settings) -> list[tuple[str, int, int, int]]:
    url = settings.mongo.analyst_url
    if url is None:
        message = "no URL of MongoDB"
        raise click.ClickException(message)
    number = {"$toLong": "$trade_id"}
    with MongoClient(url.get_secret_value()) as client:
        rows = client[settings.mongo.database]["trades"].aggregate(
            [
                {"$match": {"venue": SOURCE}},
                {
                    "$group": {
                        "_id": "$venue_symbol",
                        "lowest": {"$min": number},
                        "highest": {"$max": number},
                        "count": {"$sum": 1},
                    }
                },
            ]
        )
        return [(row["_id"], row["lowest"], row["highest"], row["count"]) for row in rows]
