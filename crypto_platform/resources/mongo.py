"""The MongoDB store, as a Dagster resource."""

from crypto_platform.resources.settings import SettingsResource
from crypto_platform.stores import open_store
from crypto_platform.stores.base import Store


class MongoResource(SettingsResource):
    """Opens the store as role loader."""

    def open(self) -> Store:
        """A store of this process; it connects when it is first used."""
        return open_store("mongo", self.settings)
