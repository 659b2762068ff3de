"""Which candles a poll asks for, and which of them it has not published yet.

Here: what is closed, windows of candles, the cursor that remembers the last few so that a venue's
correction becomes a revision and an unchanged candle is not sent again. Not here: what a candle
says (the dialects), asking (venue_polls.py, venue.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from crypto_platform.feeds.candles import Candle, Interval, seal_candle

CLOSED_FOR_US_MIN = 5_000_000
"""How long a candle must be over by our clock, which may be ahead of the venue's, to be closed."""
REREAD_CANDLES = 5
"""So many closed candles are read again by each poll: venues correct, and publish late."""
FIRST_CANDLES_MAX = 300
"""Of a poll without a cursor; what is older is the history's."""
SILENT_CANDLES_MAX = 300
"""So many intervals a venue may give nothing of, be it late or nobody trading, before that is said
and they are asked for no more."""


Stretch = tuple[int, int]
"""Open times, from inclusive to exclusive."""


@dataclass(frozen=True, kw_only=True)
class CandlesPage:
    """One page of candles, unread.

    Attributes:
        items: As they came, in any order.
        begins_us: Where the page begins, if the venue keeps nothing from before that.
        closed_us: Where the venue says that its closed candles end, if the page goes on to there.
    """

    items: Sequence[bytes]
    begins_us: int | None = None
    closed_us: int | None = None


class CandleCursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far candles of one interval were read.

    Attributes:
        read_us: Behind the newest candle seen: what opened before it is read or was told as a gap.
            What a venue has not given yet may only be late, so it is asked for again.
        told_us: Up to here it was said that nothing came; None where that was not said since the
            newest candle.
        hashes: Open time as text -> content hash, of the last REREAD_CANDLES intervals.
    """

    read_us: int
    told_us: int | None = None
    hashes: dict[str, int]


def encode_cursor(cursor: CandleCursor) -> str:
    """The cursor as a position."""
    return msgspec.json.encode(cursor).decode()


def decode_cursor(position: str) -> CandleCursor:
    """The cursor of a position.

    Raises:
        msgspec.DecodeError: Another dialect wrote it.
    """
    return msgspec.json.decode(position, type=CandleCursor)


def find_closed(now_us: int, interval: Interval) -> int:
    """Where the closed candles end: the first open time of one that may still change."""
    over_us = now_us - CLOSED_FOR_US_MIN
    return over_us - over_us % interval.length_us


def plan_windows(
    begin_us: int,
    end_us: int,
    *,
    interval: Interval,
    page_candles_max: int,
) -> list[tuple[int, int]]:
    """Ranges of open times, [begin, end), one a request, oldest first; none where none is due."""
    step_us = page_candles_max * interval.length_us
    starts = range(begin_us, end_us, step_us)
    return [(start_us, min(start_us + step_us, end_us)) for start_us in starts]


def plan_poll(
    cursor: CandleCursor | None, *, closed_us: int, interval: Interval, page_candles_max: int
) -> int:
    """The first open time a poll asks for."""
    if cursor is None:
        return closed_us - min(FIRST_CANDLES_MAX, page_candles_max) * interval.length_us
    return min(cursor.read_us, closed_us) - REREAD_CANDLES * interval.length_us


def choose_between(candles: Iterable[Candle], *, begin_us: int, end_us: int) -> list[Candle]:
    """Those that opened in [begin, end), oldest first."""
    chosen = [candle for candle in candles if begin_us <= candle.ts_event < end_us]
    return sorted(chosen, key=_open_time)


def choose_changed(candles: Sequence[Candle], cursor: CandleCursor | None) -> list[Candle]:
    """Those that were not published as they are now.

    Where a page has a candle twice, the last one counts, and both are told as long as that is new.

    Args:
        candles: Oldest first.
        cursor: Before them.
    """
    published = {} if cursor is None else cursor.hashes
    last = {candle.ts_event: candle for candle in candles}
    changed: list[Candle] = []
    for candle in candles:
        known, newest = published.get(str(candle.ts_event)), last[candle.ts_event]
        if known is None or (known != newest.content_hash and candle is not newest):
            changed.append(candle)
        elif known != newest.content_hash:
            changed.append(seal_candle(candle, is_correction=True))
    return changed


def advance_cursor(
    cursor: CandleCursor | None, candles: Sequence[Candle], *, interval: Interval
) -> CandleCursor | None:
    """The cursor behind the newest of these candles; it never goes back."""
    if not candles:
        return cursor
    seen_us = max(map(_open_time, candles)) + interval.length_us
    known = {} if cursor is None else dict(cursor.hashes)
    known |= {str(candle.ts_event): candle.content_hash for candle in candles}
    read_us = seen_us if cursor is None else max(seen_us, cursor.read_us)
    return _forget_old(CandleCursor(read_us=read_us, hashes=known), interval)


def jump(cursor: CandleCursor, *, to_us: int, interval: Interval) -> CandleCursor:
    """The cursor behind a stretch that nobody waits for any more."""
    return _forget_old(msgspec.structs.replace(cursor, read_us=to_us), interval)


def break_off(
    cursor: CandleCursor, *, asked_us: int, interval: Interval
) -> tuple[CandleCursor, Stretch | None]:
    """Wait for candles no longer than SILENT_CANDLES_MAX intervals.

    Args:
        asked_us: Everything that opened before this was asked for.

    Returns:
        The cursor, and of what it is to be said that nothing came: of a market that falls silent
        that is the beginning; `find_unsaid` says the rest when it ends.
    """
    longest_us = SILENT_CANDLES_MAX * interval.length_us
    if asked_us - cursor.read_us <= longest_us:
        return cursor, None
    if cursor.told_us is None:
        told = msgspec.structs.replace(cursor, told_us=asked_us)
        return jump(told, to_us=asked_us, interval=interval), (cursor.read_us, asked_us)
    return jump(cursor, to_us=asked_us - longest_us, interval=interval), None


def find_unsaid(cursor: CandleCursor, candles: Sequence[Candle]) -> Stretch | None:
    """What was no longer waited for since `break_off` said so; None while the silence goes on."""
    told_us = cursor.told_us
    if not candles or told_us is None or told_us >= cursor.read_us:
        return None
    return told_us, cursor.read_us


def _forget_old(cursor: CandleCursor, interval: Interval) -> CandleCursor:
    begin_us = cursor.read_us - REREAD_CANDLES * interval.length_us
    kept = {opened: digest for opened, digest in cursor.hashes.items() if int(opened) >= begin_us}
    return msgspec.structs.replace(cursor, hashes=kept)


def _open_time(candle: Candle) -> int:
    return candle.ts_event
