"""Run one benchmark, or all: `python -m benchmarks steady --minutes 5`."""

import click

from benchmarks.steady import steady


@click.group(invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Measure the platform on this machine; without a name, all of it."""
    if context.invoked_subcommand is None:
        context.invoke(steady)


main.add_command(steady)

if __name__ == "__main__":
    main()
