"""Reports from what stores hold: the same from both, with a store down, and errors that help."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import click.testing
import msgspec
import pytest

from crypto_platform.cli import main
from crypto_platform.cli import portfolio as portfolio_cli
from crypto_platform.cli import tax as tax_cli
from crypto_platform.domain.hours import to_time_us
from crypto_platform.domain.tax_events import Origin
from crypto_platform.domain.tax_lots import BookingMethod
from crypto_platform.domain.tax_report import TaxReport
from crypto_platform.domain.valuation import Money
from crypto_platform.errors import AccountingError, ConfigurationError, PlatformError
from crypto_platform.feeds.accounts import AccountEvent
from crypto_platform.serving.account_sheets import build_portfolio_days
from crypto_platform.serving.failover import Reads, Source
from crypto_platform.serving.report_reading import UnknownUserError
from crypto_platform.serving.reports import (
    PortfolioHistory,
    read_portfolio_history,
    read_tax_report,
)
from crypto_platform.serving.tax_report import (
    TaxTable,
    list_notes,
    list_table,
    write_json,
    write_pdf,
)
from crypto_platform.settings import Settings, load_settings
from tests.account_steps import SmallCompany
from tests.report_fakes import DAY, FakeStore, build_quote, build_rates, opener
from tests.store_steps import NOON

FIRST = NOON // DAY
"""2025-11-22, a Saturday."""
NEW_YEAR = to_time_us(datetime(2025, 12, 31, 22, tzinfo=UTC))
DEPOSIT = "ev-00000000000000000001"


def build_events() -> list[AccountEvent]:
    """The house has 10 BTC of unknown cost; ann buys 0.5 of them for 50 dollars."""
    company = SmallCompany()
    company.deposit("house", "BTC", "10")
    company.deposit("ann", "USD", "1000.00")
    company.accept("ann", "o-1", price="100.0", quantity="2")
    company.take(company.fill("o-1", "0.5"), user="house")
    return company.events


def build_store(name: str = "postgres") -> FakeStore:
    return FakeStore(
        name,
        events=build_events(),
        rates=[build_rates(FIRST - 1, USD="1.25"), build_rates(NEW_YEAR // DAY, USD="1.6")],
        records=[
            build_quote("bitcoin", "120", NOON),
            build_quote("bitcoin", "160", NEW_YEAR),
        ],
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(tmp_path, environment={})


@pytest.fixture
def stores() -> dict[str, FakeStore]:
    return {name: build_store(name) for name in ("postgres", "mongo")}


def report_of(
    settings: Settings, stores: dict[str, FakeStore], user: str = "ann", **changes: object
) -> tuple[Source, TaxReport]:
    values: dict[str, object] = {
        "year": 2025,
        "method": BookingMethod.FIFO,
        "currency": "EUR",
        "time_zone": "Europe/Berlin",
    }
    reads = Reads(settings, open_=opener(**stores))
    try:
        return read_tax_report(reads, settings, user, **(values | changes))  # pyright: ignore[reportArgumentType]
    finally:
        reads.close()


def test_a_purchase_is_held_at_the_years_end_by_rates_and_prices_of_their_days(
    settings: Settings, stores: dict[str, FakeStore]
) -> None:
    """50 dollars were 40 euros that Saturday; half a bitcoin was 80 dollars, 50 euros, at last."""
    source, report = report_of(settings, stores)
    assert (source.store, source.problems) == ("mongo", ())
    [lot] = report.closing.lots
    assert (lot.event_id, lot.quantity) == ("ev-00000000000000000004", Decimal("0.5"))
    assert (str(lot.cost_basis), str(lot.market_value)) == ("40.00", "50.00")
    assert str(lot.unrealized_gain) == "10.00"
    assert "ecb: 1.25 USD for 1 EUR of 2025-11-21, the last before 2025-11-22" in lot.how
    assert report.ts_until == report.ts_end
    assert report.unvalued == ()
    assert (report.rates_source, report.price_sources) == ("ecb", ("coingecko",))


def test_a_report_made_of_simulated_rates_and_prices_says_so_on_paper(
    settings: Settings, stores: dict[str, FakeStore]
) -> None:
    """A PDF has no room for how each value came about; made up figures must not pass for real."""
    for store in stores.values():
        store.rates = [build_rates(FIRST - 1, source="simulated_ecb", USD="1.25")]
        store.rates += [build_rates(NEW_YEAR // DAY, source="simulated_ecb", USD="1.6")]
        store.records = [build_quote("bitcoin", "160", NEW_YEAR, source="simulated")]
    _, report = report_of(settings, stores)
    assert report.rates_source == "simulated_ecb (simulated)"
    assert report.price_sources == ("simulated (simulated)",)
    marked = {
        "rates_source": "simulated_ecb (simulated)",
        "price_sources": ["simulated (simulated)"],
    }
    assert marked.items() <= json.loads(write_json(report)).items()
    assert write_pdf(report) != write_pdf(msgspec.structs.replace(report, price_sources=()))


def test_a_disposal_names_its_lot_and_its_events_and_its_unknown_cost(
    settings: Settings, stores: dict[str, FakeStore]
) -> None:
    """Whoever checks a gain wants to see which coins they were."""
    _, report = report_of(settings, stores, "house")
    columns, [row] = list_table(report, TaxTable.DISPOSALS)
    named = dict(zip(columns, row, strict=True))
    assert (named["event_id"], named["lot_event_id"]) == ("ev-00000000000000000005", DEPOSIT)
    assert (named["proceeds"], named["cost_basis"], named["realized_gain"]) == ("40.00", None, None)
    [note] = list_notes(report)
    assert note.startswith("1 deposits have an unknown cost")
    assert f"--origins FILE`, a CSV of event_id,acquired,cost,currency ({DEPOSIT})" in note
    assert json.loads(write_json(report))["notes"] == [note]
    assert len(write_pdf(report)) > len(write_pdf(msgspec.structs.replace(report, unvalued=())))


def test_an_origin_makes_the_cost_known(settings: Settings, stores: dict[str, FakeStore]) -> None:
    """10 for 300 euros: half a bitcoin cost 15."""
    origins = {DEPOSIT: Origin(1, Money("EUR", Decimal(300)))}
    _, report = report_of(settings, stores, "house", origins=origins)
    [gain] = report.gains
    assert (str(gain.cost_basis), str(gain.realized_gain), gain.holding) == (
        "15.00",
        "25.00",
        "long",
    )
    with pytest.raises(ConfigurationError, match=r"ev-1, which are no deposits of house.*ev-0+1"):
        report_of(settings, stores, "house", origins={"ev-1": origins[DEPOSIT]})


@pytest.mark.parametrize("down", ["postgres", "mongo"])
def test_the_same_report_comes_from_the_store_that_is_left_and_says_so(
    settings: Settings, stores: dict[str, FakeStore], down: str
) -> None:
    """A store that is down must be no reason for another tax, and nobody may take it for fresh."""
    _, whole = report_of(settings, stores)
    stores[down].is_down = True
    source, report = report_of(settings, stores)
    assert write_json(report) == write_json(whole)
    assert write_pdf(report) == write_pdf(whole)
    assert source.store != down
    assert any(f"{down} is down" in problem for problem in source.problems)
    assert (down == "postgres") == all("rates and prices" in each for each in source.problems)


def test_the_order_in_which_a_store_has_things_changes_no_byte(
    settings: Settings, stores: dict[str, FakeStore]
) -> None:
    """Rows have no order; reports do."""
    first = write_json(report_of(settings, stores)[1])
    for store in stores.values():
        store.rates = store.rates[::-1]
        store.records = store.records[::-1]
    assert write_json(report_of(settings, stores)[1]) == first


def test_a_year_that_is_not_over_goes_up_to_the_users_last_event(
    settings: Settings, stores: dict[str, FakeStore]
) -> None:
    """Its end has no price yet; and until something happens, the same command gives the same."""
    year = datetime.now(UTC).year
    start = to_time_us(datetime(year, 1, 1, tzinfo=UTC))
    for store in stores.values():
        shift = start - NOON
        store.events = [
            msgspec.structs.replace(event, ts_event=event.ts_event + shift)
            for event in build_events()
        ]
        store.rates = [build_rates(start // DAY, USD="1.25")]
        store.records = [build_quote("bitcoin", "120", start)]
    _, report = report_of(settings, stores, year=year, time_zone="UTC")
    assert report.ts_until == start + 4_000_001
    assert str(report.closing.lots[0].market_value) == "48.00"
    assert any("not over" in note for note in list_notes(report))
    assert b"ts_until" in write_json(report)
    assert write_pdf(report)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"user": "nobody"}, UnknownUserError, "'nobody'.*status"),
        ({"time_zone": "Berlin"}, ConfigurationError, "'Berlin'.*Europe/Berlin"),
        ({"time_zone": "../etc/passwd"}, ConfigurationError, "time zone"),
        ({"year": 0}, ConfigurationError, "1970 to 9998"),
        ({"year": 9999}, ConfigurationError, "1970 to 9998"),
        ({"year": 2900}, ConfigurationError, "has not begun"),
        ({"year": 2024}, ConfigurationError, "is stored of 2024: his events are of 2025"),
        ({"currency": "XYZ"}, ConfigurationError, "no rate of XYZ.*EUR, USD"),
    ],
)
def test_what_cannot_be_reported_says_what_can(
    settings: Settings,
    stores: dict[str, FakeStore],
    changes: dict[str, object],
    error: type[PlatformError],
    text: str,
) -> None:
    """Found out in March, by somebody in a hurry."""
    with pytest.raises(error, match=text):
        report_of(settings, stores, **({"user": "ann"} | changes))


def test_without_any_rate_the_source_of_rates_is_named(
    settings: Settings, stores: dict[str, FakeStore]
) -> None:
    """Every value unknown would be a report too, and no help."""
    for store in stores.values():
        store.rates = []
    with pytest.raises(
        PlatformError, match=r"USD cannot be valued in EUR.*simulated_ecb.*--currency USD"
    ):
        report_of(settings, stores)
    _, report = report_of(settings, stores, currency="USD")
    assert str(report.closing.lots[0].cost_basis) == "50.00"


def test_what_was_sold_and_never_came_is_named(
    settings: Settings, stores: dict[str, FakeStore]
) -> None:
    """There is no report until the gap is filled: cost 0 would be a tax on everything."""
    for store in stores.values():
        store.events = build_events()[1:]
    with pytest.raises(AccountingError, match=r"user house gave 0\.5 BTC .*missing"):
        report_of(settings, stores, "house")


def test_all_events_are_read_page_by_page(
    settings: Settings, stores: dict[str, FakeStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest page is where the lots come from."""
    whole = write_json(report_of(settings, stores)[1])
    monkeypatch.setattr("crypto_platform.serving.report_reading.EVENTS_PAGE", 1)
    assert write_json(report_of(settings, stores)[1]) == whole


def history_of(
    settings: Settings, stores: dict[str, FakeStore], *days: date | None, currency: str = "EUR"
) -> tuple[Source, PortfolioHistory]:
    first, last = days or (None, None)
    reads = Reads(settings, open_=opener(**stores))
    try:
        return read_portfolio_history(reads, settings, "ann", first, last, currency)
    finally:
        reads.close()


def test_a_history_begins_with_the_first_event_and_is_in_every_digit(
    settings: Settings, stores: dict[str, FakeStore]
) -> None:
    """950 dollars and half a bitcoin at 120: 1010 dollars, 808 euros."""
    source, history = history_of(settings, stores)
    assert (source.store, history.user, history.currency) == ("mongo", "ann", "EUR")
    assert history.days[0].day == date(2025, 11, 22)
    assert history.days[-1].day == datetime.now(UTC).date()
    assert history.days[0].value == Decimal(808)
    assert history.days[0].unrealized_gain == Decimal(8)
    [at_new_year] = history_of(settings, stores, date(2025, 12, 31), date(2025, 12, 31))[1].days
    assert at_new_year.value == Decimal("643.75")
    with pytest.raises(ConfigurationError, match="no day"):
        history_of(settings, stores, date(2026, 1, 2), date(2026, 1, 1))
    with pytest.raises(ConfigurationError, match="shorter"):
        history_of(settings, stores, date(1990, 1, 1), None)
    earlier = history_of(settings, stores, date(2025, 11, 20), date(2025, 11, 23))[1].days
    assert [each.day for each in earlier] == [date(2025, 11, 22), date(2025, 11, 23)]
    assert history_of(settings, stores, date(2025, 11, 20), date(2025, 11, 21))[1].days == ()


def test_a_history_is_shown_with_its_course(
    settings: Settings, stores: dict[str, FakeStore]
) -> None:
    """The lowest bar is the lowest day, not zero."""
    for store in stores.values():
        store.records = [*store.records, build_quote("bitcoin", "320", NOON + DAY)]
    _, history = history_of(settings, stores, date(2025, 11, 22), date(2025, 11, 24))
    lines = portfolio_cli.format_history(history)
    assert lines[0].split() == [
        *("day", "value", "EUR", "realized", "unrealized", "fees", "unknown", "of")
    ]
    assert lines[1].split() == ["2025-11-22", "808.00", "+0.00", "+8.00", "0.00"]
    assert lines[-1] == "▃█▁  760.00 to 888.00 EUR"
    sheet = build_portfolio_days(history.days)
    assert sheet.rows[2] == ("2025-11-24", "760", "0", "0", "0", ("BTC",), ("BTC",))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--pdf", "x.pdf", "--json"], "not with --json, --csv or --parquet"),
        (["--pdf", "x.pdf", "--to", "y.pdf"], "name their file themselves"),
        (["--json", "--table", "gains"], "JSON and a PDF have all tables"),
        (["--json", "--csv"], "choose one"),
        (["--method", "best"], "'best' is not one of"),
        (["--origins", "/nowhere.csv"], "does not exist"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_anything_is_read(
    arguments: list[str], text: str
) -> None:
    """A report is seconds of work, and which form was meant is not ours to guess."""
    command = ["tax-report", "--user", "ann", "--year", "2025", *arguments]
    done = click.testing.CliRunner().invoke(main, command)
    assert done.exit_code == 2
    assert text in done.output


def test_tables_for_people_leave_out_how_and_show_unknown_as_a_dash(
    settings: Settings, stores: dict[str, FakeStore]
) -> None:
    """A blank would be read as nothing, and a sentence a row is no table."""
    _, report = report_of(settings, stores, "house")
    header, row = tax_cli.format_tax_table(report, TaxTable.DISPOSALS)
    assert "how" not in header.split()
    assert row.split()[-3:] == ["40.00", "-", "-"]
    summary = tax_cli.format_summary(report)
    assert "realized gain unknown EUR; 1 disposals" in summary[-1]
    assert json.loads(write_json(report))["disposals"][0]["event_id"] == "ev-00000000000000000005"
