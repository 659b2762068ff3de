"""The simulated market's candles say what its trades say, and nothing else."""

import time

import pytest

from crypto_platform.simulation.candles import CANDLES_MAX, GRANULARITIES_S, Candle, Charts
from crypto_platform.simulation.currencies import list_currencies
from crypto_platform.simulation.trades import FIRST_SECOND, Product, Tape

NOON_S = 1_767_268_800
SECOND_US = 1_000_000
PRODUCT_IDS = tuple(Tape(seed=7, currencies=list_currencies(220)).products)
NOVEMBER_S = 1_795_600_000


@pytest.fixture
def tape() -> Tape:
    return Tape(seed=7, currencies=list_currencies(220))


def make_candle(tape: Tape, product: Product, open_s: int, granularity_s: int) -> Candle:
    """By looking at every trade."""
    first = tape.find_newest_id(product, open_s * SECOND_US - 1) + 1
    last = tape.find_newest_id(product, (open_s + granularity_s) * SECOND_US - 1)
    trades = [tape.read_trade(product, i) for i in range(first, last + 1)]
    return Candle(
        open_s=open_s,
        low=min(trade.price for trade in trades),
        high=max(trade.price for trade in trades),
        open=trades[0].price,
        close=trades[-1].price,
        volume=sum(trade.quantity for trade in trades),
    )


def read(
    tape: Tape, product_id: str, granularity_s: int, *, now_us: int, first_s: int = 0
) -> list[Candle]:
    return Charts(tape).list_candles(
        tape.products[product_id],
        granularity_s=granularity_s,
        first_s=first_s,
        last_s=now_us // SECOND_US,
        now_us=now_us,
    )


@pytest.mark.parametrize("product_id", PRODUCT_IDS)
def test_candles_of_a_minute_are_those_of_their_trades(tape: Tape, product_id: str) -> None:
    """Whoever adds the trades up must arrive at the venue's own candle."""
    product = tape.products[product_id]
    found = read(tape, product_id, 60, now_us=NOON_S * SECOND_US, first_s=NOON_S - 1200)
    assert found
    for candle in found[1:]:
        assert candle == make_candle(tape, product, candle.open_s, 60)


@pytest.mark.parametrize("granularity_s", GRANULARITIES_S)
def test_candles_of_every_length_are_those_of_their_trades(tape: Tape, granularity_s: int) -> None:
    """A day's high is found without looking at a day's trades; it has to be theirs."""
    open_s = max(NOON_S // granularity_s * granularity_s - granularity_s, FIRST_SECOND)
    end_us = (open_s + granularity_s) * SECOND_US - 1
    for product_id in ("SHIB-USD", "BTC-USD" if granularity_s <= 3600 else "XLM-USD"):
        [candle] = read(tape, product_id, granularity_s, now_us=end_us, first_s=open_s)
        assert candle == make_candle(tape, tape.products[product_id], open_s, granularity_s)


def test_an_hour_is_made_of_its_minutes(tape: Tape) -> None:
    """Two lengths of one time must not contradict each other."""
    now_us = NOON_S * SECOND_US - 1
    minutes = read(tape, "BTC-USD", 60, now_us=now_us, first_s=NOON_S - 3600)
    [hour] = read(tape, "BTC-USD", 3600, now_us=now_us, first_s=NOON_S - 3600)
    assert len(minutes) == 60
    assert hour == Candle(
        open_s=NOON_S - 3600,
        low=min(minute.low for minute in minutes),
        high=max(minute.high for minute in minutes),
        open=minutes[-1].open,
        close=minutes[0].close,
        volume=sum(minute.volume for minute in minutes),
    )


def test_a_page_has_300_candles_newest_first_and_the_newest_is_half_done(tape: Tape) -> None:
    """As Coinbase gives them."""
    found = read(tape, "BTC-USD", 60, now_us=(NOON_S + 30) * SECOND_US)
    assert [candle.open_s for candle in found] == [NOON_S - 60 * i for i in range(CANDLES_MAX)]
    whole = make_candle(tape, tape.products["BTC-USD"], NOON_S, 60)
    assert found[0].open == whole.open
    assert found[0].volume < whole.volume


def test_a_minute_without_a_trade_has_no_candle(tape: Tape) -> None:
    """One trade in 128 seconds: every other minute is empty, and no row says so."""
    product = tape.products["FIL-USD"]
    found = read(tape, "FIL-USD", 60, now_us=NOON_S * SECOND_US)
    trades = tape.read_trades(product, now_us=NOON_S * SECOND_US, limit=500)
    minutes = {trade.time_us // SECOND_US // 60 * 60 for trade in trades}
    assert 100 < len(found) < 200
    assert {candle.open_s for candle in found} == {m for m in minutes if m > NOON_S - 300 * 60}


def test_before_the_first_trade_there_are_no_candles(tape: Tape) -> None:
    """The market opened with the year."""
    assert read(tape, "BTC-USD", 3600, now_us=FIRST_SECOND * SECOND_US - 1) == []
    assert len(read(tape, "BTC-USD", 3600, now_us=(FIRST_SECOND + 7200) * SECOND_US - 1)) == 2


@pytest.mark.parametrize("granularity_s", GRANULARITIES_S)
def test_a_page_of_a_busy_product_takes_little_time(tape: Tape, granularity_s: int) -> None:
    """300 days are 52 million trades; the second time nothing is counted again."""
    charts, product = Charts(tape), tape.products["BTC-USD"]

    def ask() -> float:
        started = time.process_time()
        charts.list_candles(
            product,
            granularity_s=granularity_s,
            first_s=0,
            last_s=NOVEMBER_S,
            now_us=NOVEMBER_S * SECOND_US,
        )
        return time.process_time() - started

    first, again = ask(), ask()
    assert first < 3  # 0.1 to 0.7 s where nothing else runs
    assert again < first / 4
