"""Read a venue's numbered trades up to its newest one, page by page, none missed and none twice.

Here: what a page of trades is, the two ways to walk over pages (back to the cursor, forward from
it), what of them is new, and where numbers are missing. Not here: what a trade says (the dialects).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from crypto_platform.errors import SourceMalformedError, SourceUnavailableError
from crypto_platform.sources.http import Answer
from crypto_platform.sources.pages import build_malformed

IDS_A_TRADE_MAX = 10
"""Ids of an instrument rise by one a trade; a page that uses so many times more has a stray one."""


@dataclass(frozen=True, kw_only=True)
class TradesPage:
    """One page, its trades unread but for their numbers.

    Attributes:
        ids: Trade as it came -> its number; None where it has none and can only be rejected.
        url: Where it came from, for errors.
    """

    ids: Mapping[bytes, int | None]
    url: str

    @property
    def known_ids(self) -> list[int]:
        """The numbers on the page, in its order."""
        return [trade_id for trade_id in self.ids.values() if trade_id is not None]

    @property
    def lowest(self) -> int:
        """The lowest number; only of a page that has one."""
        return min(self.known_ids)

    @property
    def highest(self) -> int:
        """The highest number; only of a page that has one."""
        return max(self.known_ids)


@dataclass(frozen=True, kw_only=True)
class TradesRead:
    """What one poll read of one instrument.

    Attributes:
        items: Trades as they came, oldest first, each once, none that was read before.
        position: How far it is read now, in the dialect's own words; None where still nowhere.
        holes: Pairs of neighbouring ids with trades missing between them: numbers, where they are.
        reaches_end: Whether there was nothing more to be had.
    """

    items: Sequence[bytes]
    position: str | None
    holes: Sequence[tuple[int, int] | tuple[str, str]] = ()
    reaches_end: bool = True


def number_trades(
    items: Iterable[bytes],
    read_id: Callable[[bytes], int | None],
    *,
    source: str,
    answer: Answer,
    may_be_empty: bool,
    rise_by_one: bool,
) -> TradesPage:
    """Find the numbers of a page's trades.

    Args:
        items: Trades as they came.
        read_id: A trade's number; None where it has none.
        source: Name in the settings, for errors.
        answer: Where they came from.
        may_be_empty: Whether a page without trades is an answer.
        rise_by_one: Whether the venue gives each trade of an instrument the next number.

    Raises:
        SourceMalformedError: No trade has a number where there must be trades; or their numbers
            lie much too far apart.
    """
    ids = {item: read_id(item) for item in items}
    page = TradesPage(ids=ids, url=answer.url)
    known = page.known_ids
    if not known and (ids or not may_be_empty):
        what = "no trade with a number where there must be trades"
        raise build_malformed(what, source=source, url=answer.url, body=answer.body)
    if rise_by_one and known and max(known) - min(known) + 1 > IDS_A_TRADE_MAX * len(ids):
        # one stray id would move the cursor over trades that were never read
        what = f"{len(ids)} trades with ids from {min(known)} to {max(known)}, which rise by one"
        raise build_malformed(what, source=source, url=answer.url, body=answer.body)
    return page


def plan_walk(newest: TradesPage, *, cursor: int, page_trades_max: int, pages_max: int) -> int:
    """Where a poll begins to walk back to the cursor: what its second page is asked to be before.

    Usually at the end of the newest page. Where that is further from the cursor than all pages of
    a poll reach, at the highest number from which they do: the oldest trades are then published
    without a hole, and the next poll goes on behind them.
    """
    reach = cursor + 1 + (pages_max - 1) * page_trades_max
    return min(newest.lowest, reach)


def check_newest(newest: TradesPage, *, cursor: int, source: str, subject: str) -> None:
    """See that the newest page is not older than what was read before.

    Raises:
        SourceMalformedError: It is.
    """
    if newest.highest < cursor:
        what = (
            f"its newest trade is {newest.highest}, but {cursor} was read before: an old page. "
            f"If it stays so, {subject} is numbered anew: read it under another source name, or "
            f"its ids would collide"
        )
        raise _refuse(newest, what, source=source)


def walk_back(
    newest: TradesPage,
    fetch_before: Callable[[int], TradesPage],
    *,
    cursor: int,
    page_trades_max: int,
    pages_max: int,
    source: str,
    subject: str,
) -> list[TradesPage]:
    """Pages that together hold every trade between the cursor and the highest of them.

    For numbers that rise by one: between two of them lie at most as many trades as numbers, which
    is what makes a bounded walk complete.

    Args:
        newest: The newest page.
        fetch_before: The newest trades whose number is lower than the given one.
        cursor: Highest number read before.
        page_trades_max: Trades on a full page.
        pages_max: Of the walk, with the newest; 2 at least.
        source, subject: Who is read and what, for errors.

    Raises:
        SourceMalformedError: An old page, a page that goes no further back, or pages that do not
            reach the cursor.
    """
    check_newest(newest, cursor=cursor, source=source, subject=subject)
    lowest = plan_walk(newest, cursor=cursor, page_trades_max=page_trades_max, pages_max=pages_max)
    pages = [newest] if lowest == newest.lowest else []
    for _ in range(pages_max - 1):
        if lowest <= cursor + 1:
            break
        page = fetch_before(lowest)
        if page.lowest >= lowest:
            what = f"asked for what is before trade {lowest}, it begins at {page.lowest}"
            raise _refuse(page, what, source=source)
        lowest = page.lowest
        pages.append(page)
    if lowest > cursor + 1:
        what = (
            f"{pages_max} pages of at most {page_trades_max} trades reached back to {lowest}, not "
            f"to {cursor} that was read before: its pages are shorter than asked"
        )
        raise _refuse(pages[-1], what, source=source)
    return pages


@dataclass(frozen=True, kw_only=True)
class Step:
    """A page of a walk forward.

    Attributes:
        position: Where the next page begins, in the dialect's own words.
        is_last: Whether there is nothing newer.
    """

    page: TradesPage
    position: str
    is_last: bool


def walk_forward(
    fetch_after: Callable[[str], Step], position: str, *, pages_max: int
) -> list[Step]:
    """Pages from the cursor on, at least one; what lies beyond the last is the next poll's.

    So is what a venue would not give after the first page: asked for in one poll again and again, a
    backlog would use up the budget and never be published.
    """
    steps = [fetch_after(position)]
    while not steps[-1].is_last and len(steps) < pages_max:
        try:
            steps.append(fetch_after(steps[-1].position))
        except SourceUnavailableError:
            break
    return steps


def choose_new(pages: Iterable[TradesPage], *, cursor: int | None) -> list[bytes]:
    """The trades above the cursor, oldest first, each once though two pages hold it.

    Trades without a number come first: they cannot be told from new ones.
    """
    ids = {item: trade_id for page in pages for item, trade_id in page.ids.items()}
    new = (item for item, i in ids.items() if cursor is None or i is None or i > cursor)
    return sorted(new, key=lambda item: ids[item] or 0)


def find_holes(pages: Iterable[TradesPage], *, cursor: int | None) -> list[tuple[int, int]]:
    """Pairs of neighbours with numbers missing between them, at the cursor and above it."""
    known = {i for page in pages for i in page.known_ids if cursor is None or i > cursor}
    ids = sorted(known if cursor is None else known | {cursor})
    return [(one, other) for one, other in pairwise(ids) if other > one + 1]


def _refuse(page: TradesPage, what: str, *, source: str) -> SourceMalformedError:
    return SourceMalformedError(f"{source}: {page.url}: {what}", source=source, url=page.url)
