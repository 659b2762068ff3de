"""What a store holds, as the audit and the lineage read it back."""

from typing import NamedTuple


class StoredRecord(NamedTuple):
    """What the audit asks of a stored record: its content and its first arrival."""

    event_id: str
    content_hash: int
    topic_id: str
    part: int
    offset: int


class StoredContent(NamedTuple):
    """A stored record, and what its columns say when they are read back.

    Attributes:
        derived_hash: Content hash of the facts as they are stored; None where they cannot be read.
        problem: What of it no load writes (a wrong type, a date beside other microseconds), in
            words; None where all is right.
    """

    record: StoredRecord
    derived_hash: int | None
    problem: str | None = None


class StoredColumn(NamedTuple):
    """A column of a table, or a key of a document.

    Attributes:
        kind: As the store names the type.
        field: The record's field it holds, None where it holds the arrival.
    """

    name: str
    kind: str
    nullable: bool
    field: str | None
