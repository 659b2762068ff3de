"""Indicators: the same as TA-Lib's and the textbooks', and silent where they know nothing."""

import itertools
import random
from collections.abc import Sequence
from decimal import Decimal, localcontext

import numpy as np
import pytest
import talib

from crypto_platform.domain.hours import MICROSECONDS_PER_DAY, MICROSECONDS_PER_MINUTE
from crypto_platform.domain.indicator_catalogue import (
    CATALOGUE,
    INDICATORS_MAX,
    IndicatorError,
    calculate,
    parse_indicator,
    parse_indicators,
)
from crypto_platform.domain.indicators import CandleColumns

MIDNIGHT = 1_763_769_600_000_000
ALL = "sma:5,ema:5,rsi:5,macd:3:6:4,bbands:5:2.5,atr:5,obv,vwap"


def candles_of(
    closes: Sequence[str],
    *,
    volumes: Sequence[str] = (),
    spread: str = "0",
    begins_us: int = MIDNIGHT,
    every_us: int = MICROSECONDS_PER_MINUTE,
) -> CandleColumns:
    """Candles with these closes, highs and lows so far from them, from midnight on."""
    prices = [Decimal(close) for close in closes]
    quantities = [Decimal(volume) for volume in volumes] or [Decimal(1)] * len(prices)
    return CandleColumns(
        begins_us=begins_us,
        open_times=[MIDNIGHT + number * every_us for number in range(len(prices))],
        highs=[price + Decimal(spread) for price in prices],
        lows=[price - Decimal(spread) for price in prices],
        closes=prices,
        base_volumes=quantities,
        quote_volumes=[None] * len(prices),
    )


def walk(count: int, *, start: str = "100", step: str = "0.01", seed: int = 7) -> list[str]:
    """A random walk."""
    source = random.Random(seed)
    price, steps = Decimal(start), []
    for _ in range(count):
        price += Decimal(step) * source.randint(-50, 50)
        steps.append(str(price))
    return steps


def only(name: str, candles: CandleColumns) -> list[Decimal | None]:
    """The first column of an indicator."""
    return next(iter(calculate(parse_indicator(name), candles).values()))


def decimals(*texts: str | None) -> list[Decimal | None]:
    return [None if text is None else Decimal(text) for text in texts]


def test_a_simple_average_is_silent_until_it_has_all_its_candles() -> None:
    """A 0 there would draw a line from the bottom of the chart."""
    assert only("sma:3", candles_of(["1", "2", "6", "7", "5"])) == decimals(
        None, None, "3", "5", "6"
    )


def test_an_exponential_average_begins_with_the_simple_one() -> None:
    """2/(3+1) of the new close and as much of what was: 3, (3+7)/2, (5+4)/2."""
    assert only("ema:3", candles_of(["1", "2", "6", "7", "4"])) == decimals(
        None, None, "3", "5", "4.5"
    )


def test_strength_is_the_share_of_the_gains() -> None:
    """Two steps of +3 and -1: gains are 3 of 4; then Wilder's (1.5+2)/2 to (0.5+0)/2."""
    found = only("rsi:2", candles_of(["10", "13", "12", "14"]))
    assert found == decimals(None, None, "75", "87.5")


def test_macd_is_fast_less_slow_and_its_own_average() -> None:
    """A line that rises by 1: an average of n lags by (n-1)/2, so fast leads slow by (6-3)/2."""
    found = calculate(parse_indicator("macd:3:6:2"), candles_of([str(n) for n in range(1, 13)]))
    assert list(found) == ["macd_3_6_2", "macd_3_6_2_signal", "macd_3_6_2_histogram"]
    assert found["macd_3_6_2"] == [None] * 6 + decimals(*["1.5"] * 6)
    assert found["macd_3_6_2_signal"] == [None] * 6 + decimals(*["1.5"] * 6)
    assert found["macd_3_6_2_histogram"] == [None] * 6 + decimals(*["0"] * 6)


def test_bands_lie_so_many_deviations_around_the_average() -> None:
    """Of 2, 4, 4, 4, 5, 5, 7, 9 the average is 5 and the deviation of all of them 2."""
    found = calculate(
        parse_indicator("bbands:8:1.5"), candles_of(["2", "4", "4", "4", "5", "5", "7", "9"])
    )
    assert [column[-1] for column in found.values()] == decimals("8", "5", "2")
    assert list(found) == ["bbands_8_1.5_upper", "bbands_8_1.5_middle", "bbands_8_1.5_lower"]


def test_the_true_range_reaches_to_the_close_before() -> None:
    """10 then 14, each 1 up and down: 15 - 10 = 5 and not 2; then (5+3)/2, Wilder's (4*1+2)/2."""
    found = only("atr:2", candles_of(["10", "14", "12", "12"], spread="1"))
    assert found == decimals(None, None, "4", "3")


def test_volume_counts_for_those_who_moved_the_price() -> None:
    """Up 3, down 4, unmoved 5."""
    found = only("obv", candles_of(["10", "11", "9", "9"], volumes=["2", "3", "4", "5"]))
    assert found == decimals("2", "5", "1", "1")


def test_vwap_begins_anew_with_each_day() -> None:
    """Yesterday's trades are no part of today's average."""
    day = candles_of(
        ["10", "20", "40", "50"],
        volumes=["1", "3", "1", "1"],
        every_us=MICROSECONDS_PER_DAY // 2,
    )
    assert only("vwap", day) == decimals("10", "17.5", "40", "45")


def test_vwap_takes_what_was_paid_where_it_is_known() -> None:
    """The middle of high, low and close is a guess."""
    guessed = candles_of(["10", "10"], volumes=["2", "2"])
    said = CandleColumns(
        begins_us=guessed.begins_us,
        open_times=guessed.open_times,
        highs=guessed.highs,
        lows=guessed.lows,
        closes=guessed.closes,
        base_volumes=guessed.base_volumes,
        quote_volumes=[Decimal(18), None],
    )
    assert only("vwap", said) == decimals("9", "9.5")


def test_vwap_says_nothing_of_a_day_whose_beginning_was_not_read() -> None:
    """From noon on it would be another price, under the same name."""
    late = candles_of(
        ["10", "20", "30"], every_us=MICROSECONDS_PER_DAY // 2, begins_us=MIDNIGHT + 1
    )
    assert only("vwap", late) == decimals(None, None, "30")


def test_vwap_says_nothing_before_the_first_trade() -> None:
    """Nothing was paid for nothing: 0 / 0 is no price."""
    found = only("vwap", candles_of(["10", "20"], volumes=["0", "2"]))
    assert found == decimals(None, "20")


def test_a_price_that_never_moved_has_no_strength() -> None:
    """TA-Lib says 0 there, which reads as: nothing but losses."""
    flat = ["5"] * 6
    assert talib.RSI(np.array([5.0] * 6), 2)[-1] == 0.0
    assert only("rsi:2", candles_of(flat)) == [None] * 6
    assert only("rsi:2", candles_of([*flat, "6"]))[-1] == 100


@pytest.mark.parametrize("name", ALL.split(","))
def test_values_begin_after_the_warm_up(name: str) -> None:
    """Who reads ahead by the warm-up must find the first asked value, and nobody a made-up one."""
    indicator = parse_indicator(name)
    for values in calculate(indicator, candles_of(walk(40), spread="0.5")).values():
        silent = list(itertools.takewhile(lambda value: value is None, values))
        assert len(silent) == indicator.warm_up_candles
        assert None not in values[indicator.warm_up_candles :]


@pytest.mark.parametrize("name", ALL.split(","))
def test_too_few_candles_have_no_value(name: str) -> None:
    """None at all is none at all, and no error."""
    indicator = parse_indicator(name)
    for count in range(indicator.warm_up_candles + 1):
        candles = candles_of(walk(count))
        for values in calculate(indicator, candles).values():
            assert values == [None] * count


@pytest.mark.parametrize("scale", [0, -9, 5])
def test_the_same_as_talib(scale: int) -> None:
    """Who compares with another tool must find the same figures, of any currency."""
    candles = candles_of(
        [str(Decimal(price).scaleb(scale)) for price in walk(300)],
        volumes=walk(300, start="50", seed=1),
        spread=str(Decimal("0.5").scaleb(scale)),
    )
    closes, highs, lows, volumes = (
        np.array([float(value) for value in column])
        for column in (candles.closes, candles.highs, candles.lows, candles.base_volumes)
    )
    expected = {
        "sma:20": [talib.SMA(closes, 20)],
        "ema:20": [talib.EMA(closes, 20)],
        "rsi:14": [talib.RSI(closes, 14)],
        "macd:12:26:9": talib.MACD(closes, 12, 26, 9),
        "bbands:20:2": talib.BBANDS(closes, 20, 2, 2),
        "atr:14": [talib.ATR(highs, lows, closes, 14)],
        "obv": [talib.OBV(closes, volumes)],
    }
    for name, columns in expected.items():
        found = calculate(parse_indicator(name), candles)
        for values, wanted in zip(found.values(), columns, strict=True):
            ours = np.array([float("nan") if value is None else float(value) for value in values])
            within = 2e-9 if name in {"rsi:14", "obv"} else float(Decimal("2e-8").scaleb(scale))
            np.testing.assert_allclose(ours, wanted, rtol=0, atol=within, equal_nan=True)


@pytest.mark.parametrize("name", ["ema:20", "rsi:14", "macd:12:26:9", "atr:14", "sma:20"])
def test_settled_values_do_not_tell_where_one_began(name: str) -> None:
    """Two pages of one chart have to meet."""
    indicator = parse_indicator(name)
    prices = walk(800)
    read = indicator.warm_up_candles + indicator.settling_candles
    whole = calculate(indicator, candles_of(prices, spread="0.5"))
    late = calculate(indicator, candles_of(prices[-read - 1 :], spread="0.5"))
    for column, values in late.items():
        assert values[-1] is not None
        wanted = whole[column][-1]
        assert wanted is not None
        assert abs(values[-1] - wanted) < Decimal("0.000001")


def test_the_threads_context_changes_no_value() -> None:
    """Another library may have set two digits for itself."""
    candles = candles_of(walk(60))
    wanted = [calculate(indicator, candles) for indicator in parse_indicators(ALL)]
    with localcontext() as context:
        context.prec = 2
        assert [calculate(indicator, candles) for indicator in parse_indicators(ALL)] == wanted


def test_names_without_numbers_mean_the_usual_ones() -> None:
    """And are the same question as with them."""
    names = [indicator.name for indicator in parse_indicators("SMA, rsi:14,macd,bbands,rsi")]
    assert names == ["sma:20", "rsi:14", "macd:12:26:9", "bbands:20:2"]
    assert parse_indicator("bbands:20:2.50").name == "bbands:20:2.5"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("smaa:20", "'smaa:20' is no indicator; there are sma:20, ema:20, rsi:14, macd:12:26:9"),
        ("", "0 indicators are named, 1 to 20 can be; there are sma:20"),
        (" , ", "0 indicators are named"),
        ("sma:0", "period is a whole number of 2 to 500, as in sma:20"),
        ("sma:501", "period is a whole number of 2 to 500"),
        ("sma:2.5", "period is a whole number"),
        ("sma:-5", "period is a whole number"),
        ("sma:1e2", "period is a whole number"),
        ("sma:²", "period is a whole number"),
        ("sma:", "period is a whole number"),
        ("rsi:14:2", "rsi takes period, as in rsi:14"),
        ("macd:12", "macd takes fast and slow and signal, as in macd:12:26:9"),
        ("macd:26:12:9", "fast has to be less than slow, as in macd:12:26:9"),
        ("bbands:20:nan", "width is a number of 0.1 to 10, as in bbands:20:2"),
        ("bbands:20:0", "width is a number of 0.1 to 10"),
        ("vwap:5", "vwap takes no number, as in vwap"),
        (",".join(f"sma:{n}" for n in range(2, INDICATORS_MAX + 3)), "21 indicators are named"),
    ],
)
def test_what_is_no_indicator_is_told_what_is(text: str, said: str) -> None:
    """The text is an answer over HTTP: who reads it has nothing else."""
    with pytest.raises(IndicatorError) as caught:
        parse_indicators(text)
    assert said in str(caught.value)


def test_every_kind_has_its_example_and_its_columns() -> None:
    """The catalogue is printed in docs and errors."""
    for kind in CATALOGUE.values():
        indicator = parse_indicator(kind.name)
        assert parse_indicator(indicator.name) == indicator
        found = calculate(indicator, candles_of(walk(3)))
        assert tuple(found) == indicator.columns
