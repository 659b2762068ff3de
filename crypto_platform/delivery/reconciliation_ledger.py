"""One user after the other: postings, wallets, numbers of events and the company's word agree.

Here: pure comparisons of what stores and the company say of one user, and of the sums over all. Not
here: where it comes from (reconciliation.py), orders and matches (reconciliation_orders.py).

At a cut a wallet whose event is not above it is the sum of the user's postings up to the cut; one
that is above it has moved on already, and is what its own event says (see `take_ahead`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from crypto_platform.delivery.reconciliation_report import Discrepancy, Mismatches
from crypto_platform.domain.exact import ZERO, add
from crypto_platform.feeds.accounts import WALLET_ACCOUNTS, Account, Wallet
from crypto_platform.sources.company_accounts import OwnAccounts, OwnWallet
from crypto_platform.stores.accounts import PostingSum, UserCount

Pair = tuple[Decimal, Decimal]
"""Available, locked."""

NOTHING: Pair = (ZERO, ZERO)


@dataclass(frozen=True, kw_only=True)
class UserInStore:
    """What a store has of one user.

    Attributes:
        sums: Of all postings up to the cut.
        wallets: As they are now.
        count: Of events up to the cut; None where there is none.
    """

    sums: Sequence[PostingSum] = ()
    wallets: Sequence[Wallet] = ()
    count: UserCount | None = None

    def own_sums(self) -> Mapping[str, Pair]:
        """What the postings to the user's own accounts add up to, by currency."""
        parts = {
            (each.account, each.currency): each.amount
            for each in self.sums
            if each.account in WALLET_ACCOUNTS
        }
        return {
            currency: (
                parts.get((Account.AVAILABLE, currency), ZERO),
                parts.get((Account.LOCKED, currency), ZERO),
            )
            for _, currency in parts
        }


@dataclass(kw_only=True)
class LedgerCheck:
    """Compares users one by one and adds up the whole.

    Attributes:
        cut: Number of the last event that every store has with all before it.
        take_ahead: Is handed each wallet above the cut, with its store.
        totals: What was seen so far, by store, account and currency.
    """

    cut: int
    mismatches: Mismatches
    take_ahead: Callable[[str, Wallet], None]
    totals: dict[str, dict[tuple[str, str], Decimal]] = field(
        default_factory=dict[str, dict[tuple[str, str], Decimal]]
    )

    def check_user(self, user_id: str, stores: Mapping[str, UserInStore]) -> None:
        """What each store says of the user by itself, and both together."""
        for store, user in stores.items():
            self._check_count(store, user)
            self._add_up(store, user_id, user)
            self._check_wallets(store, user_id, user)
        self._compare_stores(user_id, stores)

    def check_company(
        self, user_id: str, stores: Mapping[str, UserInStore], own: OwnAccounts | None
    ) -> None:
        """What the company says of the user at the cut; None: it knows no such user."""
        for store, user in stores.items():
            events = 0 if user.count is None else user.count.events
            known = 0 if own is None else own.user_sequence
            if events != known:
                self._differ(
                    store, user_id, None, f"{events} events here, the company has {known} of them"
                )
            wallets: Mapping[str, OwnWallet] = {} if own is None else own.wallets
            sums = user.own_sums()
            for currency in sorted(sums.keys() | wallets.keys()):
                here, there = sums.get(currency, NOTHING), wallets.get(currency, NOTHING)
                if here != tuple(there):
                    what = f"{print_pair(here)} here, the company has {print_pair(there)}"
                    self._differ(store, user_id, currency, what)

    def check_totals(self, own: Mapping[tuple[str, str], Decimal]) -> None:
        """What the company says of all its accounts at the cut."""
        for store, totals in self.totals.items():
            for account, currency in sorted(totals.keys() | own.keys()):
                here = totals.get((account, currency), ZERO)
                there = own.get((account, currency), ZERO)
                if here != there:
                    what = f"{account} of all users: {here} here, the company has {there}"
                    self._differ(store, None, currency, what)

    def _differ(self, store: str, user_id: str | None, currency: str | None, detail: str) -> None:
        self.mismatches.add(
            Discrepancy.COMPANY_DIFFERS, store, user_id=user_id, currency=currency, detail=detail
        )

    def _check_count(self, store: str, user: UserInStore) -> None:
        count = user.count
        if count is not None and count.events != count.last_user_sequence:
            self.mismatches.add(
                Discrepancy.USER_EVENT_MISSING,
                store,
                user_id=count.user_id,
                detail=f"{count.events} events, and the last is the user's number "
                f"{count.last_user_sequence}",
            )

    def _add_up(self, store: str, user_id: str, user: UserInStore) -> None:
        totals = self.totals.setdefault(store, {})
        balance: dict[str, Decimal] = {}
        for each in user.sums:
            name = (each.account, each.currency)
            totals[name] = add(totals.get(name, ZERO), each.amount)
            balance[each.currency] = add(balance.get(each.currency, ZERO), each.amount)
        for currency, amount in balance.items():
            if amount:
                self.mismatches.add(
                    Discrepancy.UNBALANCED,
                    store,
                    user_id=user_id,
                    currency=currency,
                    detail=f"postings to all accounts add up to {amount}, not to zero",
                )

    def _check_wallets(self, store: str, user_id: str, user: UserInStore) -> None:
        sums = user.own_sums()
        for currency, pair in sums.items():
            self._check_negative(store, user_id, currency, pair, "the postings")
        seen: set[str] = set()
        for wallet in user.wallets:
            seen.add(wallet.currency)
            pair = (Decimal(wallet.available), Decimal(wallet.locked))
            self._check_negative(store, user_id, wallet.currency, pair, "the wallet")
            if wallet.sequence > self.cut:
                self.take_ahead(store, wallet)
            elif pair != sums.get(wallet.currency, NOTHING):
                expected = print_pair(sums.get(wallet.currency, NOTHING))
                what = f"{print_pair(pair)} in the wallet, its postings add up to {expected}"
                self._name_wallet(store, user_id, wallet.currency, what)
        for currency in sums.keys() - seen:
            what = f"no wallet, and postings add up to {print_pair(sums[currency])}"
            self._name_wallet(store, user_id, currency, what)

    def _name_wallet(self, store: str, user_id: str, currency: str, detail: str) -> None:
        self.mismatches.add(
            Discrepancy.WALLET_DIFFERS, store, user_id=user_id, currency=currency, detail=detail
        )

    def _check_negative(
        self, store: str, user_id: str, currency: str, pair: Pair, where: str
    ) -> None:
        if min(pair) < 0:
            what = f"{print_pair(pair)} by {where}"
            self.mismatches.add(
                Discrepancy.NEGATIVE, store, user_id=user_id, currency=currency, detail=what
            )

    def _compare_stores(self, user_id: str, stores: Mapping[str, UserInStore]) -> None:
        """Wallets that no store has above the cut are the same to the digit, and of one event."""
        (name, first), *others = (
            (store, {wallet.currency: wallet for wallet in user.wallets})
            for store, user in stores.items()
        )
        for other, wallets in others:
            for currency in sorted(first.keys() & wallets.keys()):
                pair = (first[currency], wallets[currency])
                if pair[0] != pair[1] and max(each.sequence for each in pair) <= self.cut:
                    self.mismatches.add(
                        Discrepancy.STATES_DIFFER,
                        f"{name} and {other}",
                        user_id=user_id,
                        currency=currency,
                        detail="wallet: " + describe_difference(*pair, names=(name, other)),
                    )


def describe_difference(one: object, other: object, *, names: Iterable[str]) -> str:
    """Which fields of two states of one kind differ, and how."""
    first, second = names
    fields: tuple[str, ...] = getattr(one, "__struct_fields__", ())
    pairs = [(name, getattr(one, name), getattr(other, name)) for name in fields]
    return "; ".join(
        f"{name} is {mine} in {first}, {theirs} in {second}"
        for name, mine, theirs in pairs
        if mine != theirs
    )


def print_pair(pair: tuple[Decimal, Decimal]) -> str:
    """Both parts of a wallet."""
    available, locked = pair
    return f"{available:f} available and {locked:f} locked"
