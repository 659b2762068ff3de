"""Read a venue's numbered trades up to its newest one, page by page, none missed and none twice.

Here: what a page of trades is, the walk over pages from the cursor on, what of them is new, and
where numbers are missing. Not here: what a trade says (the dialects).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from crypto_platform.errors import SourceError, SourceMalformedError
from crypto_platform.sources.base import Gap
from crypto_platform.sources.http import Answer
from crypto_platform.sources.pages import build_malformed

IDS_A_TRADE_MAX = 10
"""Ids of an instrument rise by one a trade; one so many pages of ids above all others is stray."""
GAPS_MAX = 10
"""Of one read; more are told as one, or a venue that numbers otherwise would be an incident for
each trade."""


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
        gaps: Where trades are missing; times of the trades around them need not be filled in.
        reaches_end: Whether there was nothing more to be had.
    """

    items: Sequence[bytes]
    position: str | None
    gaps: Sequence[Gap] = ()
    reaches_end: bool = True


@dataclass(frozen=True, kw_only=True)
class TradesSearch:
    """How far it is found out where the trades of a time begin.

    Attributes:
        position: Where they begin; until that is known, where the search goes on.
        is_over: It is known.
    """

    position: str
    is_over: bool = True


def number_trades(
    items: Iterable[bytes],
    read_id: Callable[[bytes], int | None],
    *,
    source: str,
    answer: Answer,
    may_be_empty: bool,
) -> TradesPage:
    """Find the numbers of a page's trades.

    Args:
        items: Trades as they came.
        read_id: A trade's number; None where it has none.
        source: Name in the settings, for errors.
        answer: Where they came from.
        may_be_empty: Whether a page without trades is an answer.

    Raises:
        SourceMalformedError: No trade has a number where there must be trades.
    """
    page = TradesPage(ids={item: read_id(item) for item in items}, url=answer.url)
    if not page.known_ids and (page.ids or not may_be_empty):
        what = "no trade with a number where there must be trades"
        raise build_malformed(what, source=source, url=answer.url, body=answer.body)
    return page


def check_highest(page: TradesPage, *, source: str) -> None:
    """See that the highest of numbers that rise by one does not stand alone.

    A stray one would move the cursor over trades that were never read. Where a venue really jumps,
    its next trade says so too.

    Raises:
        SourceMalformedError: It lies much too far above all others.
    """
    *_, below, highest = [0, 0, *sorted(page.known_ids)]
    if below and highest - below > IDS_A_TRADE_MAX * len(page.ids):
        what = f"trade {highest} alone, all others at {below} and below, where ids rise by one"
        raise refuse_page(page, what, source=source)


def check_newest(newest: TradesPage, *, cursor: int, source: str, subject: str) -> None:
    """See that the newest page, of numbers that rise by one, can be read on to.

    Raises:
        SourceMalformedError: It is older than what was read before; or as check_highest.
    """
    check_highest(newest, source=source)
    if newest.highest < cursor:
        what = (
            f"its newest trade is {newest.highest}, but {cursor} was read before: an old page. "
            f"If it stays so, {subject} is numbered anew: read it under another source name, or "
            f"its ids would collide"
        )
        raise refuse_page(newest, what, source=source)


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

    So is what a venue would not give after the first page, or gave as something that is no page:
    asked for in one poll again and again, a backlog would use up the budget and never be published.
    The next poll begins with it, and tells if it stays so.
    """
    steps = [fetch_after(position)]
    while not steps[-1].is_last and len(steps) < pages_max:
        try:
            steps.append(fetch_after(steps[-1].position))
        except SourceError:
            break
    return steps


def choose_new(pages: Iterable[TradesPage], *, cursor: int | None) -> list[bytes]:
    """The trades above the cursor, oldest first, each once though two pages hold it.

    Trades without a number come first: they cannot be told from new ones.
    """
    ids = {item: trade_id for page in pages for item, trade_id in page.ids.items()}
    new = (item for item, i in ids.items() if cursor is None or i is None or i > cursor)
    return sorted(new, key=lambda item: ids[item] or 0)


def find_gaps(pages: Iterable[TradesPage], *, cursor: int | None, venue_symbol: str) -> list[Gap]:
    """Where numbers that rise by one are missing, at the cursor and above it."""
    known = {i for page in pages for i in page.known_ids if cursor is None or i > cursor}
    ids = sorted(known if cursor is None else known | {cursor})
    holes = [(one, other) for one, other in pairwise(ids) if other > one + 1]
    missing = [other - one - 1 for one, other in holes]
    if len(holes) > GAPS_MAX:
        holes, missing = [(holes[0][0], holes[-1][1])], [sum(missing)]
    return [
        Gap(
            venue_symbol=venue_symbol,
            after_id=str(after),
            before_id=str(before),
            missing_records=count,
        )
        for (after, before), count in zip(holes, missing, strict=True)
    ]


def read_numbered(
    pages: Sequence[TradesPage], *, cursor: int | None, venue_symbol: str
) -> TradesRead:
    """What is new on pages whose numbers rise by one, read up to the highest of them."""
    known = [trade_id for page in pages for trade_id in page.known_ids]
    return TradesRead(
        items=choose_new(pages, cursor=cursor),
        position=str(max(known)) if known else None,
        gaps=find_gaps(pages, cursor=cursor, venue_symbol=venue_symbol),
    )


def has_all(page: TradesPage, *, cursor: int) -> bool:
    """Whether a page has every number from the cursor up to its highest."""
    return len({i for i in page.known_ids if i > cursor}) == max(page.highest - cursor, 0)


def refuse_page(page: TradesPage, what: str, *, source: str) -> SourceMalformedError:
    """The error of a page that is not what was asked for."""
    return SourceMalformedError(f"{source}: {page.url}: {what}", source=source, url=page.url)
