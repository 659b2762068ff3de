"""What of MongoDB waits for a person: open quarantine entries and open incidents."""

from crypto_platform.feeds.incidents import INCIDENTS
from crypto_platform.stores.base import OpenMatters
from crypto_platform.stores.mongo.bookkeeping import OPEN
from crypto_platform.stores.mongo.connection import Connection
from crypto_platform.stores.mongo.pieces import documents_of
from crypto_platform.stores.mongo.schema import KAFKA_OFFSET, QUARANTINE


def read_open_matters(connection: Connection, *, incidents_max: int) -> OpenMatters:
    """See Store.read_open_matters."""
    counts = connection.collection(QUARANTINE).aggregate(
        [{"$match": {"state": OPEN}}, {"$group": {"_id": "$feed", "count": {"$sum": 1}}}]
    )
    quarantined = {str(found["_id"]): int(found["count"]) for found in counts}
    incidents = connection.collection(INCIDENTS.collection)
    acknowledged = incidents.distinct("subject", {"state": "acknowledged"})
    # a matter that comes back after its acknowledgement is the same fact, so the same document:
    # then only the partition it blocks says that it is open again
    blocking = connection.collection(KAFKA_OFFSET).distinct("blocked_by")
    is_open = {"$or": [{"subject": {"$nin": acknowledged}}, {"_id": {"$in": blocking}}]}
    found = incidents.find({"state": "open"} | is_open).sort("ts_ingest_us", -1)
    documents = documents_of(INCIDENTS)
    return OpenMatters(
        quarantined=quarantined,
        incidents=[documents.decode(document) for document in found.limit(incidents_max)],
    )
