"""Topics as external assets: what lies between ingest and loads in the lineage."""

import dagster as dg

from crypto_platform.assets.names import ingest_key, topic_key
from crypto_platform.feeds import FEEDS, Feed, Record
from crypto_platform.settings import Settings
from crypto_platform.sources import list_feeds


def build_topic_assets(settings: Settings) -> list[dg.AssetSpec]:
    """One external asset a feed; the topics sensor observes it."""
    pairs = list_feeds(settings)
    return [_build_spec(feed, pairs) for feed in FEEDS]


def _build_spec(feed: Feed[Record], pairs: list[tuple[str, str]]) -> dg.AssetSpec:
    # any source may reject a piece or raise an incident
    sources = [pair for pair in pairs if pair[1] == feed.name or feed.owned_by_platform]
    return dg.AssetSpec(
        topic_key(feed),
        deps=[ingest_key(source, name) for source, name in sources],
        group_name="topics",
        kinds={"kafka"},
        description=f"Topic {feed.topic}: {feed.description}",
        metadata={"topic": feed.topic, "partitions": feed.partitions},
    )
