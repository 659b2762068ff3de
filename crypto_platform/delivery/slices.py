"""Cut what was read of one partition into slices: decoded, within one hour, without a gap. Pure."""

from collections.abc import Sequence

from crypto_platform.domain.hours import hour_of
from crypto_platform.errors import RecordRejectedError
from crypto_platform.feeds.codec import decode
from crypto_platform.kafka.reader import PartRead, RawRecord
from crypto_platform.stores.base import Arrival, Claim, Refusal, Slice


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
    fresh = [record for record in read.records if record.offset >= claim.next_offset]
    end = max(read.next_offset or 0, claim.next_offset)
    if end == claim.next_offset:
        return []
    slices: list[Slice] = []
    first_offset, max_ts_append = claim.next_offset, claim.max_ts_append
    begin = 0
    while begin < len(fresh):
        max_ts_append = max(max_ts_append, fresh[begin].ts_append)
        hour = hour_of(max_ts_append)
        stop = begin + 1
        while stop < len(fresh) and hour_of(max(max_ts_append, fresh[stop].ts_append)) == hour:
            max_ts_append = max(max_ts_append, fresh[stop].ts_append)
            stop += 1
        next_offset = fresh[stop].offset if stop < len(fresh) else end
        slices.append(
            _build_slice(
                claim,
                fresh[begin:stop],
                hour=hour,
                first_offset=first_offset,
                next_offset=next_offset,
                max_ts_append=max_ts_append,
                leader_epoch=read.leader_epoch,
                record_bytes_max=record_bytes_max,
            )
        )
        first_offset, begin = next_offset, stop
    if not slices:
        slices.append(
            _build_slice(
                claim,
                (),
                hour=hour_of(max_ts_append),
                first_offset=first_offset,
                next_offset=end,
                max_ts_append=max_ts_append,
                leader_epoch=read.leader_epoch,
                record_bytes_max=record_bytes_max,
            )
        )
    return slices


def _build_slice(
    claim: Claim,
    records: Sequence[RawRecord],
    *,
    hour: int,
    first_offset: int,
    next_offset: int,
    max_ts_append: int,
    leader_epoch: int | None,
    record_bytes_max: int,
) -> Slice:
    arrivals: list[Arrival] = []
    refusals: list[Refusal] = []
    for offset, ts_append, key, value in records:
        try:
            record = decode(claim.feed, value, record_bytes_max=record_bytes_max)
        except RecordRejectedError as error:
            refusals.append(Refusal(offset, ts_append, error.reason, str(error), key, value))
        else:
            arrivals.append(Arrival(record, offset, ts_append))
    return Slice(
        claim=claim,
        hour=hour,
        first_offset=first_offset,
        next_offset=next_offset,
        max_ts_append=max_ts_append,
        leader_epoch=leader_epoch,
        arrivals=arrivals,
        refusals=refusals,
    )
