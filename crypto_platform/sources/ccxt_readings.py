"""What ccxt's structures hold, exactly: amounts, times, steps, and which trades are new.

Here: pure functions over them. Not here: asking (ccxt_exchange.py), records (ccxt.py).
"""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple, cast

import msgspec

from crypto_platform.domain.money import parse_amount
from crypto_platform.errors import Reason, RecordRejectedError
from crypto_platform.sources.base import Gap
from crypto_platform.sources.ccxt_answers import Item
from crypto_platform.sources.pages import NULL, keep_finer_time, read_amount, read_time
from crypto_platform.sources.readings import Moment
from crypto_platform.sources.trade_pages import TradesRead

TRADE_TIME_FIELDS = {"poloniex": "createTime"}
"""Where ccxt takes another time than the trade's own: `ts` of Poloniex is when its answer was made
ready, up to months later."""

TOLERANCE_US = 1_000
"""How far ccxt's milliseconds may be off: it multiplies seconds as floats before it cuts them."""

_EPOCH_TIME = re.compile(r"([0-9]{9,19})(?:\.([0-9]{1,18}))?")
_DIGITS_OF_LENGTH = {9: 6, 10: 6, 12: 3, 13: 3, 15: 0, 16: 0, 18: -3, 19: -3}
"""Length of a whole number -> how many digits it lacks to microseconds, for times after 1973."""


class PrecisionMode(IntEnum):
    """What the precision of a market means: ccxt's constants."""

    DECIMAL_PLACES = 2
    SIGNIFICANT_DIGITS = 3
    TICK_SIZE = 4


class TradesCursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far trades were read.

    Attributes:
        time_us: Of the newest trade.
        ids: Of all trades of that time: ids need not rise, nor be numbers.
    """

    time_us: int
    ids: tuple[str, ...]


class _Trade(NamedTuple):
    time_us: int
    trade_id: str
    raw: bytes


def decode_cursor(position: str) -> TradesCursor:
    """The cursor of a position.

    Raises:
        msgspec.DecodeError: Another dialect wrote it.
    """
    return msgspec.json.decode(position, type=TradesCursor)


def choose_new_trades(
    items: Iterable[Item], *, cursor: TradesCursor | None, ccxt_id: str, venue_symbol: str
) -> TradesRead:
    """The trades of a page behind the cursor, oldest first.

    Trades without id or time come first: they cannot be told from new ones. A page proves that none
    is missing between it and the cursor by a trade older than the cursor, or by one that was read:
    others of the same millisecond prove nothing.
    """
    known: list[_Trade] = []
    odd: list[bytes] = []
    for item in items:
        moment, trade_id = find_trade_moment(item, ccxt_id=ccxt_id), read_trade_id(item)
        if moment is None or trade_id is None:
            odd.append(item.raw)
        else:
            known.append(_Trade(moment.time_us, trade_id, item.raw))
    known.sort(key=_by_time_and_id)
    new = [trade for trade in known if _is_new(trade, cursor)]
    gaps: list[Gap] = []
    if cursor is not None and known and not _reaches(known, cursor):
        gaps.append(
            Gap(
                venue_symbol=venue_symbol,
                after_id=cursor.ids[-1],
                before_id=known[0].trade_id,
                after_us=cursor.time_us,
            )
        )
    return TradesRead(
        items=[*odd, *(trade.raw for trade in new)],
        position=_encode_cursor(known, cursor),
        gaps=gaps,
    )


def _reaches(known: Sequence[_Trade], cursor: TradesCursor) -> bool:
    is_older = known[0].time_us < cursor.time_us
    return is_older or any(trade.trade_id in cursor.ids for trade in known)


def _by_time_and_id(trade: _Trade) -> tuple[int, int, str]:
    return trade.time_us, len(trade.trade_id), trade.trade_id


def _is_new(trade: _Trade, cursor: TradesCursor | None) -> bool:
    if cursor is None or trade.time_us > cursor.time_us:
        return True
    return trade.time_us == cursor.time_us and trade.trade_id not in cursor.ids


def _encode_cursor(known: Sequence[_Trade], cursor: TradesCursor | None) -> str | None:
    if not known or (cursor is not None and known[-1].time_us < cursor.time_us):
        return None if cursor is None else msgspec.json.encode(cursor).decode()
    newest_us = known[-1].time_us
    ids = dict.fromkeys(cursor.ids if cursor and cursor.time_us == newest_us else ())
    ids |= dict.fromkeys(trade.trade_id for trade in known if trade.time_us == newest_us)
    return msgspec.json.encode(TradesCursor(time_us=newest_us, ids=tuple(ids))).decode()


def require_parsed(item: Item) -> Any:
    """What ccxt made of an item.

    Raises:
        RecordRejectedError: invariant. It could make nothing of it.
    """
    if item.parsed is None:
        message = f"ccxt cannot read it: {item.error}"
        raise RecordRejectedError(message, reason=Reason.INVARIANT)
    return item.parsed


def read_trade_id(item: Item) -> str | None:
    """The venue's id of a trade; None where it has none."""
    trade_id = cast("Mapping[str, Any]", item.parsed or {}).get("id")
    return None if trade_id in (None, "") else str(trade_id)


def find_trade_moment(item: Item, *, ccxt_id: str) -> Moment | None:
    """When a trade was made; None where nobody knows."""
    field = TRADE_TIME_FIELDS.get(ccxt_id)
    if field is not None:
        return next(_read_times(cast("Mapping[str, Any]", item.info).get(field)), None)
    timestamp = cast("Mapping[str, Any]", item.parsed or {}).get("timestamp")
    found = find_moment(item.info, timestamp)
    return Moment(timestamp * 1000) if found is None and isinstance(timestamp, int) else found


def find_moment(answer: object, timestamp_ms: object) -> Moment | None:
    """The venue's own text of the time that ccxt has cut to milliseconds; None where it has none.

    Of several the finest. A number that is no time but says the same to the millisecond is taken
    for one, and is then wrong by two at most.

    Args:
        answer: Of it the values are looked at, also inside of objects, not of lists of lists.
        timestamp_ms: What ccxt made of it.
    """
    if not isinstance(timestamp_ms, int):
        return None
    near = [
        moment
        for value in _walk(answer)
        for moment in _read_times(value)
        if -TOLERANCE_US < moment.time_us - timestamp_ms * 1000 < 2 * TOLERANCE_US
    ]
    return max(near, key=_fineness, default=None)


def _fineness(moment: Moment) -> tuple[int, int]:
    if moment.text is not None:
        return len(moment.text), 0
    zeros = len(str(moment.time_us)) - len(str(moment.time_us).rstrip("0"))
    return 0, -zeros


def _walk(answer: object) -> Iterator[object]:
    if isinstance(answer, dict):
        for value in cast("dict[str, object]", answer).values():
            if isinstance(value, dict):
                yield from _walk(cast("object", value))
            else:
                yield value
    elif isinstance(answer, list):
        yield from cast("list[object]", answer)


def _read_times(value: object) -> Iterator[Moment]:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return
    text = str(value)
    found = _EPOCH_TIME.fullmatch(text)
    if found is None:
        with contextlib.suppress(RecordRejectedError):
            time_us = read_time(text, "time") if "T" in text else None
            if time_us is not None:
                yield Moment(time_us, keep_finer_time(text))
        return
    digits = _DIGITS_OF_LENGTH.get(len(found[1]))
    if digits is None:
        return
    all_digits = found[1] + (found[2] or "")
    wanted = len(found[1]) + digits
    time_us = int(all_digits[:wanted].ljust(wanted, "0"))
    yield Moment(time_us, text if len(all_digits.rstrip("0")) > wanted else None)


def to_raw(value: object, name: str) -> msgspec.Raw:
    """A figure of ccxt as the venue's JSON had it.

    Raises:
        RecordRejectedError: invariant. It went through a float, so its digits are lost.
    """
    if value is None:
        return NULL
    if isinstance(value, bool) or not isinstance(value, int | str):
        message = f"{name}: ccxt hands out {type(value).__name__}, its digits are lost"
        raise RecordRejectedError(message, reason=Reason.INVARIANT)
    return msgspec.Raw(msgspec.json.encode(str(value)))


def find_step(precision: object, mode: int) -> str | None:
    """The smallest step of a price or quantity; None where ccxt does not say."""
    if precision is None or mode == PrecisionMode.SIGNIFICANT_DIGITS:
        return None
    step = read_amount(to_raw(precision, "precision"), "precision")
    if step is None or mode == PrecisionMode.TICK_SIZE:
        return step
    return parse_amount(f"1e-{step}")
