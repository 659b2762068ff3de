"""Which files of a folder are a backup's."""

from pathlib import Path

import pytest

from crypto_platform.errors import StoreRefusedError
from crypto_platform.stores.mongo.dump import find_collections

FILES = ["cp/trades.bson", "cp/trades.metadata.json", "cp/kafka_offset.bson"]


def test_only_what_the_manifest_names_is_read(tmp_path: Path) -> None:
    """A file that lies beside them was not verified."""
    (tmp_path / "cp").mkdir()
    (tmp_path / "cp" / "stray.bson").write_bytes(b"?")
    assert find_collections(tmp_path, FILES) == (tmp_path / "cp", ["trades"])


def test_a_folder_of_two_databases_is_no_backup(tmp_path: Path) -> None:
    """Nothing says which of them the store is."""
    with pytest.raises(StoreRefusedError, match="holds 2 databases"):
        find_collections(tmp_path, [*FILES, "other/trades.bson"])
