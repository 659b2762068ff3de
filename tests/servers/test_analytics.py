"""Candles made of trades in PostgreSQL: what the pure functions say, whatever came when or died."""

import random
import threading
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from crypto_platform.analytics.pipeline import DayReport, RunEnd, feeds_of, make_days
from crypto_platform.domain.hours import from_time_us
from crypto_platform.feeds.trades import TRADES, Trade
from crypto_platform.settings import Settings
from crypto_platform.stores import open_analytics, open_store
from crypto_platform.stores.postgres.analytics import settle
from tests.analytics_steps import (
    DAY,
    HOUR,
    MIDNIGHT,
    MINUTE,
    build_all,
    catch_up_and_die,
    catch_up_as_of,
    list_pending,
    load,
    make_tape,
    read_stored,
    settings_of,
    trade,
)
from tests.store_harness import PostgresUrls

LATER = 10 * DAY


@pytest.fixture
def settings(postgres_urls: PostgresUrls, tmp_path: Path) -> Settings:
    return settings_of(postgres_urls, tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_sql_makes_what_the_pure_functions_make(
    settings: Settings, postgres_urls: PostgresUrls, seed: int
) -> None:
    """Two engines, one of them read by people: a digit between them would be two truths."""
    tape = make_tape(seed, 600)
    load(settings, tape)
    assert catch_up_as_of(settings, LATER) is RunEnd.DONE
    assert read_stored(postgres_urls) == build_all(tape, as_of=LATER)


@pytest.mark.parametrize("seed", range(3))
def test_late_trades_in_any_order_give_what_all_at_once_give(
    settings: Settings, postgres_urls: PostgresUrls, seed: int
) -> None:
    """A venue's feed lags, and pages of the past come newest first."""
    tape = make_tape(seed, 300)
    random.Random(seed).shuffle(tape)
    for first in range(0, len(tape), 75):
        load(settings, tape[first : first + 75])
        catch_up_as_of(settings, DAY + first * HOUR // 10)
    catch_up_as_of(settings, LATER)
    assert read_stored(postgres_urls) == build_all(tape, as_of=LATER)
    assert list(list_pending(postgres_urls)) == []


TIMES = st.builds(
    lambda hour, minute, second_us: hour * HOUR + minute * MINUTE + second_us,
    st.sampled_from((0, 23, 24)),
    st.sampled_from((0, 4, 59)),
    st.sampled_from((0, 1, MINUTE - 1)),
)
"""Where intervals meet."""
AMOUNTS = st.sampled_from(("0.00000001", "1", "2.50", "99999.123456789012345678"))
SYMBOLS = st.sampled_from(("BTC-USD", "ETH-USD"))


@st.composite
def arrivals(draw: st.DrawFn) -> list[tuple[list[Trade], int]]:
    """Trades in any order, cut into batches, and how late it was when a run followed each.

    Many share their microsecond, with numbers of one and of two digits.
    """
    times = st.sampled_from(draw(st.lists(TIMES, min_size=1, max_size=4)))
    told = draw(st.lists(st.tuples(times, AMOUNTS, AMOUNTS, SYMBOLS), min_size=6, max_size=25))
    tape = [
        trade(number, at=at, price=price, quantity=quantity, symbol=symbol)
        for number, (at, price, quantity, symbol) in enumerate(told, start=8)
    ]
    waiting = draw(st.permutations(tape))
    found: list[tuple[list[Trade], int]] = []
    as_of = 0
    while waiting:
        count = draw(st.integers(min_value=1, max_value=len(waiting)))
        as_of = max(as_of, draw(TIMES))
        found.append((waiting[:count], as_of))
        waiting = waiting[count:]
    return found


@pytest.mark.timeout(120)
def test_whatever_came_when_each_run_leaves_what_a_full_recomputation_gives(
    settings: Settings, postgres_urls: PostgresUrls
) -> None:
    """Order of arrival, cuts of batches and times of runs are not ours to choose."""

    @given(batches=arrivals())
    @hypothesis_settings(
        max_examples=25, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
    )
    def check(batches: list[tuple[list[Trade], int]]) -> None:
        with psycopg.connect(postgres_urls.admin, autocommit=True) as connection:
            connection.execute(
                "TRUNCATE market.trade, platform.touched, analytics.pending, analytics.candle"
            )
        arrived: list[Trade] = []
        for batch, as_of in [*batches, ([], LATER)]:
            if batch:
                load(settings, batch)
            arrived += batch
            assert catch_up_as_of(settings, as_of) is RunEnd.DONE
            assert read_stored(postgres_urls) == build_all(arrived, as_of=as_of)
        assert list(list_pending(postgres_urls)) == []

    check()


def test_what_has_not_closed_is_not_stored_and_is_when_it_has(
    settings: Settings, postgres_urls: PostgresUrls
) -> None:
    """An analyst who reads the table would take half a candle for a whole one."""
    tape = [trade(1, at=10 * HOUR + 5), trade(2, at=10 * HOUR + MINUTE + 5)]
    load(settings, tape)
    lengths = []
    for as_of in (10 * HOUR + MINUTE, 10 * HOUR + 5 * MINUTE, 11 * HOUR, DAY - 1, DAY):
        catch_up_as_of(settings, as_of)
        assert read_stored(postgres_urls) == build_all(tape, as_of=as_of)
        lengths.append(len(read_stored(postgres_urls)))
    assert lengths == [1, 3, 4, 4, 5]
    assert list(list_pending(postgres_urls)) == []


def test_an_hour_that_is_over_is_made_once_more_and_its_days_last_hour_is_waited_for(
    settings: Settings, postgres_urls: PostgresUrls
) -> None:
    """Nothing else would close the candles of a market that has become quiet."""
    load(settings, [trade(1, at=10 * HOUR)])
    catch_up_as_of(settings, 10 * HOUR + MINUTE)
    noted = ("candles", "simulated:BTC-USD")
    assert list(list_pending(postgres_urls)) == [(*noted, 10 * HOUR), (*noted, 23 * HOUR)]
    with closing(open_analytics(settings)) as store:
        for as_of, is_due in ((11 * HOUR - 1, False), (11 * HOUR, True)):
            assert store.is_due(feeds_of(["candles"]), as_of_us=MIDNIGHT + as_of) is is_due
    catch_up_as_of(settings, 11 * HOUR)
    assert list(list_pending(postgres_urls)) == [(*noted, 23 * HOUR)]
    catch_up_as_of(settings, DAY)
    assert list(list_pending(postgres_urls)) == []


@pytest.mark.parametrize(("crash_at", "days_left"), [("before_commit", 3), ("after_commit", 1)])
def test_a_run_that_is_killed_changes_nothing_of_the_result(
    settings: Settings, postgres_urls: PostgresUrls, crash_at: str, days_left: int
) -> None:
    """The hours of a day and their rows stand or fall together."""
    tape = make_tape(1, 300, days=3)
    load(settings, tape)
    for _ in range(2):
        catch_up_and_die(postgres_urls, LATER, crash_at=crash_at)
    made: list[DayReport] = []
    catch_up_as_of(settings, LATER, on_day=made.append)
    assert len(made) == days_left
    assert read_stored(postgres_urls) == build_all(tape, as_of=LATER)
    assert list(list_pending(postgres_urls)) == []


def test_what_arrives_while_an_hour_is_made_stays_due(
    settings: Settings, postgres_urls: PostgresUrls
) -> None:
    """Settled by its place alone, a change in between would never be seen."""
    load(settings, [trade(1, at=HOUR)])
    with closing(open_analytics(settings)) as store:
        store.take(feeds_of(["candles"]))
        read = store.read_pending("candles", as_of_us=MIDNIGHT + LATER)
        load(settings, [trade(2, at=HOUR + 1)])
        store.take(feeds_of(["candles"]))
        with store.writing() as connection:
            settle(connection, "candles", read, as_of_us=MIDNIGHT + LATER)
    assert list(list_pending(postgres_urls)) == [("candles", "simulated:BTC-USD", HOUR)]


def test_never_two_at_once(settings: Settings) -> None:
    """The second would do all the work of the first again."""
    load(settings, [trade(1, at=HOUR)])
    with closing(open_analytics(settings)) as other, other.alone() as is_alone:
        assert is_alone
        assert catch_up_as_of(settings, LATER) is RunEnd.BUSY
    assert catch_up_as_of(settings, LATER) is RunEnd.DONE


def test_a_backfilled_day_is_made_anew_whatever_was_noted(
    settings: Settings, postgres_urls: PostgresUrls
) -> None:
    """Somebody has repaired a row by hand, or an older version made it otherwise."""
    tape = make_tape(2, 200)
    load(settings, tape)
    catch_up_as_of(settings, LATER)
    with psycopg.connect(postgres_urls.migrator) as connection:
        connection.execute("DELETE FROM analytics.candle")
    days: list[DayReport] = []
    end = make_days(
        settings,
        ["candles"],
        [MIDNIGHT],
        clock=lambda: MIDNIGHT + LATER,
        stop=threading.Event(),
        on_day=days.append,
    )
    assert end is RunEnd.DONE
    of_day = {key: row for key, row in build_all(tape, as_of=LATER).items() if key[3] < DAY}
    assert read_stored(postgres_urls) == of_day
    assert [(each.day_us, each.hours, len(each.keys)) for each in days] == [(MIDNIGHT, 72, 3)]
    assert days[0].rows == len(of_day)


def test_candles_stay_when_retention_has_removed_their_trades(
    settings: Settings, postgres_urls: PostgresUrls
) -> None:
    """Ninety days of trades are kept, years of candles; a late trade must not replace one."""
    tape = [trade(number, at=HOUR + number, price=f"{number}") for number in range(1, 6)]
    load(settings, tape)
    catch_up_as_of(settings, LATER)
    whole = read_stored(postgres_urls)
    with closing(open_store("postgres", settings)) as store:
        assert store.remove_before(TRADES, MIDNIGHT + 9 * DAY, run_id="retention") == 5
    load(settings, [trade(9, at=HOUR + 9, price="666"), trade(8, at=5 * HOUR)])
    catch_up_as_of(settings, LATER)
    stored = read_stored(postgres_urls)
    market = ("simulated", "BTC-USD")
    assert {key: row for key, row in stored.items() if key in whole and key[2] != "1d"} == {
        key: row for key, row in whole.items() if key[2] != "1d"
    }
    assert stored[*market, "1h", 5 * HOUR][-1] == 1
    # the day is made of its hours, of which one is new
    assert stored[*market, "1d", 0][3:] == (10, 6, 25, Decimal(6))


def test_a_run_that_finds_nothing_new_changes_no_row(
    settings: Settings, postgres_urls: PostgresUrls
) -> None:
    """Rows written again every two minutes would fill the disk with dead ones."""
    load(settings, make_tape(3, 100))
    catch_up_as_of(settings, LATER)
    load(settings, [trade(10_001, at=HOUR, symbol="XLM-USD")])
    reports: list[DayReport] = []
    with closing(open_analytics(settings)) as store:
        store.note("candles", [("trades", "simulated:BTC-USD")], day_us=MIDNIGHT)
    catch_up_as_of(settings, LATER, on_day=reports.append)
    assert [(each.hours, each.rows) for each in reports] == [(25, 4)]


def test_hours_wait_from_their_change_or_their_end(
    settings: Settings, postgres_urls: PostgresUrls
) -> None:
    """Counted by event time, what was backfilled just now would look a year late."""
    feeds = feeds_of(["candles"])

    def wait(as_of: int) -> tuple[int, int] | None:
        with closing(open_analytics(settings, role="analyst")) as store:
            found = store.read_waiting(feeds, as_of_us=MIDNIGHT + as_of).get("candles")
        return None if found is None else (found.hours, found.since_us - MIDNIGHT)

    load(settings, [trade(1, at=HOUR), trade(2, at=10 * HOUR)])
    with psycopg.connect(postgres_urls.admin, autocommit=True) as connection:
        connection.execute(
            "UPDATE platform.touched SET noted_at = %s",
            [from_time_us(MIDNIGHT + 10 * HOUR + MINUTE)],
        )
    assert wait(10 * HOUR + 2 * MINUTE) == (2, 10 * HOUR + MINUTE)
    with closing(open_analytics(settings)) as store:
        store.take(feeds)
    assert wait(10 * HOUR + 2 * MINUTE) == (1, 10 * HOUR + MINUTE)
    catch_up_as_of(settings, 10 * HOUR + 2 * MINUTE)
    assert wait(10 * HOUR + 2 * MINUTE) is None
    assert wait(11 * HOUR + MINUTE) == (1, 11 * HOUR)
