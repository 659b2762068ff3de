"""Reports of users who traded at the simulated company, all the way: events, rates, both stores."""

import csv
import io
import json
import random
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from crypto_platform.domain.hours import to_time_us
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.serving.accounts import read_wallets
from crypto_platform.serving.failover import open_reads
from crypto_platform.serving.reports import read_portfolio_history
from crypto_platform.settings import SourceSettings
from crypto_platform.sources.company import Company
from crypto_platform.sources.ecb import Ecb
from tests.company_harness import KEYS, OPERATOR, Client, run_company
from tests.platform_harness import Platform
from tests.report_fakes import build_quote
from tests.servers.test_cli_servers import REFUSED, run
from tests.venue_harness import run_venue

USERS = ("u000001", "u000002", "u000003")
MONGO_REFUSED = "mongodb://127.0.0.1:1/?directConnection=1"
HOUR = 3_600_000_000
SPRING = to_time_us(datetime(2025, 3, 3, 12, tzinfo=UTC))
YEAR_END = to_time_us(datetime(2025, 12, 31, 21, tzinfo=UTC))


@pytest.fixture
def traded(platform: Platform, tmp_path: Path) -> Iterator[Client]:
    """Three users trade with each other for some months of 2025; all has arrived in both stores."""
    dice = random.Random(7)
    with run_company(tmp_path / "company") as company, run_venue() as venue:
        company.now_us = SPRING
        for user in USERS:
            company.deposit(user, "USD", "100000.00")
            company.deposit(user, "BTC", "2")
        for _ in range(120):
            company.now_us += 49 * HOUR
            company.order(
                dice.choice(USERS),
                side=dice.choice(["buy", "sell"]),
                type="limit",
                quantity=f"0.{dice.randrange(1, 200):03d}",
                price=f"{dice.randrange(49_900, 50_100)}",
            )
        body = {"currency": "BTC", "amount": "0.1"}
        sent = company.ask("/v1/withdrawals", method="POST", holder=USERS[0], body=body)
        assert sent.status == 200
        venue.now_ms = time.time_ns() // 1_000_000
        arrive(platform, company, rates_port=venue.port)
        yield company


def arrive(platform: Platform, company: Client, *, rates_port: int) -> None:
    def settings(dialect: str, url: str, **more: object) -> SourceSettings:
        values = {"dialect": dialect, "base_url": url, "requests_per_minute_max": 6000}
        return SourceSettings.model_validate(values | more)

    events = Company(
        name="company",
        settings=settings(
            "company", f"http://127.0.0.1:{company.port}", key=KEYS.make_key(OPERATOR)
        ),
    )
    bank = Ecb(name="simulated_ecb", settings=settings("ecb", f"http://127.0.0.1:{rates_port}/ecb"))
    for report in platform.ingest({"company": events, "simulated_ecb": bank}):
        assert list(report.errors) == []
        assert report.records
    now = time.time_ns() // 1000
    quotes = [build_quote("bitcoin", "60000.10", YEAR_END), build_quote("bitcoin", "70000", now)]
    platform.publish(FEED_BY_NAME["quotes"], quotes)
    platform.load_both()


def write_origins(file: Path, company: Client) -> Path:
    """Each deposit of two bitcoins cost 60,000 euros years ago."""
    deposits = [
        event["event_id"]
        for event in company.read_events()
        if event["type"] == "deposit" and event["wallets"][0]["currency"] == "BTC"
        and event["user_id"] == USERS[0]
    ]  # fmt: skip
    lines = [
        "event_id,acquired,cost,currency",
        *(f"{name},2021-03-04,60000,EUR" for name in deposits),
    ]
    file.write_text("\n".join(lines), "utf-8")
    return file


def report(platform: Platform, *words: str) -> subprocess.CompletedProcess[str]:
    done = run(platform, "tax-report", "--user", USERS[0], "--year", "2025", *words)
    assert done.returncode == 0, done.stderr
    return done


def test_a_years_report_is_the_same_from_both_stores_and_says_where_it_came_from(
    platform: Platform, traded: Client, tmp_path: Path
) -> None:
    """With a store away a user must get the same tax, byte by byte, and be told."""
    origins = ("--origins", str(write_origins(tmp_path / "origins.csv", traded)))
    forms = [
        ("--json", *origins),
        ("--csv", "--table", "disposals", *origins),
        ("--method", "average", *origins),
    ]
    whole = [report(platform, *words) for words in forms]
    assert [done.stderr for done in whole] == [""] * 3
    pdfs = [tmp_path / f"{n}.pdf" for n in range(3)]
    report(platform, "--pdf", str(pdfs[0]), *origins)
    check_report(json.loads(whole[0].stdout), traded)
    check_disposals(whole[1].stdout, json.loads(whole[0].stdout), traded)
    assert [report(platform, *words).stdout for words in forms] == [done.stdout for done in whole]

    kept = platform.variables["CRYPTO_PLATFORM_MONGO__ANALYST_URL"]
    platform.reload(CRYPTO_PLATFORM_MONGO__ANALYST_URL=MONGO_REFUSED)
    for words, done in zip(forms, whole, strict=True):
        again = report(platform, *words)
        assert again.stdout == done.stdout
        assert "read from postgres instead" in again.stderr
    report(platform, "--pdf", str(pdfs[1]), *origins)
    platform.reload(
        CRYPTO_PLATFORM_MONGO__ANALYST_URL=kept, CRYPTO_PLATFORM_POSTGRES__ANALYST_URL=REFUSED
    )
    again = report(platform, *forms[0])
    assert again.stdout == whole[0].stdout
    assert "rates and prices: postgres" in again.stderr
    report(platform, "--pdf", str(pdfs[2]), *origins)
    assert len({file.read_bytes() for file in pdfs}) == 1


def check_report(document: dict, company: Client) -> None:
    """What is held at the end is the company's own truth; every value is known."""
    account = company.ask(f"/v1/accounts/{USERS[0]}").document
    wallets = {each["currency"]: each for each in account["wallets"]}
    held = sum(Decimal(lot["quantity"]) for lot in document["closing"]["lots"])
    assert held == Decimal(wallets["BTC"]["available"]) + Decimal(wallets["BTC"]["locked"])
    assert document["unvalued"] == []
    assert Decimal(document["transfers"][0]["quantity"]) == Decimal("0.1")
    assert document["disposals"]
    assert document["fees"]
    hows = [lot["how"] for lot in document["closing"]["lots"]]
    assert all("simulated_ecb: " in how for how in hows if "EUR" not in how.split(";")[0])
    whole = [document["realized_gain"], *(each["realized_gain"] for each in document["gains"])]
    assert Decimal(whole[0]) == sum(map(Decimal, whole[1:]))


def check_disposals(text: str, document: dict, company: Client) -> None:
    """Every row names an event of the company, and a lot that an event of it made."""
    rows = list(csv.DictReader(io.StringIO(text)))
    events = {event["event_id"]: event for event in company.read_events()}
    assert rows
    for row in rows:
        assert events[row["event_id"]]["fill"] is not None
        assert events[row["lot_event_id"]]["type"] in {"deposit", "order_filled"}
        assert row["how"]
    gain = sum(Decimal(row["realized_gain"]) for row in rows)
    assert gain == Decimal(document["realized_gain"])


def test_a_portfolios_history_ends_with_the_wallets_of_today(
    platform: Platform, traded: Client
) -> None:
    """Two ways to the same figures: all postings ever, and what is current."""
    _ = traded
    settings = platform.settings
    for user in USERS:
        with open_reads(settings) as reads:
            _, history = read_portfolio_history(reads, settings, user, None, None, "USD")
            stored = read_wallets(reads, user).value
        assert history.days[0].day == datetime(2025, 3, 3, tzinfo=UTC).date()
        today = history.days[-1]
        wallets = {
            wallet.currency: Decimal(wallet.available) + Decimal(wallet.locked) for wallet in stored
        }
        assert {each.currency: each.quantity for each in today.holdings} == wallets
        assert today.value == wallets["USD"] + wallets["BTC"] * 70000
        shown = json.loads(run(platform, "portfolio", "--user", user, "--json").stdout)
        assert Decimal(shown["value"]) == today.value
    words = (
        "portfolio",
        "--user",
        USERS[0],
        "--history",
        "--from",
        "2025-12-30",
        "--to",
        "2026-01-02",
    )
    done = run(platform, *words, "--currency", "EUR", "--json")
    assert done.returncode == 0, done.stderr
    days = json.loads(done.stdout)["days"]
    assert [day["day"] for day in days] == ["2025-12-30", "2025-12-31", "2026-01-01", "2026-01-02"]
    # the quote of the last evening of the year is younger than a day until the next one
    assert [day["unvalued"] for day in days] == [["BTC"], [], ["BTC"], ["BTC"]]
    assert platform.audit().whole


def test_rates_can_be_asked_of_the_database_itself(platform: Platform, traded: Client) -> None:
    """An analyst joins them by day and currency."""
    _ = traded
    url = platform.settings.postgres.analyst_url
    assert url is not None
    with psycopg.connect(url.get_secret_value()) as connection:
        rows = connection.execute(
            "SELECT source, base_currency, day::text, rate > 0 FROM market.exchange_rate "
            "WHERE currency = 'USD' AND day BETWEEN '2025-12-24' AND '2025-12-28' ORDER BY day"
        ).fetchall()
    assert rows == [("simulated_ecb", "EUR", f"2025-12-{day}", True) for day in (24, 25, 26)]
