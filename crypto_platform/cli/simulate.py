"""`simulate`: let the running company's users trade at another rate for a while."""

import http.client
import json
import signal
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import click

from crypto_platform.cli.options import data_dir_option, json_option
from crypto_platform.cli.signals import stop_on
from crypto_platform.errors import StackError
from crypto_platform.settings import CompanySettings, load_settings

LOOK_S = 0.5
LOOK_S_MIN = 0.05
SUMMED = ("orders", "fills", "events", "last_sequence")
_TIMEOUT_S = 10.0


@click.command()
@click.option(
    "--rate",
    type=click.FloatRange(0, 5000, min_open=True),
    default=100.0,
    show_default=True,
    help="Orders a second.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, 86_400, min_open=True),
    default=10.0,
    show_default=True,
    help="How long.",
)
@click.option(
    "--users", type=click.IntRange(2, 999_999), help="How many trade [default: company.users]."
)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), help="Of what they do [default: company.seed]."
)
@json_option
@data_dir_option
def simulate_command(
    *,
    rate: float,
    seconds: float,
    users: int | None,
    seed: int | None,
    as_json: bool,
    data_dir: Path | None,
) -> None:
    """Let the running company's users trade at a rate for a while, then sum up.

    Ctrl-C ends it early. Afterwards they trade at company.rate again.

    Example: crypto-platform simulate --users 1000 --rate 500 --seconds 30
    """
    company = load_settings(data_dir).company
    stop = stop_on(signal.SIGINT, signal.SIGTERM)
    began = time.monotonic()
    order = {"rate": rate, "seconds": seconds, "users": users, "seed": seed}
    seen = _ask(company, "POST", order)
    while seen["is_on"]:
        _show(f"{_describe(seen, began)}, {seen['left_s']:.0f} s to go")
        if stop.wait(min(LOOK_S, seen["left_s"] + LOOK_S_MIN)):
            seen = _ask(company, "DELETE")
            break
        seen = _ask(company, "GET")
    _show("")
    if as_json:
        click.echo(json.dumps({key: seen[key] for key in SUMMED}))
        return
    click.echo(f"{_describe(seen, began)}; the newest event is {seen['last_sequence']:,}")


def _show(line: str) -> None:
    """Replace the line of progress, where somebody looks."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{line}", nl=False, err=True)


def _describe(seen: dict[str, Any], began: float) -> str:
    seconds = time.monotonic() - began
    return (
        f"{seen['orders']:,} orders, {seen['fills']:,} fills, {seen['events']:,} events in "
        f"{seconds:.1f} s"
    )


def _ask(
    company: CompanySettings, method: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """One request about the drive.

    Raises:
        StackError: No company is known, it does not answer, or it refuses.
    """
    if company.url is None or company.operator_key is None:
        message = (
            "no simulated company is known here: start one with `crypto-platform up` (it is left "
            "out by company.enabled = false and by --sources live), or set company.url and "
            "company.operator_key"
        )
        raise StackError(message)
    request = urllib.request.Request(
        f"{company.url.rstrip('/')}/v1/drive",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
    )
    # for this address alone: a redirect goes on without it
    request.add_unredirected_header("X-Api-Key", company.operator_key.get_secret_value())
    # without a proxy: the address is one of ours
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        message = f"the company at {company.url} refused: {error.read().decode()[:300]}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        message = (
            f"the company at {company.url} did not answer: {error}; `crypto-platform status` says "
            f"whether it runs"
        )
    raise StackError(message)
