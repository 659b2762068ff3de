"""What a test has sent, and how far its stores have come with it: the world as it really is.

Here: logs written by hand, one a partition, and the slices a reader would cut of them. Not here:
what a store should make of it (invariants.py).
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from crypto_platform.errors import Reason
from crypto_platform.feeds.quotes import Quote
from crypto_platform.stores.claims import Claim, TopicPart
from crypto_platform.stores.slices import Refusal, Slice
from tests.store_steps import HOUR, NOON, contradict, piece, quote

_examples = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One offset: a quote, poison, or (neither) a transaction's marker; in an hour of its own."""

    quote: Quote | None = None
    poison: bytes | None = None
    hour: int


@dataclass(kw_only=True)
class Truth:
    """One example's world; nothing in it is shared with another's, though a database may be.

    Attributes:
        parts: Partitions of the topic as it is now; those of its former incarnations stay in
            `logs`.
        reached: What was committed of each partition, or so its writer was told.
        epochs: How often each was claimed.
    """

    name: str = field(default_factory=lambda: f"e{next(_examples)}")
    incarnation: int = 0
    parts: list[TopicPart] = field(default_factory=list[TopicPart])
    logs: dict[TopicPart, list[Entry]] = field(default_factory=dict[TopicPart, list[Entry]])
    reached: dict[TopicPart, int] = field(default_factory=dict[TopicPart, int])
    epochs: dict[TopicPart, int] = field(default_factory=dict[TopicPart, int])
    quotes: list[Quote] = field(default_factory=list[Quote])
    hour: int = NOON

    def recreate_topic(self, partitions: int) -> None:
        """The same name, another id: offsets begin at 0 again."""
        self.incarnation += 1
        self.parts = []
        for _ in range(partitions):
            self.add_partition()

    def add_partition(self) -> None:
        """One more at the end."""
        # an id looks like a UUID; this one says whose it is
        number = int(self.name.removeprefix("e"))
        topic_id = f"{number:08x}-0000-0000-0000-{self.incarnation:012x}"
        part = TopicPart(topic_id, len(self.parts))
        self.parts.append(part)
        self.logs[part] = []
        self.reached[part] = self.epochs[part] = 0

    def publish(self, part: TopicPart, kind: str, choice: int) -> None:
        """Append one entry: new, repeat, contradiction, poison or marker."""
        if kind in ("repeat", "contradiction") and not self.quotes:
            kind = "new"
        record, poison = None, None
        if kind == "new":
            record = quote(len(self.quotes), currency_id=self.name)
            self.quotes.append(record)
        elif kind == "repeat":
            record = self.quotes[choice % len(self.quotes)]
        elif kind == "contradiction":
            record = contradict(self.quotes[choice % len(self.quotes)])
        elif kind == "poison":
            poison = b"\x00 not json"
        self.logs[part].append(Entry(quote=record, poison=poison, hour=self.hour))

    def turn_the_hour(self) -> None:
        """Whatever is published from now on belongs to the next hour."""
        self.hour += HOUR

    def committed(self) -> Iterator[tuple[TopicPart, int, Entry]]:
        """Everything below what was reached."""
        for part, log in self.logs.items():
            for offset, entry in enumerate(log[: self.reached[part]]):
                yield part, offset, entry

    def cut_slices(self, claim: Claim, first_offset: int, next_offset: int) -> list[Slice]:
        """A range as slices: quotes in a row, then what is none, within one hour."""
        log = self.logs[claim.partition]
        slices: list[Slice] = []
        at = first_offset
        while at < next_offset:
            hour = log[at].hour
            end = at
            while end < next_offset and log[end].hour == hour and log[end].quote is not None:
                end += 1
            quotes = [entry.quote for entry in log[at:end] if entry.quote is not None]
            beyond = end
            while beyond < next_offset and log[beyond].hour == hour and log[beyond].quote is None:
                beyond += 1
            slices.append(
                piece(
                    claim,
                    quotes,
                    first_offset=at,
                    next_offset=beyond,
                    hour=hour,
                    refusals=_refusals(log, range(end, beyond)),
                )
            )
            at = beyond
        return slices


def _refusals(log: Sequence[Entry], offsets: range) -> list[Refusal]:
    return [
        Refusal(
            offset=offset,
            ts_append=log[offset].hour + offset,
            reason=Reason.UNDECODABLE,
            error="line 1: not JSON",
            key=None,
            value=log[offset].poison,
        )
        for offset in offsets
        if log[offset].poison is not None
    ]
