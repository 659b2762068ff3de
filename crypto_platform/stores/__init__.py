"""WHERE TO: the stores.

A new one is one package here, one shell in resources/, one entry in STORES.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

from pydantic import SecretStr

from crypto_platform.crash_points import arm
from crypto_platform.errors import ConfigurationError
from crypto_platform.feeds import Feed, Record
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.contents import StoredColumn
from crypto_platform.stores.mongo import MongoStore
from crypto_platform.stores.mongo.columns import describe_columns as describe_keys
from crypto_platform.stores.postgres import PostgresStore
from crypto_platform.stores.postgres.analytics import AnalyticsStore
from crypto_platform.stores.postgres.columns import describe_columns

Role = Literal["loader", "analyst", "api"]
"""As whom a store is asked. MongoDB has no `api`: its filters by user are the data layer's."""


@dataclass(frozen=True, kw_only=True)
class StoreKind:
    """What the platform has to know of a kind of store.

    Attributes:
        product: As Dagster's UI knows it.
        open: Makes the store; nothing is connected yet.
        place_of: Where a feed's records stand, as path parts.
        columns_of: What stands there.
    """

    product: str
    open: Callable[[Settings, Role], Store]
    place_of: Callable[[Feed[Record]], tuple[str, ...]]
    columns_of: Callable[[Feed[Record]], Sequence[StoredColumn]]


def _open_postgres(settings: Settings, role: Role) -> Store:
    return PostgresStore(_postgres_url(settings, role))


def _postgres_url(settings: Settings, role: Role) -> str:
    urls = {
        "loader": settings.postgres.loader_url,
        "analyst": settings.postgres.analyst_url,
        "api": settings.postgres.api_url,
    }
    return _reveal(urls[role], f"postgres.{role}_url", "postgresql://")


def _open_mongo(settings: Settings, role: Role) -> Store:
    own = "loader" if role == "loader" else "analyst"
    urls = {"loader": settings.mongo.loader_url, "analyst": settings.mongo.analyst_url}
    url = _reveal(urls[own], f"mongo.{own}_url", "mongodb://")
    return MongoStore(url, settings.mongo.database, plain_text_hosts=settings.plain_text_hosts)


STORES: Mapping[str, StoreKind] = {
    "postgres": StoreKind(
        product="postgresql",
        open=_open_postgres,
        place_of=lambda feed: (feed.schema, feed.table),
        columns_of=describe_columns,
    ),
    "mongo": StoreKind(
        product="mongodb",
        open=_open_mongo,
        place_of=lambda feed: (feed.collection,),
        columns_of=describe_keys,
    ),
}


def open_store(name: str, settings: Settings, *, role: Role = "loader") -> Store:
    """The store of this name; it connects when it is first used.

    Raises:
        ConfigurationError: Not a store, or its address is not set.
    """
    if name not in STORES:
        message = f"there is no store {name!r}; the stores are {', '.join(STORES)}"
        raise ConfigurationError(message)
    arm(settings.crash_at, by=settings.crash_by)
    return STORES[name].open(settings, role)


def open_analytics(settings: Settings, *, role: Role = "loader") -> AnalyticsStore:
    """What PostgreSQL holds of analytics, and how it is written; connects when it is first used.

    Raises:
        ConfigurationError: The store's address is not set.
    """
    arm(settings.crash_at, by=settings.crash_by)
    return AnalyticsStore(_postgres_url(settings, role))


@contextmanager
def open_stores(
    settings: Settings, names: Iterable[str] = STORES, *, role: Role = "loader"
) -> Generator[Mapping[str, Store]]:
    """These stores by name, open for as long as the block lasts; see `open_store`."""
    with ExitStack() as closing:
        stores: dict[str, Store] = {}
        for name in names:
            stores[name] = open_store(name, settings, role=role)
            closing.callback(stores[name].close)
        yield stores


def _reveal(url: SecretStr | None, setting: str, scheme: str) -> str:
    if url is None:
        message = (
            f"{setting} is not set: start the platform here with `crypto-platform up`, or name a "
            f"server ({scheme}…) in the settings"
        )
        raise ConfigurationError(message)
    return url.get_secret_value()
