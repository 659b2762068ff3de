"""What fault tests say again and again: numbered quotes, a market's page, and the final audit.

Here: literal builders and the one assertion every fault test ends with. Not here: servers
(platform_harness.py), children (fault_children.py), the faults.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress

from confluent_kafka import Consumer, TopicPartition

from crypto_platform.delivery.ingest import FeedReport
from crypto_platform.errors import RecordRejectedError
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.codec import decode
from crypto_platform.feeds.quotes import QUOTES, Quote, seal_quote
from crypto_platform.kafka.connection import client_config
from crypto_platform.kafka.watermarks import Part
from crypto_platform.settings import ENV_PREFIX
from crypto_platform.sources import build_sources
from crypto_platform.stores import STORES
from tests.platform_harness import Platform
from tests.scripted_source import Reply

NOTHING: Mapping[str, Collection[int]] = {}
_END = 2**62
_SECOND_MS = 1000
_NOON_MS = 1_763_812_800_000


def numbered_quotes(first: int, last: int, *, currency_id: str | None = None) -> list[Quote]:
    """Quotes number `first` to `last`, each of a currency of its own unless one is given.

    One currency keeps them in one partition, in this order.
    """
    return [
        seal_quote(
            Quote(
                source="test",
                currency_id=currency_id or f"c{number}",
                quote_currency="USD",
                price=f"{number}.10",
                ts_event=1_700_000_000_000_000 + number,
                ts_ingest=1_700_000_000_000_000,
            )
        )
        for number in range(first, last + 1)
    ]


def page(*currencies: str, second: int = 0, price: str = "1.50") -> Reply:
    """What a market in CoinCap's shape answers: these currencies, so many seconds after noon."""
    items = [
        {"id": name, "rank": "1", "symbol": name.upper(), "name": name, "priceUsd": price}
        for name in currencies
    ]
    body = {"timestamp": _NOON_MS + second * _SECOND_MS, "data": items}
    return Reply(body=json.dumps(body).encode())


def quotes_on(source: str, reply: Reply) -> list[Quote]:
    """The quotes that a page of `page` holds, asked by a source of this name."""
    document = json.loads(reply.body)
    return [
        seal_quote(
            Quote(
                source=source,
                currency_id=item["id"],
                quote_currency="USD",
                currency_symbol=item["symbol"],
                currency_name=item["name"],
                market_cap_rank=1,
                price=item["priceUsd"],
                ts_event=document["timestamp"] * 1000,
                ts_ingest=0,
            )
        )
        for item in document["data"]
    ]


def point_at(platform: Platform, **urls: str) -> None:
    """Let these sources ask a server of the test, in CoinCap's shape, and no others."""
    names = ("simulated", "coincap", "coingecko")
    changes = {f"SOURCES__{name.upper()}__ENABLED": str(name in urls).lower() for name in names}
    for name, url in urls.items():
        changes[f"SOURCES__{name.upper()}__BASE_URL"] = f"{url}/v3"
        changes[f"SOURCES__{name.upper()}__DIALECT"] = "coincap"
        changes[f"SOURCES__{name.upper()}__KEY"] = "a-key"
        changes[f"SOURCES__{name.upper()}__TIMEOUT_S"] = "2"
    platform.reload(**{f"{ENV_PREFIX}{name}": value for name, value in changes.items()})


def poll(platform: Platform, *names: str) -> list[FeedReport]:
    """Ask these sources once, in this process."""
    sources = build_sources(platform.settings)
    return platform.ingest({name: sources[name] for name in names})


def read_topic(platform: Platform) -> dict[int, list[str]]:
    """Ids of the quotes that Kafka shows to a read_committed consumer, by partition, in order.

    By a plain consumer: what was sent must not be taken from the reader that is being tested.
    """
    topic = platform.topic(QUOTES)
    [(_, partitions)] = platform.watermarks().read_topic_ids([topic]).values()
    bounds = platform.watermarks().read_bounds([Part(topic, part) for part in range(partitions)])
    consumer = Consumer(
        client_config(platform.settings)
        | {"group.id": "test", "isolation.level": "read_committed", "enable.partition.eof": True}
    )
    found: dict[int, list[str]] = {part.part: [] for part in bounds}
    consumer.assign([TopicPartition(topic, part.part, b.low) for part, b in bounds.items()])
    waiting = {part.part for part, b in bounds.items() if b.low < b.high}
    while waiting:
        message = consumer.poll(10)
        assert message is not None, f"nothing more came of {topic} {waiting}"
        number = message.partition()
        assert number is not None
        if message.error() is not None:
            waiting.discard(number)
            continue
        with suppress(RecordRejectedError):
            record = decode(QUOTES, message.value(), record_bytes_max=2**20)
            found[number].append(record.event_id)
    consumer.close()
    return found


def held_back(platform: Platform, stopped: Collection[int], quotes: Iterable[Quote]) -> list[Quote]:
    """Those quotes that Kafka does not hold in another partition than these."""
    ids = read_topic(platform)
    flowing = {event_id for part in set(ids) - set(stopped) for event_id in ids[part]}
    return [quote for quote in quotes if quote.event_id not in flowing]


def stored_ids(platform: Platform, store: str) -> list[str]:
    """Ids of all quotes of a store, sorted; one that is stored twice stands here twice."""
    reader = platform.store(store, role="analyst")
    topic = platform.topic(QUOTES)
    parts = {row.partition for row in reader.read_offsets() if row.topic == topic}
    ids = [record.event_id for part in parts for record in reader.read_range(QUOTES, part, 0, _END)]
    reader.close()
    return sorted(ids)


def ids_of(quotes: Iterable[Quote]) -> list[str]:
    """Their ids, sorted."""
    return sorted(quote.event_id for quote in quotes)


def assert_whole(
    platform: Platform,
    sent: Iterable[Quote],
    *,
    quarantined: int = 0,
    waiting: Mapping[str, Collection[Quote]] | None = None,
    stopped: Mapping[str, Collection[int]] = NOTHING,
    unproven: bool = False,
) -> None:
    """The end of every fault test: ids sent = stored + quarantined, none twice, lag 0, the audit.

    Args:
        sent: Every quote the test published, once each.
        quarantined: Values each store had to refuse.
        waiting: By store, what an incident holds back.
        stopped: By store, partitions of the quotes' topic that an incident has stopped; all others
            are without lag.
        unproven: The stopped partitions cannot be whole before a person has decided; everything
            else is.
    """
    held_back = waiting or {}
    ids = {quote.event_id for quote in sent}
    for name in STORES:
        missing = {quote.event_id for quote in held_back.get(name, ())}
        assert stored_ids(platform, name) == sorted(ids - missing), name
        reader = platform.store(name, role="analyst")
        assert len(list(reader.read_quarantine())) == quarantined, name
        blocked = {row.partition.part for row in reader.read_offsets() if row.blocked_by}
        assert blocked == set(stopped.get(name, ())), name
        reader.close()
    report = platform.audit()
    for finding in report.findings:
        assert unproven, finding
        assert finding.part in stopped.get(finding.store, ()), finding
        assert finding.feed == FEED_BY_NAME["quotes"].name, finding
    assert {name: report.lag[name].lag_records for name in STORES} == dict.fromkeys(STORES, 0)
