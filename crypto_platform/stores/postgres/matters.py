"""What of PostgreSQL waits for a person: open quarantine entries and open incidents.

Here: counting and finding them. Not here: what a person decides (answers.py).
"""

from collections.abc import Mapping

from crypto_platform.errors import Reason
from crypto_platform.feeds import FEED_BY_NAME, Record
from crypto_platform.feeds.incidents import INCIDENTS
from crypto_platform.stores.matters import (
    EntryFilter,
    EntryGroup,
    EntryState,
    OpenMatters,
    QuarantineEntry,
)
from crypto_platform.stores.postgres.reader import parse_entry, read_facts
from crypto_platform.stores.postgres.session import Session

_COUNT_QUARANTINE = """
SELECT feed, count(*) FROM platform.quarantine WHERE state = 'open' GROUP BY feed
"""

# A matter that comes back after its acknowledgement is the same fact, so the same row: then only
# the partition it blocks says that it is open again.
_OPEN_INCIDENTS = """
SELECT i.event_id
FROM platform.incident AS i
WHERE i.state = 'open'
  AND (NOT EXISTS (
         SELECT FROM platform.incident AS a
         WHERE a.subject = i.subject AND a.state = 'acknowledged')
       OR EXISTS (SELECT FROM platform.kafka_offset AS o WHERE o.blocked_by = i.event_id))
ORDER BY i.ts_ingest DESC LIMIT %s
"""

_INCIDENTS = "SELECT event_id FROM platform.incident ORDER BY ts_ingest DESC, event_id LIMIT %s"

_COUNT_ENTRIES = """
SELECT feed, reason, state, count(*) FROM platform.quarantine
WHERE (%(topic)s::text IS NULL OR topic = %(topic)s)
  AND (%(part)s::integer IS NULL OR part = %(part)s)
  AND (%(offset)s::bigint IS NULL OR record_offset = %(offset)s)
  AND (%(reason)s::text IS NULL OR reason = %(reason)s)
  AND (%(state)s::text IS NULL OR state = %(state)s)
GROUP BY feed, reason, state
"""

_READ_ENTRIES = """
SELECT topic, topic_id::text, part, record_offset, ts_append, reason, error, event_id, key, value,
  run_id, state, quarantined_at, note
FROM platform.quarantine
WHERE (%(topic)s::text IS NULL OR topic = %(topic)s)
  AND (%(part)s::integer IS NULL OR part = %(part)s)
  AND (%(offset)s::bigint IS NULL OR record_offset = %(offset)s)
  AND (%(reason)s::text IS NULL OR reason = %(reason)s)
  AND (%(state)s::text IS NULL OR state = %(state)s)
ORDER BY quarantined_at DESC, topic_id, part, record_offset DESC LIMIT %(entries_max)s
"""


def read_open_matters(session: Session, *, incidents_max: int) -> OpenMatters:
    """See Store.read_open_matters."""
    with session.autocommit() as connection:
        quarantined = dict(connection.execute(_COUNT_QUARANTINE).fetchall())
        ids = [row[0] for row in connection.execute(_OPEN_INCIDENTS, [incidents_max]).fetchall()]
    return OpenMatters(quarantined=quarantined, incidents=_read_newest_first(session, ids))


def read_incidents(session: Session, *, incidents_max: int) -> list[Record]:
    """See Store.read_incidents."""
    with session.autocommit() as connection:
        ids = [row[0] for row in connection.execute(_INCIDENTS, [incidents_max]).fetchall()]
    return _read_newest_first(session, ids)


def _read_newest_first(session: Session, event_ids: list[str]) -> list[Record]:
    found = read_facts(session, FEED_BY_NAME[INCIDENTS.name], event_ids) if event_ids else []
    return sorted(found, key=lambda incident: incident.ts_ingest, reverse=True)


def count_entries(session: Session, wanted: EntryFilter) -> Mapping[EntryGroup, int]:
    """See Store.count_entries."""
    with session.autocommit() as connection:
        rows = connection.execute(_COUNT_ENTRIES, _parameters(wanted)).fetchall()
    return {
        EntryGroup(feed, Reason(reason), EntryState(state)): count
        for feed, reason, state, count in rows
    }


def read_entries(
    session: Session, wanted: EntryFilter, *, entries_max: int
) -> list[QuarantineEntry]:
    """See Store.read_entries."""
    parameters = {**_parameters(wanted), "entries_max": entries_max}
    with session.autocommit() as connection:
        rows = connection.execute(_READ_ENTRIES, parameters).fetchall()
    return [parse_entry(row) for row in rows]


def _parameters(wanted: EntryFilter) -> dict[str, str | int | None]:
    return {
        "topic": wanted.topic,
        "part": wanted.part,
        "offset": wanted.offset,
        "reason": wanted.reason,
        "state": wanted.state,
    }
