"""What readers get of stored candles and of hours that have changed since: what all trades say."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_platform.domain.candles import BuiltCandle, Match, Place, build_candles
from crypto_platform.domain.hours import day_of, hour_of
from crypto_platform.feeds.candles import CANDLES, Interval
from crypto_platform.feeds.feed import FieldKind
from crypto_platform.feeds.record import list_fields
from crypto_platform.serving.analytics import (
    KeptCandles,
    MadeCandle,
    prefer_fuller,
    read_made,
    read_pages,
)
from crypto_platform.stores.market import ALWAYS, Market, Span

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOW = 3 * DAY + 14 * HOUR + 30 * MINUTE + 1


class Kept:
    """A store as a run has left it, which trades have reached since."""

    def __init__(self, kept: Sequence[Match], since: Sequence[Match]) -> None:
        self._kept = kept
        self._every = [*kept, *since]
        self._stale = {hour_of(match.time_us) for match in since}
        self._stale |= {
            hour_of(match.time_us) for match in kept if hour_of(match.time_us) + HOUR > NOW
        }

    def list_stale_hours(self, begins_us: int, ends_us: int) -> list[int]:
        return sorted(hour for hour in self._stale if begins_us <= hour < ends_us)

    def read(self, interval: Interval, begins_us: int, ends_us: int) -> list[BuiltCandle]:
        length_us = interval.length_us
        return [
            _forget_places(candle)
            for candle in build_candles(self._kept, length_us=length_us).values()
            if begins_us <= candle.open_time_us < ends_us and candle.open_time_us + length_us <= NOW
        ]

    def build_minutes(self, hours: Sequence[int]) -> list[BuiltCandle]:
        own = [match for match in self._every if hour_of(match.time_us) in hours]
        return [_forget_places(each) for each in build_candles(own, length_us=MINUTE).values()]

    def find_first(self, from_us: int) -> int | None:
        return min((m.time_us for m in self._every if m.time_us >= from_us), default=None)

    def find_last(self, before_us: int) -> int | None:
        return max((m.time_us for m in self._every if m.time_us < before_us), default=None)


def _forget_places(candle: BuiltCandle) -> BuiltCandle:
    place = Place(candle.open_time_us, 0, "")
    return candle._replace(first=place, last=place)


def truth(trades: Sequence[Match], interval: Interval) -> list[BuiltCandle]:
    made = build_candles(trades, length_us=interval.length_us)
    return [made[open_us]._replace(first=NOWHERE, last=NOWHERE) for open_us in sorted(made)]


NOWHERE = Place(0, 0, "")


def read(
    kept: Kept, interval: Interval, span: Span = ALWAYS, *, newest: int | None = None
) -> list[BuiltCandle]:
    candles = KeptCandles(kept, interval, now_us=NOW)
    pages = read_pages(candles, interval, span, newest=newest)
    return [each._replace(first=NOWHERE, last=NOWHERE) for page in pages for each in page]


histories = st.lists(
    st.tuples(st.one_of(st.integers(0, NOW), st.integers(DAY, DAY + HOUR)), st.integers(1, 9)),
    min_size=1,
    max_size=25,
).map(
    lambda drawn: [
        Match(at, str(number), Decimal(price), Decimal(1))
        for number, (at, price) in enumerate(drawn)
    ]
)


@given(histories, st.integers(0, 25), st.sampled_from(list(Interval)))
def test_stored_ones_and_stale_hours_are_what_all_trades_say(
    trades: list[Match], cut: int, interval: Interval
) -> None:
    """Whatever a run has made and whatever came since, in whatever order."""
    kept = Kept(trades[:cut], trades[cut:])
    assert read(kept, interval) == truth(trades, interval)


@given(histories, st.sampled_from(list(Interval)), st.integers(1, 30))
def test_the_newest_are_the_last_of_all(
    trades: list[Match], interval: Interval, newest: int
) -> None:
    """A quiet market's last fifty minutes may lie days apart."""
    kept = Kept(trades[::2], trades[1::2])
    assert read(kept, interval, newest=newest) == truth(trades, interval)[-newest:]


@given(histories, st.sampled_from(list(Interval)), st.integers(0, NOW), st.integers(0, NOW))
def test_a_span_is_one_of_open_times(
    trades: list[Match], interval: Interval, begins: int, ends: int
) -> None:
    """Pages that follow one another must meet each candle once."""
    kept = Kept(trades[::2], trades[1::2])
    wanted = [c for c in truth(trades, interval) if begins <= c.open_time_us < ends]
    assert read(kept, interval, Span(begins, ends)) == wanted
    last = wanted[-2:]
    assert read(kept, interval, Span(begins, ends), newest=2) == last


def test_a_day_that_is_not_over_is_made_of_its_hours() -> None:
    """It is never stored, and most of its hours need not be made again."""
    trades = [Match(NOW - 3 * HOUR, "1", Decimal(2), Decimal(1))]
    [candle] = read(Kept(trades, []), Interval.DAY)
    assert (candle.open_time_us, candle.close) == (day_of(NOW), Decimal(2))


@pytest.mark.parametrize(("count", "price"), [(1, 10), (2, 20), (3, 20)])
def test_a_candle_of_fewer_trades_replaces_none(count: int, price: int) -> None:
    """Retention has removed the others, which the stored one was made of."""
    stored = build_candles(
        [Match(0, str(n), Decimal(10), Decimal(1)) for n in (1, 2)], length_us=HOUR
    )
    made = build_candles(
        [Match(0, str(n), Decimal(20), Decimal(1)) for n in range(count)], length_us=HOUR
    )
    assert prefer_fuller(stored, made)[0].open == price


def test_what_is_shown_has_the_names_of_a_venues_own_candle() -> None:
    """Whoever takes the other kind of candle must not have to read another document."""
    own = {field.name: field.kind for field in list_fields(MadeCandle)}
    venues = {field.name: field.kind for field in CANDLES.fields}
    assert own.pop("is_closed") is FieldKind.FLAG
    assert own.pop("trades_since") is FieldKind.TIME_US
    assert own.items() <= venues.items()


def show(
    matches: Sequence[Match], interval: Interval, *, newest: int | None = None
) -> list[tuple[int, int | None]]:
    candles = KeptCandles(Kept(matches, []), interval, now_us=NOW)
    market = Market("simulated_exchange", "BTC-USD", "BTC/USD")
    pages = read_made(candles, market, interval, ALWAYS, newest=newest, now_us=NOW)
    return [(each.ts_event, each.trades_since) for page in pages for each in page]


def test_a_candle_of_a_part_of_its_trades_says_from_when_on_it_has_them() -> None:
    """Eleven minutes of a day, shown as that day's open, low and volume."""
    first = DAY + 15 * HOUR + MINUTE
    matches = [
        Match(time_us, str(number), Decimal(10), Decimal(1))
        for number, time_us in enumerate((first + 7, first + 9 * MINUTE, 2 * DAY, 3 * DAY + HOUR))
    ]
    for newest in (None, 10):
        days = show(matches, Interval.DAY, newest=newest)
        assert days == [(DAY, first), (2 * DAY, None), (3 * DAY, None)]
    assert show(matches, Interval.DAY, newest=2) == [(2 * DAY, None), (3 * DAY, None)]
    assert show(matches, Interval.HOUR)[0] == (DAY + 15 * HOUR, first)
    assert [since for _, since in show(matches, Interval.MINUTE)] == [None] * 4


def test_a_day_whose_trades_begin_in_its_first_minute_is_whole() -> None:
    """A backfilled day: nobody trades at midnight to the microsecond."""
    matches = [Match(DAY + 20, "1", Decimal(10), Decimal(1))]
    assert show(matches, Interval.DAY) == [(DAY, None)]
