"""What is asked of users' accounts, and told: states with their parts, sums, halves of matches."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from crypto_platform.feeds.feed import State
from crypto_platform.stores.market import Span


class Whole(NamedTuple):
    """A state with all that belongs to it piece by piece: an order with its fills.

    Attributes:
        parts: By their sequence.
    """

    state: State
    parts: Sequence[State]


class StatesSum(NamedTuple):
    """So many states, and their sequences added up: what tells that one is missing or stale."""

    states: int
    sequences: int


class StatesAccount(NamedTuple):
    """States as they are there, and as the records of the same store tell them, at one moment."""

    there: StatesSum
    told: StatesSum


class TransactionsPage(NamedTuple):
    """Which of a user's transactions; see Store.read_transactions."""

    span: Span
    currency: str | None
    before_sequence: int | None
    records_max: int


class PostingSum(NamedTuple):
    """What all postings of a user to one account add up to, exactly."""

    user_id: str
    account: str
    currency: str
    amount: Decimal


class UserCount(NamedTuple):
    """A user's events as a store has them.

    Attributes:
        events: How many.
        last_user_sequence: The highest of the user's own numbers.
    """

    user_id: str
    events: int
    last_user_sequence: int


class ToldOrder(NamedTuple):
    """What a store's events tell of an order: whose it is, and the last one that is about it."""

    order_id: str
    user_id: str
    sequence: int


class Half(NamedTuple):
    """One user's half of a match; amounts as they are stored."""

    venue_symbol: str
    trade_id: str
    sequence: int
    user_id: str
    liquidity: str
    price: str
    quantity: str
