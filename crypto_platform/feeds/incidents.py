"""incidents: what needs a person, and that a person has acknowledged it.

A load writes its incident to its own store first (the partition is blocked in the same transaction)
and then publishes it here, best effort; ingestion publishes only. Ids are deterministic, so whoever
notices the same thing again says the same fact.
"""

from collections.abc import Sequence

import msgspec

from crypto_platform.errors import IncidentKind
from crypto_platform.feeds.feed import Feed, Index, Offset, Record, Remark, Text, TimeUs, seal

OPEN = "open"
ACKNOWLEDGED = "acknowledged"
MESSAGE_CHARACTERS_MAX = 4000
"""Below what a Text may have."""


class Incident(Record, frozen=True, kw_only=True, tag=1):
    """One thing that needs a person.

    Attributes:
        kind: What happened (retention_gap, source_drift, …), see docs/operations.md.
        state: open, or acknowledged by a later fact with the same subject.
        subject: Deterministic name of the matter, shared by `open` and `acknowledged`.
        sink: The store whose load noticed it, None from ingestion.
        source: The source concerned, None from a load.
        feed: The feed concerned, where it is one feed's.
        topic: Of the partition that stopped, where one did.
        topic_id: Kafka's own id of that topic.
        part: Number of that partition.
        first_offset: First offset of the range concerned, where there is one.
        next_offset: End of that range, exclusive.
        message: What was found and what was expected.
        next_step: What to type.
    """

    kind: Text
    state: Text
    subject: Text
    sink: Text | None = None
    source: Text | None = None
    feed: Text | None = None
    topic: Text | None = None
    topic_id: Text | None = None
    part: Offset | None = None
    first_offset: Offset | None = None
    next_offset: Offset | None = None
    message: Remark
    next_step: Remark


def build_incident(draft: Incident) -> Incident:
    """Seal an incident; its id is made of its subject and state."""
    return seal(draft, identity=(draft.subject, draft.state))


def build_load_incident(  # noqa: PLR0913 - a form to fill in
    *,
    kind: IncidentKind,
    sink: str,
    feed: str,
    topic: str,
    topic_id: str,
    part: int,
    first_offset: int,
    next_offset: int | None,
    message: str,
    next_step: str,
    ts_ingest: TimeUs,
) -> Incident:
    """An incident that stops one partition in one store."""
    return build_incident(
        Incident(
            kind=kind.value,
            state=OPEN,
            subject=f"{sink}/{topic}/{topic_id}/{part}/{kind.value}/{first_offset}",
            sink=sink,
            feed=feed,
            topic=topic,
            topic_id=topic_id,
            part=part,
            first_offset=first_offset,
            next_offset=next_offset,
            message=message,
            next_step=next_step,
            ts_ingest=ts_ingest,
        )
    )


def build_acknowledgement(
    incident: Incident, *, who: str, why: str, effects: Sequence[str], ts_ingest: TimeUs
) -> Incident:
    """The fact that a person has answered an open incident; same subject, so the same matter.

    Args:
        effects: What the answer did, a sentence each.
        ts_ingest: When.
    """
    message = f"{who}: {why} ({'; '.join(effects)})".replace("\x00", r"\0")
    return build_incident(
        msgspec.structs.replace(
            incident,
            state=ACKNOWLEDGED,
            message=message[:MESSAGE_CHARACTERS_MAX],
            next_step="nothing is left to do",
            ts_ingest=ts_ingest,
        )
    )


INCIDENTS = Feed(
    name="incidents",
    topic="platform.incidents",
    partitions=1,
    record=Incident,
    versions=Incident,
    key_of=lambda incident: incident.subject,
    schema="platform",
    table="incident",
    collection="incidents",
    indexes=(Index(fields=("-ts_ingest",)),),
    owned_by_platform=True,
    description="What needs a person, and what a person has acknowledged.",
)
