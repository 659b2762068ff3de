"""The company's events all the way: polled, in Kafka, in both stores with their states, audited."""

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Context, Decimal

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from crypto_platform.domain.hours import from_time_us
from crypto_platform.errors import IncidentKind
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.accounts import AccountEvent
from crypto_platform.feeds.incidents import Incident
from crypto_platform.kafka.connection import client_config
from crypto_platform.sources.company import Company
from crypto_platform.stores import STORES
from tests.account_steps import SmallCompany, build_busy_company
from tests.contract.test_account_reading import check
from tests.platform_harness import Platform
from tests.scripted_source import Reply, ScriptedSource, run_scripted_source
from tests.servers.test_cli_servers import DIGITS, quote, run

EVENTS = FEED_BY_NAME["account_events"]


@pytest.fixture
def server() -> Iterator[ScriptedSource]:
    with run_scripted_source() as running:
        yield running


def company_of(server: ScriptedSource, name: str = "company") -> Company:
    settings = server.build_settings(
        dialect="company", key="operator-key", base_url=server.url, requests_per_minute_max=6000
    )
    return Company(name=name, settings=settings)


def add_branch(platform: Platform, server: ScriptedSource) -> None:
    """A second name for a company among the settings' sources."""
    prefix = "CRYPTO_PLATFORM_SOURCES__BRANCH__"
    platform.reload(**{f"{prefix}DIALECT": "company", f"{prefix}BASE_URL": server.url})


def answer(events: Sequence[AccountEvent], *, last: int) -> Reply:
    printed = [print_event(event) for event in events]
    return Reply(body=json.dumps({"events": printed, "last_sequence": last}).encode())


def print_event(event: AccountEvent) -> Mapping[str, object]:
    """As the company says it."""
    order = fill = None
    if event.order_id is not None:
        order = {
            "order_id": event.order_id,
            "client_order_id": event.client_order_id,
            "product_id": event.venue_symbol,
            "side": event.side,
            "type": event.order_type,
            "time_in_force": event.time_in_force,
            "post_only": event.post_only,
            "price": event.limit_price,
            "quantity": event.order_quantity,
            "funds": event.order_funds,
            "filled_quantity": event.filled_quantity,
            "filled_notional": event.filled_notional,
            "fees": event.order_fees,
            "fee_currency": event.order_fee_currency,
            "status": event.order_status,
            "reason": event.order_reason,
            "created": print_time(event.ts_created or 0),
        }
    if event.trade_id is not None:
        fill = {
            "trade_id": int(event.trade_id),
            "price": event.fill_price,
            "quantity": event.fill_quantity,
            "liquidity": event.liquidity,
            "fee": event.fill_fee,
            "fee_currency": event.fill_fee_currency,
        }
    legs = zip(event.posting_accounts, event.posting_currencies, event.posting_amounts, strict=True)
    wallets = zip(event.wallet_currencies, event.wallet_available, event.wallet_locked, strict=True)
    return {
        "sequence": event.sequence,
        "event_id": event.event_id,
        "user_id": event.user_id,
        "user_sequence": event.user_sequence,
        "type": event.kind,
        "time": print_time(event.ts_event),
        "order": order,
        "fill": fill,
        "postings": [{"account": a, "currency": c, "amount": n} for a, c, n in legs],
        "wallets": [{"currency": c, "available": a, "locked": n} for c, a, n in wallets],
    }


def print_time(time_us: int) -> str:
    return from_time_us(time_us).isoformat(timespec="microseconds").replace("+00:00", "Z")


def test_events_arrive_once_with_their_states_and_every_audit_is_good(
    platform: Platform, server: ScriptedSource
) -> None:
    """From the company's words to both stores' documents, digit by digit."""
    truth = build_busy_company()
    first, second = truth.events[:9], truth.events[8:]
    server.script(answer(first, last=9), answer(second, last=len(truth.events)))
    source = company_of(server)
    for _ in range(2):
        [report] = platform.ingest({"company": source})
        assert list(report.errors) == []
        platform.load_both()
    for name in STORES:
        store = platform.store(name)
        check(store, truth)
        found = store.read_facts(EVENTS, [event.event_id for event in truth.events])
        assert {each.event_id: each.content_hash for each in found} == {
            event.event_id: event.content_hash for event in truth.events
        }
    assert platform.audit().whole


def test_kafka_keeps_account_events_for_good(platform: Platform) -> None:
    """Both stores can be built anew from it, however old the company is."""
    resource = ConfigResource(ResourceType.TOPIC, platform.topic(EVENTS))
    admin = AdminClient(client_config(platform.settings))
    [asked] = admin.describe_configs([resource]).values()
    found = asked.result(timeout=10)
    assert [found[name].value for name in ("retention.ms", "retention.bytes")] == ["-1", "-1"]


def test_another_history_stops_the_feed_and_is_told_once(
    platform: Platform, server: ScriptedSource
) -> None:
    """A company put back to yesterday would give other events under known numbers."""
    truth, other = build_busy_company(), SmallCompany()
    other.deposit("eve", "USD", "5")
    other.deposit("eve", "USD", "6")
    server.script(answer(truth.events[:2], last=2), answer([other.events[1]], last=2))
    source = company_of(server)
    reports = [platform.ingest({"company": source})[0] for _ in range(3)]
    assert [report.failures for report in reports] == [0, 1, 1]
    platform.load_both()
    for name in STORES:
        store = platform.store(name)
        assert sorted(store.read_sequences()) == [1, 2]
        [incident] = store.read_incidents()
        assert isinstance(incident, Incident)
        assert (incident.kind, incident.source) == (IncidentKind.CURSOR_LOST, "company")
    assert platform.audit().whole


def test_another_company_under_another_name_is_refused(
    platform: Platform, server: ScriptedSource
) -> None:
    """It has no cursor, so it would be read from its first event, into the other one's wallets."""
    truth, other = build_busy_company(), SmallCompany()
    for amount in ("5", "6", "7"):
        other.deposit("bob", "USD", amount)
    server.script(answer(truth.events[:1], last=1), answer(other.events, last=3))
    platform.ingest({"company": company_of(server)})
    add_branch(platform, server)
    reports = [platform.ingest({"branch": company_of(server, "branch")})[0] for _ in range(2)]
    assert [(report.records, report.failures) for report in reports] == [(0, 1), (0, 1)]
    platform.load_both()
    for name in STORES:
        store = platform.store(name)
        assert sorted(store.read_sequences()) == [1]
        [incident] = store.read_incidents()
        assert isinstance(incident, Incident)
        assert (incident.kind, incident.source) == (IncidentKind.CURSOR_LOST, "branch")
    assert platform.audit().whole


def test_a_company_that_was_renamed_is_read_on(platform: Platform, server: ScriptedSource) -> None:
    """From its first event, for its cursor bears the old name; nothing of it is stored twice."""
    truth = build_busy_company()
    server.script(answer(truth.events[:1], last=1), answer(truth.events[:3], last=3))
    platform.ingest({"company": company_of(server)})
    add_branch(platform, server)
    [report] = platform.ingest({"branch": company_of(server, "branch")})
    assert (report.failures, list(report.errors)) == (0, [])
    platform.load_both()
    for name in STORES:
        assert sorted(platform.store(name).read_sequences()) == [1, 2, 3]
    assert platform.audit().whole


def test_either_store_answers_what_a_user_asks(platform: Platform) -> None:
    """MongoDB is asked first; where it is down PostgreSQL says the same, and people are told."""
    truth = build_busy_company()
    platform.publish(EVENTS, truth.events)
    platform.publish(FEED_BY_NAME["quotes"], [quote()])
    platform.load_both()
    asked = (
        ("orders", "--user", "ann", "--json"),
        ("orders", "--user", "ann", "--order", "o-1", "--json"),
        ("wallet", "--user", "ann", "--json"),
        ("transactions", "--user", "ann", "--currency", "BTC", "--last", "2", "--json"),
        ("portfolio", "--user", "ann", "--json"),
    )
    first = [run(platform, *words) for words in asked]
    tables = [run(platform, *words[:-1]) for words in asked]
    platform.reload(CRYPTO_PLATFORM_MONGO__ANALYST_URL="mongodb://127.0.0.1:1/?directConnection=1")
    second = [run(platform, *words) for words in asked]
    for words, one, other, table in zip(asked, first, second, tables, strict=True):
        assert (one.returncode, other.returncode, table.returncode) == (0, 0, 0), (
            words,
            one.stderr,
            other.stderr,
            table.stderr,
        )
        documents = [json.loads(ended.stdout) for ended in (one, other)]
        assert [document.pop("store") for document in documents] == ["mongo", "postgres"]
        assert [document.pop("source")["is_home"] for document in documents] == [True, False]
        prices = [document.pop("prices_from", {"store": "postgres"}) for document in documents]
        assert [each["store"] for each in prices] == ["postgres"] * 2  # their own home
        assert documents[0] == documents[1], words
        assert "read from postgres instead" in other.stderr
    orders, order, wallets, transactions, portfolio = (json.loads(e.stdout) for e in first)
    assert [each["order_id"] for each in orders["orders"]] == ["o-5", "o: 4%"]
    assert [fill["fill_quantity"] for fill in order["fills"]] == ["0.5", "1.5"]
    assert order["order"]["order_status"] == "filled"
    assert [each["currency"] for each in wallets["wallets"]] == ["BTC", "USD"]
    changes = [each["available_change"] for each in transactions["transactions"]]
    assert changes == ["1.5", "1"]
    btc, usd = portfolio["holdings"]
    assert btc["value"] == str(Context(prec=60).multiply(Decimal(DIGITS), Decimal("3.0")))
    assert usd["price"] == "1"
    nobody = run(platform, "wallet", "--user", "nobody")
    assert (nobody.returncode, nobody.stdout) == (1, "")
