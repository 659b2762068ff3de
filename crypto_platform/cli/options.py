"""Options that many commands share, and how one document or many lines are printed."""

from pathlib import Path

import click

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of servers, logs and keys [default: CRYPTO_PLATFORM_DATA_DIR, else ./data].",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
