"""A source of quotes: one list of currencies, asked for page by page and united to one poll.

Here: the order of requests, where a list ends, what may not be empty, what stands on two pages. Not
here: what a page says (the dialects, pages.py), how it is asked for (http.py).
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from crypto_platform.errors import ConfigurationError
from crypto_platform.feeds import QUOTES, Record
from crypto_platform.feeds.rejected import Rejected
from crypto_platform.settings import SourceSettings
from crypto_platform.sources.base import Poll
from crypto_platform.sources.budget import LIVE_SHARE, Budget
from crypto_platform.sources.http import Answer, HttpClient
from crypto_platform.sources.pages import build_malformed


@dataclass(frozen=True, kw_only=True)
class Request:
    """One page to ask for.

    Attributes:
        params: The query.
        by_ids: It names currencies; else it is a piece of a list that may end before it.
    """

    params: Mapping[str, str | int]
    by_ids: bool


class Paging:
    """The requests of one source's poll. Remembers how many pages had data."""

    def __init__(self, requests: Sequence[Request], *, source: str, budget: Budget) -> None:
        """Check that a poll can be whole.

        Raises:
            ConfigurationError: A poll needs more requests than the budget has in its window.
        """
        if len(requests) > budget.requests_max:
            message = (
                f"sources.{source}: a poll of so many currencies takes {len(requests)} requests, "
                f"its budget allows {budget.requests_max} in {budget.window_s:.0f} s (70 % of "
                f"requests_per_minute_max): lower currencies_max, shorten currency_ids, or raise "
                f"requests_per_minute_max if the source allows more"
            )
            raise ConfigurationError(message)
        self._requests = requests
        self._source = source
        self._pages_with_data = 1

    def collect(
        self, fetch: Callable[[Mapping[str, str | int]], Answer], parse: Callable[[Answer], Poll]
    ) -> Poll:
        """Fetch and parse all pages of one poll; a list ends at its first empty page.

        Raises:
            SourceMalformedError: A page is empty where there must be data: the first one, one asked
                for by ids, or one that had data at the last poll. Of the latter the same answer is
                believed the next time: lists do shrink.
        """
        pages: list[Poll] = []
        for request in self._requests:
            answer = fetch(request.params)
            page = parse(answer)
            if not page.records and not page.rejected:
                if not request.by_ids and len(pages) >= self._pages_with_data:
                    break
                self._pages_with_data = 1
                what = "an empty list where there was data (is every one of currency_ids right?)"
                raise build_malformed(what, source=self._source, url=answer.url, body=answer.body)
            pages.append(page)
        self._pages_with_data = len(pages)
        return unite_pages(pages)


class QuoteSource:
    """One instance of an API that lists currencies with their quotes.

    Attributes:
        path: Of the list.
    """

    feeds = (QUOTES.name,)
    path: ClassVar[str]

    def __init__(
        self,
        *,
        name: str,
        settings: SourceSettings,
        stop: threading.Event | None = None,
        share: float = LIVE_SHARE,
    ) -> None:
        """Prepare; nothing is sent.

        Raises:
            ConfigurationError: base_url, key, quote_currency or currencies_max cannot work.
        """
        self.name = name
        self.quote_currency = settings.quote_currency
        self._http = HttpClient(source=name, settings=settings, stop=stop, share=share)
        self._paging = Paging(self.plan_requests(settings), source=name, budget=self._http.budget)

    def plan_requests(self, settings: SourceSettings) -> list[Request]:
        """The requests of one poll: the ids asked for, or the largest currencies, page by page.

        Raises:
            ConfigurationError: It cannot be asked for what the settings want.
        """
        raise NotImplementedError

    def name_caller(self, key: str) -> Mapping[str, str]:
        """The header that carries the key."""
        raise NotImplementedError

    def parse_page(self, answer: Answer, *, ts_ingest: int) -> Poll:
        """Turn one page into quotes.

        Returns:
            Quotes in the list's order; a currency that cannot be a record is in `rejected`. Both
            empty for an empty list.

        Raises:
            SourceMalformedError: Not such a page; nothing of it is used.
        """
        raise NotImplementedError

    def poll(self, feed: str, *, positions: Mapping[str, str], ts_ingest: int) -> Poll:
        """Ask for all pages; see Source.poll."""
        _ = (feed, positions)
        key = self._http.key
        headers = None if key is None else self.name_caller(key)
        return self._paging.collect(
            lambda params: self._http.get(self.path, params=params, headers=headers),
            partial(self.parse_page, ts_ingest=ts_ingest),
        )


def unite_pages(pages: Iterable[Poll]) -> Poll:
    """One poll of many pages: what came twice alike counts once, what differs stays.

    A list ordered by market cap moves between two requests, so a currency may stand on both.
    """
    records: dict[str, Record] = {}
    rejected: dict[str, Rejected] = {}
    for page in pages:
        for record in page.records:
            records.setdefault(record.event_id, record)
        for piece in page.rejected:
            rejected.setdefault(piece.event_id, piece)
    return Poll(records=list(records.values()), rejected=list(rejected.values()))


def split_ids(currency_ids: Sequence[str], *, page_ids_max: int) -> list[Sequence[str]]:
    """The ids of each request."""
    starts = range(0, len(currency_ids), page_ids_max)
    return [currency_ids[start : start + page_ids_max] for start in starts]
