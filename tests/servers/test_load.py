"""load(): how a run takes over, what stops one partition only, and that nothing falls between."""

import threading

import pytest
from confluent_kafka.admin import AdminClient

from crypto_platform.delivery.load import LoadEnd, LoadReport, load
from crypto_platform.delivery.shards import EVERYTHING, Shard, list_shards
from crypto_platform.errors import IncidentKind
from crypto_platform.feeds import FEEDS
from crypto_platform.feeds.quotes import QUOTES, Quote, seal_quote
from crypto_platform.kafka.connection import client_config
from crypto_platform.stores import STORES
from crypto_platform.stores.claims import TopicPart
from tests.fault_steps import assert_whole, held_back
from tests.platform_harness import Platform, clock
from tests.waiting import eventually

RUN_A = "00000000-0000-0000-0000-00000000000a"
RUN_B = "00000000-0000-0000-0000-00000000000b"
RUN_C = "00000000-0000-0000-0000-00000000000c"
RUN_D = "00000000-0000-0000-0000-00000000000d"


def quotes(first: int, last: int) -> list[Quote]:
    """Quotes of currencies c<first> to c<last>."""
    return [
        seal_quote(
            Quote(
                source="test",
                currency_id=f"c{number}",
                quote_currency="USD",
                price=f"{number}.10",
                ts_ingest=1_700_000_000_000_000,
            )
        )
        for number in range(first, last + 1)
    ]


class Following(threading.Thread):
    """A load run that follows, in a thread; `report` once it has ended."""

    def __init__(
        self, platform: Platform, store: str, run_id: str, *, shard: Shard = EVERYTHING
    ) -> None:
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self.report: LoadReport | None = None
        self._arguments = (platform.settings, platform.store(store), FEEDS)
        self._run_id = run_id
        self._shard = shard

    def run(self) -> None:
        self.report = load(
            *self._arguments,
            run_id=self._run_id,
            clock=clock,
            stop=self.stop,
            follow_s=60,
            shard=self._shard,
        )

    def end(self) -> LoadEnd | None:
        """How it ended, once it has."""
        self.join(timeout=60)
        return None if self.report is None else self.report.end


def stored_count(platform: Platform, store: str) -> int:
    reader = platform.store(store, role="analyst")
    try:
        return sum(batch.stored.count for batch in reader.read_load_batches())
    finally:
        reader.close()


def recreate(platform: Platform) -> None:
    """Delete the topic of quotes and make it again under its name."""
    admin = AdminClient(client_config(platform.settings))
    [deleted] = admin.delete_topics([platform.topic(QUOTES)]).values()
    deleted.result(timeout=10)
    eventually(
        lambda: platform.topic(QUOTES) not in admin.list_topics(timeout=5).topics, within_s=10
    )
    platform.create_topics()


@pytest.mark.parametrize("store", STORES)
def test_a_younger_run_takes_over_and_the_older_one_ends_fenced(
    platform: Platform, store: str
) -> None:
    """Fault 6: two writers on one partition must not both write, and neither must be killed."""
    platform.publish(QUOTES, quotes(1, 20))
    old = Following(platform, store, RUN_A)
    old.start()
    eventually(lambda: stored_count(platform, store) == 20, within_s=20)

    young = Following(platform, store, RUN_B)
    young.start()
    eventually(
        lambda: {row.owner_run_id for row in platform.store(store).read_offsets()} == {RUN_B},
        within_s=20,
    )
    platform.publish(QUOTES, quotes(21, 50))
    eventually(lambda: stored_count(platform, store) == 50, within_s=20)
    old.join(timeout=20)
    young.stop.set()
    young.join(timeout=20)

    assert old.report is not None
    assert old.report.end is LoadEnd.FENCED
    assert young.report is not None
    assert young.report.end is LoadEnd.STOPPED
    platform.load_both()
    assert platform.audit().whole


def test_a_topic_made_again_under_its_name_stops_for_a_person(platform: Platform) -> None:
    """Fault 12: its offsets begin at 0 again, and what is stored says otherwise."""
    platform.publish(QUOTES, quotes(1, 9))
    platform.load("postgres")
    recreate(platform)

    report = platform.load("postgres")

    kinds = {incident.kind for incident in report.progress.incidents}
    assert kinds == {IncidentKind.TOPIC_RECREATED.value}
    platform.publish(QUOTES, quotes(10, 12))
    platform.load_both()
    # the other store never saw the old topic: it loads the new one
    assert_whole(
        platform,
        quotes(1, 12),
        waiting={"postgres": quotes(10, 12), "mongo": quotes(1, 9)},
        stopped={"postgres": {0, 1, 2}},
    )


def test_records_that_retention_removed_unread_are_an_incident_with_their_range(
    platform: Platform,
) -> None:
    """Fault 13: reading on from what is left would lose them silently."""
    platform.publish(QUOTES, quotes(1, 30))
    parts = platform.delete_records(QUOTES, below=5)

    report = platform.load("mongo")

    found = {
        (incident.part, incident.first_offset, incident.next_offset)
        for incident in report.progress.incidents
    }
    assert found == {(part, 0, 5) for part in parts}
    assert {i.kind for i in report.progress.incidents} == {IncidentKind.RETENTION_GAP.value}
    platform.load_both()
    assert_whole(
        platform,
        quotes(1, 30),
        waiting=dict.fromkeys(STORES, held_back(platform, parts, quotes(1, 30))),
        stopped=dict.fromkeys(STORES, parts),
    )


def test_a_source_that_drifts_stops_before_it_fills_the_quarantine(platform: Platform) -> None:
    """Fault 21: a million refused records help nobody; the first thousand say it all."""
    platform.reload(CRYPTO_PLATFORM_LOAD__DRIFT_RECORDS_MAX="10")
    platform.publish(QUOTES, quotes(1, 30))
    platform.load_both()
    platform.publish_raw([(QUOTES, "one-key", b'{"v":1}') for _ in range(50)])

    report = platform.load("postgres")

    [incident] = report.progress.incidents
    assert incident.kind == IncidentKind.SOURCE_DRIFT.value
    assert report.progress.quarantined_records == 0
    platform.load("mongo")
    # nothing of it is skipped, nothing launches run after run, everything else flows
    platform.publish(QUOTES, quotes(31, 60))
    again = platform.load("postgres")
    assert again.progress.incidents == []
    platform.load("mongo")
    assert incident.part is not None
    assert_whole(
        platform,
        quotes(1, 60),
        waiting=dict.fromkeys(STORES, held_back(platform, {incident.part}, quotes(31, 60))),
        stopped={store: {incident.part} for store in STORES},
    )


def test_an_aborted_transaction_leaves_no_record_and_no_lag(platform: Platform) -> None:
    """Fault 15: its records are in the log, its markers move the offset, nobody must load them."""
    platform.publish(QUOTES, quotes(1, 5))
    platform.publish_and_abort(QUOTES, quotes(6, 9))
    platform.publish(QUOTES, quotes(10, 12))
    platform.load_both()
    for store in STORES:
        assert stored_count(platform, store) == 8
    report = platform.audit()
    assert report.whole


def test_a_re_created_topic_is_noticed_again_after_a_kill_between_claim_and_block(
    platform: Platform,
) -> None:
    """Else the new topic would load silently, for its rows would look like old acquaintances."""
    platform.publish(QUOTES, quotes(1, 9))
    platform.load("postgres")
    recreate(platform)
    store = platform.store("postgres")
    [(topic_id, parts)] = platform.watermarks().read_topic_ids([platform.topic(QUOTES)]).values()
    claims = [(QUOTES, platform.topic(QUOTES), TopicPart(topic_id, part)) for part in range(parts)]
    store.claim(claims, run_id=RUN_A)

    report = platform.load("postgres")

    kinds = {incident.kind for incident in report.progress.incidents}
    assert kinds == {IncidentKind.TOPIC_RECREATED.value}


def test_a_re_created_topic_loads_once_a_person_has_unblocked_it(platform: Platform) -> None:
    """Asking again after the answer would stop it for ever."""
    platform.publish(QUOTES, quotes(1, 9))
    platform.load("postgres")
    recreate(platform)
    platform.load("postgres")
    platform.unblock("postgres")
    platform.publish(QUOTES, quotes(10, 12))

    report = platform.load("postgres")

    assert report.progress.incidents == []
    assert report.progress.stored_records["quotes"] == 3


def test_a_run_that_was_overtaken_does_not_take_its_claims_back_after_an_error(
    platform: Platform,
) -> None:
    """A paused run that wakes up would else fence its successor, and so on for ever."""
    platform.publish(QUOTES, quotes(1, 20))
    old = Following(platform, "postgres", RUN_A)
    old.start()
    eventually(lambda: stored_count(platform, "postgres") == 20, within_s=20)
    store = platform.store("postgres")
    rows = store.read_offsets()
    feeds = {platform.topic(feed): feed for feed in FEEDS}
    store.claim([(feeds[row.topic], row.topic, row.partition) for row in rows], run_id=RUN_B)
    platform.end_backends()
    old.join(timeout=30)

    assert old.report is not None
    assert old.report.end is LoadEnd.FENCED
    assert {row.owner_run_id for row in platform.store("postgres").read_offsets()} == {RUN_B}


@pytest.mark.parametrize("store", STORES)
def test_shards_may_be_added_and_removed_while_they_load(platform: Platform, store: str) -> None:
    """One run, two halves, one again: every partition changes hands, no record is lost."""
    platform.publish(QUOTES, quotes(1, 30))
    whole = Following(platform, store, RUN_A)
    whole.start()
    eventually(lambda: stored_count(platform, store) == 30, within_s=60)

    halves = [
        Following(platform, store, run_id, shard=shard)
        for run_id, shard in zip((RUN_B, RUN_C), list_shards(2), strict=True)
    ]
    for half in halves:
        half.start()
    platform.publish(QUOTES, quotes(31, 60))
    assert whole.end() is LoadEnd.FENCED
    eventually(lambda: stored_count(platform, store) == 60, within_s=60)

    again = Following(platform, store, RUN_D)
    again.start()
    platform.publish(QUOTES, quotes(61, 90))
    assert [half.end() for half in halves] == [LoadEnd.FENCED, LoadEnd.FENCED]
    eventually(lambda: stored_count(platform, store) == 90, within_s=60)
    again.stop.set()
    assert again.end() is LoadEnd.STOPPED
    platform.load(*(name for name in STORES if name != store))
    assert_whole(platform, quotes(1, 90))
