"""Options that many commands share, and how one document or many lines are printed."""

from collections.abc import Iterable
from pathlib import Path

import click

from crypto_platform.feeds import FEED_BY_NAME, Feed, Record

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
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
