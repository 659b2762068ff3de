"""Read, decode and encode the next batches while the store commits the last one.

Here: the thread that does so, bounded in records and bytes, and the positions it reads from. What a
batch is (slices that follow one another without a gap) does not depend on when it was taken: the
claims it starts from are carried along. Not here: committing (load.py).

Only this thread uses the reader once it has begun. While it works in Python, the store's server and
the driver's C code work too; measured, the server is then what a load waits for.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from crypto_platform.delivery.slices import cut_slices
from crypto_platform.kafka.reader import PartitionReader, PartRead
from crypto_platform.kafka.watermarks import Part
from crypto_platform.settings import LoadSettings
from crypto_platform.stores.claims import Claim
from crypto_platform.stores.slices import Slice

BATCH_BYTES_MAX = 16 * 1024 * 1024
"""Of the values in one commit."""
AHEAD_RECORDS_MAX = 10_000
AHEAD_BYTES_MAX = 16 * 1024 * 1024
"""Of values that wait to be committed: it bounds a loader's memory whatever the backlog."""

READ_WAIT_S = 0.2
"""How long the thread waits for a first record before it looks whether it should end."""


@dataclass(kw_only=True)
class Batch:
    """What goes into one commit.

    Attributes:
        slices: Encoded; those of a partition follow one another.
        lost: Partitions whose first position the broker no longer has, with its text.
    """

    slices: list[Slice] = field(default_factory=list)
    lost: dict[Part, str] = field(default_factory=dict)
    records: int = 0
    size_bytes: int = 0

    def fits(self, other: "Batch", *, records_max: int) -> bool:
        """Whether both together are no more than one commit should hold."""
        return (
            self.records + other.records <= records_max
            and self.size_bytes + other.size_bytes <= BATCH_BYTES_MAX
        )

    def add(self, other: "Batch") -> None:
        """Take what comes behind this."""
        self.slices += other.slices
        self.lost |= other.lost
        self.records += other.records
        self.size_bytes += other.size_bytes


class ReadAhead:
    """A context: the thread begins with it and ends with it."""

    def __init__(
        self,
        reader: PartitionReader,
        claims: Mapping[Part, Claim],
        first: Mapping[Part, PartRead],
        *,
        encode: Callable[[Slice], Slice],
        limits: LoadSettings,
    ) -> None:
        """Begin where the claims stand.

        Args:
            reader: Assigned to the claims' partitions.
            claims: Where each partition begins.
            first: What the reader has brought already.
            encode: The store's.
            limits: Of batches.
        """
        self._reader = reader
        self._chain = dict(claims)
        self._first = first
        self._encode = encode
        self._limits = limits
        self._read_records_max = max(limits.batch_records_max // 4, 1)
        self._changed = threading.Condition()
        self._waiting: deque[Batch] = deque()
        self._dropped: set[Part] = set()
        self._error: BaseException | None = None
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="read-ahead", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self._thread.join()

    def take(self, *, wait_s: float, records_max: int) -> Batch | None:
        """The next batch, made of all that is ready; None where nothing came in time.

        Args:
            wait_s: Longest wait for it.
            records_max: No further read is added once it would hold more.

        Raises:
            KafkaUnavailableError: The reader is broken, and all it brought before was taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._error, timeout=wait_s)
            if not self._waiting:
                if self._error is not None:
                    raise self._error
                return None
            batch = self._waiting.popleft()
            while self._waiting and batch.fits(self._waiting[0], records_max=records_max):
                batch.add(self._waiting.popleft())
            self._read_records_max = max(records_max // 2, 1)
            self._changed.notify_all()
            return batch

    def drop(self, parts: Iterable[Part]) -> None:
        """Read these no further; what is ready of them still comes and has to be left out."""
        with self._changed:
            self._dropped |= set(parts)

    def _run(self) -> None:
        try:
            self._put(self._build(self._first))
            while not self._is_over:
                self._drop_now()
                if not self._chain:
                    self._pause()
                    continue
                limits = self._limits
                self._put(
                    self._build(
                        self._reader.read(
                            records_max=self._read_records_max,
                            first_wait_s=READ_WAIT_S,
                            more_wait_s=limits.batch_wait_s,
                        )
                    )
                )
        except BaseException as error:  # noqa: BLE001 - raised again by `take`
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _build(self, reads: Mapping[Part, PartRead]) -> Batch:
        batch = Batch()
        for part, read in reads.items():
            claim = self._chain.get(part)
            if claim is None:
                continue
            if read.lost_position is not None:
                batch.lost[part] = read.lost_position
                del self._chain[part]
                self._reader.drop([part])
                continue
            slices = cut_slices(claim, read, record_bytes_max=self._limits.record_bytes_max)
            if not slices:
                continue
            self._chain[part] = advance(claim, slices[-1])
            batch.slices += map(self._encode, slices)
            batch.records += len(read.offsets)
            batch.size_bytes += sum(len(value) for value in read.values if value is not None)
        return batch

    def _put(self, batch: Batch) -> None:
        if not batch.slices and not batch.lost:
            return
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._has_room())
            self._waiting.append(batch)
            self._changed.notify_all()

    def _has_room(self) -> bool:
        return not self._waiting or (
            sum(batch.records for batch in self._waiting) < AHEAD_RECORDS_MAX
            and sum(batch.size_bytes for batch in self._waiting) < AHEAD_BYTES_MAX
        )

    def _drop_now(self) -> None:
        with self._changed:
            dropped, self._dropped = self._dropped & set(self._chain), set()
        for part in dropped:
            del self._chain[part]
        self._reader.drop(list(dropped))

    def _pause(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_over, timeout=READ_WAIT_S)


def advance(claim: Claim, last: Slice) -> Claim:
    """The claim as it stands once this slice is committed."""
    epoch = claim.leader_epoch if last.leader_epoch is None else last.leader_epoch
    return replace(
        claim,
        next_offset=last.next_offset,
        leader_epoch=epoch,
        max_ts_append=last.max_ts_append,
    )


def part_of(slice_: Slice) -> Part:
    """Which partition a slice is of, by the topic's name."""
    return Part(slice_.claim.topic, slice_.claim.partition.part)
