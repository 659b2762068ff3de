"""The trading company's API: what happens in its users' accounts, oldest first, by sequence.

Here: pages behind a cursor, the check that the history is still the one that was read, one event ->
record. Not here: what an event must be by itself (feeds/account_events.py).

A poll asks again for the last event it has: a company that began anew, or was put back to an older
state, shows there, before anything of another history is taken for the rest of this one. Without a
last event, `check_own` is asked about one that is in Kafka.

Source: the company's API, "GET /v1/account-events".
"""

import http.client
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, cast

import msgspec

from crypto_platform.domain.money import parse_amount
from crypto_platform.errors import RecordRejectedError, SourceCursorLostError, SourceRefusedError
from crypto_platform.feeds import Record
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS, seal_account_event
from crypto_platform.feeds.accounts import (
    Account,
    AccountEvent,
    EventKind,
    Liquidity,
    OrderStatus,
    OrderType,
)
from crypto_platform.feeds.trades import Side
from crypto_platform.settings import SourceSettings
from crypto_platform.sources.base import Poll
from crypto_platform.sources.budget import LIVE_SHARE
from crypto_platform.sources.http import Answer, HttpClient
from crypto_platform.sources.pages import (
    build_malformed,
    decode_item,
    decode_page,
    read_items,
)
from crypto_platform.sources.readings import read_moment

PATH = "/v1/account-events"
PAGE_EVENTS = 1000
PAGES_MAX = 10
"""Of one poll, which is one transaction: a backlog takes several."""

FEWER = "it has fewer events now"
OTHER = "it says something else of that event now"

_CURSOR = "events"
"""The one position of the feed."""

_Sequence = Annotated[int, msgspec.Meta(ge=1, le=2**53)]


class _Page(msgspec.Struct):
    events: list[msgspec.Raw]
    last_sequence: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class _Numbered(msgspec.Struct):
    """Of an event as much as its place takes."""

    sequence: _Sequence


class _Order(msgspec.Struct):
    order_id: str
    product_id: str
    side: Side
    type: OrderType
    time_in_force: str
    post_only: bool
    filled_quantity: str
    filled_notional: str
    fees: str
    status: OrderStatus
    created: str
    client_order_id: str | None = None
    price: str | None = None
    quantity: str | None = None
    funds: str | None = None
    fee_currency: str | None = None
    reason: str | None = None


class _Fill(msgspec.Struct):
    trade_id: int
    price: str
    quantity: str
    liquidity: Liquidity
    fee: str
    fee_currency: str | None = None


class _Posting(msgspec.Struct):
    account: Account
    currency: str
    amount: str


class _Wallet(msgspec.Struct):
    currency: str
    available: str
    locked: str


class _Event(msgspec.Struct):
    sequence: _Sequence
    event_id: Annotated[str, msgspec.Meta(min_length=1)]
    user_id: Annotated[str, msgspec.Meta(min_length=1)]
    user_sequence: _Sequence
    type: EventKind
    time: str
    order: _Order | None
    fill: _Fill | None
    postings: list[_Posting]
    wallets: list[_Wallet]


_EVENT_DECODER = msgspec.json.Decoder(_Event)
_NUMBER_DECODER = msgspec.json.Decoder(_Numbered)


class Position(msgspec.Struct, frozen=True):
    """How far the company was read.

    Attributes:
        sequence: Of the last event that was taken.
        content_hash: That record's, so that another history under the same numbers shows; None in
            a cursor of an older release, which kept another digest.
    """

    sequence: int
    content_hash: int | None = None


def read_position(positions: Mapping[str, str]) -> Position | None:
    """The cursor; None where nothing was read yet."""
    text = positions.get(_CURSOR)
    return None if text is None else msgspec.json.decode(text, type=Position)


def parse_event(item: bytes, *, ts_ingest: int) -> AccountEvent:
    """One event as a record.

    Raises:
        RecordRejectedError: undecodable, or invariant: a field is missing or none of its kind.
    """
    event = decode_item(_EVENT_DECODER, item)
    draft = AccountEvent(
        user_id=event.user_id,
        sequence=event.sequence,
        user_sequence=event.user_sequence,
        kind=event.type,
        ts_event=read_moment(event.time, "time").time_us,
        posting_accounts=tuple([each.account.value for each in event.postings]),
        posting_currencies=tuple([each.currency for each in event.postings]),
        posting_amounts=tuple([parse_amount(each.amount) for each in event.postings]),
        wallet_currencies=tuple([each.currency for each in event.wallets]),
        wallet_available=tuple([parse_amount(each.available) for each in event.wallets]),
        wallet_locked=tuple([parse_amount(each.locked) for each in event.wallets]),
        ts_ingest=ts_ingest,
        **_order_fields(event.order),
        **_fill_fields(event.fill),
    )
    return seal_account_event(draft, event_id=event.event_id)


def _order_fields(order: _Order | None) -> dict[str, Any]:
    if order is None:
        return {}
    return {
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "venue_symbol": order.product_id,
        "side": order.side,
        "order_type": order.type,
        "time_in_force": order.time_in_force,
        "post_only": order.post_only,
        "limit_price": _parse_known(order.price),
        "order_quantity": _parse_known(order.quantity),
        "order_funds": _parse_known(order.funds),
        "filled_quantity": parse_amount(order.filled_quantity),
        "filled_notional": parse_amount(order.filled_notional),
        "order_fees": parse_amount(order.fees),
        "order_fee_currency": order.fee_currency,
        "order_status": order.status,
        "order_reason": order.reason,
        "ts_created": read_moment(order.created, "created").time_us,
    }


def _fill_fields(fill: _Fill | None) -> dict[str, Any]:
    if fill is None:
        return {}
    return {
        "trade_id": str(fill.trade_id),
        "fill_price": parse_amount(fill.price),
        "fill_quantity": parse_amount(fill.quantity),
        "liquidity": fill.liquidity,
        "fill_fee": parse_amount(fill.fee),
        "fill_fee_currency": fill.fee_currency,
    }


def _parse_known(text: str | None) -> str | None:
    return None if text is None else parse_amount(text)


class Company:
    """One instance of the company's API."""

    feeds = (ACCOUNT_EVENTS.name,)

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
            ConfigurationError: base_url or key cannot work.
        """
        self.name = name
        self._http = HttpClient(source=name, settings=settings, stop=stop, share=share)

    def poll(self, feed: str, *, positions: Mapping[str, str], ts_ingest: int) -> Poll:
        """Read on until the newest event is met, at most PAGES_MAX pages; see Source.poll.

        Raises:
            SourceCursorLostError: The company has no such history any more.
        """
        _ = feed
        known = read_position(positions)
        items: list[bytes] = []
        # the last event that is known is asked for again
        after = 0 if known is None else known.sequence - 1
        for _ in range(PAGES_MAX):
            page, last_sequence = self._read_page(after, known)
            items += page
            after += len(page)
            if after >= last_sequence or not page:
                break
        if known is not None:
            self._check_known(items, known)
            items = items[1:]
        parse = partial(parse_event, ts_ingest=ts_ingest)
        found = read_items(items, parse, source=self.name, feed=ACCOUNT_EVENTS, ts_ingest=ts_ingest)
        positions = {}
        if found.records:
            # a rejected event at the end is asked for again: it may have been garbled on its way
            newest = cast("AccountEvent", found.records[-1])
            position = Position(sequence=newest.sequence, content_hash=newest.content_hash)
            positions = {_CURSOR: msgspec.json.encode(position).decode()}
        return Poll(records=found.records, rejected=found.rejected, positions=positions)

    def check_own(self, record: Record) -> None:
        """Ask for the event of the record's number; see UnnamedSource."""
        event = cast("AccountEvent", record)
        known = Position(sequence=event.sequence, content_hash=event.content_hash)
        items, _ = self._read_page(event.sequence - 1, known)
        self._check_known(items, known)

    def _read_page(self, after: int, known: Position | None) -> tuple[Sequence[bytes], int]:
        """Events after+1, after+2, …, and the newest there is.

        Raises:
            SourceMalformedError: A number is missing, is there twice, or is none.
        """
        answer = self._ask(after, known)
        page, items = decode_page(
            answer.body, _Page, _list_events, source=self.name, url=answer.url
        )
        try:
            numbers = [_NUMBER_DECODER.decode(item).sequence for item in items]
        except msgspec.DecodeError as error:
            what = f"an event without a sequence: {error}"
            raise build_malformed(
                what, source=self.name, url=answer.url, body=answer.body
            ) from None
        expected = list(range(after + 1, after + 1 + len(items)))
        if numbers != expected or (not items and page.last_sequence > after):
            odd = next(
                (pair for pair in zip(numbers, expected, strict=True) if pair[0] != pair[1]),
                ("nothing", after + 1),
            )
            what = f"after={after}: event {odd[0]} where {odd[1]} must be; nothing of it is used"
            raise build_malformed(what, source=self.name, url=answer.url, body=answer.body)
        return items, page.last_sequence

    def _ask(self, after: int, known: Position | None) -> Answer:
        key = self._http.key
        headers = {} if key is None else {"X-Api-Key": key}
        params = {"after": after, "limit": PAGE_EVENTS}
        try:
            return self._http.get(PATH, params=params, headers=headers)
        except SourceRefusedError as error:
            if known is None or error.context.get("status") != http.client.CONFLICT:
                raise
            raise self._lose_cursor(known, FEWER) from error

    def _check_known(self, items: Sequence[bytes], known: Position) -> None:
        if not items:
            raise self._lose_cursor(known, FEWER)
        if known.content_hash is None:
            return
        try:
            event = parse_event(items[0], ts_ingest=0)
        except RecordRejectedError:
            raise self._lose_cursor(known, OTHER) from None
        if event.content_hash != known.content_hash:
            raise self._lose_cursor(known, OTHER)

    def _lose_cursor(self, known: Position, found: str) -> SourceCursorLostError:
        message = (
            f"{self.name}: its events were read up to {known.sequence}, and {found}: this is "
            "another history, of which nothing was taken"
        )
        return SourceCursorLostError(
            message, source=self.name, url=PATH, position=str(known.sequence)
        )


def _list_events(page: _Page) -> list[msgspec.Raw]:
    return page.events
