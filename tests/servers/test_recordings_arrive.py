"""Every recorded REST answer of our feeds, over HTTP and Kafka into both stores, digit by digit.

One platform for all: each answer has a source instance of its own. The clock is of 2027, after all
that is recorded, and a cursor from before its first candle makes a poll ask for a page of the past.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec
import pytest

from crypto_platform.delivery.audit import AuditReport
from crypto_platform.delivery.ingest import FeedReport, ingest
from crypto_platform.domain.money import parse_amount
from crypto_platform.errors import RecordRejectedError
from crypto_platform.feeds import FEED_BY_NAME, Record
from crypto_platform.feeds.feed import FieldKind
from crypto_platform.feeds.rejected import REJECTED, Rejected
from crypto_platform.kafka.cursors import Cursor, cursor_key, encode_cursor
from crypto_platform.kafka.producer import Outgoing, Publisher
from crypto_platform.kafka.topics import CURSORS_TOPIC, topic_name
from crypto_platform.sources import build_source
from crypto_platform.sources.base import Poll, Source
from crypto_platform.sources.candle_pages import CandleCursor
from crypto_platform.sources.candle_pages import encode_cursor as encode_position
from crypto_platform.stores import STORES
from crypto_platform.stores.base import Store
from tests.platform_harness import Platform, Servers
from tests.recorded_answers import (
    FILES_OF_NO_FEED,
    PATHS_OF_NO_FEED,
    RecordedAnswer,
    list_recorded_answers,
)
from tests.recordings import RECORDINGS
from tests.scripted_source import Reply, ScriptedSource, run_scripted_source

RECEIVED = 1_800_000_000_000_000
ANSWERS = {answer.name: answer for answer in list_recorded_answers()}

pytestmark = pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings are not here")


class Watched:
    """A source that remembers what its polls gave."""

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self.feeds = source.feeds
        self.polls: list[Poll] = []
        self._source = source

    def poll(self, feed: str, *, positions: Mapping[str, str], ts_ingest: int) -> Poll:
        found = self._source.poll(feed, positions=positions, ts_ingest=ts_ingest)
        self.polls.append(found)
        return found


@dataclass
class Arrived:
    """What became of every recorded answer."""

    stores: Mapping[str, Store]
    audit: AuditReport
    reports: dict[str, FeedReport] = field(default_factory=dict[str, FeedReport])
    polls: dict[str, Poll] = field(default_factory=dict[str, Poll])

    def read(self, store: str, feed: str, records: list[Record]) -> list[Record]:
        """What a store gives back of these records, in their order."""
        event_ids = [record.event_id for record in records]
        found = self.stores[store].read_facts(FEED_BY_NAME[feed], event_ids)
        places = {record.event_id: place for place, record in enumerate(records)}
        return sorted(found, key=lambda record: places[record.event_id])


def write_settings(platform: Platform, server: ScriptedSource) -> None:
    """One instance for each answer, below a path of its own."""
    lines: list[str] = []
    for answer in ANSWERS.values():
        values: dict[str, object] = {
            "dialect": answer.dialect,
            "base_url": f"{server.url}/{answer.name}{answer.base}",
            "feeds": [answer.feed],
            "requests_per_minute_max": 600,
            # sixty at once, and ccxt takes seconds to import
            "timeout_s": 30,
        }
        lines.append(f"[sources.{answer.name}]")
        lines += [
            f"{key} = {json.dumps(value)}" for key, value in {**values, **answer.settings}.items()
        ]
        server.routes |= {
            f"/{answer.name}{path}": Reply(body=body) for path, body in answer.bodies.items()
        }
    (platform.data_dir / "settings.toml").write_text("\n".join(lines), "utf-8")
    platform.reload()


def publish_cursors(platform: Platform) -> None:
    """As a run would have left them whose last poll was before the first recorded candle."""
    topic = topic_name(platform.settings, CURSORS_TOPIC)
    outgoing: list[Outgoing] = []
    for answer in ANSWERS.values():
        if answer.first_us is None:
            continue
        at = platform.settings.sources[answer.name]
        position = encode_position(CandleCursor(read_us=answer.first_us, hashes={}))
        key = cursor_key(answer.name, answer.feed, f"{at.symbols[0]}:{at.intervals[0]}")
        cursor = Cursor(polled_at=answer.first_us, position=position)
        outgoing.append(Outgoing(topic, key, encode_cursor(cursor)))
    publisher = Publisher(platform.settings, source="earlier", feed="runs")
    publisher.open()
    publisher.publish(outgoing)
    publisher.close()


@pytest.fixture(scope="module")
def arrived(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arrived]:
    """All answers polled, published, loaded into both stores and audited."""
    platform = Platform(servers, tmp_path_factory.mktemp("arrived"))
    with run_scripted_source() as server:
        write_settings(platform, server)
        publish_cursors(platform)
        sources = {name: Watched(build_source(platform.settings, name)) for name in ANSWERS}
        reports = ingest(
            platform.settings,
            sources,
            [(answer.name, answer.feed) for answer in ANSWERS.values()],
            clock=lambda: RECEIVED,
            stop=threading.Event(),
        )
    platform.load_both()
    yield Arrived(
        stores={name: platform.store(name, role="analyst") for name in STORES},
        audit=platform.audit(),
        reports={report.source: report for report in reports},
        polls={name: poll for name, source in sources.items() for poll in source.polls},
    )
    platform.close()


def list_numbers(body: bytes) -> set[str]:
    """Every figure of an answer, as text or number, in stored form."""
    found: set[str] = set()

    def visit(value: object) -> None:
        if isinstance(value, dict):
            for inner in value.values():
                visit(inner)
        elif isinstance(value, list):
            for inner in value:
                visit(inner)
        elif isinstance(value, str):
            try:
                found.add(parse_amount(value))
            except RecordRejectedError:
                return

    visit(json.loads(body, parse_float=str, parse_int=str))
    return found


def list_amounts(answer: RecordedAnswer, record: Record) -> set[str]:
    """Every figure of a record."""
    told: set[str] = set()
    for each in FEED_BY_NAME[answer.feed].fields:
        value = getattr(record, each.name)
        if value is not None and each.kind in (FieldKind.AMOUNT, FieldKind.AMOUNTS):
            told.update([value] if isinstance(value, str) else value)
    return told


def test_every_recording_is_an_answer_of_a_feed_or_is_said_to_be_none() -> None:
    """A recording that nobody lists would never be tried."""
    there = {str(path.relative_to(RECORDINGS)) for path in RECORDINGS.rglob("*") if path.is_file()}
    taken = {answer.file for answer in ANSWERS.values()}
    assert there == taken | set(FILES_OF_NO_FEED)
    assert not taken & set(FILES_OF_NO_FEED)
    assert all([*FILES_OF_NO_FEED.values(), *PATHS_OF_NO_FEED.values()])


@pytest.mark.parametrize("name", ANSWERS)
def test_a_recorded_answer_is_in_both_stores_as_it_was_parsed(arrived: Arrived, name: str) -> None:
    """Every field of every record, digits and scale, and as many as the answer holds."""
    answer, report, poll = ANSWERS[name], arrived.reports[name], arrived.polls[name]
    assert list(report.errors) == []
    assert (report.records, report.rejected_records) == (answer.records, answer.rejected)
    records = list(poll.records)
    # behind its recorded candles a venue says nothing for years, which may be told
    newest_us = max(
        (FEED_BY_NAME[answer.feed].event_time_of(each) or 0 for each in records), default=0
    )
    assert [gap for gap in poll.gaps if gap.after_us is None or gap.after_us <= newest_us] == []
    assert len(records) == answer.records
    for store in STORES:
        assert arrived.read(store, answer.feed, records) == records


@pytest.mark.parametrize("name", [n for n, a in ANSWERS.items() if a.feed != "instruments"])
def test_every_stored_figure_stands_in_the_recorded_answer(arrived: Arrived, name: str) -> None:
    """1.10 is not 1.1, and 4.727521520000001 is not 4.72752152; steps of instruments are ours."""
    answer = ANSWERS[name]
    numbers = list_numbers(answer.body)
    records = list(arrived.polls[name].records)
    for store in STORES:
        for record in arrived.read(store, answer.feed, records):
            assert list_amounts(answer, record) <= numbers


def test_trades_of_kraken_without_an_id_are_rejected_in_both_stores_with_their_bytes(
    arrived: Arrived,
) -> None:
    """Those of 2013 have no identity, and nothing that a venue said is lost."""
    answer = ANSWERS["kraken_trades"]
    rejected = list[Record](arrived.polls[answer.name].rejected)
    assert len(rejected) == answer.rejected == 14
    for store in STORES:
        found = arrived.read(store, REJECTED.name, rejected)
        assert found == rejected
        for piece in found:
            assert isinstance(piece, Rejected)
            assert (piece.source, piece.feed) == (answer.name, "trades")
            assert piece.raw in answer.body
            assert len(msgspec.json.decode(piece.raw)) == 6


def test_the_audit_finds_every_recorded_answer_whole(arrived: Arrived) -> None:
    """Once in each store, and nothing else."""
    assert arrived.audit.whole
