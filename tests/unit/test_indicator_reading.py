"""How far back is read for an indicator: where one begins to look must not change what one sees."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_platform.domain.candles import BuiltCandle, Match, build_candle
from crypto_platform.domain.indicator_catalogue import (
    IndicatorError,
    calculate,
    parse_indicators,
)
from crypto_platform.domain.indicators import CandleColumns
from crypto_platform.feeds.candles import Interval
from crypto_platform.serving.analytics import Candles, MadeOf
from crypto_platform.serving.failover import Source
from crypto_platform.serving.indicators import IndicatorAnswer, MadeBars, find_bars, reckon
from crypto_platform.stores.market import ALWAYS, Market, Span

HOUR = 3_600_000_000
DAY = 24 * HOUR
MIDNIGHT = 1_763_769_600_000_000


class Listed:
    """A store that holds these hours, of prices in turn; of the first one not its beginning."""

    def __init__(self, hours: list[int], *, late_us: int = 0) -> None:
        self.late_us = late_us
        self.opens = [MIDNIGHT + hour * HOUR for hour in hours]
        self.oldest_read = max(self.opens, default=0)

    def read(self, begins_us: int, ends_us: int) -> Candles:
        found = {at: self._build(at) for at in self.opens if begins_us <= at < ends_us}
        self.oldest_read = min([self.oldest_read, *found])
        return found

    def find_first(self, from_us: int) -> int | None:
        return min((at for at in self.opens if at >= from_us), default=None)

    def find_last(self, before_us: int) -> int | None:
        return max((at for at in self.opens if at < before_us), default=None)

    def find_beginning(self) -> int | None:
        return self.opens[0] + self.late_us if self.opens else None

    def _build(self, opens: int) -> BuiltCandle:
        number = (opens - MIDNIGHT) // HOUR
        match = Match(opens, "1", Decimal(100 + number * number % 17), Decimal(1 + number % 3))
        return build_candle(match, open_time_us=opens)


def ask(
    store: Listed, names: str, span: Span = ALWAYS, *, newest: int | None = None
) -> IndicatorAnswer:
    chosen = parse_indicators(names)
    found = find_bars(MadeBars(store, Interval.HOUR), Interval.HOUR, span, chosen, newest=newest)
    source = Source(store="postgres", home="postgres")
    market = Market("simulated", "BTC-USD", "BTC/USD")
    return reckon(source, market, Interval.HOUR, found, chosen, MadeOf.TRADES, now_us=MIDNIGHT)


NAMES = "sma:3,ema:2,rsi:2,macd:2:3:2,atr:2,vwap"


@given(
    hours=st.lists(st.integers(0, 200), unique=True, min_size=1, max_size=120).map(sorted),
    begin=st.integers(0, 200),
    newest=st.none() | st.integers(1, 20),
)
def test_a_piece_has_the_values_of_the_whole(
    hours: list[int], begin: int, newest: int | None
) -> None:
    """Pages of a chart have to meet, also where hours without a trade lie between."""
    whole = ask(Listed(hours), NAMES)
    expected = {
        candle.open_time_us: row
        for candle, *row in zip(whole.candles, *whole.columns.values(), strict=True)
    }
    piece = ask(Listed(hours), NAMES, Span(MIDNIGHT + begin * HOUR, None), newest=newest)
    assert len(piece.candles) == min(sum(hour >= begin for hour in hours), newest or 200)
    for candle, *row in zip(piece.candles, *piece.columns.values(), strict=True):
        for value, wanted in zip(row, expected[candle.open_time_us], strict=True):
            assert (value is None) == (wanted is None)
            if value is not None and wanted is not None:
                assert abs(value - wanted) < Decimal("1e-5")


def test_no_more_is_read_than_an_indicator_remembers() -> None:
    """A year of minutes for twenty of them would keep everybody waiting."""
    store = Listed(list(range(100)))
    answer = ask(store, "sma:5", Span(MIDNIGHT + 90 * HOUR, None))
    assert answer.columns["sma_5"][0] is not None
    assert store.oldest_read == MIDNIGHT + 86 * HOUR
    ask(store, "sma:5,vwap", Span(MIDNIGHT + 90 * HOUR, None))
    assert store.oldest_read == MIDNIGHT + 72 * HOUR


def test_the_first_day_of_a_market_has_no_vwap() -> None:
    """It may have traded before anybody looked."""
    first, second = list(range(5, 24)), list(range(24, 30))
    answer = ask(Listed([*first, *second]), "vwap")
    assert [value is None for value in answer.columns["vwap"]] == [True] * 19 + [False] * 6
    answer = ask(Listed([*first, *second]), "vwap", newest=3)
    assert None not in answer.columns["vwap"]
    answer = ask(Listed(list(range(24))), "vwap")
    assert None not in answer.columns["vwap"]
    answer = ask(Listed(list(range(26)), late_us=HOUR // 3), "vwap")
    assert [value is None for value in answer.columns["vwap"]] == [True] * 24 + [False] * 2


def test_the_range_of_a_first_candle_that_is_not_whole_is_in_no_average() -> None:
    """Nobody knows how far the price went before its trades are stored; docs/indicators.md."""
    opens = [MIDNIGHT + hour * HOUR for hour in range(5)]
    ranges = [(one, 101 + one) for one in (0, 99)]  # of the first candle, low and high
    said: list[object] = []
    for low, high in ranges:
        columns = CandleColumns(
            begins_us=MIDNIGHT + 1,
            open_times=opens,
            highs=[Decimal(high), *[Decimal(103)] * 4],
            lows=[Decimal(low), *[Decimal(97)] * 4],
            closes=[Decimal(100)] * 5,
            base_volumes=[Decimal(1)] * 5,
            quote_volumes=[Decimal(100)] * 5,
        )
        said.append(calculate(parse_indicators("atr:2")[0], columns))
    assert said[0] == said[1]


def test_what_is_missing_is_told_with_what_it_needs() -> None:
    """Three of the fourteen."""
    answer = ask(Listed([0, 1, 2, 3, 4]), "rsi:14,sma:2", newest=2)
    assert [(one.name, needs, there) for one, needs, there in answer.missing] == [("rsi:14", 14, 3)]


def test_nothing_stored_is_nothing_told() -> None:
    """And no error."""
    answer = ask(Listed([]), "rsi:14,vwap")
    assert (list(answer.candles), answer.missing) == ([], [])


def test_too_many_candles_are_refused_with_what_helps() -> None:
    """Before they fill the memory of all who ask."""
    chosen, bars = parse_indicators("sma:2"), MadeBars(Listed([0, 1, 2, 3]), Interval.HOUR)
    with pytest.raises(IndicatorError, match="ask for a shorter range, or for a longer interval"):
        find_bars(bars, Interval.HOUR, ALWAYS, chosen, newest=None, candles_max=3)
    found = find_bars(bars, Interval.HOUR, ALWAYS, chosen, newest=None, candles_max=4)
    assert len(found.own) == 4
