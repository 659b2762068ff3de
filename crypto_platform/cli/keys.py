"""`keys create|list|revoke`: who may ask the HTTP API as a user."""

import json
import time
from pathlib import Path

import click

from crypto_platform.cli.options import data_dir_option, json_option
from crypto_platform.cli.sheet import echo_source
from crypto_platform.cli.text import format_table, printable
from crypto_platform.domain.readable import UNKNOWN
from crypto_platform.serving.failover import open_reads
from crypto_platform.serving.keys import make_key, read_keys, revoke_key
from crypto_platform.serving.sheets import build_source, print_time
from crypto_platform.settings import load_settings

USER_LENGTH_MAX = 128
LABEL_LENGTH_MAX = 100


class _Plain(click.ParamType[str]):
    """Text that both stores keep: not empty, no NUL, not too long."""

    name = "text"

    def __init__(self, length_max: int) -> None:
        self._length_max = length_max

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Read it, or say what is wrong."""
        text = str(value)
        if not 0 < len(text) <= self._length_max or "\x00" in text:
            self.fail(f"must be 1 to {self._length_max} characters without NUL", param, ctx)
        return text


_user_option = click.option(
    "--user", "user_id", required=True, type=_Plain(USER_LENGTH_MAX), help="Whose."
)


@click.group()
def keys_command() -> None:
    """Make, list and revoke keys of the HTTP API."""


@keys_command.command("create")
@_user_option
@click.option("--label", type=_Plain(LABEL_LENGTH_MAX), help="What it is for.")
@json_option
@data_dir_option
def create_command(
    *, user_id: str, label: str | None, as_json: bool, data_dir: Path | None
) -> None:
    """Make a key; it is shown now and never again.

    Example: crypto-platform keys create --user u000001 --label laptop
    """
    settings = load_settings(data_dir)
    made = make_key(settings, user_id, label=label, clock_us=time.time_ns() // 1000)
    if as_json:
        document = {"user": user_id, "key_id": made.key_id, "key": made.text}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        click.echo(made.text)
    click.echo(
        f"key {made.key_id} of {printable(user_id)}: keep it, nobody can show it again; it holds "
        f"in a second",
        err=True,
    )


@keys_command.command("list")
@_user_option
@json_option
@data_dir_option
def list_command(*, user_id: str, as_json: bool, data_dir: Path | None) -> None:
    """Show a user's keys, not the keys themselves; the newest first.

    Example: crypto-platform keys list --user u000001
    """
    with open_reads(load_settings(data_dir)) as reads:
        answered = read_keys(reads, user_id)
    echo_source(answered.source)
    if as_json:
        keys = [
            {
                "key_id": key.key_id,
                "label": key.label,
                "made": print_time(key.made_us),
                "revoked": None if key.revoked_us is None else print_time(key.revoked_us),
            }
            for key in answered.value
        ]
        document = {**build_source(answered.source), "user": user_id, "keys": keys}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    rows = [
        (
            key.key_id,
            printable(key.label or UNKNOWN),
            print_time(key.made_us),
            "holds" if key.revoked_us is None else f"revoked {print_time(key.revoked_us)}",
        )
        for key in answered.value
    ]
    lines = format_table(("key", "label", "made", "state"), rows) if rows else ["no key"]
    click.echo("\n".join(lines))


@keys_command.command("revoke")
@click.argument("key_id")
@_user_option
@data_dir_option
def revoke_command(*, key_id: str, user_id: str, data_dir: Path | None) -> None:
    """Take a key back; tokens that it gave end within seconds too.

    Example: crypto-platform keys revoke 1f0c9a64e2b7d350 --user u000001
    """
    settings = load_settings(data_dir)
    if revoke_key(settings, user_id, key_id, clock_us=time.time_ns() // 1000):
        click.echo(f"{key_id} holds no more")
    else:
        click.echo(f"{printable(key_id)} was revoked already")
