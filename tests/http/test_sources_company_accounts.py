"""The company's own truth over HTTP: page after page, and nothing else taken for it."""

import json
from collections.abc import Iterator
from decimal import Decimal

import pytest

from crypto_platform.errors import SourceMalformedError, SourceRefusedError
from crypto_platform.sources.company_accounts import CompanyAccounts, OwnAccounts, OwnWallet
from tests.scripted_source import Reply, ScriptedSource, run_scripted_source


@pytest.fixture
def server() -> Iterator[ScriptedSource]:
    with run_scripted_source() as running:
        yield running


@pytest.fixture
def company(server: ScriptedSource) -> CompanyAccounts:
    settings = server.build_settings(
        dialect="company", key="operator-key", base_url=server.url, requests_per_minute_max=6000
    )
    return CompanyAccounts(name="company", settings=settings)


def page(*users: str, after: str | None = None, sequence: int = 7, amount: str = "1.50") -> Reply:
    wallets = [{"currency": "USD", "available": amount, "locked": "0"}]
    holdings = [{"user_id": user, "user_sequence": 2, "wallets": wallets} for user in users]
    document = {"sequence": sequence, "users": holdings, "next_after": after}
    return Reply(body=json.dumps(document).encode())


def test_all_users_come_page_by_page(server: ScriptedSource, company: CompanyAccounts) -> None:
    """Also behind a page that has nobody: they came later than the event."""
    server.script(page("u1", "u2", after="u2"), page(after="u4"), page("u5"))
    found = list(company.read_wallets(at_sequence=7))
    wallets = {"USD": OwnWallet(Decimal("1.50"), Decimal(0))}
    assert found == [OwnAccounts(user, 2, wallets) for user in ("u1", "u2", "u5")]
    assert [asked.query.get("after") for asked in server.asked] == [None, "u2", "u4"]
    assert {asked.query["at_sequence"] for asked in server.asked} == {"7"}


@pytest.mark.parametrize(
    "reply",
    [
        page("u1", sequence=8),
        page("u2", "u1"),
        page("u3", after="u1"),
        page("u1", amount="1,50"),
        Reply(body=b'{"users": []}'),
    ],
    ids=["another sequence", "a user again", "a page again", "no number", "no sequence"],
)
def test_what_is_no_answer_is_never_taken_for_the_truth(
    server: ScriptedSource, company: CompanyAccounts, reply: Reply
) -> None:
    """A mistake of the company's must not read as one of the stores."""
    server.script(reply)
    with pytest.raises(SourceMalformedError):
        list(company.read_wallets(at_sequence=7))


def test_pages_that_lead_nowhere_have_an_end(
    server: ScriptedSource, company: CompanyAccounts
) -> None:
    """The same question again would get the same answer again, for ever."""
    server.script(page("u1", after="u2"), page(after="u2"))
    with pytest.raises(SourceMalformedError, match="'u2'"):
        list(company.read_wallets(at_sequence=7))
    assert len(server.asked) == 2


def test_totals_are_as_of_the_event(server: ScriptedSource, company: CompanyAccounts) -> None:
    """By account and currency; another key is refused."""
    total = {"account": "fees", "currency": "USD", "amount": "-0.10"}
    body = json.dumps({"sequence": 7, "events": 7, "by_account": [total]}).encode()
    server.script(Reply(body=body), Reply(body=body), Reply(body=b"{}", status=403))
    assert company.read_totals(at_sequence=7) == {("fees", "USD"): Decimal("-0.10")}
    assert company.read_last_sequence() == 7
    with pytest.raises(SourceRefusedError, match="key is wrong"):
        company.read_last_sequence()
