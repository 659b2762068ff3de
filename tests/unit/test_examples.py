"""What the examples reckon, for they are copied."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def load_example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_a_backtest_earns_the_candle_after_its_signal() -> None:
    """The jump that gives the signal was over before anybody could know of it."""
    backtest = load_example("backtest_moving_average").backtest
    closes = pd.Series([10.0, 10.0, 20.0, 30.0, 15.0, 15.0])
    found = backtest(closes, fast=1, slow=2, fee_bps=0.0)
    assert found.position.tolist() == [0.0, 0.0, 0.0, 1.0, 1.0, 0.0]
    assert found.value.tolist() == pytest.approx([1.0, 1.0, 1.0, 1.5, 0.75, 0.75])


def test_a_backtest_pays_for_every_change() -> None:
    """A per cent in and a per cent out."""
    backtest = load_example("backtest_moving_average").backtest
    found = backtest(pd.Series([10.0, 20.0, 20.0, 10.0, 10.0]), fast=1, slow=2, fee_bps=100.0)
    assert found.fees.tolist() == pytest.approx([0.0, 0.0, 0.01, 0.01, 0.0])
    assert found.value.iloc[-1] == pytest.approx(0.99 * 0.99)


def test_a_candle_is_drawn_between_its_prices() -> None:
    """The highest high at the top, the lowest low at the bottom, the average only where known."""
    draw = load_example("plot_candles").draw
    candles = pd.DataFrame(
        {
            "open": [10.0, 14.0],
            "high": [15.0, 20.0],
            "low": [10.0, 12.0],
            "close": [14.0, 13.0],
            "sma_20": [float("nan"), 15.0],
        }
    )
    svg = draw(candles, title="simulated BTC-USD")
    assert svg.count("<path") == 4
    assert 'd="M250.0 200.0V380.0"' in svg
    assert 'd="M710.0 20.0V308.0"' in svg
    assert 'points="710.0,200.0"' in svg
