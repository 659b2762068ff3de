"""rejected: what a source gave that could not become a record, with the reason.

The rest of its page goes on; this keeps the raw bytes, so that nothing a source said is lost. What
a store refuses later is not here but in that store's quarantine.
"""

import hashlib

from crypto_platform.errors import Reason
from crypto_platform.feeds.feed import Feed, Index, Record, Text, TimeUs, seal

RAW_BYTES_MAX = 64 * 1024
"""A longer piece is cut; `raw_bytes` keeps its true length."""


class Rejected(Record, frozen=True, kw_only=True, tag=1):
    """One piece of a source's answer that was refused.

    Attributes:
        source: Where it came from: a name in the settings.
        feed: What it should have become a record of.
        reason: undecodable, unknown_schema, invariant, conflict or too_large.
        error: What was wrong, for a person.
        raw: The piece as received, at most 64 KiB of it.
    """

    source: Text
    feed: Text
    reason: Text
    error: Text
    raw: bytes


def build_rejected(
    *, source: str, feed: str, reason: Reason, error: str, raw: bytes, ts_ingest: TimeUs
) -> Rejected:
    """A rejected piece; the same piece refused again has the same id."""
    draft = Rejected(
        source=source,
        feed=feed,
        reason=reason.value,
        error=error.replace("\x00", "\\0")[:1000],
        raw=raw[:RAW_BYTES_MAX],
        ts_ingest=ts_ingest,
    )
    fingerprint = hashlib.blake2b(raw, digest_size=16).hexdigest()
    return seal(draft, identity=(source, feed, reason.value, fingerprint), content_in_id=True)


REJECTED = Feed(
    name="rejected",
    topic="platform.rejected",
    partitions=1,
    record=Rejected,
    versions=Rejected,
    key_of=lambda rejected: f"{rejected.source}:{rejected.feed}",
    # a piece says nothing of the ones before it
    state_key_of=lambda rejected: rejected.event_id,
    schema="platform",
    table="rejected",
    collection="rejected",
    indexes=(Index(fields=("source", "feed", "-ts_ingest")),),
    owned_by_platform=True,
    description="What a source gave that could not become a record, with the reason.",
)
