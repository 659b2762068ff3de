"""What a source is to the rest: something that, asked once, hands over one poll.

Here: the values and the protocol; the dialects stand beside this file, one an API. Not here: when
to ask (delivery/ingest.py), how to publish (kafka/producer.py). A source knows nothing of Kafka,
Dagster or a store.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from crypto_platform.feeds import Record
from crypto_platform.feeds.rejected import Rejected


@dataclass(frozen=True, kw_only=True)
class Poll:
    """One poll round of one feed, everything in hand: it is published whole or not at all.

    Attributes:
        records: In the source's order; all with the same ts_ingest.
        rejected: Pieces of the answer that could not become records.
        positions: How far each venue symbol was read, opaque to all but the dialect; a feed without
            history of its own (quotes) has none.
    """

    records: Sequence[Record]
    rejected: Sequence[Rejected] = ()
    positions: Mapping[str, str] = field(default_factory=dict[str, str])


class Source(Protocol):
    """One configured instance of a dialect. One thread a feed uses it."""

    @property
    def name(self) -> str:
        """The instance's name in the settings; `source` in its records."""
        ...

    @property
    def feeds(self) -> tuple[str, ...]:
        """Names of the feeds it can give."""
        ...

    def poll(self, feed: str, *, positions: Mapping[str, str], ts_ingest: int) -> Poll:
        """Ask once for everything of a feed that is due.

        Args:
            feed: One of `feeds`.
            positions: Those of the last published poll; empty at the first.
            ts_ingest: Microseconds; goes into every record unchanged.

        Raises:
            SourceUnavailableError: Come again later, not before retry_after_s where given.
            SourceRefusedError: A setting has to change first (a wrong key).
            SourceMalformedError: The page is not what it promises; nothing of it is used.
        """
        ...
