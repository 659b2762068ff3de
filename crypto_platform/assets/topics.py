"""Topics as external assets: what lies between ingest and loads in the lineage."""

import dagster as dg

from crypto_platform.assets.descriptions import OWNERS, describe_record, refer_to, tag, trace_fields
from crypto_platform.assets.names import history_key, ingest_key, load_key, topic_key
from crypto_platform.feeds import FEEDS, Feed, Record
from crypto_platform.settings import Settings
from crypto_platform.sources import list_feeds, list_history
from crypto_platform.stores import STORES


def build_topic_assets(settings: Settings) -> list[dg.AssetSpec]:
    """One external asset a feed; sensor `health` observes it."""
    publishers = [(name, ingest_key(source, name)) for source, name in list_feeds(settings)]
    publishers += [(name, history_key(source, name)) for source, name in list_history(settings)]
    return [_build_spec(settings, feed, publishers) for feed in FEEDS]


def _build_spec(
    settings: Settings, feed: Feed[Record], publishers: list[tuple[str, dg.AssetKey]]
) -> dg.AssetSpec:
    # any source may reject a piece or raise an incident
    parents = [key for name, key in publishers if name == feed.name or feed.owned_by_platform]
    # what a feed of the platform's own says is not a column of what the source published
    lineage = {} if feed.owned_by_platform else trace_fields(feed, parents)
    return dg.AssetSpec(
        topic_key(feed),
        deps=parents,
        group_name="topics",
        owners=OWNERS,
        tags=tag(feed, "topic"),
        kinds={"kafka"},
        description=f"Topic {feed.topic}: {feed.description}",
        metadata={
            "topic": f"{settings.kafka.topic_prefix}{feed.topic}",
            "partitions": feed.partitions,
            "retention_hours": settings.kafka.retention_hours,
            **{f"loaded_to_{store}": load_key(store, feed) for store in STORES},
            **describe_record(feed),
            **lineage,
            **refer_to(the_record=feed.record),
        },
    )
