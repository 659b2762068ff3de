"""account_events: what happens in users' accounts, one record an event, each with its postings.

Here: the feed, and what one event must be by itself. Not here: the record and the states derived
from it (accounts.py), sums over events (the audit).
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any

import msgspec

from crypto_platform.domain.ledger import are_opposite_neighbours, do_cancel_out, sum_by_currency
from crypto_platform.feeds.accounts import (
    ORDERS,
    WALLET_ACCOUNTS,
    WALLETS,
    Account,
    AccountEvent,
    EventKind,
)
from crypto_platform.feeds.feed import Feed, Index, build_event_id, hash_facts

_ACCOUNTS = frozenset(account.value for account in Account)
# compared, for an enum's hash is Python's own and slow
_OF_ORDERS = (
    EventKind.ORDER_ACCEPTED,
    EventKind.ORDER_REJECTED,
    EventKind.ORDER_FILLED,
    EventKind.ORDER_CANCELLED,
)
_OF_FILLS = (EventKind.ORDER_FILLED,)


def seal_account_event(draft: AccountEvent, *, event_id: str) -> AccountEvent:
    """Give an event its hash and the company's own name of it as its id."""
    return msgspec.structs.replace(
        draft, event_id=build_event_id(event_id), content_hash=hash_facts(draft)
    )


_ORDER_NEEDS = (
    "order_id",
    "venue_symbol",
    "side",
    "order_type",
    "time_in_force",
    "post_only",
    "filled_quantity",
    "filled_notional",
    "order_fees",
    "order_status",
    "ts_created",
)
_FILL_NEEDS = ("trade_id", "fill_price", "fill_quantity", "liquidity", "fill_fee")
_LEGS = ("posting_accounts", "posting_currencies", "posting_amounts")
_WALLETS = ("wallet_currencies", "wallet_available", "wallet_locked")
_NAMES = ("posting_accounts", "posting_currencies", "wallet_currencies")


def find_odd_events(columns: Mapping[str, Sequence[Any]]) -> Iterator[tuple[int, str]]:
    """Which events do not add up by themselves; see Feed.find_odd.

    Each rule looks at whole columns first, which nearly always pass.
    """
    problems: dict[int, str] = {}
    for place, problem in chain(
        _find_missing(columns, _ORDER_NEEDS, of_kinds=_OF_ORDERS),
        _find_missing(columns, _FILL_NEEDS, of_kinds=_OF_FILLS),
        _find_odd_names(columns),
        _find_negative(columns),
        _find_imbalance(columns),
    ):
        problems.setdefault(place, problem)
    return iter(problems.items())


def _find_missing(
    columns: Mapping[str, Sequence[Any]], names: Sequence[str], *, of_kinds: Sequence[EventKind]
) -> Iterator[tuple[int, str]]:
    """All of it is known, or the first is not and the kind does not need it."""
    own = [columns[name] for name in names]
    if all(all(column) or None not in column for column in own):
        return
    rows = zip(columns["kind"], zip(*own, strict=True), strict=True)
    for place, (kind, values) in enumerate(rows):
        if None in values and (values[0] is not None or kind in of_kinds):
            yield place, f"{names[values.index(None)]}: missing, and the event is of that kind"


def _find_odd_names(columns: Mapping[str, Sequence[Any]]) -> Iterator[tuple[int, str]]:
    names = list(zip(*[columns[name] for name in _NAMES], strict=True))
    found = {each: problem for each in set(names) if (problem := find_odd_names(*each))}
    if found:
        for place, each in enumerate(names):
            if each in found:
                yield place, found[each]


def _find_negative(columns: Mapping[str, Sequence[Any]]) -> Iterator[tuple[int, str]]:
    available, locked = columns["wallet_available"], columns["wallet_locked"]
    if "-" in "".join(chain.from_iterable(chain(available, locked))):
        for place, amounts in enumerate(zip(available, locked, strict=True)):
            if "-" in "".join(chain.from_iterable(amounts)):
                yield place, _explain_negative(*amounts)


def _find_imbalance(columns: Mapping[str, Sequence[Any]]) -> Iterator[tuple[int, str]]:
    posted, amounts = columns["posting_currencies"], columns["posting_amounts"]
    if not are_opposite_neighbours(posted, amounts):
        for place, legs in enumerate(zip(posted, amounts, strict=True)):
            if not do_cancel_out(*legs) and (problem := _explain_imbalance(*legs)):
                yield place, problem


def _explain_negative(available: Sequence[str], locked: Sequence[str]) -> str:
    negative = next(amount for amount in (*available, *locked) if amount.startswith("-"))
    return f"wallet_available, wallet_locked: {negative} is below zero"


def _explain_imbalance(currencies: Sequence[str], amounts: Sequence[str]) -> str | None:
    for currency, total in sum_by_currency(zip(currencies, amounts, strict=True)).items():
        if total:
            return f"posting_amounts: {currency[:20]} adds up to {total}, not to zero"
    return None


@lru_cache(maxsize=4096)
def find_odd_names(
    accounts: tuple[str, ...], posted: tuple[str, ...], currencies: tuple[str, ...]
) -> str | None:
    """What is wrong with names alone; events share their names with thousands of others.

    Args:
        accounts, posted: Of the postings.
        currencies: Of the wallets.
    """
    if not _ACCOUNTS.issuperset(accounts):
        return f"posting_accounts: nobody knows {min(set(accounts) - _ACCOUNTS)[:60]!r}"
    own = set(currencies)
    if len(own) != len(currencies):
        return "wallet_currencies: one of them is there twice"
    for account, currency in zip(accounts, posted, strict=True):
        if account in WALLET_ACCOUNTS and currency not in own:
            return f"wallet_currencies: {currency[:20]} was touched and is not there"
    return None


ACCOUNT_EVENTS = Feed(
    name="account_events",
    topic="accounts.events",
    # never changed: a user's events stay in order because they stay in one partition
    partitions=12,
    record=AccountEvent,
    versions=AccountEvent,
    key_of=lambda event: event.user_id,
    schema="accounts",
    table="event",
    collection="account_events",
    positive_names=("fill_price", "fill_quantity"),
    paired_names=(
        *pairwise(_LEGS),
        *pairwise(_WALLETS),
    ),
    find_odd=find_odd_events,
    projections=(ORDERS, WALLETS),
    keeps_topic=True,
    indexes=(Index(fields=("user_id", "-sequence")),),
    description="What happens in users' accounts: orders, fills, deposits, with their postings.",
)
