"""A store is restored from yesterday's backup."""

from pathlib import Path

import pytest

from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.stores import STORES
from tests.fault_steps import assert_whole, numbered_quotes
from tests.own_servers import copy_server, own_server, restore_server
from tests.platform_harness import Platform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("store", STORES)
def test_a_store_restored_from_a_backup_loads_what_came_after_it(
    platform: Platform, own_folder: Path, store: str
) -> None:
    """Fault 26: offsets kept anywhere else would say that nothing is missing."""
    backup = own_folder.parent / "backup"
    platform.publish(QUOTES, numbered_quotes(1, 20))
    with own_server(platform, own_folder, store):
        platform.load_both()
    copy_server(own_folder, store, backup)
    platform.publish(QUOTES, numbered_quotes(21, 50))
    with own_server(platform, own_folder, store):
        platform.load_both()
        platform.publish(QUOTES, numbered_quotes(51, 60))
        platform.load_both()
        assert_whole(platform, numbered_quotes(1, 60))
    restore_server(own_folder, store, backup)

    platform.publish(QUOTES, numbered_quotes(61, 70))
    with own_server(platform, own_folder, store):
        report = platform.load(store)
        assert report.progress.stored_records == {"quotes": 50}
        platform.load_both()
        assert_whole(platform, numbered_quotes(1, 70))
