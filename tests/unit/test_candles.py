"""Candles of trades: exact, and the same in whatever order and pieces the trades come."""

import random
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_platform.domain.candles import (
    BuiltCandle,
    Match,
    Place,
    build_candles,
    merge_candles,
    roll_up,
    stream_candles,
)
from crypto_platform.simulation.candles import Charts
from crypto_platform.simulation.currencies import list_currencies
from crypto_platform.simulation.trades import Tape

MINUTE = 60_000_000
FIVE_MINUTES = 5 * MINUTE
HOUR = 60 * MINUTE
NOON_S = 1_767_268_800


def match(second: int, trade_id: str, price: str, quantity: str = "1") -> Match:
    """So many seconds after 1970."""
    return Match(second * 1_000_000, trade_id, Decimal(price), Decimal(quantity))


def test_a_candle_says_what_its_trades_say() -> None:
    """The figures of a minute that can be added up in the head."""
    trades = [match(61, "1", "10", "2"), match(70, "2", "12.5"), match(119, "3", "9", "0.1")]
    assert build_candles(trades, length_us=MINUTE) == {
        MINUTE: BuiltCandle(
            open_time_us=MINUTE,
            first=Place(61_000_000, 1, "1"),
            last=Place(119_000_000, 1, "3"),
            open=Decimal(10),
            high=Decimal("12.5"),
            low=Decimal(9),
            close=Decimal(9),
            base_volume=Decimal("3.1"),
            quote_volume=Decimal("33.4"),
            trade_count=3,
        )
    }


def test_of_one_time_the_lower_number_is_first() -> None:
    """A hundred fills of one order share a microsecond; as text, 10 would stand before 9."""
    trades = [match(0, "10", "3"), match(0, "9", "2"), match(0, "100", "4")]
    [candle] = build_candles(trades, length_us=MINUTE).values()
    assert (candle.open, candle.close) == (Decimal(2), Decimal(4))


def test_a_minute_without_a_trade_has_no_candle() -> None:
    """A row of zeros would be a price of nothing."""
    assert list(build_candles([match(0, "1", "1"), match(120, "2", "1")], length_us=MINUTE)) == [
        0,
        2 * MINUTE,
    ]


def test_no_digit_is_lost() -> None:
    """28 digits are what Python keeps unasked; 34 are what a venue may send."""
    long = "1.000000000000000000000000000000001"
    trades = [match(0, "1", long, long), match(1, "2", "1", "1000000000000000000")]
    [candle] = build_candles(trades, length_us=MINUTE).values()
    assert candle.base_volume == Decimal("1000000000000000001.000000000000000000000000000000001")
    assert str(candle.quote_volume) == (
        "1000000000000000001.000000000000000000000000000000002000000000000000000000000000000001"
    )


amounts = st.decimals(min_value="0.00000001", max_value=10**9, places=8)
histories = st.lists(
    st.tuples(st.integers(0, 3 * HOUR), st.integers(0, 2**70), amounts, amounts),
    min_size=1,
    max_size=40,
    unique_by=lambda trade: trade[1],
).map(lambda trades: [Match(at, str(number), p, q) for at, number, p, q in trades])


@given(histories, st.data())
def test_any_order_in_any_pieces_gives_what_all_at_once_in_order_give(
    trades: list[Match], data: st.DataObject
) -> None:
    """Trades come late, pages of the past come before, a killed run has done a part."""
    expected = build_candles(sorted(trades, key=lambda each: each.place), length_us=MINUTE)
    shuffled = data.draw(st.permutations(trades))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(trades)), max_size=4)))
    pieces = [
        shuffled[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(trades)], strict=True)
    ]
    built: dict[int, BuiltCandle] = {}
    for piece in pieces:
        built = merge_candles(built, build_candles(piece, length_us=MINUTE))
    assert built == expected


@given(histories)
def test_longer_candles_are_those_of_the_trades_themselves(trades: list[Match]) -> None:
    """An hour must not contradict the minutes in it."""
    minutes = build_candles(trades, length_us=MINUTE)
    fives = roll_up(minutes.values(), length_us=FIVE_MINUTES)
    assert fives == build_candles(trades, length_us=FIVE_MINUTES)
    assert roll_up(fives.values(), length_us=HOUR) == build_candles(trades, length_us=HOUR)


@given(histories)
def test_candles_as_they_close_are_the_same(trades: list[Match]) -> None:
    """Reading a year must not hold the year in memory."""
    ordered = sorted(trades, key=lambda each: each.time_us)
    streamed = list(stream_candles(ordered, length_us=MINUTE))
    assert streamed == list(build_candles(ordered, length_us=MINUTE).values())


@pytest.mark.parametrize("product_id", ["BTC-USD", "SHIB-USD", "XLM-USD", "FIL-USD"])
@pytest.mark.parametrize("granularity_s", [60, 300, 3600])
def test_they_are_the_simulated_venues_own(product_id: str, granularity_s: int) -> None:
    """Whoever trades by our candles must see what the venue shows."""
    tape = Tape(seed=7, currencies=list_currencies(220))
    product = tape.products[product_id]
    begins_s = NOON_S - 2 * 3600
    first = tape.find_newest_id(product, begins_s * 1_000_000 - 1) + 1
    last = tape.find_newest_id(product, NOON_S * 1_000_000 - 1)
    sold = [tape.read_trade(product, number) for number in range(first, last + 1)]
    trades = [
        Match(each.time_us, str(number), Decimal(each.price), Decimal(each.quantity))
        for number, each in enumerate(sold, start=first)
    ]
    random.Random(7).shuffle(trades)
    own = Charts(tape).list_candles(
        product,
        granularity_s=granularity_s,
        first_s=begins_s,
        last_s=NOON_S - 1,
        now_us=NOON_S * 1_000_000 - 1,
    )
    built = build_candles(trades, length_us=granularity_s * 1_000_000)
    assert describe(list(built.values())) == {
        candle.open_s: (candle.open, candle.high, candle.low, candle.close, candle.volume)
        for candle in own
    }


def describe(candles: Sequence[BuiltCandle]) -> dict[int, tuple[object, ...]]:
    """In ticks and lots, by second."""
    return {
        each.open_time_us // 1_000_000: (
            int(each.open),
            int(each.high),
            int(each.low),
            int(each.close),
            int(each.base_volume),
        )
        for each in candles
    }
