"""Run one benchmark: `python -m benchmarks steady --minutes 5`."""

import click

from benchmarks.accounts import accounts
from benchmarks.analytics import analytics
from benchmarks.api import api
from benchmarks.audit import audit
from benchmarks.deep import deep
from benchmarks.endurance import endurance
from benchmarks.live import live
from benchmarks.load import load
from benchmarks.market import market
from benchmarks.months import months
from benchmarks.orders import orders
from benchmarks.restore import restore
from benchmarks.rough import rough
from benchmarks.steady import steady
from benchmarks.tick import tick


@click.group(invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Measure the platform on this machine; without a name, how fast and fresh it is."""
    if context.invoked_subcommand is None:
        context.invoke(steady)


main.add_command(accounts)
main.add_command(analytics)
main.add_command(api)
main.add_command(audit)
main.add_command(steady)
main.add_command(live)
main.add_command(months)
main.add_command(market)
main.add_command(load)
main.add_command(orders)
main.add_command(restore)
main.add_command(rough)
main.add_command(deep)
main.add_command(endurance)
main.add_command(tick)

if __name__ == "__main__":
    main()
