"""Trades read on from their cursor over a real socket: none missed, none repeated."""

import json
import re
from collections.abc import Iterable, Iterator

import pytest

from crypto_platform.errors import (
    SourceMalformedError,
    SourceUnavailableError,
)
from crypto_platform.feeds.trades import Trade
from crypto_platform.sources.base import Poll
from crypto_platform.sources.coinbase import Coinbase
from tests.scripted_source import Reply, ScriptedSource, run_scripted_source

RECEIVED = 1_800_000_000_000_000
"""In 2027, after all trades here: one from the future would be refused."""


@pytest.fixture
def venue() -> Iterator[ScriptedSource]:
    with run_scripted_source() as running:
        yield running


def build(venue: ScriptedSource, *symbols: str, **changes: object) -> Coinbase:
    values = {"symbols": symbols or ("BTC-USD",), "feeds": ("trades",)} | changes
    settings = venue.build_settings(dialect="coinbase", base_url=venue.url, **values)
    return Coinbase(name="mine", settings=settings)


def reply(trade_ids: Iterable[int]) -> Reply:
    """A page of these trades, newest first."""
    page = [
        {
            "trade_id": trade_id,
            "side": "sell",
            "size": "0.5",
            "price": "100.10",
            "time": "2026-01-01T12:00:00.5Z",
        }
        for trade_id in sorted(trade_ids, reverse=True)
    ]
    return Reply(body=json.dumps(page).encode())


def poll(source: Coinbase, **cursors: int) -> Poll:
    """One poll; a cursor is written BTC=7."""
    positions = {f"{currency}-USD": str(cursor) for currency, cursor in cursors.items()}
    return source.poll("trades", positions=positions, ts_ingest=RECEIVED)


def list_ids(found: Poll) -> list[int]:
    return [int(record.trade_id) for record in found.records if isinstance(record, Trade)]


def test_the_first_poll_takes_the_newest_page_alone(venue: ScriptedSource) -> None:
    """The years before it are the history's, not a live poll's."""
    venue.script(reply(range(501, 1501)))
    found = poll(build(venue))
    assert list_ids(found) == list(range(501, 1501))
    assert found.positions == {"BTC-USD": "1500"}
    [asked] = venue.asked
    assert (asked.path, asked.query) == ("/products/BTC-USD/trades", {"limit": "1000"})


def test_a_poll_takes_what_is_above_its_cursor_oldest_first(venue: ScriptedSource) -> None:
    """Asked every few seconds, most of a page is known."""
    venue.script(reply(range(1, 101)))
    found = poll(build(venue), BTC=97)
    assert list_ids(found) == [98, 99, 100]
    assert found.positions == {"BTC-USD": "100"}
    assert [asked.query for asked in venue.asked] == [{"limit": "100"}]


def test_a_page_that_begins_right_behind_the_cursor_is_enough(venue: ScriptedSource) -> None:
    """Between 97 and 98 nothing can lie, so nothing has to be asked."""
    venue.script(reply([98, 99, 100]))
    assert list_ids(poll(build(venue), BTC=97)) == [98, 99, 100]
    assert len(venue.asked) == 1


def test_a_poll_reads_on_from_its_cursor_until_it_meets_the_newest(venue: ScriptedSource) -> None:
    """A busy minute has more trades than a page."""
    venue.script(reply(range(2901, 3001)), reply(range(1501, 2501)), reply(range(2001, 3001)))
    found = poll(build(venue), BTC=1500)
    assert list_ids(found) == list(range(1501, 3001))
    assert found.positions == {"BTC-USD": "3000"}
    assert [asked.query for asked in venue.asked] == [
        {"limit": "100"},
        {"limit": "1000", "after": "2501"},
        {"limit": "1000", "after": "3001"},
    ]


def test_a_trade_at_a_page_border_is_neither_missed_nor_repeated(venue: ScriptedSource) -> None:
    """Pages overlap: what is before a number also holds what was read."""
    venue.script(reply([1005, 1006]), reply(range(5, 1005)), reply(range(7, 1007)))
    assert list_ids(poll(build(venue), BTC=4)) == list(range(5, 1007))


def test_nothing_new_is_nothing_and_keeps_the_cursor(venue: ScriptedSource) -> None:
    """Also where a cache serves the last page again."""
    venue.script(reply(range(1, 101)))
    found = poll(build(venue), BTC=100)
    assert (list_ids(found), found.positions) == ([], {"BTC-USD": "100"})


def test_polls_one_after_another_read_everything_once(venue: ScriptedSource) -> None:
    """The cursor of one poll is where the next begins."""
    venue.script(
        reply(range(1, 51)), reply(range(20, 81)), reply(range(150, 250)), reply(range(1, 250))
    )
    source = build(venue)
    first = poll(source)
    second = source.poll("trades", positions=first.positions, ts_ingest=RECEIVED + 6)
    third = source.poll("trades", positions=second.positions, ts_ingest=RECEIVED + 7)
    read = list_ids(first) + list_ids(second) + list_ids(third)
    assert read == list(range(1, 250))


def test_a_poll_too_far_behind_reads_the_oldest_part_and_the_next_goes_on(
    venue: ScriptedSource,
) -> None:
    """After a day without ingestion no trade may be jumped over, however many there are."""
    # 3 requests a poll by the budget: the newest page, and two of 1000 trades
    source = build(venue, requests_per_minute_max=4.3)
    venue.script(reply(range(8901, 9001)), reply(range(501, 1501)), reply(range(1501, 2501)))
    found = poll(source, BTC=500)
    assert list_ids(found) == list(range(501, 2501))
    assert found.positions == {"BTC-USD": "2500"}
    assert [asked.query.get("after") for asked in venue.asked] == [None, "1501", "2501"]


@pytest.mark.parametrize(
    "third", [Reply(status=429, headers={"Retry-After": "5"}), Reply(body=b"<html></html>")]
)
def test_what_was_read_before_the_venue_gave_no_more_is_kept(
    venue: ScriptedSource, third: Reply
) -> None:
    """Thrown away, it would be asked for again until the budget is gone, and never be published."""
    venue.script(
        reply(range(8901, 9001)),
        reply(range(501, 1501)),
        third,
    )
    found = poll(build(venue), BTC=500)
    assert list_ids(found) == list(range(501, 1501))
    assert found.positions == {"BTC-USD": "1500"}


def test_each_product_has_a_cursor_of_its_own(venue: ScriptedSource) -> None:
    """Numbers of two products have nothing to do with each other."""
    venue.script(reply([7, 8]), reply([901, 902]))
    found = poll(build(venue, "BTC-USD", "ETH-USD"), BTC=7, ETH=900)
    assert [record.event_id for record in found.records] == [
        "mine:BTC-USD:8",
        "mine:ETH-USD:901",
        "mine:ETH-USD:902",
    ]
    assert found.positions == {"BTC-USD": "8", "ETH-USD": "902"}
    assert [asked.path for asked in venue.asked] == [
        "/products/BTC-USD/trades",
        "/products/ETH-USD/trades",
    ]


def test_a_bad_trade_on_a_later_page_costs_itself_alone(venue: ScriptedSource) -> None:
    """The rest of both pages goes on, and the cursor passes it."""
    bad = json.loads(reply([9, 8, 7, 6, 5]).body)
    bad[2]["price"] = "NaN"
    venue.script(reply([8, 9]), Reply(body=json.dumps(bad).encode()))
    found = poll(build(venue), BTC=5)
    assert list_ids(found) == [6, 8, 9]
    [piece] = found.rejected
    assert b'"trade_id": 7' in piece.raw
    assert found.positions == {"BTC-USD": "9"}


@pytest.mark.parametrize(
    ("second", "kind"),
    [
        (Reply(status=429, headers={"Retry-After": "5"}), SourceUnavailableError),
        (Reply(status=503, headers={"Retry-After": "5"}), SourceUnavailableError),
        (Reply(body=b"<html></html>"), SourceMalformedError),
        (Reply(body=reply([5, 6]).body, missing_bytes=9), SourceMalformedError),
        (Reply(body=b"[]"), SourceMalformedError),
        (reply([9, 10]), SourceMalformedError),
        (reply([2, 3]), SourceMalformedError),
        (Reply(body=b'{"message": "Internal server error"}'), SourceMalformedError),
    ],
    ids=["429", "503", "html", "truncated", "empty", "beyond", "old", "error"],
)
def test_a_poll_whose_second_page_fails_gives_nothing(
    venue: ScriptedSource, second: Reply, kind: type[Exception]
) -> None:
    """The newest page alone would carry the cursor over what it did not reach."""
    venue.script(reply([7, 8]), second)
    with pytest.raises(kind):
        poll(build(venue), BTC=3)


def test_a_page_that_is_not_what_was_asked_for_ends_the_poll_at_once(
    venue: ScriptedSource,
) -> None:
    """Asked on, the same page would use up the budget of the others."""
    venue.script(reply([7, 8]), reply([7, 8, 9]))
    with pytest.raises(SourceMalformedError, match="before trade 9, it begins at 9"):
        poll(build(venue), BTC=3)
    assert len(venue.asked) == 2


def test_a_product_that_is_gone_is_told_and_the_other_is_read(venue: ScriptedSource) -> None:
    """Its refusal says which setting to change."""
    venue.script(reply([7, 8]), Reply(status=404, body=b'{"message": "NotFound"}'))
    found = poll(build(venue, "BTC-USD", "ETH-USD"), BTC=7)
    told = str(found.faults["ETH-USD"])
    assert re.search(r"ETH-USD.*NotFound.*sources\.mine\.symbols", told)
    assert dict(found.positions) == {"BTC-USD": "8"}


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'[{"trade_id": "nine"}]'])
def test_a_malformed_page_costs_its_symbol_alone(venue: ScriptedSource, body: bytes) -> None:
    """The other's cursor moves on, and this one's stands: nothing is lost."""
    venue.script(Reply(body=body), reply([7, 8]))
    found = poll(build(venue, "ETH-USD", "BTC-USD"), BTC=7, ETH=7)
    assert (list_ids(found), found.positions) == ([8], {"BTC-USD": "8"})
    assert list(found.faults) == ["ETH-USD"]
    assert isinstance(found.faults["ETH-USD"], SourceMalformedError)


def test_a_product_that_has_not_traded_yet_is_no_fault(venue: ScriptedSource) -> None:
    """A new listing answers [] for hours."""
    venue.script(Reply(body=b"[]"), Reply(body=b"[]"), reply([1]))
    source = build(venue)
    assert [poll(source) for _ in range(2)] == [Poll(records=[], rejected=[], gaps=[])] * 2
    assert list_ids(poll(source)) == [1]


def test_a_poll_that_can_ask_no_further_keeps_what_it_read_and_the_next_goes_on_there(
    venue: ScriptedSource,
) -> None:
    """Thrown away and begun anew, a poll over its budget would never reach its last symbols."""
    venue.script(reply([8]), Reply(status=429, headers={"Retry-After": "7"}), reply([8]))
    source = build(venue, "BTC-USD", "ETH-USD", "SOL-USD")
    first = poll(source, BTC=7, ETH=7, SOL=7)
    assert first.positions == {"BTC-USD": "8"}
    assert first.interruption is not None
    assert first.interruption.retry_after_s == 7
    second = poll(source, BTC=8, ETH=7, SOL=7)
    assert (second.positions, second.interruption) == (
        {"ETH-USD": "8", "SOL-USD": "8", "BTC-USD": "8"},
        None,
    )
    assert [asked.path.split("/")[2] for asked in venue.asked] == [
        *("BTC-USD", "ETH-USD"),
        *("ETH-USD", "SOL-USD", "BTC-USD"),
    ]


def test_a_symbol_that_alone_is_unavailable_does_not_take_every_first_turn(
    venue: ScriptedSource,
) -> None:
    """A market in maintenance answers 503 for hours, the others do not."""
    busy = Reply(status=503, headers={"Retry-After": "7"})
    venue.routes["/products/ETH-USD/trades"] = busy
    venue.script(reply([8]))
    source = build(venue, "BTC-USD", "ETH-USD", "SOL-USD")
    assert poll(source).positions == {"BTC-USD": "8"}
    with pytest.raises(SourceUnavailableError):
        poll(source)
    assert poll(source).positions == {"SOL-USD": "8", "BTC-USD": "8"}


def test_a_slow_page_is_given_up_in_time(venue: ScriptedSource) -> None:
    """A venue that hangs may not hold the feed for ever."""
    venue.script(Reply(body=reply([7]).body, wait_s=2))
    with pytest.raises(SourceUnavailableError, match=r"timeout_s is 0\.3"):
        poll(build(venue, timeout_s=0.3))


def test_numbers_below_the_cursor_are_an_error_that_says_what_to_do(venue: ScriptedSource) -> None:
    """Taken for an old page for ever, a venue that numbers anew would fall silent unnoticed."""
    venue.script(reply([1, 2, 3]))
    with pytest.raises(SourceMalformedError, match="another source name"):
        poll(build(venue), BTC=1500)


def test_pages_shorter_than_asked_are_an_error_not_a_hole(venue: ScriptedSource) -> None:
    """Should the venue lower its limit, what a page leaves out must not pass for missing."""
    venue.script(reply(range(900, 1000)), reply(range(506, 1000)), reply([505]))
    with pytest.raises(SourceMalformedError, match="ends at 506 though there is 505"):
        poll(build(venue), BTC=5)


def test_numbers_that_a_venue_jumps_over_are_passed_and_told_once(venue: ScriptedSource) -> None:
    """A cursor that waits before them would never come to the trades behind."""
    behind = [*range(1, 11), *range(6001, 6003)]

    def answer() -> None:
        query = venue.asked[-1].query
        before = int(query.get("after", 10_000))
        venue.script(reply([i for i in behind if i < before][-int(query["limit"]) :]))

    venue.on_ask = answer
    # 4 pages of 1000 numbers in the first poll
    first = poll(build(venue, requests_per_minute_max=7.2), BTC=10)
    assert (list_ids(first), first.gaps) == ([], [])
    source = build(venue)
    second = source.poll("trades", positions=first.positions, ts_ingest=RECEIVED)
    third = source.poll("trades", positions=second.positions, ts_ingest=RECEIVED)
    [gap] = second.gaps
    assert (gap.after_id, gap.before_id, gap.missing_records) == ("10", "6001", 5990)
    assert (list_ids(second), second.positions) == ([6001, 6002], {"BTC-USD": "6002"})
    assert (list_ids(third), third.gaps) == ([], [])


def test_a_number_far_above_all_others_waits_for_one_that_follows_it(
    venue: ScriptedSource,
) -> None:
    """A stray one would move the cursor over trades to come; a real jump goes on behind it."""
    venue.script(reply([8, 9, 1_000_000]))
    with pytest.raises(SourceMalformedError, match="trade 1000000 alone"):
        poll(build(venue), BTC=7)
