"""`backup`: write the stores into files from which `restore --from backup:DIR` puts them back."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from crypto_platform.cli.dumpers import open_dumpers
from crypto_platform.cli.options import data_dir_option, json_option
from crypto_platform.delivery.backup import Manifest, back_up, refuse_target
from crypto_platform.domain.readable import format_age
from crypto_platform.settings import load_settings
from crypto_platform.stores import STORES

BACKUPS_FOLDER = "backups"


@click.command()
@click.option(
    "--store",
    "store_names",
    type=click.Choice(list(STORES)),
    multiple=True,
    help="Only this store; may be given again.",
)
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, file_okay=False),
    help=f"A folder that is new or empty [default: {BACKUPS_FOLDER}/TIME in the data folder].",
)
@click.option("--dry-run", is_flag=True, help="Say where to and about how large; write nothing.")
@json_option
@data_dir_option
def backup_command(
    *,
    store_names: tuple[str, ...],
    target: Path | None,
    dry_run: bool,
    as_json: bool,
    data_dir: Path | None,
) -> None:
    """Write both stores, or one, into files; loads and reads go on meanwhile.

    Each store's files are of one moment, its offsets among them: put back, it loads by itself what
    came later. PostgreSQL is written by pg_dump, MongoDB as mongodump does.

    Example: crypto-platform backup --to /mnt/backups/2026-01-31
    """
    settings = load_settings(data_dir)
    begun = time.monotonic()
    folder = target or settings.data_dir / BACKUPS_FOLDER / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    with open_dumpers(settings, store_names or STORES) as dumpers:
        if dry_run:
            size_bytes = refuse_target(folder, dumpers)
            names = " and ".join(dumper.sink for dumper in dumpers)
            found = {"folder": str(folder), "stores": names, "bytes_at_most": size_bytes}
            text = f"{names} would be written to {folder}: at most {size_bytes / 1e6:,.0f} MB"
            click.echo(json.dumps(found, indent=2) if as_json else text)
            return
        manifest = back_up(
            dumpers,
            folder,
            deployment=settings.deployment,
            now_us=time.time_ns() // 1000,
            progress=lambda text: click.echo(text, err=True),
        )
    seconds = time.monotonic() - begun
    if as_json:
        click.echo(json.dumps(build_document(manifest, folder, seconds), indent=2))
        return
    for name, facts in manifest.stores.items():
        click.echo(
            f"{name}: {facts.records:,} records in {len(facts.files)} files, "
            f"{facts.size_bytes / 1e6:,.1f} MB"
        )
    click.echo(
        f"written in {format_age(seconds)}; `crypto-platform restore STORE --from "
        f"backup:{folder}` puts it back"
    )


def build_document(manifest: Manifest, folder: Path, seconds: float) -> dict[str, object]:
    """For --json."""
    return {
        "folder": str(folder),
        "made_at": manifest.made_at,
        "seconds": round(seconds, 3),
        "stores": {
            name: {
                "server_version": facts.server_version,
                "records": facts.records,
                "size_bytes": facts.size_bytes,
                "files": len(facts.files),
            }
            for name, facts in manifest.stores.items()
        },
    }
