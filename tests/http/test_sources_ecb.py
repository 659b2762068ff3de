"""The dialect ecb: which file is asked for when, over a real socket; and the simulated bank."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from crypto_platform.domain.hours import from_time_us
from crypto_platform.errors import SourceError, SourceRefusedError
from crypto_platform.feeds.exchange_rates import ExchangeRates
from crypto_platform.settings import DEFAULT_SOURCES, SourceSettings
from crypto_platform.sources.base import Poll
from crypto_platform.sources.ecb import DAILY_PATH, RECENT_PATH, WHOLE_PATH, Ecb
from tests.scripted_source import Reply, ScriptedSource, run_scripted_source
from tests.unit.test_sources_ecb import daily
from tests.venue_harness import Venue, calm, run_venue

MONDAY = date(2026, 11, 23)


def cube(day: date, usd: str = "1.08") -> str:
    return f'<Cube time="{day}"><Cube currency="USD" rate="{usd}"/></Cube>'


def page(*days: date, usd: str = "1.08", etag: str | None = None) -> Reply:
    body = daily("".join(cube(day, usd) for day in sorted(days, reverse=True)))
    return Reply(body=body, headers={"Content-Type": "text/xml"} | ({"ETag": etag} if etag else {}))


@pytest.fixture
def bank() -> Iterator[ScriptedSource]:
    with run_scripted_source() as running:
        yield running


def build(bank: ScriptedSource) -> Ecb:
    return Ecb(name="ecb", settings=bank.build_settings(dialect="ecb"))


def days_of(poll: Poll) -> list[date]:
    records = [record for record in poll.records if isinstance(record, ExchangeRates)]
    return [from_time_us(record.ts_event).date() for record in records]


def paths_of(bank: ScriptedSource) -> list[str]:
    paths = [asked.path.removeprefix("/v3") for asked in bank.asked]
    bank.asked.clear()
    return paths


def test_the_first_poll_brings_all_days_and_the_second_nothing(bank: ScriptedSource) -> None:
    """An ETag says so without a body; a bank that gives none says the same day again."""
    friday = MONDAY - timedelta(days=3)
    bank.routes["/v3" + WHOLE_PATH] = page(friday, MONDAY)
    for etag in ('"one"', None):
        bank.script(page(MONDAY, etag=etag))
        first = build(bank).poll("exchange_rates", positions={}, ts_ingest=1)
        assert days_of(first) == [friday, MONDAY]
        assert paths_of(bank) == [DAILY_PATH, WHOLE_PATH]
        bank.script(Reply(status=304, body=b"") if etag else page(MONDAY))
        again = build(bank).poll("exchange_rates", positions=first.positions, ts_ingest=2)
        assert (days_of(again), again.positions) == ([], {})
        assert bank.asked[0].headers.get("if-none-match") == etag
        assert paths_of(bank) == [DAILY_PATH]


def test_a_304_that_nobody_asked_for_is_an_error(bank: ScriptedSource) -> None:
    """Taken for "unchanged", it would leave a platform without any rate, and content."""
    bank.script(Reply(status=304, body=b""))
    with pytest.raises(SourceRefusedError, match="304"):
        build(bank).poll("exchange_rates", positions={}, ts_ingest=1)


@pytest.mark.parametrize(
    ("away_days", "path"), [(1, None), (2, RECENT_PATH), (80, RECENT_PATH), (81, WHOLE_PATH)]
)
def test_days_that_were_missed_come_from_the_shortest_file_that_has_them(
    bank: ScriptedSource, away_days: int, path: str | None
) -> None:
    """A platform that was off for a week must not value that week by the rates before it."""
    now = MONDAY + timedelta(days=away_days)
    known = build_known(bank)
    between = [MONDAY + timedelta(days=n) for n in range(1, away_days)]
    bank.routes["/v3" + (path or WHOLE_PATH)] = page(MONDAY, *between, now)
    bank.script(page(now))
    poll = build(bank).poll("exchange_rates", positions=known.positions, ts_ingest=2)
    assert days_of(poll) == [*between, now]
    assert paths_of(bank) == [DAILY_PATH, *([path] if path else [])]


def build_known(bank: ScriptedSource) -> Poll:
    bank.routes["/v3" + WHOLE_PATH] = page(MONDAY)
    bank.script(page(MONDAY))
    known = build(bank).poll("exchange_rates", positions={}, ts_ingest=1)
    bank.asked.clear()
    return known


def test_a_corrected_newest_day_is_published_again_and_an_older_file_is_not(
    bank: ScriptedSource,
) -> None:
    """Caches serve old files now and then: going back would lose days for good."""
    known = build_known(bank)
    bank.script(page(MONDAY, usd="1.09"))
    corrected = build(bank).poll("exchange_rates", positions=known.positions, ts_ingest=2)
    assert days_of(corrected) == [MONDAY]
    assert corrected.positions != known.positions
    bank.script(page(MONDAY - timedelta(days=3)))
    old = build(bank).poll("exchange_rates", positions=known.positions, ts_ingest=2)
    assert (days_of(old), old.positions) == ([], {})


@pytest.fixture(scope="module")
def served() -> Iterator[Venue]:
    with run_venue() as client:
        yield client


@pytest.fixture
def venue(served: Venue) -> Venue:
    return calm(served)


def build_simulated(venue: Venue) -> Ecb:
    values = dict(DEFAULT_SOURCES["simulated_ecb"])
    values["base_url"] = values["base_url"].replace("8099", str(venue.port))
    return Ecb(name="simulated_ecb", settings=SourceSettings.model_validate(values))


def test_the_simulated_bank_has_every_working_day_of_past_years(venue: Venue) -> None:
    """Without a network reports of these years still need rates; the same every time."""
    whole = build_simulated(venue).poll("exchange_rates", positions={}, ts_ingest=1)
    days = days_of(whole)
    assert days[0] == date(2016, 1, 4)
    assert days[-1] == date(2025, 12, 31)  # at noon of January 1, that day's are not there yet
    assert all(day.isoweekday() <= 5 for day in days)
    assert len(days) == 2608
    again = build_simulated(venue).poll("exchange_rates", positions={}, ts_ingest=1)
    assert again.records == whole.records


def test_the_simulated_bank_publishes_in_the_afternoon(venue: Venue) -> None:
    """The source's cursor, its ETag and the days between: together, as they run."""
    source = build_simulated(venue)
    known = source.poll("exchange_rates", positions={}, ts_ingest=1)
    assert source.poll("exchange_rates", positions=known.positions, ts_ingest=1).records == ()
    venue.now_ms = int(datetime(2026, 1, 5, 15, tzinfo=UTC).timestamp() * 1000)
    monday = source.poll("exchange_rates", positions=known.positions, ts_ingest=2)
    assert days_of(monday) == [date(2026, 1, day) for day in (1, 2, 5)]


@pytest.mark.parametrize("fault", ["html", "500", "truncated", "empty"])
def test_a_fault_of_the_simulated_bank_is_a_sources_error(venue: Venue, fault: str) -> None:
    """Ordered faults reach this dialect as they reach the others."""
    venue.order(kind=fault, count=3)
    with pytest.raises(SourceError, match="simulated_ecb"):
        build_simulated(venue).poll("exchange_rates", positions={}, ts_ingest=1)
