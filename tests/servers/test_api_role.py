"""Whatever the API is asked, it asks PostgreSQL as the role that sees one user's rows alone.

Not here: what that role may read (test_api.py, test_postgres_rights.py). MongoDB has no such role.
"""

import httpx
import pytest

from crypto_platform.serving.api.app import create_app
from tests.api_harness import listening
from tests.platform_harness import Platform
from tests.servers.test_api import filled, log_in
from tests.servers.test_api_one_store import ASKED, PAGES, UNMARKED, fill

pytestmark = pytest.mark.timeout(300)

STATUS = frozenset({"/metrics", "/operations"})
"""They tell how the platform is, as the analyst where his address is set, and nobody's rows."""


def list_backends(platform: Platform) -> dict[int, str]:
    """Who is connected to the platform's database, by process."""
    with platform.postgres_admin() as connection:
        rows = connection.execute(
            "SELECT pid, usename FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
    return {int(str(pid)): str(role) for pid, role in rows}


def test_every_read_of_the_api_is_made_as_its_own_role(platform: Platform) -> None:
    """As the analyst it would see everybody's accounts, and a slip in a filter would show them."""
    with filled(platform) as keys:
        app = create_app(platform.settings)
        before = list_backends(platform)
        with listening(app) as address, httpx.Client(base_url=address, timeout=30) as client:
            own = log_in(client, keys, "ann")
            for path, queries in ASKED.items():
                for query in queries:
                    assert client.get(fill(path), params=query, headers=own).status_code == 200
            for path in {*PAGES, *UNMARKED} - STATUS:
                assert client.get(fill(path), headers=own).status_code == 200, path
            opened = {pid: who for pid, who in list_backends(platform).items() if pid not in before}
            assert set(opened.values()) == {"api"}
    assert platform.audit(deep=False).whole
