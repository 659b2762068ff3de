"""Ask page by page for one poll, and unite the pages.

Here: the order of requests, where a list ends, what may not be empty, what stands on two pages. Not
here: what a page says (pages.py), how it is asked for (http.py).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from crypto_platform.errors import ConfigurationError
from crypto_platform.feeds import Record
from crypto_platform.feeds.rejected import Rejected
from crypto_platform.sources.base import Poll
from crypto_platform.sources.budget import Budget
from crypto_platform.sources.http import Answer
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
