"""Counts and durations of answers, in Prometheus' text form.

Here: what is counted, and how stores are, looked up when somebody reads it; how the platform is
stands beside it. Not here: the endpoint (operations.py), the platform's figures
(serving/status_metrics.py).
"""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import Scope

from crypto_platform.feeds import FEED_BY_NAME, Feed, Record
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.feeds.trades import TRADES
from crypto_platform.serving.failover import Position, Reads
from crypto_platform.serving.probe import Answer
from crypto_platform.serving.status_metrics import Seen, StatusCollector

MARKET_FEEDS: tuple[Feed[Record], ...] = (QUOTES, FEED_BY_NAME[TRADES.name])

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """Of one process. Safe for threads."""

    def __init__(self, reads: Reads, look: Callable[[], Seen]) -> None:
        """Nothing was answered yet; `look` says how the platform is."""
        self._registry = CollectorRegistry()
        self._registry.register(StatusCollector(look))
        self._registry.register(_Stores(reads))
        ProcessCollector(registry=self._registry)
        labels = ("route", "method", "status")
        self._requests = Counter(
            "crypto_platform_api_requests", "Answers", labels, registry=self._registry
        )
        self._seconds = Histogram(
            "crypto_platform_api_seconds",
            "From the request to the end of the answer",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )

    def watch(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an answer; a path that is none of ours has one name for all."""
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def print(self) -> bytes:
        """Everything, in Prometheus' text form."""
        return generate_latest(self._registry)


class _Stores(Collector):
    """How stores are, looked up when somebody reads the metrics."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    def describe(self) -> list[GaugeMetricFamily]:
        """What collect gives, so that nobody asks a store at the start."""
        return list(_build_families({}))

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Two figures a store."""
        found = {
            "market": self._reads.look(MARKET_FEEDS),
            "accounts": self._reads.look([ACCOUNT_EVENTS]),
        }
        return _build_families(found)


def _build_families(
    found: Mapping[str, Mapping[str, Answer[Position]]],
) -> Iterator[GaugeMetricFamily]:
    up = GaugeMetricFamily(
        "crypto_platform_api_store_up", "1 while it tells how far it has come", labels=["store"]
    )
    newest = GaugeMetricFamily(
        "crypto_platform_api_newest_record_seconds",
        "When its newest record was appended to Kafka, since 1970",
        labels=["store", "data"],
    )
    for data, stores in found.items():
        for name, answer in stores.items():
            if data == "market":
                up.add_metric([name], float(answer.value is not None))
            if answer.value is not None and answer.value.newest_us is not None:
                newest.add_metric([name, data], answer.value.newest_us / 1_000_000)
    yield up
    yield newest
