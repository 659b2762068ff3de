"""`alerts list|test`: what would be told to people, and whether it arrives.

Here: the questions to the status and the receivers, and lines. Not here: what is bad
(serving/faults.py), the sensor that tells it (sensors/alerts.py).
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from crypto_platform.cli.options import data_dir_option, json_option
from crypto_platform.cli.text import printable
from crypto_platform.errors import ConfigurationError
from crypto_platform.serving.faults import Found
from crypto_platform.settings import ENV_PREFIX, Settings, find_settings_file, load_settings


@click.group()
def alerts_command() -> None:
    """What would be told to people now, and a trial message. docs/operations.md: Alerts.

    Example: crypto-platform alerts test --dry-run
    """


@alerts_command.command("list")
@json_option
@data_dir_option
def list_command(*, as_json: bool, data_dir: Path | None) -> None:
    """Show the message that a receiver who knows of nothing would get; nothing is sent.

    What has just begun stands in it, too, though it is told only once it lasts. Exit 1 if anything
    is bad.

    Example: crypto-platform alerts list
    """
    from crypto_platform.serving.alert_text import write_message
    from crypto_platform.serving.alerts import plan_news

    settings = load_settings(data_dir)
    found = _find(settings)
    at_once = settings.alerts.model_copy(update={"after_s": 0.0})
    news, _ = plan_news(at_once, found, {}, now=(now := time.time()))
    if as_json:
        rows = [
            {"name": each.name, "title": each.title, "text": each.text, "heading": each.heading}
            for each in news
        ]
        click.echo(json.dumps({"alerts": rows}, indent=2, ensure_ascii=False))
    elif news:
        message = write_message(settings, news, now=now)
        click.echo(f"{message.title}\n\n{printable_lines(message.body)}")
    else:
        click.echo("nothing is bad")
    if news:
        sys.exit(1)


@alerts_command.command("test")
@click.option("--to", "name", metavar="RECEIVER", help="This one only.")
@click.option("--dry-run", is_flag=True, help="Show the message and its receivers; send nothing.")
@data_dir_option
def test_command(*, name: str | None, dry_run: bool, data_dir: Path | None) -> None:
    """Send a trial message to each receiver; exit 1 where one did not take it.

    Example: crypto-platform alerts test --to team
    """
    from crypto_platform.serving.alert_text import write_trial
    from crypto_platform.serving.messages import send

    settings = load_settings(data_dir)
    message, receivers = write_trial(settings), choose_receivers(settings, name)
    if dry_run:
        click.echo(f"to {', '.join(receivers)}:\n{message.title}\n{message.body}")
        return
    failed = False
    for receiver in receivers:
        problem = send(settings, receiver, message)
        click.echo(f"{receiver}: {problem or 'taken'}", err=problem is not None)
        failed = failed or problem is not None
    if failed:
        sys.exit(1)


def _find(settings: Settings) -> Found:
    from crypto_platform.serving.audits import Audits
    from crypto_platform.serving.faults import find_faults
    from crypto_platform.serving.pauses import ask_paused
    from crypto_platform.serving.status import read_status

    status = read_status(settings, read_paused=lambda: ask_paused(settings))
    paused = {each.name for each in (*status.sources, *status.stores) if each.is_paused}
    audited = Audits(settings).answer()
    if audited.problem is not None:
        click.echo(f"not known how the last audits ended: {audited.problem}", err=True)
    return find_faults(settings, status, audited.value or (), paused=paused)


def choose_receivers(settings: Settings, name: str | None) -> Sequence[str]:
    """Names of all, or the one that is named.

    Raises:
        ConfigurationError: There is none, or none of that name.
    """
    known = settings.alerts.receivers
    if not known:
        message = (
            "alerts.receivers is empty: set one, for example "
            f"{ENV_PREFIX}ALERTS__RECEIVERS__TEAM=slack://… in the environment of `up`, or in "
            f"{find_settings_file(settings.data_dir)} (docs/operations.md, Alerts); one that only "
            "a service's environment file names is not seen here (docs/service.md)"
        )
        raise ConfigurationError(message)
    if name is not None and name not in known:
        message = f"no receiver {name} in alerts.receivers; there are: {', '.join(known)}"
        raise ConfigurationError(message)
    return [*known] if name is None else [name]


def printable_lines(text: str) -> str:
    """Without what would steer the terminal; the lines stay."""
    return "\n".join(printable(line) for line in text.split("\n"))
