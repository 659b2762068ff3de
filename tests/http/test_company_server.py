"""The simulated company over a real socket: its contract field by field, keys, refusals."""

import http.client
import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from crypto_platform.simulation.company.journal import Journal
from tests.company_harness import Client, run_company
from tests.waiting import eventually

ANN, BOB = "u000001", "u000002"
EVENT_FIELDS = [
    *("sequence", "event_id", "user_id", "user_sequence", "type", "time", "order", "fill"),
    *("postings", "wallets"),
]
ORDER_FIELDS = [
    *("order_id", "client_order_id", "product_id", "side", "type", "time_in_force", "post_only"),
    *("price", "quantity", "funds", "filled_quantity", "filled_notional", "fees", "fee_currency"),
    *("status", "reason", "created"),
]


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Client]:
    """Ann has 100,000 dollars, Bob two bitcoin; nobody else is there."""
    with run_company(tmp_path) as client:
        client.deposit(ANN, "USD", "100000")
        client.deposit(BOB, "BTC", "2")
        yield client


def test_a_match_is_told_as_two_events_with_all_their_fields(company: Client) -> None:
    """The contract: decimals as text, full state, postings that balance, maker first."""
    company.now_us += 1_234_567
    company.place(BOB, "sell", "0.1", "50000")
    company.place(ANN, "buy", "0.1", "50000.00", client_order_id="mine")
    *_, maker, taker = company.read_events()
    assert list(taker) == EVENT_FIELDS
    assert list(taker["order"]) == ORDER_FIELDS
    assert (maker["order"]["status"], maker["fill"]["liquidity"]) == ("filled", "maker")
    assert taker["sequence"] == maker["sequence"] + 1 == 6
    assert taker == {
        "sequence": 6,
        "event_id": "ev-00000000000000000006",
        "user_id": ANN,
        "user_sequence": 3,
        "type": "order_filled",
        "time": "2026-11-23T12:00:01.234567Z",
        "order": {
            "order_id": "or-00000000000000000004",
            "client_order_id": "mine",
            "product_id": "BTC-USD",
            "side": "buy",
            "type": "limit",
            "time_in_force": "gtc",
            "post_only": False,
            "price": "50000.00",
            "quantity": "0.100000",
            "funds": None,
            "filled_quantity": "0.100000",
            "filled_notional": "5000.00000000",
            "fees": "5.00000000",
            "fee_currency": "USD",
            "status": "filled",
            "reason": None,
            "created": "2026-11-23T12:00:01.234567Z",
        },
        "fill": {
            "trade_id": 1,
            "price": "50000.00",
            "quantity": "0.100000",
            "liquidity": "taker",
            "fee": "5.00000000",
            "fee_currency": "USD",
        },
        "postings": [
            {"account": "locked", "currency": "USD", "amount": "-5005.00000000"},
            {"account": "clearing", "currency": "USD", "amount": "5000.00000000"},
            {"account": "clearing", "currency": "BTC", "amount": "-0.100000"},
            {"account": "available", "currency": "BTC", "amount": "0.100000"},
            {"account": "fees", "currency": "USD", "amount": "5.00000000"},
        ],
        "wallets": [
            {"currency": "USD", "available": "94995.00000000", "locked": "0.00000000"},
            {"currency": "BTC", "available": "0.100000", "locked": "0.000000"},
        ],
    }


def test_a_deposit_comes_from_outside(company: Client) -> None:
    """And has no order."""
    first = company.read_events()[0]
    assert (first["type"], first["order"], first["fill"]) == ("deposit", None, None)
    assert first["postings"] == [
        {"account": "outside", "currency": "USD", "amount": "-100000.00000000"},
        {"account": "available", "currency": "USD", "amount": "100000.00000000"},
    ]


def test_events_are_paged_by_sequence_without_a_gap(company: Client) -> None:
    """A reader that asks with the last sequence it has read misses nothing."""
    for number in range(20):
        company.place(ANN, "buy", "0.001", f"{1000 + number}")
    assert [event["sequence"] for event in company.read_events()] == list(range(1, 23))
    page = company.ask("/v1/account-events?after=5&limit=3").document
    assert [event["sequence"] for event in page["events"]] == [6, 7, 8]
    assert page["last_sequence"] == 22
    assert company.ask("/v1/account-events?after=22").document == {
        "events": [],
        "last_sequence": 22,
    }


def test_a_reader_that_is_ahead_is_told_so(company: Client) -> None:
    """Its history is another company's: waiting for this one to catch up would mix the two."""
    answer = company.ask("/v1/account-events?after=3")
    assert answer.status == 409
    assert answer.document["last_sequence"] == 2
    assert "another company" in answer.document["error"]


@pytest.mark.parametrize("query", ["limit=0", "limit=5001", "limit=x", "after=-1", "after=1.5"])
def test_a_page_out_of_bounds_is_refused(company: Client, query: str) -> None:
    """Clamping in silence would hide a client's mistake."""
    answer = company.ask(f"/v1/account-events?{query}")
    assert (answer.status, list(answer.document)) == (400, ["error"])


def test_an_account_is_told_as_of_now_and_as_of_any_sequence(company: Client) -> None:
    """The truth to check a platform against."""
    placed = company.place(ANN, "buy", "0.1", "50000")
    company.place(BOB, "sell", "0.1", "50000")
    now = company.ask(f"/v1/accounts/{ANN}").document
    assert now == {
        "user_id": ANN,
        "user_sequence": 3,
        "sequence": 6,
        "wallets": [
            {"currency": "BTC", "available": "0.100000", "locked": "0.000000"},
            # a maker's fee of 2 dollars; the taker's 5 had been locked
            {"currency": "USD", "available": "94998.00000000", "locked": "0.00000000"},
        ],
        "orders": [],
    }
    before = company.ask(f"/v1/accounts/{ANN}?at_sequence=3").document
    assert before == {
        "user_id": ANN,
        "user_sequence": 2,
        "sequence": 3,
        "wallets": [{"currency": "USD", "available": "94995.00000000", "locked": "5005.00000000"}],
        "orders": [placed["order"]],
    }
    assert company.ask(f"/v1/accounts/{ANN}?at_sequence=7").status == 400


def test_users_are_listed_page_by_page(company: Client) -> None:
    """Those who ever did anything."""
    company.deposit("u000900", "USD", "1")
    assert company.ask("/v1/accounts").document == {"users": [ANN, BOB, "u000900"]}
    assert company.ask(f"/v1/accounts?after={ANN}&limit=1").document == {"users": [BOB]}
    assert company.ask("/v1/accounts?after=u000900").document == {"users": []}
    assert company.ask("/v1/accounts/u000901").status == 404


def test_many_users_wallets_are_read_page_by_page_at_a_sequence(company: Client) -> None:
    """What one question a user would say, in one: also where a user has moved on since."""
    company.place(BOB, "sell", "0.1", "50000")
    company.place(ANN, "buy", "0.1", "50000")
    company.deposit("u000900", "USD", "1")
    company.deposit("u000007", "USD", "1")
    for sequence, users in ((1, [ANN]), (4, [ANN, BOB]), (8, [ANN, BOB, "u000007", "u000900"])):
        page = company.ask(f"/v1/wallets?at_sequence={sequence}").document
        assert (page["sequence"], page["next_after"]) == (sequence, None)
        assert [each["user_id"] for each in page["users"]] == users
        for each in page["users"]:
            path = f"/v1/accounts/{each['user_id']}?at_sequence={sequence}"
            alone = company.ask(path).document
            assert each == {name: alone[name] for name in ("user_id", "user_sequence", "wallets")}
    # u000007 came later than 7, so its page has nobody, and is not the last
    pages = [company.ask("/v1/wallets?at_sequence=7&limit=1").document]
    while (after := pages[-1]["next_after"]) is not None:
        pages.append(company.ask(f"/v1/wallets?at_sequence=7&limit=1&after={after}").document)
    names = [[each["user_id"] for each in page["users"]] for page in pages]
    assert names == [[ANN], [BOB], [], ["u000900"], []]
    assert company.ask("/v1/wallets?at_sequence=9").status == 400
    assert company.ask("/v1/wallets", holder=ANN).status == 403


def test_totals_are_the_sums_of_all_postings_up_to_a_sequence(company: Client) -> None:
    """Per currency they are zero; per account they say where everything is."""
    company.place(BOB, "sell", "0.1", "50000")
    company.place(ANN, "buy", "0.1", "50000")
    now = company.ask("/v1/totals").document
    assert (now["sequence"], now["events"]) == (6, 6)
    amounts = {
        (each["account"], each["currency"]): Decimal(each["amount"]) for each in now["by_account"]
    }
    assert amounts["outside", "USD"] == -100_000
    assert amounts["fees", "USD"] == 7
    assert amounts["clearing", "USD"] == amounts["clearing", "BTC"] == 0
    assert amounts["available", "USD"] == 99_993
    first = company.ask("/v1/totals?at_sequence=1").document
    assert first["by_account"] == [
        {"account": "available", "currency": "USD", "amount": "100000.00000000"},
        {"account": "outside", "currency": "USD", "amount": "-100000.00000000"},
    ]


def test_a_refused_order_is_an_event_and_no_error(company: Client) -> None:
    """Status 200: it happened, and everybody may read so."""
    answer = company.place(BOB, "buy", "0.1", "50000")
    assert (answer["order"]["status"], answer["sequence"]) == ("rejected", 3)
    last = company.read_events()[-1]
    assert (last["type"], last["order"]["reason"]) == ("order_rejected", "insufficient_funds")
    assert (last["postings"], last["wallets"]) == ([], [])


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b"[" * 5000,
        {"product_id": "BTC-USD"},
        {"product_id": "BTC-USD", "side": "buy", "type": "limit", "price": 1, "quantity": "1"},
    ],
)
def test_what_is_no_order_is_refused_and_nothing_happens(company: Client, body: object) -> None:
    """400 says what works."""
    answer = company.ask("/v1/orders", method="POST", holder=ANN, body=body)
    assert (answer.status, list(answer.document)) == (400, ["error"])
    assert company.ask("/healthz").document["last_sequence"] == 2


def test_a_body_of_more_than_10_kb_is_refused(company: Client) -> None:
    """Nobody fills the memory from outside."""
    answer = company.ask("/v1/orders", method="POST", holder=ANN, body=b" " * 10_001)
    assert answer.status == 413


def test_a_repeated_order_with_its_own_name_is_the_same_order(company: Client) -> None:
    """An answer that was lost must not become a second order, also after it was filled."""
    first = company.place(ANN, "buy", "0.1", "50000", client_order_id="a")
    assert company.place(ANN, "buy", "0.1", "50000", client_order_id="a") == first
    company.place(BOB, "sell", "0.1", "50000")
    again = company.place(ANN, "buy", "0.1", "50000", client_order_id="a")
    assert again["order"]["order_id"] == first["order"]["order_id"]
    assert again["order"]["status"] == "filled"
    assert company.place(BOB, "sell", "0.1", "50000", client_order_id="a")["sequence"] == 7
    other = company.order(
        ANN, side="buy", quantity="0.2", price="50000", type="limit", client_order_id="a"
    )
    assert (other.status, list(other.document)) == (409, ["error"])
    assert company.ask("/healthz").document["last_sequence"] == 7


def test_many_at_once_with_one_name_make_one_order(company: Client) -> None:
    """Also where they come within one turn."""
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(
                lambda _: company.place(ANN, "buy", "0.1", "50000", client_order_id="a"), range(64)
            )
        )
    assert {answer["order"]["order_id"] for answer in answers} == {"or-00000000000000000003"}
    assert company.ask("/healthz").document["last_sequence"] == 3


def test_an_order_is_cancelled_once_and_stays_so(company: Client) -> None:
    """Asking again answers the same; an order that ended otherwise cannot be cancelled."""
    order = company.place(ANN, "buy", "0.1", "50000")["order"]
    path = f"/v1/orders/{order['order_id']}"
    assert company.ask(path, method="DELETE", holder=BOB).status == 404
    first = company.ask(path, method="DELETE", holder=ANN).document
    assert (first["order"]["status"], first["order"]["reason"]) == ("cancelled", "user_cancelled")
    assert company.ask(path, method="DELETE", holder=ANN).document == first
    filled = company.place(BOB, "sell", "0.1", "50000")["order"]
    company.place(ANN, "buy", "0.1", "50000")
    answer = company.ask(f"/v1/orders/{filled['order_id']}", method="DELETE", holder=BOB)
    assert (answer.status, "filled" in answer.document["error"]) == (409, True)
    for wrong in ("or-1", "17", f"or-{10**19}", "or-00000000000000000999"):
        assert company.ask(f"/v1/orders/{wrong}", method="DELETE", holder=ANN).status == 404


def test_a_withdrawal_beyond_what_is_available_is_refused(company: Client) -> None:
    """What is locked for an order stays."""
    company.place(ANN, "buy", "1", "50000")

    def withdraw(amount: str) -> int:
        body = {"currency": "USD", "amount": amount}
        return company.ask("/v1/withdrawals", method="POST", holder=ANN, body=body).status

    assert withdraw("49950.00000001") == 409
    assert withdraw("49950") == 200
    assert company.read_events()[-1]["type"] == "withdrawal"


@pytest.mark.parametrize(
    ("method", "path", "holder", "status"),
    [
        ("GET", "/v1/account-events", None, 401),
        ("GET", "/v1/account-events", ANN, 403),
        ("GET", "/v1/accounts", ANN, 403),
        ("GET", f"/v1/accounts/{ANN}", ANN, 200),
        ("GET", f"/v1/accounts/{ANN}", BOB, 403),
        ("GET", f"/v1/accounts/{ANN}", None, 401),
        ("GET", "/v1/totals", ANN, 403),
        ("GET", "/v1/keys/u000001", ANN, 403),
        ("GET", "/v1/drive", ANN, 403),
        ("POST", "/v1/drive", ANN, 403),
        ("DELETE", "/v1/drive", None, 401),
        ("POST", "/v1/orders", "operator", 403),
        ("POST", "/v1/orders", None, 401),
        ("POST", "/v1/deposits", None, 401),
        ("DELETE", "/v1/orders/or-00000000000000000003", None, 401),
        ("GET", "/healthz", None, 200),
        ("GET", "/products", None, 200),
        ("GET", "/nothing", "operator", 404),
        ("PUT", "/v1/orders", ANN, 405),
    ],
)
def test_each_key_opens_what_is_its_holders(
    company: Client, method: str, path: str, holder: str | None, status: int
) -> None:
    """A user sees one account; the operator sees all and trades for nobody."""
    answer = company.ask(path, method=method, holder=holder)
    assert answer.status == status
    assert status == 200 or list(answer.document) == ["error"]


def test_a_key_is_read_from_its_header_only_and_never_half(company: Client) -> None:
    """Any other place ends up in somebody's log."""
    key = company.ask(f"/v1/keys/{ANN}").document["key"]
    assert company.ask(f"/v1/accounts/{ANN}", headers={"X-Api-Key": key}).status == 200
    for headers in ({"X-Api-Key": key[:-1]}, {"X-Api-Key": "é"}, {"Authorization": key}):
        assert company.ask(f"/v1/accounts/{ANN}?key={key}", headers=headers).status == 401


def test_faults_spoil_what_is_asked_of_the_company(company: Client) -> None:
    """As they spoil the simulated market's answers; the next answer is whole."""
    page = "/v1/account-events"
    whole = company.ask(page).body
    company.fault(kind="429", retry_after_s=7, path="/v1")
    refused = company.ask(page)
    assert (refused.status, refused.headers["retry-after"]) == (429, "7")
    assert list(refused.document) == ["error"]
    company.fault(kind="truncated")
    with pytest.raises(http.client.IncompleteRead):
        company.ask(page)
    company.fault(kind="html")
    assert company.ask(page).body.startswith(b"<!DOCTYPE html>")
    company.fault(kind="wrong_key")
    assert company.ask(page).status == 403
    company.fault(kind="empty")
    assert company.ask(page).document == {"events": [], "last_sequence": 2}
    assert company.ask(page).body == whole


def test_nan_spoils_the_price_of_one_fill(company: Client) -> None:
    """One bad fact among good ones."""
    company.place(BOB, "sell", "0.1", "50000")
    company.place(ANN, "buy", "0.1", "50000")
    company.fault(kind="nan", currency_id="bitcoin", path="/v1/account-events")
    fills = [event["fill"] for event in company.read_events() if event["fill"]]
    assert [fill["price"] for fill in fills] == ["NaN", "50000.00"]


def test_a_drive_trades_at_its_rate_and_says_what_came_of_it(company: Client) -> None:
    """Orders by then lie between what was asked for and a little less."""
    body = {"rate": 500, "seconds": 1, "users": 20, "seed": 3}
    assert company.ask("/v1/drive", method="POST", body=body).status == 200
    assert company.ask("/v1/drive", method="POST", body=body).status == 409
    eventually(lambda: company.ask("/v1/drive").document["is_on"] is False, within_s=20)
    seen = company.ask("/v1/drive").document
    assert 0 < seen["orders"] <= 501
    assert seen["last_sequence"] == 2 + seen["events"]
    assert len(company.read_events()) == seen["last_sequence"]
    assert company.ask("/v1/drive", method="POST", body={"rate": 0, "seconds": 1}).status == 400


def test_a_drive_is_ended_before_its_time(company: Client) -> None:
    """Ctrl-C means now."""
    body = {"rate": 100, "seconds": 3600}
    company.ask("/v1/drive", method="POST", body=body)
    eventually(lambda: company.ask("/v1/drive").document["orders"] > 0, within_s=10)
    assert company.ask("/v1/drive", method="DELETE").document["is_on"] is False
    events = company.ask("/healthz").document["last_sequence"]
    assert company.ask("/healthz").document["last_sequence"] == events


def test_amounts_are_never_json_numbers(company: Client) -> None:
    """A number would lose digits on the way through most parsers."""
    company.place(BOB, "sell", "0.1", "50000")
    company.place(ANN, "buy", "0.1", "50000")
    for path in ("/v1/account-events", f"/v1/accounts/{ANN}", "/v1/totals"):
        body = company.ask(path).body
        json.loads(body, parse_float=lambda text: pytest.fail(f"a number: {text}"))


def test_what_was_never_kept_is_not_shown(company: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader would believe what is gone once the company is back."""

    def fail(journal: Journal, engine: object, *, step: int) -> None:
        del journal, engine, step
        message = "database or disk is full"
        raise sqlite3.OperationalError(message)

    monkeypatch.setattr(Journal, "write", fail)
    order = company.order(ANN, side="buy", quantity="0.1", price="50000", type="limit")
    assert (order.status, list(order.document)) == (503, ["error"])
    for path in (
        *("/v1/account-events", f"/v1/accounts/{ANN}", "/v1/accounts", "/v1/wallets"),
        *("/v1/totals", "/v1/drive", "/healthz"),
    ):
        reply = company.ask(path)
        assert (path, reply.status, list(reply.document)) == (path, 503, ["error"])
    for path in ("book?level=2", "trades", "candles"):
        reply = company.ask(f"/products/BTC-USD/{path}")
        assert (path, reply.status, list(reply.document)) == (path, 503, ["message"])
