"""Double entry: every event's postings sum to zero per currency, and no wallet is ever below zero.

Here: wallets, the sums of all accounts, the two rules above. Not here: which postings an event has
(engine.py), keeping them (journal.py).

Accounts: `available` and `locked` are a user's own wallet; `clearing` stands between the two halves
of a match and is zero after both; `fees` is what the company earned; `outside` is the world that
deposits come from and withdrawals go to, so it is below zero by what the company keeps for others.
"""

from collections.abc import Sequence

from crypto_platform.simulation.company.events import Account, Posting, WalletState

Wallet = tuple[int, int]
"""Available, locked; in the currency's smallest units."""

_EMPTY: Wallet = (0, 0)


class LedgerError(Exception):
    """Postings that break a rule: a mistake of the engine. Nothing was posted."""


class Ledger:
    """All wallets, and what every account has in sum."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.wallets: dict[int, dict[str, Wallet]] = {}
        self.totals: dict[tuple[Account, str], int] = {}

    def available(self, user: int, currency: str) -> int:
        """What a user can spend."""
        return self._read(user, currency)[0]

    def post(self, user: int, postings: Sequence[Posting]) -> list[WalletState]:
        """Book one event of a user.

        Returns:
            The user's wallets that it touched, after it.

        Raises:
            LedgerError: The postings do not balance, or a wallet would fall below zero.
        """
        sums: dict[str, int] = {}
        touched: dict[str, Wallet] = {}
        for account, currency, amount in postings:
            sums[currency] = sums.get(currency, 0) + amount
            if account == "available":
                free, locked = touched.get(currency) or self._read(user, currency)
                touched[currency] = (free + amount, locked)
            elif account == "locked":
                free, locked = touched.get(currency) or self._read(user, currency)
                touched[currency] = (free, locked + amount)
        if any(sums.values()):
            text = f"postings of user {user} do not balance: {postings}"
            raise LedgerError(text)
        for currency, wallet in touched.items():
            if min(wallet) < 0:
                text = f"{currency} of user {user} would be {wallet} after {postings}"
                raise LedgerError(text)
        for account, currency, amount in postings:
            key = (account, currency)
            self.totals[key] = self.totals.get(key, 0) + amount
        if touched:
            self.wallets.setdefault(user, {}).update(touched)
        return [(currency, *wallet) for currency, wallet in touched.items()]

    def _read(self, user: int, currency: str) -> Wallet:
        wallets = self.wallets.get(user)
        return _EMPTY if wallets is None else wallets.get(currency, _EMPTY)
