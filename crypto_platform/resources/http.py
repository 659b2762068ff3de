"""The public APIs and the simulated market, as a Dagster resource."""

import threading
from collections.abc import Mapping

from crypto_platform.resources.settings import SettingsResource
from crypto_platform.sources import build_history_source, build_sources
from crypto_platform.sources.base import HistorySource, Source


class HttpResource(SettingsResource):
    """Sources by name, each with its own connections and budget."""

    def sources(self, stop: threading.Event) -> Mapping[str, Source]:
        """The enabled sources; waits inside them end when `stop` is set."""
        return build_sources(self.settings, stop)

    def history(self, name: str, feed: str, stop: threading.Event) -> HistorySource:
        """A source with history's share of its budget; see build_history_source."""
        return build_history_source(self.settings, name, feed, stop=stop)
