"""Names that assets, jobs, sensors and people share: asset keys, job names, tags."""

import dagster as dg

from crypto_platform.feeds import Feed, Record
from crypto_platform.stores import STORES

INGEST_JOB = "ingest_live"
INGEST_OP = "sources_to_kafka"
"""Name of the multi-asset; Dagster allows no job and op of one name."""
TAG_STORE = "crypto_platform/store"
"""On load runs: the store they load."""
TAG_SHARD = "crypto_platform/shard"
"""On load runs that a sensor asked for: which partitions they take, as 0/2."""
TAG_POLLED = "crypto_platform/polled"
"""On ingest runs that failed: how many sources were polled all the same."""
HEALTH_SENSOR = "health"
ALERT_SENSOR = "alerts"
AUDIT_JOB = "audit_hour"
AUDIT_OP = "compare_stores"
QUALITY_JOB = "quality_hour"
REPAIR_JOB = "repair_gaps"
GAPS_JOB = "report_gaps"
GAPS_SENSOR = "gaps_due"
QUALITY_OP = "look_at_an_hour"
ANALYTICS_JOB = "analytics"
ANALYTICS_OP = "derive"
ANALYTICS_SENSOR = "analytics_due"

PRIORITY_LIVE = {"dagster/priority": "10"}


def audit_key(feed: Feed[Record]) -> dg.AssetKey:
    """audit/quotes."""
    return dg.AssetKey(["audit", feed.name])


def analytics_key(computation: str) -> dg.AssetKey:
    """analytics/candles."""
    return dg.AssetKey(["analytics", computation])


def quality_key(feed_name: str) -> dg.AssetKey:
    """quality/trades."""
    return dg.AssetKey(["quality", feed_name])


def gaps_key() -> dg.AssetKey:
    """quality/gaps."""
    return dg.AssetKey(["quality", "gaps"])


def ingest_key(source: str, feed: str) -> dg.AssetKey:
    """coincap/quotes."""
    return dg.AssetKey([source, feed])


def history_key(source: str, feed: str) -> dg.AssetKey:
    """history/coinbase/trades."""
    return dg.AssetKey(["history", source, feed])


def history_op(source: str, feed: str) -> str:
    """Name of a history asset's op: history_coinbase_trades."""
    return f"history_{source}_{feed}"


def history_pool(source: str) -> str:
    """Runs of one pool wait for each other: history_coinbase."""
    return f"history_{source}"


def repair_op(source: str) -> str:
    """Name of a source's op in job repair_gaps: repair_coinbase."""
    return f"repair_{source}"


def topic_key(feed: Feed[Record]) -> dg.AssetKey:
    """kafka/market/quotes: a topic's dots become path parts, a dot would need quoting."""
    return dg.AssetKey(["kafka", *feed.asset_path])


def load_key(store: str, feed: Feed[Record]) -> dg.AssetKey:
    """postgres/market/quote, mongo/quotes: named as the store names it."""
    return dg.AssetKey([store, *STORES[store].place_of(feed)])


def load_job(store: str) -> str:
    """load_postgres, load_mongo."""
    return f"load_{store}"


def load_op(store: str) -> str:
    """Name of a store's multi-asset: kafka_to_postgres."""
    return f"kafka_to_{store}"
