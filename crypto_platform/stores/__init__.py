"""WHERE TO: the stores.

A new one is one package here, one shell in resources/, one line in STORES.
"""

from collections.abc import Callable, Mapping
from typing import Literal

from pydantic import SecretStr

from crypto_platform.errors import ConfigurationError
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.crash_points import arm
from crypto_platform.stores.mongo import MongoStore
from crypto_platform.stores.postgres import PostgresStore

Role = Literal["loader", "analyst"]


def _open_postgres(settings: Settings, role: Role) -> Store:
    urls = {"loader": settings.postgres.loader_url, "analyst": settings.postgres.analyst_url}
    return PostgresStore(_reveal(urls[role], f"postgres.{role}_url", "postgresql://"))


def _open_mongo(settings: Settings, role: Role) -> Store:
    urls = {"loader": settings.mongo.loader_url, "analyst": settings.mongo.analyst_url}
    url = _reveal(urls[role], f"mongo.{role}_url", "mongodb://")
    return MongoStore(url, settings.mongo.database)


STORES: Mapping[str, Callable[[Settings, Role], Store]] = {
    "postgres": _open_postgres,
    "mongo": _open_mongo,
}


def open_store(name: str, settings: Settings, *, role: Role = "loader") -> Store:
    """The store of this name; it connects when it is first used.

    Raises:
        ConfigurationError: Not a store, or its address is not set.
    """
    if name not in STORES:
        message = f"there is no store {name!r}; the stores are {', '.join(STORES)}"
        raise ConfigurationError(message)
    arm(settings.crash_at)
    return STORES[name](settings, role)


def _reveal(url: SecretStr | None, setting: str, scheme: str) -> str:
    if url is None:
        message = (
            f"{setting} is not set: start the platform here with `crypto-platform up`, or name a "
            f"server ({scheme}…) in the settings"
        )
        raise ConfigurationError(message)
    return url.get_secret_value()
