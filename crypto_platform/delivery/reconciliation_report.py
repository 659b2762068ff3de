"""What a reconciliation of accounts says: up to which event, of how much, what does not agree.

Here: the values, how mismatches are collected (bounded, with total counts), what to type next. Not
here: how anything is found out (reconciliation.py and its parts).
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

EXAMPLES_MAX = 20
"""Examples, users and currencies named by one mismatch; it counts all."""


class Discrepancy(StrEnum):
    """What can be wrong with accounts; each makes an audit not whole."""

    EVENT_MISSING = "event_missing"
    """A number of the company's is in Kafka's past and not in the store."""
    EVENT_TWICE = "event_twice"
    """Two events of the store have the same number."""
    USER_EVENT_MISSING = "user_event_missing"
    """A user's own numbers have a gap."""
    UNBALANCED = "unbalanced"
    """A user's postings to all accounts do not add up to zero in a currency."""
    NEGATIVE = "negative"
    """A user has less than nothing of a currency."""
    WALLET_DIFFERS = "wallet_differs"
    """A wallet is not the sum of its postings, or is not there."""
    STATES_DIFFER = "states_differ"
    """An order or a wallet is not the same in both stores."""
    ORDER_MISSING = "order_missing"
    """Events tell of an order that no store has."""
    STATE_UNFOUNDED = "state_unfounded"
    """An order or a wallet is not what its store's own events say."""
    HALF_MISSING = "half_missing"
    """A match has not exactly one maker's half and one taker's."""
    HALVES_DIFFER = "halves_differ"
    """The halves of a match have other prices or quantities."""
    COMPANY_DIFFERS = "company_differs"
    """The company itself says otherwise."""


_STATES_AGAIN = (
    "find out who changed it; then `crypto-platform restore STORE --derived` writes it anew from "
    "its events (one of a number that no event has is deleted by the owner of the tables first)"
)
_FACTS = (
    "run `crypto-platform audit --deep`: it names the events that are not what Kafka holds; delete "
    "those and replay their hours"
)

_NEXT_STEPS: Mapping[Discrepancy, str] = {
    Discrepancy.EVENT_MISSING: "look at `crypto-platform quarantine list --feed account_events`; "
    "what the audit names as missing above comes back by a replay of its hours; what Kafka does "
    "not hold either was refused on the way in: `crypto-platform quarantine list --feed rejected`",
    Discrepancy.EVENT_TWICE: "find out which of the two the company knows "
    "(GET /v1/account-events); two companies under one name give this: look at sources.company",
    Discrepancy.USER_EVENT_MISSING: _FACTS,
    Discrepancy.UNBALANCED: _FACTS,
    Discrepancy.NEGATIVE: "where the company says the same it is the company's mistake; else "
    + _STATES_AGAIN,
    Discrepancy.WALLET_DIFFERS: _STATES_AGAIN,
    Discrepancy.STATES_DIFFER: _STATES_AGAIN,
    Discrepancy.ORDER_MISSING: "find out who deleted it; then `crypto-platform restore STORE "
    "--derived` writes it anew from its events, in each store",
    Discrepancy.STATE_UNFOUNDED: _STATES_AGAIN,
    Discrepancy.HALF_MISSING: _FACTS,
    Discrepancy.HALVES_DIFFER: _FACTS,
    Discrepancy.COMPANY_DIFFERS: "compare the user's events with the company's own "
    "(GET /v1/accounts/USER?at_sequence=N); if nothing above is wrong and `crypto-platform audit "
    "--deep` is whole, the company has changed its past",
}


class AccountExample(msgspec.Struct, frozen=True, kw_only=True):
    """One mismatch; whose and of which currency, where it is anybody's."""

    user_id: str | None
    currency: str | None
    detail: str


class Mismatch(msgspec.Struct, kw_only=True):
    """One kind of discrepancy in one store.

    Attributes:
        records: How many.
        users, currencies: Concerned; EXAMPLES_MAX of each at most, in the order they were met.
        examples: EXAMPLES_MAX at most.
    """

    kind: Discrepancy
    store: str
    records: int = 0
    users: list[str] = []
    currencies: list[str] = []
    examples: list[AccountExample] = []
    next_step: str


class StoreAccounts(msgspec.Struct, frozen=True, kw_only=True):
    """What of a store was looked at.

    Attributes:
        newest_event: The highest number there, which may be above what was reconciled.
        matches: By their halves.
    """

    newest_event: int = 0
    users: int = 0
    wallets: int = 0
    orders: int = 0
    matches: int = 0


class CompanyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the company's own truth was compared.

    Attributes:
        compared: All of it; a company that did not answer is not compared, and never good.
        users: How many of its users were compared.
        detail: Who was asked, or why nothing was compared.
    """

    compared: bool
    users: int
    detail: str


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer.

    Attributes:
        whole: No finding.
        through_event: All up to this number is reconciled: each store has all events so far.
        notes: What could not be judged, and why.
    """

    whole: bool
    through_event: int
    seconds: float
    stores: Mapping[str, StoreAccounts]
    company: CompanyAnswer
    findings: list[Mismatch]
    notes: list[str]


class Mismatches:
    """Collects what does not agree: all is counted, the first are named."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Discrepancy], Mismatch] = {}

    def add(
        self,
        kind: Discrepancy,
        store: str,
        *,
        detail: str,
        user_id: str | None = None,
        currency: str | None = None,
        records: int = 1,
    ) -> None:
        """Count one, and name it while there is room."""
        found = self._found.get((store, kind))
        if found is None:
            found = Mismatch(kind=kind, store=store, next_step=_NEXT_STEPS[kind])
            self._found[store, kind] = found
        found.records += records
        for names, name in ((found.users, user_id), (found.currencies, currency)):
            if name is not None and len(names) < EXAMPLES_MAX and name not in names:
                names.append(name)
        if len(found.examples) < EXAMPLES_MAX:
            example = AccountExample(user_id=user_id, currency=currency, detail=detail)
            found.examples.append(example)

    def list_found(self) -> list[Mismatch]:
        """In the order in which each kind was first met."""
        return list(self._found.values())
