"""Where the parts meet: everything Dagster sees, built from settings and nothing else."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from crypto_platform.assets.ingest import build_ingest_assets
from crypto_platform.assets.loads import build_load_assets
from crypto_platform.assets.topics import build_topic_assets
from crypto_platform.jobs import build_ingest_job, build_load_job
from crypto_platform.resources import build_resources
from crypto_platform.schedules import build_ingest_schedule
from crypto_platform.sensors.loads import build_load_sensor
from crypto_platform.sensors.topics import build_topics_sensor
from crypto_platform.settings import Settings, load_settings
from crypto_platform.stores import STORES


def build_definitions(
    settings: Settings, resources: Mapping[str, dg.ConfigurableResource[Any]] | None = None
) -> dg.Definitions:
    """All assets, jobs, schedules and sensors of one deployment.

    Args:
        resources: Replace those of the same name; tests hand in their own.
    """
    ingest = build_ingest_assets(settings)
    loads = {store: build_load_assets(settings, store) for store in STORES}
    return dg.Definitions(
        assets=[ingest, *build_topic_assets(settings), *loads.values()],
        jobs=[
            build_ingest_job(ingest, settings),
            *(build_load_job(assets, store, settings) for store, assets in loads.items()),
        ],
        schedules=[build_ingest_schedule(settings)],
        sensors=[
            build_topics_sensor(settings),
            *(build_load_sensor(settings, store) for store in STORES),
        ],
        resources={**build_resources(settings), **(resources or {})},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What the code server and the dagster CLI load; nothing is read before it is called."""
    return build_definitions(load_settings())
