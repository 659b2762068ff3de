"""One typed Dagster resource a system, each built from the settings and able to `ping` its server.

They hold the data folder's path and nothing secret: addresses and passwords are read from the
settings when a resource is used, so none of them shows in the UI, in run config or in an event.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from crypto_platform.resources.http import HttpResource
from crypto_platform.resources.kafka import KafkaResource
from crypto_platform.resources.mongo import MongoResource
from crypto_platform.resources.postgres import PostgresResource
from crypto_platform.settings import Settings


def build_resources(settings: Settings) -> Mapping[str, dg.ConfigurableResource[Any]]:
    """The resources by the names under which assets and sensors ask for them."""
    data_dir = str(settings.data_dir)
    return {
        "http": HttpResource(data_dir=data_dir),
        "kafka": KafkaResource(data_dir=data_dir),
        "postgres": PostgresResource(data_dir=data_dir),
        "mongo": MongoResource(data_dir=data_dir),
    }
