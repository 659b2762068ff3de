"""What stops a partition until a person decides: noticed, written to the store, published.

Here: the kinds of incident a load can meet, each with what was found and what to do. Not here: the
load's loop (load.py), answering (incidents.py). Protocol: docs/exactly-once.md 3 and 7.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from crypto_platform.delivery.ahead import part_of
from crypto_platform.domain.hours import TimeUs
from crypto_platform.errors import IncidentKind
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.incidents import INCIDENTS, Incident, build_load_incident
from crypto_platform.kafka.watermarks import Bounds, Part
from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import Claim, StoredOffset
from crypto_platform.stores.slices import Slice

logger = logging.getLogger(__name__)

ANSWERED_BY_UNBLOCKING = frozenset({IncidentKind.TOPIC_RECREATED, IncidentKind.SOURCE_DRIFT})
"""Kinds for which a person's answer is "go on": nothing has to move but `blocked_by`."""

Clock = Callable[[], TimeUs]


class _Drift(NamedTuple):
    """Refusals in a row of one partition, and behind the last of them."""

    refused_records: int
    next_offset: int


class Stops:
    """Stops partitions of one load.

    Attributes:
        publish: Best effort; the store already holds the incident.
    """

    def __init__(
        self,
        store: Store,
        claims: dict[Part, Claim],
        incidents: list[Incident],
        *,
        clock: Clock,
        drift_records_max: int,
    ) -> None:
        """`claims` is the load's own: what is stopped is taken out, and told in `incidents`."""
        self._store = store
        self._claims = claims
        self._clock = clock
        self._drift_records_max = drift_records_max
        self._drift: dict[Part, _Drift] = {}
        self._incidents = incidents
        self.publish: Callable[[Incident], None] = lambda incident: None

    def stop_recreated(self, ids: Mapping[str, str], stored: Iterable[StoredOffset]) -> None:
        """A topic of the same name under another id was re-created: nobody may guess.

        Args:
            ids: Today's, by the topic's name.
            stored: What the store says of all partitions, of topics that are gone too.
        """
        for row in stored:
            current = ids.get(row.topic)
            if current is None or row.partition.topic_id == current:
                continue
            claim = self._claims.get(Part(row.topic, row.partition.part))
            if claim is not None and claim.next_offset == 0:
                self._block(
                    claim,
                    IncidentKind.TOPIC_RECREATED,
                    message=f"{row.topic} is another topic than before (its id was "
                    f"{row.partition.topic_id}, is {current}); {row.next_offset} offsets of the "
                    "old one are stored",
                    next_step="acknowledge the incident to load the new topic from its beginning",
                    next_offset=None,
                )

    def stop_outside(self, claim: Claim, bound: Bounds) -> None:
        """The stored offset must lie inside the log."""
        if claim.next_offset < bound.low:
            self._block(
                claim,
                IncidentKind.RETENTION_GAP,
                message=f"Kafka's retention removed offsets {claim.next_offset} to "
                f"{bound.low - 1} of {claim.topic}/{claim.partition.part} before they were stored",
                next_step="restore the range from the other store, then acknowledge the incident",
                next_offset=bound.low,
            )
        elif claim.next_offset > bound.high:
            self._block(
                claim,
                IncidentKind.OFFSET_BEYOND_END,
                message=f"{claim.topic}/{claim.partition.part} ends at {bound.high}, but "
                f"{claim.next_offset} offsets of it are stored: the log was cut or replaced",
                next_step="find out what happened to Kafka's log, then acknowledge the incident",
                next_offset=None,
            )

    def stop_cut(self, claim: Claim, bound: Bounds, text: str) -> None:
        """The broker no longer has the position (`text`), though it lies inside the log."""
        part = Part(claim.topic, claim.partition.part)
        # the log may also have moved on: retention overtook a load that was held up
        self.stop_outside(claim, bound)
        if part not in self._claims:
            return
        self._block(
            claim,
            IncidentKind.LOG_TRUNCATED,
            message=f"{claim.topic}/{claim.partition.part} was cut below offset "
            f"{claim.next_offset}, which is stored, and written again: {text}",
            next_step="acknowledge the incident to read again from where the log was cut",
            next_offset=None,
        )

    def stop_drifting(self, slices: Sequence[Slice]) -> None:
        """A partition of which nothing can be stored any more stops, before it skips anything."""
        for part in {part_of(piece) for piece in slices}:
            pieces = [piece for piece in slices if part_of(piece) == part]
            refusals = [refusal for piece in pieces for refusal in piece.refusals]
            if not refusals or any(piece.arrivals for piece in pieces):
                self._drift.pop(part, None)
                continue
            before = self._drift.get(part, _Drift(0, 0))
            # a commit that failed comes again, with the same refusals
            more = sum(refusal.offset >= before.next_offset for refusal in refusals)
            refused = before.refused_records + more
            self._drift[part] = _Drift(refused, refusals[-1].offset + 1)
            if refused < self._drift_records_max:
                continue
            first = refusals[0]
            self._block(
                self._claims[part],
                IncidentKind.SOURCE_DRIFT,
                message=f"{refused} records of {part.topic}/{part.part} in a row were refused, "
                f"at offset {first.offset}: {first.reason.value}: {first.error[:200]}",
                next_step="mend the source or the feed's schema, then acknowledge the incident",
                next_offset=None,
            )

    def _block(
        self,
        claim: Claim,
        kind: IncidentKind,
        *,
        message: str,
        next_step: str,
        next_offset: int | None,
    ) -> None:
        incident = build_load_incident(
            kind=kind,
            sink=self._store.sink,
            feed=claim.feed.name,
            topic=claim.topic,
            topic_id=claim.partition.topic_id,
            part=claim.partition.part,
            first_offset=claim.next_offset,
            next_offset=next_offset,
            message=message,
            next_step=next_step,
            ts_ingest=self._clock(),
        )
        asked_before = kind in ANSWERED_BY_UNBLOCKING and self._store.read_facts(
            FEED_BY_NAME[INCIDENTS.name], [incident.event_id]
        )
        if asked_before:
            # the incident is there and the partition free: a person has answered it
            return
        held = self._store.block(claim, incident)
        self._claims.pop(Part(claim.topic, claim.partition.part), None)
        if not held:
            return
        self._incidents.append(incident)
        logger.warning("%s load: incident %s: %s", self._store.sink, kind.value, message)
        self.publish(incident)
