"""`status`: how everything is, and whether that is good."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from crypto_platform.cli.options import data_dir_option, json_option
from crypto_platform.cli.signals import stop_on
from crypto_platform.settings import load_settings


@click.command()
@data_dir_option
@json_option
@click.option("--watch", is_flag=True, help="Show it live, once a second, until Ctrl-C.")
@click.option("--metrics", is_flag=True, help="Print it for Prometheus (docs/metrics.md).")
def status_command(*, data_dir: Path | None, as_json: bool, watch: bool, metrics: bool) -> None:
    """Show lag, rates, sources, incidents and disk use; exit 1 if something is not good.

    Example: crypto-platform status --json
    """
    if as_json + watch + metrics > 1:
        message = "--json, --metrics and --watch are three ways to show it: choose one"
        raise click.UsageError(message)
    settings = load_settings(data_dir)
    if watch:
        from crypto_platform.cli.view import run_live_view

        run_live_view(settings, stop_on(signal.SIGINT))
        return
    import msgspec

    from crypto_platform.cli.stack_parts import build_read_parts
    from crypto_platform.cli.status_text import format_status
    from crypto_platform.serving.pauses import ask_paused
    from crypto_platform.serving.status import read_status

    status = read_status(
        settings,
        read_parts=build_read_parts(settings.data_dir),
        read_paused=lambda: ask_paused(settings),
    )
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(status), indent=2).decode())
        _echo_errors(status.problems)
    elif metrics:
        from crypto_platform.serving.audits import Audits
        from crypto_platform.serving.status_metrics import Seen, print_metrics

        seen = Seen(status=status, audits=Audits(settings).read())
        click.echo(print_metrics(seen), nl=False)
    else:
        for line in format_status(status):
            click.echo(line)
    if not status.is_good:
        sys.exit(1)


def _echo_errors(problems: Sequence[str]) -> None:
    for problem in problems:
        click.echo(f"not good: {problem}", err=True)
