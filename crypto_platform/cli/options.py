"""Options that many commands share, who typed one, and how a person is asked first."""

import getpass
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import click

from crypto_platform.domain.hours import parse_moment, to_time_us
from crypto_platform.errors import ConfigurationError
from crypto_platform.feeds import FEED_BY_NAME, Feed, Record
from crypto_platform.log_lines import set_up_logging
from crypto_platform.settings import load_settings


def _set_up_logging(
    _context: click.Context, _parameter: click.Parameter, data_dir: Path | None
) -> Path | None:
    """Every command logs as the settings of its folder say; wrong ones it reports itself."""
    with suppress(ConfigurationError):
        set_up_logging(load_settings(data_dir).logging)
    return data_dir


data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    callback=_set_up_logging,
    help="Folder of servers, logs and keys [default: CRYPTO_PLATFORM_DATA_DIR, else ./data].",
)

feed_option = click.option(
    "--feed",
    "feed_names",
    type=click.Choice(list(FEED_BY_NAME)),
    multiple=True,
    help="Only this feed; may be given again.",
)


def select_feeds(feed_names: Iterable[str]) -> list[Feed[Record]]:
    """What `--feed` names, each once; all feeds where it was not given."""
    return [FEED_BY_NAME[name] for name in dict.fromkeys(feed_names) or FEED_BY_NAME]


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")

yes_option = click.option("--yes", is_flag=True, help="Do it without asking.")


def find_user() -> str:
    """Who typed the command, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"


def is_confirmed(question: str, *, yes: bool) -> bool:
    """Whether to go on: by --yes, or because a person at the terminal says so."""
    if yes:
        return True
    if not sys.stdin.isatty():
        click.echo("nothing was written: --yes does it", err=True)
        return False
    return click.confirm(question, err=True)


class TimeType(click.ParamType[int]):
    """A time a person types, as microseconds since 1970: RFC 3339, or a day; UTC where unsaid."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read it, or say what one looks like."""
        if isinstance(value, int):
            return value
        try:
            return to_time_us(parse_moment(str(value)))
        except ValueError:
            self.fail(
                f"{value!r} is no time: 2026-01-31, 2026-01-31T14:30 or 2026-01-31T14:30:00.5Z",
                param,
                ctx,
            )


TIME = TimeType()
