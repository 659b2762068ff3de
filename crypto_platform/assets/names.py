"""Names that assets, jobs, sensors and people share: asset keys, job names, tags."""

import dagster as dg

from crypto_platform.feeds import Feed, Record

INGEST_JOB = "ingest_live"
INGEST_OP = "sources_to_kafka"
"""Name of the multi-asset; Dagster allows no job and op of one name."""
TAG_STORE = "crypto_platform/store"
"""On load runs: the store they load."""

PRIORITY_LIVE = {"dagster/priority": "10"}


def ingest_key(source: str, feed: str) -> dg.AssetKey:
    """coincap/quotes."""
    return dg.AssetKey([source, feed])


def topic_key(feed: Feed[Record]) -> dg.AssetKey:
    """kafka/market/quotes: a topic's dots become path parts, a dot would need quoting."""
    return dg.AssetKey(["kafka", *feed.asset_path])


def load_key(store: str, feed: Feed[Record]) -> dg.AssetKey:
    """postgres/market/quote, mongo/quotes: named as the store names it."""
    path = [feed.schema, feed.table] if store == "postgres" else [feed.collection]
    return dg.AssetKey([store, *path])


def load_job(store: str) -> str:
    """load_postgres, load_mongo."""
    return f"load_{store}"


def load_op(store: str) -> str:
    """Name of a store's multi-asset: kafka_to_postgres."""
    return f"kafka_to_{store}"
