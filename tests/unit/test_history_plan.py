"""Which days of the past a backfill asks for, and what it may take."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from crypto_platform.delivery.history_plan import (
    Piece,
    Stream,
    Wanted,
    estimate_history,
    estimate_seconds,
    is_over,
    list_days,
    list_streams,
    plan_history,
    warn_of_forgotten,
)
from crypto_platform.domain.hours import MICROSECONDS_PER_DAY, name_day
from crypto_platform.feeds.candles import Interval
from crypto_platform.kafka.history_cursors import HistoryCursor, history_key
from crypto_platform.settings import Settings, SourceSettings
from crypto_platform.sources.base import HistoryPage, Poll

NEW_YEAR_US = 1_767_225_600_000_000
SECOND_US = NEW_YEAR_US + MICROSECONDS_PER_DAY
BITCOIN, ETHER = Stream(venue_symbol="BTC-USD"), Stream(venue_symbol="ETH-USD")
DONE = HistoryCursor(done_at=1)
PLATFORM = Settings(data_dir=Path("/nonexistent"))
SETTINGS = SourceSettings(
    dialect="coinbase",
    base_url="http://127.0.0.1:1",
    symbols=("BTC-USD", "ETH-USD"),
    intervals=("1m", "1h"),
)


class TenCallsADay:
    """A source that says of any day that it takes ten requests."""

    name = "coinbase"
    feeds = ("trades",)
    calls = 0

    def has_history(self, feed: str) -> bool:
        return feed == "trades"

    def poll(self, feed: str, *, positions: Mapping[str, str], ts_ingest: int) -> Poll:
        raise NotImplementedError

    def estimate_history_calls(
        self, feed: str, *, venue_symbol: str, interval: Interval | None, start_us: int, end_us: int
    ) -> int:
        assert end_us - start_us == MICROSECONDS_PER_DAY
        self.calls += 1
        return 10

    def read_history(
        self,
        feed: str,
        *,
        venue_symbol: str,
        interval: Interval | None,
        start_us: int,
        end_us: int,
        position: str | None,
        ts_ingest: int,
    ) -> HistoryPage:
        raise NotImplementedError


def plan(cursors: Mapping[str, HistoryCursor], *, again: bool = False) -> list[Piece]:
    wanted = Wanted(
        feed="trades", streams=[BITCOIN, ETHER], days=[NEW_YEAR_US, SECOND_US], again=again
    )
    return plan_history("coinbase", wanted, cursors.get)


def test_days_are_whole_days_of_utc_with_both_ends() -> None:
    """--from and --to name days; a night owl's local midnight must not shift them."""
    days = list_days(NEW_YEAR_US + 5, SECOND_US + MICROSECONDS_PER_DAY - 1)
    assert [name_day(day) for day in days] == ["2026-01-01", "2026-01-02"]


def test_candles_are_read_by_interval_and_trades_are_not() -> None:
    """Each interval is asked for by itself, so each has a cursor of its own."""
    assert list_streams(SETTINGS, "trades") == [BITCOIN, ETHER]
    streams = list_streams(SETTINGS, "candles", venue_symbols=["BTC-USD"])
    assert list(map(str, streams)) == ["BTC-USD 1m", "BTC-USD 1h"]
    streams = list_streams(SETTINGS, "candles", venue_symbols=["BTC-USD"], intervals=["1d", "1d"])
    assert streams == [Stream(venue_symbol="BTC-USD", interval=Interval.DAY)]


def test_a_backfill_goes_day_by_day_and_leaves_out_what_is_done() -> None:
    """Day by day, so that a run that is ended has whole days, not all of one symbol."""
    pieces = plan({"coinbase/trades/ETH-USD//2026-01-01": DONE})
    assert [(name_day(p.day_us), str(p.stream), p.is_done) for p in pieces] == [
        ("2026-01-01", "BTC-USD", False),
        ("2026-01-01", "ETH-USD", True),
        ("2026-01-02", "BTC-USD", False),
        ("2026-01-02", "ETH-USD", False),
    ]


def test_asked_for_again_nothing_is_done() -> None:
    """A day that was begun must begin anew too, or its first half would not be compared."""
    key = history_key("coinbase", "trades", venue_symbol="BTC-USD", interval=None, day_us=SECOND_US)
    begun = {"coinbase/trades/ETH-USD//2026-01-01": DONE, key: HistoryCursor(position="17")}
    assert [piece.cursor for piece in plan(begun)].count(None) == 2
    assert [piece.cursor for piece in plan(begun, again=True)] == [None] * 4


def test_a_day_is_whole_only_for_who_asked_after_its_end() -> None:
    """An answer of its last second may lack a trade that came in the same second."""
    piece = Piece(stream=BITCOIN, day_us=NEW_YEAR_US, key="", cursor=None)
    assert not is_over(piece, asked_at=SECOND_US)
    assert is_over(piece, asked_at=SECOND_US + 60_000_000)


def test_the_estimate_counts_what_is_left_and_asks_once_a_symbol() -> None:
    """A dry run of a year must not itself use up the budget."""
    source = TenCallsADay()
    wanted = Wanted(feed="trades", streams=[BITCOIN, ETHER], days=[NEW_YEAR_US, SECOND_US])
    done = {f"coinbase/trades/ETH-USD//2026-01-0{day}": DONE for day in (1, 2)}
    found = estimate_history(source, wanted, plan({**done}))
    assert [(e.days, e.done_days, e.calls) for e in found] == [(2, 0, 20), (0, 2, 0)]
    assert source.calls == 1


def test_days_that_retention_removes_again_are_told_beforehand() -> None:
    """Somebody would wait a day for trades that are gone the next morning."""
    trades = Wanted(feed="trades", streams=[BITCOIN], days=[NEW_YEAR_US])
    candles = Wanted(feed="candles", streams=[BITCOIN], days=[NEW_YEAR_US])
    in_june_us = NEW_YEAR_US + 160 * MICROSECONDS_PER_DAY
    said = warn_of_forgotten(PLATFORM, trades, now_us=in_june_us)
    assert said is not None
    assert "trades before 2026-03-01" in said
    assert warn_of_forgotten(PLATFORM, trades, now_us=SECOND_US) is None
    assert warn_of_forgotten(PLATFORM, candles, now_us=in_june_us) is None
    kept = PLATFORM.model_copy(update={"retention_days": {"trades": 365}})
    assert warn_of_forgotten(kept, trades, now_us=in_june_us) is None


def test_history_takes_its_time_by_its_share_of_the_budget() -> None:
    """30 % of 600 a minute are 180: a thousand and eighty requests take six minutes."""
    assert estimate_seconds(1080, requests_per_minute_max=600) == pytest.approx(360)
