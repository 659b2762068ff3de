"""Cut what was read of one partition into slices: decoded, within one hour, without a gap. Pure."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from crypto_platform.domain.hours import hour_of
from crypto_platform.feeds.codec import decode_batch
from crypto_platform.kafka.reader import PartRead
from crypto_platform.stores.claims import Claim
from crypto_platform.stores.slices import Arrivals, Refusal, Slice


def cut_slices(claim: Claim, read: PartRead, *, record_bytes_max: int) -> list[Slice]:
    """The slices that bring a claim from its next_offset to where the read came.

    Args:
        claim: Records below its next_offset are dropped: they are stored already.
        read: In order of offset; may have begun before the claim.
        record_bytes_max: See feeds.codec.decode.

    Returns:
        In order and contiguous, one an hour of append time; none where nothing moved. The hour is
        the running maximum's: a broker clock going back never reopens a past hour.
    """
    end = max(read.next_offset or 0, claim.next_offset)
    if end == claim.next_offset:
        return []
    first_offset, max_ts_append = claim.next_offset, claim.max_ts_append
    begin = bisect_left(read.offsets, claim.next_offset)
    slices: list[Slice] = []
    for stop in _find_borders(read.ts_appends, begin, max_ts_append):
        max_ts_append = max(max_ts_append, *read.ts_appends[begin:stop])
        next_offset = read.offsets[stop] if stop < len(read.offsets) else end
        arrivals, refusals = _decode(claim, read, begin, stop, record_bytes_max=record_bytes_max)
        slices.append(
            Slice(
                claim=claim,
                hour=hour_of(max_ts_append),
                first_offset=first_offset,
                next_offset=next_offset,
                max_ts_append=max_ts_append,
                leader_epoch=read.leader_epoch,
                arrivals=arrivals,
                refusals=refusals,
            )
        )
        first_offset, begin = next_offset, stop
    if not slices:
        slices.append(
            Slice(
                claim=claim,
                hour=hour_of(max_ts_append),
                first_offset=first_offset,
                next_offset=end,
                max_ts_append=max_ts_append,
                leader_epoch=read.leader_epoch,
            )
        )
    return slices


def _find_borders(ts_appends: Sequence[int], begin: int, max_ts_append: int) -> Iterator[int]:
    """Where each hour ends, as indexes; the running maximum decides."""
    while begin < len(ts_appends):
        max_ts_append = max(max_ts_append, ts_appends[begin])
        hour = hour_of(max_ts_append)
        stop = len(ts_appends)
        if hour_of(max(max_ts_append, *ts_appends[begin:])) != hour:
            stop = begin + 1
            while hour_of(max(max_ts_append, ts_appends[stop])) == hour:
                max_ts_append = max(max_ts_append, ts_appends[stop])
                stop += 1
        yield stop
        begin = stop


def _decode(
    claim: Claim, read: PartRead, begin: int, stop: int, *, record_bytes_max: int
) -> tuple[Arrivals, Sequence[Refusal]]:
    """The values of a range of indexes: records and what is none."""
    offsets, ts_appends = read.offsets[begin:stop], read.ts_appends[begin:stop]
    keys, values = read.keys[begin:stop], read.values[begin:stop]
    decoded = decode_batch(claim.feed, values, record_bytes_max=record_bytes_max)
    refusals = [
        Refusal(offsets[i], ts_appends[i], error.reason, str(error), keys[i], values[i])
        for i, error in decoded.refused
    ]
    if refusals:
        keys = [keys[i] for i in decoded.places]
        offsets = [offsets[i] for i in decoded.places]
        ts_appends = [ts_appends[i] for i in decoded.places]
    arrivals = Arrivals(
        records=decoded.records,
        columns=decoded.columns,
        keys=keys,
        offsets=offsets,
        ts_appends=ts_appends,
    )
    return arrivals, refusals
