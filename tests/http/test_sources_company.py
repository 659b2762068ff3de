"""The company's events over HTTP: page after page, each once, of one and the same history."""

import json
from collections.abc import Iterator, Sequence

import pytest

from crypto_platform.errors import SourceCursorLostError, SourceMalformedError, SourceRefusedError
from crypto_platform.feeds.accounts import AccountEvent
from crypto_platform.sources.base import Poll
from crypto_platform.sources.company import PAGES_MAX, Company
from tests.scripted_source import Reply, ScriptedSource, run_scripted_source

RECEIVED = 4_000_000_000_000_000


@pytest.fixture
def server() -> Iterator[ScriptedSource]:
    with run_scripted_source() as running:
        yield running


@pytest.fixture
def company(server: ScriptedSource) -> Company:
    settings = server.build_settings(
        dialect="company", key="operator-key", base_url=server.url, requests_per_minute_max=6000
    )
    return Company(name="company", settings=settings)


def deposit(sequence: int, *, user: str = "u1", amount: str = "1") -> dict[str, object]:
    """An event as the company prints it."""
    return {
        "sequence": sequence,
        "event_id": f"ev-{sequence}",
        "user_id": user,
        "user_sequence": sequence,
        "type": "deposit",
        "time": "2026-01-01T12:00:00.000001Z",
        "order": None,
        "fill": None,
        "postings": [
            {"account": "outside", "currency": "USD", "amount": f"-{amount}"},
            {"account": "available", "currency": "USD", "amount": amount},
        ],
        "wallets": [{"currency": "USD", "available": str(sequence), "locked": "0"}],
    }


def page(sequences: Sequence[int], *, last: int) -> Reply:
    events = [deposit(sequence) for sequence in sequences]
    return Reply(body=json.dumps({"events": events, "last_sequence": last}).encode())


def poll(company: Company, before: Poll | None = None) -> Poll:
    positions = {} if before is None else before.positions
    return company.poll("account_events", positions=positions, ts_ingest=RECEIVED)


def sequences(poll: Poll) -> list[int]:
    return [event.sequence for event in poll.records if isinstance(event, AccountEvent)]


def test_a_poll_reads_page_after_page_until_it_meets_the_newest(
    server: ScriptedSource, company: Company
) -> None:
    """A backlog read one page a second would never be caught up with."""
    server.script(page([1, 2], last=3), page([3], last=3))
    assert sequences(poll(company)) == [1, 2, 3]
    assert [asked.query["after"] for asked in server.asked] == ["0", "2"]
    assert {asked.headers["x-api-key"] for asked in server.asked} == {"operator-key"}


def test_the_next_poll_goes_on_behind_the_last_event(
    server: ScriptedSource, company: Company
) -> None:
    """It asks for that one again, to see whose history it is reading."""
    server.script(page([1, 2], last=2), page([2, 3], last=3))
    first = poll(company)
    second = poll(company, first)
    assert sequences(second) == [3]
    assert [asked.query["after"] for asked in server.asked] == ["0", "1"]


def test_a_poll_without_news_moves_nothing(server: ScriptedSource, company: Company) -> None:
    """A cursor written every second for nothing would be most of the topic."""
    server.script(page([1], last=1))
    again = poll(company, poll(company))
    assert (again.records, again.positions) == ([], {})


def test_a_poll_has_an_end_however_much_there_is(server: ScriptedSource, company: Company) -> None:
    """One poll is one transaction, and others wait behind it."""
    server.script(*[page([n + 1], last=10**6) for n in range(PAGES_MAX + 5)])
    assert sequences(poll(company)) == list(range(1, PAGES_MAX + 1))


@pytest.mark.parametrize("odd", [[1, 3], [2], [1, 1], [2, 1]], ids=str)
def test_a_page_with_a_gap_is_refused_whole(
    server: ScriptedSource, company: Company, odd: list[int]
) -> None:
    """An event left out would be missing in both stores for good, and nobody would ask again."""
    server.script(page(odd, last=9))
    with pytest.raises(SourceMalformedError, match="nothing of it is used"):
        poll(company)


def test_a_page_that_ends_before_the_newest_is_refused(
    server: ScriptedSource, company: Company
) -> None:
    """Else a company that gives nothing would look like one without news."""
    server.script(page([], last=9))
    with pytest.raises(SourceMalformedError, match="nothing of it is used"):
        poll(company)


def test_a_company_that_has_fewer_events_than_were_read_is_another(
    server: ScriptedSource, company: Company
) -> None:
    """It was put back to an older state: its next events would stand under known numbers."""
    server.script(page([1, 2, 3], last=3), Reply(status=409, body=b'{"error": "", "last": 1}'))
    first = poll(company)
    with pytest.raises(SourceCursorLostError, match="read up to 3") as lost:
        poll(company, first)
    assert lost.value.position == "3"
    server.script(page([], last=2))
    with pytest.raises(SourceCursorLostError):
        poll(company, first)


def test_a_company_that_says_something_else_of_a_known_event_is_another(
    server: ScriptedSource, company: Company
) -> None:
    """It began anew and has as many events by now: nothing else would tell."""
    other = {"events": [deposit(2, amount="2"), deposit(3)], "last_sequence": 3}
    server.script(page([1, 2], last=2), Reply(body=json.dumps(other).encode()))
    first = poll(company)
    with pytest.raises(SourceCursorLostError, match="something else"):
        poll(company, first)


def test_the_same_event_printed_in_another_way_is_the_same(
    server: ScriptedSource, company: Company
) -> None:
    """A company's new version may turn its keys round or say more; that is no other history."""
    turned = dict(reversed(deposit(1).items())) | {"branch": "Basel"}
    body = json.dumps({"last_sequence": 1, "events": [turned]}, indent=1).encode()
    server.script(page([1], last=1), Reply(body=body))
    assert poll(company, poll(company)).records == []


def test_a_conflict_before_anything_was_read_is_no_lost_history(
    server: ScriptedSource, company: Company
) -> None:
    """There is nothing to have lost."""
    server.script(Reply(status=409))
    with pytest.raises(SourceRefusedError):
        poll(company)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"postings": []}, None),
        ({"postings": [{"account": "available", "currency": "USD", "amount": "1"}]}, "adds up"),
        ({"wallets": []}, "was touched"),
        ({"wallets": [{"currency": "USD", "available": "-1", "locked": "0"}]}, "below zero"),
        ({"wallets": [{"currency": "USD", "available": "1", "locked": "0"}] * 2}, "twice"),
        ({"type": "order_filled"}, "order_id: missing"),
        ({"type": "fee_holiday"}, "type"),
        ({"time": "noon"}, "time"),
    ],
    ids=str,
)
def test_an_event_that_does_not_add_up_is_rejected_alone(
    server: ScriptedSource, company: Company, change: dict[str, object], reason: str | None
) -> None:
    """Its number is known, so the others go on; the piece is kept with what is wrong."""
    events = [deposit(1), deposit(2) | change, deposit(3)]
    server.script(Reply(body=json.dumps({"events": events, "last_sequence": 3}).encode()))
    found = poll(company)
    if reason is None:
        assert sequences(found) == [1, 2, 3]
        return
    assert sequences(found) == [1, 3]
    assert [reason in piece.error for piece in found.rejected] == [True]


def test_a_last_event_garbled_on_its_way_is_asked_for_again(
    server: ScriptedSource, company: Company
) -> None:
    """Kept as the last one known, it would make the true one look like another history's."""
    garbled = {"events": [deposit(1), deposit(2) | {"time": "noon"}], "last_sequence": 2}
    server.script(Reply(body=json.dumps(garbled).encode()), page([1, 2, 3], last=3))
    first = poll(company)
    assert (sequences(first), len(first.rejected)) == ([1], 1)
    assert sequences(poll(company, first)) == [2, 3]


def test_a_cursor_of_an_older_release_goes_on(server: ScriptedSource, company: Company) -> None:
    """It holds a digest of another kind, which says nothing of this history or of another."""
    server.script(page([2, 3], last=3))
    older = {"events": '{"sequence":2,"digest":"00aa"}'}
    found = company.poll("account_events", positions=older, ts_ingest=RECEIVED)
    assert sequences(found) == [3]


def test_an_event_of_its_own_is_known_to_be_so(server: ScriptedSource, company: Company) -> None:
    """A renamed source has no cursor, and its company is still the one whose events are kept."""
    server.script(page([1, 2, 3], last=3), page([2, 3], last=3))
    record = poll(company).records[1]
    company.check_own(record)
    assert server.asked[-1].query["after"] == "1"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=json.dumps({"events": [deposit(2, amount="2")], "last_sequence": 2}).encode()),
        Reply(body=json.dumps({"events": [{"sequence": 2}], "last_sequence": 2}).encode()),
        Reply(status=409, body=b'{"error": "", "last": 1}'),
        page([], last=1),
    ],
    ids=["other amount", "no event", "fewer events", "none"],
)
def test_an_event_of_another_company_is_known_to_be_so(
    server: ScriptedSource, company: Company, reply: Reply
) -> None:
    """Its users have the same numbers: their wallets would overwrite each other."""
    server.script(page([1, 2], last=2), reply)
    record = poll(company).records[1]
    with pytest.raises(SourceCursorLostError, match="another history"):
        company.check_own(record)
