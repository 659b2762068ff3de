"""What of PostgreSQL waits for a person: open quarantine entries and open incidents."""

from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.incidents import INCIDENTS
from crypto_platform.stores.base import OpenMatters
from crypto_platform.stores.postgres.reader import read_facts
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


def read_open_matters(session: Session, *, incidents_max: int) -> OpenMatters:
    """See Store.read_open_matters."""
    with session.autocommit() as connection:
        quarantined = dict(connection.execute(_COUNT_QUARANTINE).fetchall())
        ids = [row[0] for row in connection.execute(_OPEN_INCIDENTS, [incidents_max]).fetchall()]
    found = read_facts(session, FEED_BY_NAME[INCIDENTS.name], ids) if ids else []
    incidents = sorted(found, key=lambda incident: incident.ts_ingest, reverse=True)
    return OpenMatters(quarantined=quarantined, incidents=incidents)
