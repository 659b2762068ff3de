"""Accounts reconciled on real servers, with the company's own process; faults in each store.

The company trades, its events are polled and loaded into both stores, all of it agrees; then one
thing is spoilt as somebody with a password could, and is named. Not here: each fault by itself
(tests/unit/test_reconciliation.py).
"""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from bson.decimal128 import Decimal128

from crypto_platform.cli.audit import format_report
from crypto_platform.delivery.audit_report import AuditReport
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.simulation.company.keys import OPERATOR
from crypto_platform.sources.company import Company
from crypto_platform.stores import STORES
from tests.company_harness import KEYS, Client, start_company
from tests.platform_harness import Platform
from tests.servers.test_audit_planted import mongo_of, spoil_mongo, spoil_postgres
from tests.waiting import eventually

EVENTS = FEED_BY_NAME["account_events"]
EVENTS_MIN = 3000


@pytest.fixture
def company(platform: Platform, tmp_path: Path) -> Iterator[Client]:
    """Has traded, and is now still; the platform knows its address and key."""
    options = ("--users", "40", "--rate", "0")
    with start_company(tmp_path / "company", *options) as (_, client):
        platform.reload(
            CRYPTO_PLATFORM_SOURCES__COMPANY__BASE_URL=f"http://127.0.0.1:{client.port}",
            CRYPTO_PLATFORM_SOURCES__COMPANY__KEY=KEYS.make_key(OPERATOR),
        )
        trade(client, until=EVENTS_MIN)
        yield client


def trade(client: Client, *, until: int) -> None:
    """Let users trade until there are so many events."""
    drive = {"rate": 2000, "seconds": 60}
    assert client.ask("/v1/drive", method="POST", body=drive).status == 200
    eventually(lambda: last_sequence(client) >= until, within_s=60)
    assert client.ask("/v1/drive", method="DELETE").status == 200
    eventually(lambda: not client.ask("/v1/drive").document["is_on"], within_s=10)


def last_sequence(client: Client) -> int:
    return client.ask("/healthz").document["last_sequence"]


def take_in(platform: Platform, client: Client, *stores: str) -> None:
    """Poll all that the company has said, and load it."""
    source = Company(name="company", settings=platform.settings.sources["company"])
    [report] = platform.ingest({"company": source})
    assert (list(report.errors), report.failures) == ([], 0)
    for store in stores or STORES:
        platform.load(store)


def find(report: AuditReport) -> dict[tuple[str, str], list[str]]:
    """Kind and store of what does not agree, with the details of the first."""
    assert report.reconciliation is not None
    return {
        (each.kind.value, each.store): [
            " ".join(filter(None, (example.user_id, example.currency, example.detail)))
            for example in each.examples
        ]
        for each in report.reconciliation.findings
    }


def test_a_trading_companys_accounts_are_reconciled_and_what_is_spoilt_is_named(
    platform: Platform, company: Client
) -> None:
    """Wallets, postings, orders and matches in both stores, and the company's own word."""
    take_in(platform, company)
    report = platform.audit()
    assert report.whole, "\n".join(format_report(report))
    found = report.reconciliation
    assert found is not None
    assert found.through_event == last_sequence(company)
    assert found.company.compared
    for each in found.stores.values():
        assert each.users == found.company.users == 40
        assert min(each.wallets, each.orders, each.matches) > 100

    trade(company, until=last_sequence(company) + 500)
    take_in(platform, company, "postgres")
    report = platform.audit()
    ahead = report.reconciliation
    assert ahead is not None
    assert report.whole, "\n".join(format_report(report))
    assert ahead.through_event < ahead.stores["postgres"].newest_event
    assert ahead.notes
    platform.load("mongo")

    with mongo_of(platform) as database:
        wallet = database["wallets"].find_one({"currency": "USD"})
        assert wallet is not None
        match = database["account_events"].find_one({"liquidity": "taker"})
        assert match is not None
    more = Decimal128(wallet["available"].to_decimal() + Decimal(1))
    spoil_mongo(platform, "wallets", {"_id": wallet["_id"]}, {"$set": {"available": more}})
    spoil_postgres(
        platform,
        "UPDATE accounts.event SET posting_amounts[1] = posting_amounts[1] - 3, "
        "posting_amounts[2] = posting_amounts[2] + 3 WHERE event_id = "
        "(SELECT event_id FROM accounts.event WHERE kind = 'deposit' ORDER BY sequence LIMIT 1)",
    )
    spoil_mongo(platform, "account_events", {"_id": match["_id"]}, {"$set": {"trade_id": "0"}})
    spoil_postgres(
        platform,
        'UPDATE accounts."order" SET filled_quantity = filled_quantity + 1 WHERE order_id = '
        '(SELECT min(order_id) FROM accounts."order")',
    )
    report = platform.audit(deep=False)
    assert not report.whole
    named = find(report)
    assert set(named) == {
        ("wallet_differs", "mongo"),
        ("wallet_differs", "postgres"),
        ("states_differ", "postgres and mongo"),
        ("company_differs", "postgres"),
        ("half_missing", "mongo"),
    }
    [spoilt] = named["wallet_differs", "mongo"]
    assert spoilt.startswith(f"{wallet['user_id']} USD {more} available")
    assert any(
        "filled_quantity" in detail for detail in named["states_differ", "postgres and mongo"]
    )
    text = "\n".join(format_report(report))
    assert f"users {wallet['user_id']}" in text
    assert "accounts: NOT reconciled" in text


def test_an_event_deleted_in_one_store_lowers_the_cut_and_is_named(
    platform: Platform, company: Client
) -> None:
    """And a company that is away is not compared, which is said."""
    take_in(platform, company)
    with mongo_of(platform) as database:
        assert database["account_events"].delete_one({"sequence": 1500}).deleted_count == 1
    report = platform.audit(deep=False)
    named = find(report)
    assert named["event_missing", "mongo"] == ["event 1,500"]
    assert report.reconciliation is not None
    assert report.reconciliation.through_event == 1499
    assert report.reconciliation.company.compared
    assert {finding.kind.value for finding in report.findings} == {"missing"}


def test_a_company_that_is_away_is_not_compared(platform: Platform, tmp_path: Path) -> None:
    """The stores are, and the report says what is not proved."""
    with start_company(tmp_path / "company", "--users", "5", "--rate", "0") as (_, client):
        platform.reload(
            CRYPTO_PLATFORM_SOURCES__COMPANY__BASE_URL=f"http://127.0.0.1:{client.port}",
            CRYPTO_PLATFORM_SOURCES__COMPANY__KEY=KEYS.make_key(OPERATOR),
        )
        client.deposit("u000001", "USD", "5")
        take_in(platform, client)
    report = platform.audit()
    assert report.whole
    assert report.reconciliation is not None
    assert not report.reconciliation.company.compared
    assert "gave no answer" in report.reconciliation.company.detail
    assert "NOT compared with the company" in format_report(report)[-2]
