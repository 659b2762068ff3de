"""The one way to migrate: PostgreSQL, then MongoDB, then Kafka's topics.

Here: the order, and that two migrations never meet. Not here: what each server needs.
"""

import contextlib
from collections.abc import Callable, Generator

from pydantic import SecretStr

from crypto_platform.kafka.topics import create_topics
from crypto_platform.migrations import postgres
from crypto_platform.serving.currencies import CurrencyCodes
from crypto_platform.settings import Settings
from crypto_platform.stores.mongo import schema as mongo_schema
from crypto_platform.stores.mongo.claims import SINK as MONGO
from crypto_platform.stores.postgres.aliases import replace_aliases

Progress = Callable[[str], None]


def migrate(
    settings: Settings,
    *,
    progress: Progress = print,
    remakes_dropped: bool = False,
    only: str | None = None,
) -> None:
    """Create or change what is missing; repeating it changes nothing.

    Args:
        settings: A server without an address in them is left out, and `progress` says so.
        progress: Takes one line for people at a time.
        remakes_dropped: Also what is missing of PostgreSQL though it is at the newest revision:
            somebody dropped it. Only a restore fills it again.
        only: Leave the other store out, which may be lost as well.

    Raises:
        StoreUnavailableError: A server was not reached. What was done before stays done.
        ConfigurationError: A role is missing, with the statement that makes it.
        KafkaUnavailableError: Topics could not be created in time.
    """
    if only == MONGO:  # which several may migrate at once, as they may create topics
        _migrate_mongo(settings, progress)
        _create_topics(settings, progress)
        return
    with _lock(settings):
        _migrate_postgres(settings, progress, remakes_dropped=remakes_dropped)
        if only is None:
            _migrate_mongo(settings, progress)
        _create_topics(settings, progress)


@contextlib.contextmanager
def _lock(settings: Settings) -> Generator[None, None, None]:
    """PostgreSQL's lock covers the other servers too, for they have none as simple."""
    url = settings.postgres.migrator_url
    if url is None:
        yield
        return
    with postgres.lock(url.get_secret_value()):
        yield


def _migrate_postgres(settings: Settings, progress: Progress, *, remakes_dropped: bool) -> None:
    urls = settings.postgres
    if urls.migrator_url is None:
        progress("PostgreSQL: left out, postgres.migrator_url is not set")
        return
    progress(
        postgres.migrate(
            migrator_url=urls.migrator_url.get_secret_value(),
            loader_url=_reveal(urls.loader_url),
            analyst_url=_reveal(urls.analyst_url),
            api_url=_reveal(urls.api_url),
            remakes_dropped=remakes_dropped,
        )
    )
    replace_aliases(urls.migrator_url.get_secret_value(), CurrencyCodes(settings).list_all())


def _reveal(url: SecretStr | None) -> str | None:
    return None if url is None else url.get_secret_value()


def _migrate_mongo(settings: Settings, progress: Progress) -> None:
    if settings.mongo.migrator_url is None:
        progress("MongoDB: left out, mongo.migrator_url is not set")
        return
    mongo_schema.migrate(
        settings.mongo.migrator_url.get_secret_value(),
        settings.mongo.database,
        plain_text_hosts=settings.plain_text_hosts,
    )
    progress("MongoDB: collections and indexes are there")


def _create_topics(settings: Settings, progress: Progress) -> None:
    if settings.kafka.bootstrap_servers is None:
        progress("Kafka: left out, kafka.bootstrap_servers is not set")
        return
    create_topics(settings, progress=progress)
    progress("Kafka: topics are there")
