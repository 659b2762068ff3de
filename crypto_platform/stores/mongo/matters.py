"""What of MongoDB waits for a person: open quarantine entries and open incidents.

Here: counting and finding them. Not here: what a person decides (answers.py).
"""

from collections.abc import Mapping

from crypto_platform.errors import Reason
from crypto_platform.feeds import Record
from crypto_platform.feeds.incidents import INCIDENTS
from crypto_platform.stores.matters import (
    EntryFilter,
    EntryGroup,
    EntryState,
    OpenMatters,
    QuarantineEntry,
)
from crypto_platform.stores.mongo.bookkeeping import parse_entry
from crypto_platform.stores.mongo.connection import Connection
from crypto_platform.stores.mongo.pieces import documents_of
from crypto_platform.stores.mongo.schema import KAFKA_OFFSET, QUARANTINE


def read_open_matters(connection: Connection, *, incidents_max: int) -> OpenMatters:
    """See Store.read_open_matters."""
    counts = connection.collection(QUARANTINE).aggregate(
        [
            {"$match": {"state": EntryState.OPEN.value}},
            {"$group": {"_id": "$feed", "count": {"$sum": 1}}},
        ]
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


def read_incidents(connection: Connection, *, incidents_max: int) -> list[Record]:
    """See Store.read_incidents."""
    found = connection.collection(INCIDENTS.collection).find().sort("ts_ingest_us", -1)
    documents = documents_of(INCIDENTS)
    return [documents.decode(document) for document in found.limit(incidents_max)]


def count_entries(connection: Connection, wanted: EntryFilter) -> Mapping[EntryGroup, int]:
    """See Store.count_entries."""
    group = {"feed": "$feed", "reason": "$reason", "state": "$state"}
    found = connection.collection(QUARANTINE).aggregate(
        [{"$match": _match(wanted)}, {"$group": {"_id": group, "count": {"$sum": 1}}}]
    )
    return {
        EntryGroup(
            each["_id"]["feed"], Reason(each["_id"]["reason"]), EntryState(each["_id"]["state"])
        ): int(each["count"])
        for each in found
    }


def read_entries(
    connection: Connection, wanted: EntryFilter, *, entries_max: int
) -> list[QuarantineEntry]:
    """See Store.read_entries."""
    order = [("quarantined_at_us", -1), ("topic_id", 1), ("part", 1), ("record_offset", -1)]
    found = connection.collection(QUARANTINE).find(_match(wanted)).sort(order).limit(entries_max)
    return [parse_entry(document) for document in found]


def _match(wanted: EntryFilter) -> dict[str, str | int]:
    asked = {
        "topic": wanted.topic,
        "part": wanted.part,
        "record_offset": wanted.offset,
        "reason": None if wanted.reason is None else wanted.reason.value,
        "state": None if wanted.state is None else wanted.state.value,
    }
    return {name: value for name, value in asked.items() if value is not None}
