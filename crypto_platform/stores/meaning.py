"""What the columns of the platform's own bookkeeping mean, in both stores.

Here: a line a column, by the name that PostgreSQL's table and MongoDB's collection share; a store
has some for itself. Not here: what a feed's columns mean (the docstring of its struct,
feeds/meaning.py), types (postgres/tables.py, mongo/columns.py).
"""

from collections.abc import Mapping

_SINK = {"sink": "The store, by name."}
_PARTITION = {
    "topic_id": "Kafka's own id of the topic; one that is made again under its name has another.",
    "part": "Number of the partition.",
    "topic": "The topic's name.",
}

_SUMS = {
    "_records": "How many records",
    "_high": "Sum of the upper 32 bits of content_hash of the records",
    "_low": "Sum of the lower 32 bits of content_hash of the records",
}
"""What the audit compares: a Sum."""

MEANINGS: Mapping[str, Mapping[str, str]] = {
    "kafka_offset": {
        **_SINK,
        **_PARTITION,
        "next_offset": "First offset that is not stored yet; 0 where nothing is.",
        "leader_epoch": "Of Kafka, right below that offset; None where it is not known.",
        "max_ts_append": "Latest append time so far, which decides the hour of what follows.",
        "epoch": "Of the last claim; a writer with a lower one is fenced.",
        "owner_run_id": "Dagster's run that claimed last.",
        "backend_pid": "PostgreSQL's process of that run, for a successor that has to end it.",
        "backend_start": "When that process began, so that no other one of its number is ended.",
        "lsid": "MongoDB's session of that run, for a successor that has to end it.",
        "commit_count": "Commits so far; written by each, for only a write fences.",
        "claimed_at": "When it was claimed.",
        "blocked_by": "event_id of the incident that stops the partition; `restore:` before it, or "
        "alone, while a restore owns it.",
        "updated_at": "The last commit or claim.",
    },
    "load_batch": {
        **_SINK,
        **_PARTITION,
        "hour": "Hour of append time that the range belongs to.",
        "epoch": "Of the claim it was written under.",
        "kind": "live, replay, restore, truncated (Kafka's log was cut there) or lost (a person "
        "gave it up).",
        "run_id": "Dagster's run that wrote it; of a lost range the answer to its incident.",
        "offsets": "The range, its end exclusive.",
        "first_offset": "First offset of the range.",
        "next_offset": "End of the range, exclusive.",
        **{f"stored{name}": f"{text} that were new here." for name, text in _SUMS.items()},
        "repeated_records": "Records that were stored before.",
        "quarantined_records": "Values that were refused.",
    },
    "quarantine": {
        **_PARTITION,
        "record_offset": "Where in the partition the value lies.",
        "feed": "The feed it should have been a record of.",
        "ts_append": "When Kafka took it.",
        "reason": "undecodable, unknown_schema, invariant, conflict or too_large.",
        "error": "What was wrong, for a person.",
        "event_id": "Of the record, where it could be read.",
        "key": "Kafka's key, its bytes.",
        "value": "Kafka's value, its bytes.",
        "run_id": "Dagster's run that refused it.",
        "state": "open, released (its record is stored), discarded (left out for good), truncated.",
        "quarantined_at": "When it was refused.",
        "note": "Who discarded it, and why.",
        "released_at": "When its record was stored.",
        "released_by_run_id": "The run that stored it.",
    },
    "removed": {
        **_SINK,
        **_PARTITION,
        "first_offset": "Where the range of load_batch begins.",
        "run_id": "Of that range.",
        "hour": "Of that range.",
        "events_before": "Records with older events went.",
        **{f"removed{name}": f"{text} that went." for name, text in _SUMS.items()},
    },
    "touched": {
        "feed": "The feed whose records came.",
        "key": "Kafka's key of them.",
        "event_hour": "The hour of event time.",
        "version": "Rises with each change, so that one that comes meanwhile is not lost.",
        "noted_at": "When the first change was noted that is still waiting.",
    },
    "currency_alias": {
        "source": "A name in the settings.",
        "currency_id": "The source's own id.",
        "currency": "The unified code.",
    },
    "pending": {
        "computation": "What has to be made anew.",
        "feed": "Of which feed.",
        "key": "Kafka's key.",
        "event_hour": "The hour of event time.",
        "version": "Of the change; a newer one stays.",
        "noted_at": "When the first change was noted that is still waiting.",
    },
}
"""Table or collection -> column or key -> what it says."""
