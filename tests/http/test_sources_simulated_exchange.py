"""The dialect coinbase reads the simulated market: the two were written apart."""

from collections.abc import Iterator, Mapping

import pytest

from crypto_platform.errors import SourceMalformedError, SourceUnavailableError
from crypto_platform.feeds.trades import Trade
from crypto_platform.settings import DEFAULT_SOURCES, SourceSettings
from crypto_platform.sources.base import Poll
from crypto_platform.sources.coinbase import Coinbase
from tests.venue_harness import Venue, calm, run_venue

RECEIVED = 4_000_000_000_000_000
"""In 2096, after all trades here: one from the future would be refused."""


@pytest.fixture(scope="module")
def served() -> Iterator[Venue]:
    with run_venue() as client:
        yield client


@pytest.fixture
def venue(served: Venue) -> Venue:
    return calm(served)


def build(venue: Venue, **changes: object) -> Coinbase:
    values = {
        "dialect": "coinbase",
        "base_url": f"http://127.0.0.1:{venue.port}/exchange",
        "simulated": True,
        "symbols": ("BTC-USD",),
        "requests_per_minute_max": 600.0,
    }
    settings = SourceSettings.model_validate(values | changes)
    return Coinbase(name="simulated_exchange", settings=settings)


def poll(source: Coinbase, positions: Mapping[str, str] | None = None) -> Poll:
    return source.poll("trades", positions=positions or {}, ts_ingest=RECEIVED)


def list_ids(found: Poll) -> list[int]:
    return [int(record.trade_id) for record in found.records if isinstance(record, Trade)]


def test_every_product_of_the_default_source_becomes_trades(venue: Venue) -> None:
    """Without a network this is all that a new user sees."""
    symbols = DEFAULT_SOURCES["simulated_exchange"]["symbols"]
    found = poll(build(venue, symbols=symbols))
    trades = [record for record in found.records if isinstance(record, Trade)]
    assert (len(trades), found.rejected) == (1000 * len(symbols), [])
    assert set(found.positions) == set(symbols)
    assert {trade.venue for trade in trades} == {"simulated_exchange"}
    assert {trade.symbol for trade in trades} == {s.replace("-", "/") for s in symbols}
    assert len({trade.event_id for trade in trades}) == 1000 * len(symbols)
    assert {str(trade.taker_side) for trade in trades} == {"buy", "sell"}


def test_polls_over_busy_and_quiet_minutes_miss_nothing_and_repeat_nothing(venue: Venue) -> None:
    """Two trades a second: nothing new, a few, one page, several pages."""
    source = build(venue)
    found = poll(source)
    ids = list_ids(found)
    assert ids == list(range(85_401, 86_401))
    for pause_s in (0, 1, 49, 50, 100, 0, 1800):
        venue.now_ms += 1000 * pause_s
        found = poll(source, found.positions)
        ids += list_ids(found)
    # 2,000 seconds, two trades each
    assert ids == list(range(85_401, 90_401))


def test_after_hours_away_a_few_polls_catch_up_in_order(venue: Venue) -> None:
    """Three hours are 21,600 trades, a poll takes 9,000 at most: the oldest first."""
    source = build(venue)
    found = poll(source)
    venue.now_ms += 3 * 3_600_000
    polls: list[list[int]] = []
    for _ in range(3):
        found = poll(source, found.positions)
        polls.append(list_ids(found))
    assert [len(ids) for ids in polls] == [9000, 9000, 3600]
    assert [i for ids in polls for i in ids] == list(range(86_401, 108_001))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "429", "retry_after_s": 7}, SourceUnavailableError),
        ({"kind": "503", "count": 3}, SourceUnavailableError),
        ({"kind": "slow", "delay_s": 1}, SourceUnavailableError),
        ({"kind": "truncated"}, SourceMalformedError),
        ({"kind": "html"}, SourceMalformedError),
        ({"kind": "empty"}, SourceMalformedError),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_a_poll_that_meets_a_fault_gives_nothing_and_the_next_gives_all(
    venue: Venue, fault: dict[str, object], kind: type[Exception]
) -> None:
    """Whatever goes wrong on the way, the cursor has not moved."""
    source = build(venue, timeout_s=0.9)
    positions = poll(source).positions
    venue.now_ms += 300_000
    venue.order(**fault)
    with pytest.raises(kind) as failed:
        poll(source, positions)
    if isinstance(failed.value, SourceUnavailableError) and fault["kind"] == "429":
        assert failed.value.retry_after_s == 7
    venue.ask("/simulation/faults", method="DELETE")
    assert list_ids(poll(source, positions)) == list(range(86_401, 87_001))


def test_one_error_of_the_venue_is_repeated_within_the_poll(venue: Venue) -> None:
    """A single 503 is no reason to be late."""
    source = build(venue)
    positions = poll(source).positions
    venue.now_ms += 1000
    venue.order(kind="503")
    assert list_ids(poll(source, positions)) == [86_401, 86_402]


def test_a_page_served_again_gives_nothing_and_loses_nothing(venue: Venue) -> None:
    """A stuck cache at the venue."""
    source = build(venue)
    positions = poll(source).positions
    venue.now_ms += 1000
    positions = poll(source, positions).positions
    venue.order(kind="repeated")
    venue.now_ms += 1000
    stuck = poll(source, positions)
    assert (list_ids(stuck), stuck.positions) == ([], {"BTC-USD": "86402"})
    assert list_ids(poll(source, stuck.positions)) == [86_403, 86_404]


def test_a_price_of_nan_costs_one_trade_and_is_not_read_again(venue: Venue) -> None:
    """It is kept with its bytes; the cursor passes it."""
    source = build(venue)
    positions = poll(source).positions
    venue.now_ms += 1000
    venue.order(kind="nan", currency_id="bitcoin")
    found = poll(source, positions)
    [piece] = found.rejected
    assert (list_ids(found), found.positions) == ([86_401], {"BTC-USD": "86402"})
    assert b'"trade_id":86402' in piece.raw
    assert list_ids(poll(source, found.positions)) == []
