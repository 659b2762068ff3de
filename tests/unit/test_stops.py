"""Stops: a partition of which nothing can be stored any more, or whose log was cut."""

from typing import cast

from crypto_platform.delivery.incidents import find_target
from crypto_platform.delivery.stops import Stops
from crypto_platform.errors import IncidentKind, Reason
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.incidents import Incident
from crypto_platform.kafka.watermarks import Bounds, Part
from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import Claim
from crypto_platform.stores.slices import Refusal, Slice
from tests.unit.test_incidents import stopped
from tests.unit.test_slices import NOON, claim

PART = Part("market.quotes", 0)


class BlockingStore:
    """Holds no incident yet, and blocks what it is asked to."""

    sink = "model"

    def read_facts(self, feed: Feed[Record], event_ids: list[str]) -> list[Record]:
        del feed, event_ids
        return []

    def block(self, claim: Claim, incident: Incident) -> bool:
        del claim, incident
        return True


def refused(*offsets: int) -> Slice:
    return Slice(
        claim=claim(next_offset=offsets[0]),
        hour=NOON,
        first_offset=offsets[0],
        next_offset=offsets[-1] + 1,
        max_ts_append=NOON,
        leader_epoch=None,
        refusals=[Refusal(each, NOON, Reason.UNDECODABLE, "no", None, b"x") for each in offsets],
    )


def stops_at(records: int) -> tuple[Stops, dict[Part, Claim], list[Incident]]:
    claims, incidents = {PART: claim(next_offset=10)}, list[Incident]()
    store = cast("Store", BlockingStore())
    stops = Stops(store, claims, incidents, clock=lambda: NOON, drift_records_max=records)
    return stops, claims, incidents


def test_refusals_in_a_row_stop_their_partition() -> None:
    """A schema nobody knows must not fill the quarantine for days."""
    stops, claims, incidents = stops_at(4)
    stops.stop_drifting([refused(10, 11)])
    assert claims
    stops.stop_drifting([refused(12, 13)])
    assert not claims
    assert [incident.kind for incident in incidents] == [IncidentKind.SOURCE_DRIFT.value]


def test_a_commit_that_is_tried_again_counts_its_refusals_once() -> None:
    """A store that is away for a while is no drift."""
    stops, claims, incidents = stops_at(4)
    for _ in range(5):
        stops.stop_drifting([refused(10, 11)])
    stops.stop_drifting([refused(10, 11, 12)])
    assert claims
    assert not incidents


def test_an_answer_finds_where_the_log_ended_in_the_words_of_the_stop() -> None:
    """Else what was appended between the stop and the answer would be skipped."""
    stops, _, incidents = stops_at(4)
    stops.stop_outside(claim(next_offset=90), Bounds(low=0, high=40, last_stable=40))
    grown = Bounds(low=0, high=200, last_stable=200)
    target = find_target(incidents[0], stopped(next_offset=90), grown)
    assert target is not None
    assert target.next_offset == 40
