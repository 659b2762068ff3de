"""Which indicators there are: names, parameters, and what each needs before it says anything.

Here: the catalogue, and reading names like `sma:20` or `macd:12:26:9`. A new indicator is a formula
in indicators.py and an entry here. Not here: formulas.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation

from crypto_platform.domain import indicators
from crypto_platform.domain.indicators import CandleColumns, Formula, Unit
from crypto_platform.errors import PlatformError

PERIOD_MIN, PERIOD_MAX = 2, 500
"""Candles; of more, an RSI would have to read 20 times as many until it has settled."""
WIDTH_MIN, WIDTH_MAX = Decimal("0.1"), Decimal(10)
"""Standard deviations of a band."""
INDICATORS_MAX = 20
"""That one question may name."""
TEXT_SHOWN = 60
"""Of what is no indicator, in an error; no name is as long."""
_CONTEXT = Context(prec=40)


class IndicatorError(PlatformError):
    """A name is no indicator, or has parameters that it cannot have; the text says what can be."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A number behind an indicator's name.

    Attributes:
        is_whole: Whether it counts candles.
    """

    name: str
    default: Decimal
    value_min: Decimal = Decimal(PERIOD_MIN)
    value_max: Decimal = Decimal(PERIOD_MAX)
    is_whole: bool = True


@dataclass(frozen=True, kw_only=True)
class Kind:
    """An entry of the catalogue.

    Attributes:
        description: A line for people, with what makes it one of several under its name.
        outputs: What is added to the name of each of its columns; empty for the main one.
        warm_up: Candles before the first that has a value, by parameters.
        settling: Candles more until where one began is less than a billionth of a value.
        begins_with_day: Whether it needs the whole day (UTC) so far.
    """

    name: str
    description: str
    unit: Unit
    parameters: tuple[Parameter, ...]
    outputs: tuple[str, ...]
    warm_up: Callable[[Sequence[int]], int]
    settling: Callable[[Sequence[int]], int]
    formula: Formula
    begins_with_day: bool = False


@dataclass(frozen=True, kw_only=True)
class Indicator:
    """An indicator with its parameters: `sma:20`."""

    kind: Kind
    values: tuple[Decimal, ...]

    @property
    def name(self) -> str:
        """As it is asked for, parameters written out: `macd:12:26:9`."""
        return ":".join([self.kind.name, *(f"{value:f}" for value in self.values)])

    @property
    def columns(self) -> tuple[str, ...]:
        """Of a table: `macd_12_26_9`, `macd_12_26_9_signal`, `macd_12_26_9_histogram`."""
        name = self.name.replace(":", "_")
        return tuple(f"{name}_{output}" if output else name for output in self.kind.outputs)

    @property
    def warm_up_candles(self) -> int:
        """Candles before the first that has a value."""
        return self.kind.warm_up(self._periods)

    @property
    def settling_candles(self) -> int:
        """Candles more until where one began is less than a billionth of a value."""
        return self.kind.settling(self._periods)

    @property
    def _periods(self) -> list[int]:
        return [int(value) for value in self.values]


def parse_indicators(text: str) -> list[Indicator]:
    """A list of names: `sma:20,rsi:14`, each once.

    Raises:
        IndicatorError: One of them is none, or there are none or too many.
    """
    names = [name for name in (part.strip() for part in text.split(",")) if name]
    if not 0 < len(names) <= INDICATORS_MAX:
        message = f"{len(names)} indicators are named, 1 to {INDICATORS_MAX} can be; {list_kinds()}"
        raise IndicatorError(message)
    return list({indicator.name: indicator for indicator in map(parse_indicator, names)}.values())


def parse_indicator(text: str) -> Indicator:
    """A name with parameters, or with none of them for the usual ones: `sma:20`, `macd`.

    Raises:
        IndicatorError: There is none of this name, or not with these parameters.
    """
    text = text.strip()[:TEXT_SHOWN]
    name, *given = text.lower().split(":")
    kind = CATALOGUE.get(name)
    if kind is None:
        message = f"{text!r} is no indicator; {list_kinds()}"
        raise IndicatorError(message)
    if given and len(given) != len(kind.parameters):
        names = " and ".join(parameter.name for parameter in kind.parameters) or "no number"
        message = f"{text!r}: {name} takes {names}, as in {_example(kind)}"
        raise IndicatorError(message)
    values = tuple(parameter.default for parameter in kind.parameters)
    if given:
        pairs = zip(kind.parameters, given, strict=True)
        values = tuple(_parse_value(*pair, whose=text, kind=kind) for pair in pairs)
    if kind.name == "macd" and values[0] >= values[1]:  # TA-Lib would exchange them, silently
        message = f"{text!r}: fast has to be less than slow, as in {_example(kind)}"
        raise IndicatorError(message)
    return Indicator(kind=kind, values=values)


def _parse_value(parameter: Parameter, text: str, *, whose: str, kind: Kind) -> Decimal:
    try:
        value = Decimal(text) if text.replace(".", "", 1).isdecimal() else None
    except InvalidOperation:
        value = None
    bounds = f"{parameter.value_min} to {parameter.value_max}"
    if (
        value is None
        or not parameter.value_min <= value <= parameter.value_max
        or (parameter.is_whole and value != int(value))
    ):
        what = "a whole number" if parameter.is_whole else "a number"
        message = f"{whose!r}: {parameter.name} is {what} of {bounds}, as in {_example(kind)}"
        raise IndicatorError(message)
    return Decimal(int(value)) if value == int(value) else _CONTEXT.normalize(value)


def list_kinds() -> str:
    """What there is, for the text of an error."""
    return f"there are {', '.join(_example(kind) for kind in CATALOGUE.values())}"


def _example(kind: Kind) -> str:
    return ":".join([kind.name, *(f"{parameter.default:f}" for parameter in kind.parameters)])


def calculate(indicator: Indicator, candles: CandleColumns) -> dict[str, list[Decimal | None]]:
    """The indicator's columns by name, a value for each candle; None where it is not known."""
    columns = indicator.columns
    if not candles.open_times:
        return {column: [] for column in columns}
    kind = indicator.kind
    found = indicators.evaluate(kind.formula, indicator.values, kind.unit, candles)
    return dict(zip(columns, found, strict=True))


def _period(default: int, name: str = "period") -> Parameter:
    return Parameter(name=name, default=Decimal(default))


_WIDTH = Parameter(
    name="width", default=Decimal(2), value_min=WIDTH_MIN, value_max=WIDTH_MAX, is_whole=False
)

_KINDS = (
    Kind(
        name="sma",
        description="Simple moving average of the closes",
        unit=Unit.PRICE,
        parameters=(_period(20),),
        outputs=("",),
        warm_up=lambda periods: periods[0] - 1,
        settling=lambda _: 0,
        formula=indicators.sma,
    ),
    Kind(
        name="ema",
        description="Exponential moving average of the closes, begun with their simple one",
        unit=Unit.PRICE,
        parameters=(_period(20),),
        outputs=("",),
        warm_up=lambda periods: periods[0] - 1,
        settling=lambda periods: indicators.forget_ema(periods[0]),
        formula=indicators.ema,
    ),
    Kind(
        name="rsi",
        description="Relative strength index of Wilder; unknown while the price never moved",
        unit=Unit.PERCENT,
        parameters=(_period(14),),
        outputs=("",),
        warm_up=lambda periods: periods[0],
        settling=lambda periods: indicators.forget_wilder(periods[0]),
        formula=indicators.rsi,
    ),
    Kind(
        name="macd",
        description="EMA of the closes, fast less slow; its own EMA (signal); their difference",
        unit=Unit.PRICE,
        parameters=(_period(12, "fast"), _period(26, "slow"), _period(9, "signal")),
        outputs=("", "signal", "histogram"),
        warm_up=lambda periods: periods[1] - 1 + periods[2] - 1,
        settling=lambda periods: (
            indicators.forget_ema(periods[1]) + indicators.forget_ema(periods[2])
        ),
        formula=indicators.macd,
    ),
    Kind(
        name="bbands",
        description="Bollinger bands: simple average, so many (population) deviations around it",
        unit=Unit.PRICE,
        parameters=(_period(20), _WIDTH),
        outputs=("upper", "middle", "lower"),
        warm_up=lambda periods: periods[0] - 1,
        settling=lambda _: 0,
        formula=indicators.bbands,
    ),
    Kind(
        name="atr",
        description="Average true range of Wilder",
        unit=Unit.PRICE,
        parameters=(_period(14),),
        outputs=("",),
        warm_up=lambda periods: periods[0],
        settling=lambda periods: indicators.forget_wilder(periods[0]),
        formula=indicators.atr,
    ),
    Kind(
        name="obv",
        description="On-balance volume since the first candle: its moves count, not its level",
        unit=Unit.VOLUME,
        parameters=(),
        outputs=("",),
        warm_up=lambda _: 0,
        settling=lambda _: 0,
        formula=indicators.obv,
    ),
    Kind(
        name="vwap",
        description="Volume-weighted average price of the day (UTC) so far",
        unit=Unit.PRICE,
        parameters=(),
        outputs=("",),
        warm_up=lambda _: 0,
        settling=lambda _: 0,
        formula=indicators.vwap,
        begins_with_day=True,
    ),
)

CATALOGUE: Mapping[str, Kind] = {kind.name: kind for kind in _KINDS}
