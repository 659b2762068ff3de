"""What all resources share: the settings of their data folder, read when first used."""

from functools import cached_property
from pathlib import Path

import dagster as dg

from crypto_platform.settings import Settings, load_settings


class SettingsResource(dg.ConfigurableResource):
    """A resource that finds its server through the settings of a data folder."""

    data_dir: str

    @cached_property
    def settings(self) -> Settings:
        """All settings of this data folder.

        Raises:
            ConfigurationError: Names the wrong one.
        """
        return load_settings(Path(self.data_dir))
