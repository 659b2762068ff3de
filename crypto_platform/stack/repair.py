"""The embedded PostgreSQL without its database: somebody dropped it, the roles are still there.

Here: noticing that, and making it anew, empty. Not here: a lost data folder (`up` makes that), a
server given by URL (its administrator's), tables (migrations/).
"""

from urllib.parse import urlsplit

from crypto_platform.settings import Settings
from crypto_platform.stack.embedded import find_admin_urls
from crypto_platform.stack.identity import read_identity
from crypto_platform.stack.postgres import DATABASE, DATABASE_STATEMENTS, SERVER_STATEMENTS
from crypto_platform.stores.postgres.databases import execute_all, has_database


def lacks_database(settings: Settings) -> bool:
    """Whether the embedded server is there without the store's database.

    Raises:
        StoreUnavailableError: It does not answer.
    """
    url = _find_admin_url(settings)
    return url is not None and not has_database(url, DATABASE)


def make_database(settings: Settings) -> None:
    """Make it anew, where the embedded server lacks it."""
    url = _find_admin_url(settings)
    if url is None or has_database(url, DATABASE):
        return
    execute_all(url, SERVER_STATEMENTS)
    execute_all(url.rpartition("/")[0] + f"/{DATABASE}", DATABASE_STATEMENTS)


def _find_admin_url(settings: Settings) -> str | None:
    """The superuser's, where the store is this folder's own server."""
    own = settings.postgres.migrator_url
    if own is None or read_identity(settings.data_dir) is None:
        return None
    found = find_admin_urls(settings.data_dir).postgres
    ours, theirs = urlsplit(found), urlsplit(own.get_secret_value())
    is_embedded = (ours.hostname, ours.port, DATABASE) == (
        theirs.hostname,
        theirs.port,
        theirs.path.lstrip("/"),
    )
    return found if is_embedded else None
