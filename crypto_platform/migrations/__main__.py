"""`python -m crypto_platform.migrations [--data-dir D] [revision -m MESSAGE]`.

Without a command: migrate all servers in the settings. `revision`: generate one from FEEDS.
"""

import argparse
import sys
from pathlib import Path

from crypto_platform.errors import ConfigurationError, PlatformError
from crypto_platform.log_lines import set_up_logging
from crypto_platform.migrations import migrate, postgres
from crypto_platform.settings import Settings, load_settings


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 after an error that was explained."""
    parser = argparse.ArgumentParser(prog="python -m crypto_platform.migrations")
    parser.add_argument("--data-dir", type=Path, help="folder of settings and servers")
    commands = parser.add_subparsers(dest="command")
    revision = commands.add_parser("revision", help="generate a PostgreSQL revision from FEEDS")
    revision.add_argument("-m", "--message", required=True, help="what it does, a few words")
    options = parser.parse_args(arguments)
    try:
        settings = load_settings(options.data_dir)
        set_up_logging(settings.logging)
        if options.command == "revision":
            _write_revision(settings, options.message)
        else:
            migrate(settings)
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _write_revision(settings: Settings, message: str) -> None:
    url = settings.postgres.migrator_url
    if url is None:
        text = "postgres.migrator_url is not set: a revision is what differs from that database"
        raise ConfigurationError(text)
    path = postgres.write_revision(url.get_secret_value(), message=message)
    sys.stdout.write(f"written: {path}; read it, then run the migration\n")


if __name__ == "__main__":
    sys.exit(main())
