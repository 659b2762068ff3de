"""What bad records and repeats cost: `python -m benchmarks.rough --store postgres`.

The same load, in turns, from a topic of sound trades and from others with bad or repeated ones
among them, each into an empty store. A ratio of 0.8 says: messages go through at 0.8 of the speed.
"""

import json
import statistics
import tempfile
from pathlib import Path

import click

from benchmarks.load import Bench, publish
from crypto_platform.kafka.topics import create_topics
from crypto_platform.settings import load_settings, process_environment
from crypto_platform.stack.embedded import embedded_servers
from crypto_platform.stores import STORES

SOUND = "sound."
KINDS = {
    SOUND: {},
    "bad1.": {"bad_ratio": 0.01},
    "bad10.": {"bad_ratio": 0.10},
    "repeats5.": {"repeat_ratio": 0.05},
}


@click.command()
@click.option("--store", type=click.Choice(list(STORES)), required=True)
@click.option("--messages", default=300_000, show_default=True, help="Of each kind.")
@click.option("--rounds", default=3, show_default=True)
def rough(*, store: str, messages: int, rounds: int) -> None:
    """Speed with 1 % and 10 % bad records, and with 5 % repeats, to that without."""
    with tempfile.TemporaryDirectory(prefix="crypto_platform_bench_") as name:
        Path(name).chmod(0o755)
        folder = Path(name) / "data"
        with embedded_servers(folder, migrate=True):
            for prefix, ratios in KINDS.items():
                settings = load_settings(
                    folder,
                    environment=process_environment()
                    | {"CRYPTO_PLATFORM_KAFKA__TOPIC_PREFIX": prefix},
                )
                create_topics(settings, progress=lambda text: None)
                click.echo(f"publishing {messages:,} {prefix.strip('.')}", err=True)
                publish(settings, messages, **ratios)
            bench = Bench(folder, store)
            rates: dict[str, list[float]] = {prefix: [] for prefix in KINDS}
            for _ in range(rounds):
                for prefix, found in rates.items():
                    run = bench.run("platform", prefix=prefix)
                    found.append(run.rate)
                    click.echo(f"{prefix}: {run.rate:,.0f}/s, {run.stored:,} stored", err=True)
    click.echo(
        json.dumps(
            {
                "store": store,
                "messages": messages,
                "sound_rate": round(statistics.median(rates[SOUND])),
                "ratios": {
                    prefix.strip("."): round(
                        statistics.median(
                            own / sound for own, sound in zip(found, rates[SOUND], strict=True)
                        ),
                        3,
                    )
                    for prefix, found in rates.items()
                    if prefix != SOUND
                },
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    rough()
