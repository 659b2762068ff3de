"""Run one benchmark, or all: `python -m benchmarks steady --minutes 5`."""

import click

from benchmarks.steady import steady


@click.group()
def main() -> None:
    """Measure the platform on this machine."""


main.add_command(steady)

if __name__ == "__main__":
    main()
