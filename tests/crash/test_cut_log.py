"""Kafka's log loses its end, as after a power loss, below what the stores have stored already.

And what looks like it, but is not: a broker that died between a transaction's records and its end.
"""

import struct
from pathlib import Path

import pytest
from confluent_kafka import Producer

from crypto_platform.errors import IncidentKind
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.quotes import QUOTES, Quote
from crypto_platform.kafka.connection import client_config
from crypto_platform.kafka.reader import PartitionReader, PartRead, PositionDoubtedError, Start
from crypto_platform.kafka.watermarks import Part
from crypto_platform.stores import STORES
from tests.fault_steps import assert_whole, held_back, numbered_quotes, read_topic
from tests.own_servers import own_server
from tests.platform_harness import Platform
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

_BATCH_HEAD = struct.Struct(">qi")
"""Base offset, and how many bytes follow: the beginning of a record batch (KIP-98)."""
CUT_AT = 10


def cut_log(folder: Path, topic: str, part: int, *, at: int) -> None:
    """Truncate a stopped broker's partition: offset `at` and all above it never reached the disk.

    The broker is made to believe that it died, so that it looks at what is really there.
    """
    logs = folder / "kafka" / "log"
    [segment] = (logs / f"{topic}-{part}").glob("*.log")
    data = segment.read_bytes()
    position = 0
    while position < len(data):
        base_offset, length = _BATCH_HEAD.unpack_from(data, position)
        if base_offset == at:
            break
        assert base_offset < at, "the log has no batch that begins there"
        position += _BATCH_HEAD.size + length
    with segment.open("r+b") as file:
        file.truncate(position)
    for snapshot in segment.parent.glob("*.snapshot"):
        snapshot.unlink()
    (logs / ".kafka_cleanshutdown").unlink(missing_ok=True)
    (logs / "recovery-point-offset-checkpoint").unlink(missing_ok=True)


def store_ten_of_bitcoin(platform: Platform) -> tuple[list[Quote], int]:
    """Ten quotes in one partition, each a transaction: offsets 0, 2 ... 18, markers between them.

    Returns:
        All that is stored, in other partitions as well, and the partition.
    """
    bitcoin = numbered_quotes(1, 10, currency_id="bitcoin")
    for quote in bitcoin:
        platform.publish(QUOTES, [quote])
    [part] = [part for part, ids in read_topic(platform).items() if ids]
    platform.publish(QUOTES, others := elsewhere(100, 120))
    platform.load_both()
    return bitcoin + others, part


def elsewhere(first: int, last: int) -> list[Quote]:
    """Quotes of a currency in another partition than bitcoin's."""
    return numbered_quotes(first, last, currency_id="cardano")


def test_a_log_that_ends_below_what_is_stored_stops_its_partition_alone(
    platform: Platform, own_folder: Path
) -> None:
    """Fault 14: reading on from its end would skip what takes the lost offsets' place."""
    with own_server(platform, own_folder, "kafka"):
        stored, part = store_ten_of_bitcoin(platform)
    cut_log(own_folder, platform.topic(QUOTES), part, at=CUT_AT)
    with own_server(platform, own_folder, "kafka"):
        platform.publish(QUOTES, later := elsewhere(121, 130))
        for store in STORES:
            [incident] = platform.load(store).progress.incidents
            assert (incident.kind, incident.part) == (IncidentKind.OFFSET_BEYOND_END.value, part)
            # and no second time for the same
            assert platform.load(store).progress.incidents == []
        assert_whole(
            platform,
            stored + later,
            stopped={store: {part} for store in STORES},
            unproven=True,
        )


def test_a_log_cut_and_grown_past_what_is_stored_is_noticed_by_its_leader_epoch(
    platform: Platform, own_folder: Path
) -> None:
    """Fault 27: offsets fit again, and what stands below them was never read."""
    with own_server(platform, own_folder, "kafka"):
        stored, part = store_ten_of_bitcoin(platform)
    cut_log(own_folder, platform.topic(QUOTES), part, at=CUT_AT)
    with own_server(platform, own_folder, "kafka"):
        again = numbered_quotes(11, 25, currency_id="bitcoin")
        for quote in again:
            platform.publish(QUOTES, [quote])
        platform.publish(QUOTES, later := elsewhere(121, 130))
        for store in STORES:
            [incident] = platform.load(store).progress.incidents
            assert (incident.kind, incident.part) == (IncidentKind.LOG_TRUNCATED.value, part)
            # where it was cut: what an acknowledgement goes back to
            assert str(CUT_AT) in incident.message
            assert platform.load(store).progress.incidents == []
        assert held_back(platform, {part}, again) == again
        assert_whole(
            platform,
            stored + again + later,
            waiting=dict.fromkeys(STORES, again),
            stopped={store: {part} for store in STORES},
            unproven=True,
        )


def test_of_two_logs_that_were_cut_each_is_noticed(platform: Platform, own_folder: Path) -> None:
    """Fault 27: one ends below what is stored, and the other has grown past it again."""
    with own_server(platform, own_folder, "kafka"):
        stored, short = store_ten_of_bitcoin(platform)
        [grown] = [part for part, ids in read_topic(platform).items() if ids and part != short]
        # behind the one transaction that is there: offsets 22, 24 ... 40
        for quote in (singles := elsewhere(121, 130)):
            platform.publish(QUOTES, [quote])
        platform.load_both()
    cut_log(own_folder, platform.topic(QUOTES), short, at=CUT_AT)
    cut_log(own_folder, platform.topic(QUOTES), grown, at=26)
    with own_server(platform, own_folder, "kafka"):
        for quote in singles[2:] + (more := elsewhere(131, 140)):
            platform.publish(QUOTES, [quote])
        for store in STORES:
            found = platform.load(store).progress.incidents
            assert {(incident.kind, incident.part) for incident in found} == {
                (IncidentKind.OFFSET_BEYOND_END.value, short),
                (IncidentKind.LOG_TRUNCATED.value, grown),
            }
        assert_whole(
            platform,
            stored + singles + more,
            waiting=dict.fromkeys(STORES, more),
            stopped={store: {short, grown} for store in STORES},
            unproven=True,
        )


def test_a_log_cut_under_a_reader_that_has_moved_on_is_noticed_too(
    platform: Platform, own_folder: Path
) -> None:
    """What librdkafka says of a place that was not assigned is doubted, and then found."""
    with own_server(platform, own_folder, "kafka") as settings:
        _, number = store_ten_of_bitcoin(platform)
        part = Part(platform.topic(QUOTES), number)
        reader = PartitionReader(settings)
        reader.assign({part: Start(0, None)})
        while not (read := read_once(reader, part)).at_end:
            assert read.lost_position is None
    assert read.next_offset is not None
    cut_log(own_folder, part.topic, part.part, at=CUT_AT)
    with own_server(platform, own_folder, "kafka"):
        for quote in numbered_quotes(11, 25, currency_id="bitcoin"):
            platform.publish(QUOTES, [quote])
        with pytest.raises(PositionDoubtedError):
            eventually(lambda: bool(read_once(reader, part).offsets), within_s=60)
        reader.assign({part: Start(read.next_offset, read.leader_epoch)})
        found = read_once(reader, part)
        reader.close()
    assert found.offsets == []
    assert str(CUT_AT) in (found.lost_position or "")


def read_once(reader: PartitionReader, part: Part) -> PartRead:
    """Whatever comes of it next, or nothing."""
    found = reader.read(records_max=1000, first_wait_s=5.0, more_wait_s=0.1)
    return found.get(part, PartRead())


def test_a_transaction_that_ends_under_a_later_leader_is_no_cut(
    platform: Platform, own_folder: Path
) -> None:
    """Fault 27: its marker has a later epoch than its records, whose epoch ends below it."""
    quotes = numbered_quotes(1, 20)
    with own_server(platform, own_folder, "kafka"):
        producer = Producer(
            client_config(platform.settings)
            | {"transactional.id": f"{platform.name}.outlives", "partitioner": "murmur2_random"}
        )
        producer.init_transactions(20)
        producer.begin_transaction()
        for quote in quotes:
            producer.produce(platform.topic(QUOTES), encode(quote), QUOTES.key_of(quote))
        assert producer.flush(20) == 0
    with own_server(platform, own_folder, "kafka"):
        producer.commit_transaction(20)
        # one at a time: a marker comes by itself
        platform.reload(CRYPTO_PLATFORM_LOAD__BATCH_RECORDS_MAX="1")
        platform.load_both()
        platform.publish(QUOTES, later := numbered_quotes(21, 40))
        for store in STORES:
            assert platform.load(store).progress.incidents == []
        assert_whole(platform, quotes + later)
