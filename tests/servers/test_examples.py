"""The examples, as they stand in the repository, on real stores."""

import subprocess
import sys
import threading
from pathlib import Path

from crypto_platform.analytics.pipeline import catch_up
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.stores.market import Market
from tests.contract.test_market_reading import NOON, trade
from tests.platform_harness import Platform

ROOT = Path(__file__).parents[2]
HOUR = 3_600_000_000
BTC = Market("coinbase", "BTC-USD", "BTC/USD")


def run_example(platform: Platform, name: str, *words: str) -> str:
    """What it prints."""
    ended = subprocess.run(
        [sys.executable, ROOT / "examples" / name, *words, "--data-dir", platform.data_dir],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_examples_do_what_they_say(platform: Platform, tmp_path: Path) -> None:
    """They are the first thing that is copied."""
    trades = [
        trade(BTC, number, at=(number - 200) * HOUR // 4, price=f"{100 + number % 7}.50")
        for number in range(200)
    ]
    platform.publish(FEED_BY_NAME["trades"], trades)
    platform.load_both()
    catch_up(platform.settings, clock=lambda: NOON + 100 * HOUR, stop=threading.Event())
    market = ("coinbase", "BTC-USD")
    said = run_example(platform, "read_stores.py", *market)
    assert "200 trades are in both stores, 0 of them differ" in said
    file = tmp_path / "candles.svg"
    assert "50 hours drawn" in run_example(platform, "plot_candles.py", *market, str(file))
    assert file.read_text("utf-8").startswith("<svg")
    said = run_example(
        platform, "backtest_moving_average.py", *market, "--interval", "1h", "--slow", "20"
    )
    assert "50 candles of 1h" in said
    assert "buy and hold:    +" in said
    assert platform.audit().whole
