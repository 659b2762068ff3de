"""A store is migrated alone, for the other one may be lost as well."""

from pathlib import Path

import pytest

from crypto_platform.errors import StoreUnavailableError
from crypto_platform.migrations import migrate
from crypto_platform.settings import load_settings

AWAY = "postgresql://migrator@127.0.0.1:1/nothing"


def test_mongodb_is_migrated_while_postgresql_is_away(tmp_path: Path) -> None:
    """With both stores lost, each would wait for the other to be restored first."""
    settings = load_settings(tmp_path, environment={"CRYPTO_PLATFORM_POSTGRES__MIGRATOR_URL": AWAY})
    said: list[str] = []
    migrate(settings, progress=said.append, only="mongo")
    assert [line.split(":")[0] for line in said] == ["MongoDB", "Kafka"]
    for only in ("postgres", None):
        with pytest.raises(StoreUnavailableError):
            migrate(settings, progress=said.append, only=only)
