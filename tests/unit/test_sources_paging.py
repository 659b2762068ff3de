"""Several pages become one poll: where a list ends, what may be empty, what stands twice."""

import json
from collections.abc import Mapping

import pytest

from crypto_platform.errors import ConfigurationError, SourceMalformedError
from crypto_platform.feeds.quotes import Quote
from crypto_platform.sources.base import Poll
from crypto_platform.sources.budget import Budget
from crypto_platform.sources.coingecko import parse_markets
from crypto_platform.sources.http import Answer
from crypto_platform.sources.paging import Paging, Request, split_ids, unite_pages

PAGES = [Request(params={"page": number}, by_ids=False) for number in (0, 1, 2)]


def parse(answer: Answer) -> Poll:
    return parse_markets(answer.body, source="gecko", quote_currency="USD", ts_ingest=5)


def page_of(*prices: tuple[str, float]) -> Poll:
    items = [{"id": currency_id, "current_price": price} for currency_id, price in prices]
    return parse(Answer(body=json.dumps(items).encode(), url="/"))


class Market:
    """Answers page by page, and remembers what was asked."""

    def __init__(self, *pages: list[str]) -> None:
        self.pages = list(pages)
        self.asked: list[int] = []

    def fetch(self, params: Mapping[str, str | int]) -> Answer:
        number = int(params["page"])
        self.asked.append(number)
        return Answer(body=json.dumps([{"id": i} for i in self.pages[number]]).encode(), url="/")


def build_paging(*requests: Request) -> Paging:
    return Paging(requests or PAGES, source="gecko", budget=Budget(60))


def list_ids(poll: Poll) -> list[str]:
    return [record.currency_id for record in poll.records if isinstance(record, Quote)]


def test_all_pages_become_one_poll_in_order() -> None:
    """A poll is published whole or not at all."""
    market = Market(["a", "b"], ["c", "d"], ["e"])
    assert list_ids(build_paging().collect(market.fetch, parse)) == ["a", "b", "c", "d", "e"]
    assert market.asked == [0, 1, 2]


def test_a_list_ends_at_its_first_empty_page() -> None:
    """Asking on would waste a small budget."""
    market = Market(["a"], [], ["never asked"])
    assert list_ids(build_paging().collect(market.fetch, parse)) == ["a"]
    assert market.asked == [0, 1]


def test_a_short_page_is_not_the_end() -> None:
    """APIs leave out single currencies of a page; stopping there would lose all that follow."""
    market = Market(["a", "b"], ["c"], ["d", "e"])
    assert list_ids(build_paging().collect(market.fetch, parse)) == ["a", "b", "c", "d", "e"]


def test_an_empty_first_page_is_never_a_market_without_currencies() -> None:
    """Published, it would be the news that everything was delisted."""
    with pytest.raises(SourceMalformedError, match="empty list"):
        build_paging().collect(Market([], ["a"], ["b"]).fetch, parse)


def test_a_page_that_just_had_data_is_believed_to_be_empty_only_when_repeated() -> None:
    """A hiccup of one page must not lose it in silence; a list that shrank must not stop all."""
    paging = build_paging()
    market = Market(["a"], ["b"], ["c"])
    paging.collect(market.fetch, parse)
    market.pages[1] = []
    with pytest.raises(SourceMalformedError):
        paging.collect(market.fetch, parse)
    assert list_ids(paging.collect(market.fetch, parse)) == ["a"]


def test_currencies_asked_for_by_id_must_come() -> None:
    """A mistyped id is else never noticed."""
    requests = [Request(params={"page": number}, by_ids=True) for number in (0, 1)]
    with pytest.raises(SourceMalformedError, match="currency_ids"):
        build_paging(*requests).collect(Market(["a"], []).fetch, parse)


def test_a_page_of_which_all_was_rejected_is_not_empty() -> None:
    """What was rejected is kept with its reason; an error would drop it."""
    market = Market([""], [], [])
    poll = build_paging().collect(market.fetch, parse)
    assert (len(poll.records), len(poll.rejected)) == (0, 1)


def test_a_currency_that_stands_on_two_pages_alike_counts_once() -> None:
    """Lists ordered by market cap move between two requests."""
    united = unite_pages([page_of(("a", 1.5), ("b", 2.5)), page_of(("b", 2.5), ("c", 3.5))])
    assert list_ids(united) == ["a", "b", "c"]


def test_a_currency_that_stands_on_two_pages_with_other_figures_is_kept_twice() -> None:
    """Both are what the source said, each at its moment."""
    united = unite_pages([page_of(("a", 1.5), ("b", 2.5)), page_of(("b", 2.6))])
    assert list_ids(united) == ["a", "b", "b"]
    assert len({record.event_id for record in united.records}) == 3


def test_a_piece_rejected_on_two_pages_counts_once() -> None:
    """Its id is made of its bytes."""
    bad = page_of(("", 1.5))
    assert len(unite_pages([bad, bad]).rejected) == 1


def test_a_poll_that_could_never_be_whole_is_refused_at_the_start() -> None:
    """It would use up the budget minute after minute and publish nothing."""
    with pytest.raises(ConfigurationError, match="takes 3 requests, its budget allows 2"):
        Paging(PAGES, source="gecko", budget=Budget(3))
    Paging(PAGES, source="gecko", budget=Budget(5))


def test_no_id_is_lost_between_two_requests() -> None:
    """251 ids are two requests, not one of 250."""
    assert split_ids(["a", "b", "c"], page_ids_max=2) == [["a", "b"], ["c"]]
    assert split_ids(["a", "b"], page_ids_max=2) == [["a", "b"]]
