"""The trading company's own truth: wallets of all its users and sums of its accounts at an event.

Here: two questions, what their answers must be. Not here: the events (company.py), what is compared
with them (delivery/reconciliation.py).

Source: the company's API, "GET /v1/wallets" and "GET /v1/totals".
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, NamedTuple, TypeVar

import msgspec

from crypto_platform.domain.money import parse_amount
from crypto_platform.errors import RecordRejectedError
from crypto_platform.settings import SourceSettings
from crypto_platform.sources.budget import HISTORY_SHARE
from crypto_platform.sources.http import HttpClient
from crypto_platform.sources.pages import build_malformed

WALLETS_PATH = "/v1/wallets"
TOTALS_PATH = "/v1/totals"
PAGE_USERS = 2000
"""About 0.6 MB, and a tenth of a second of the company's time."""

_Sequence = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class OwnWallet(NamedTuple):
    """What a user has of a currency, as the company says."""

    available: Decimal
    locked: Decimal


class OwnAccounts(NamedTuple):
    """One user's wallets, as the company says.

    Attributes:
        user_sequence: How many events the user has.
        wallets: By currency.
    """

    user_id: str
    user_sequence: int
    wallets: Mapping[str, OwnWallet]


class _Wallet(msgspec.Struct):
    currency: str
    available: str
    locked: str


class _Holdings(msgspec.Struct):
    user_id: str
    user_sequence: _Sequence
    wallets: list[_Wallet]


class _WalletsPage(msgspec.Struct):
    sequence: _Sequence
    users: list[_Holdings]
    next_after: str | None


class _Sum(msgspec.Struct):
    account: str
    currency: str
    amount: str


class _Totals(msgspec.Struct):
    sequence: _Sequence
    by_account: list[_Sum]


_Page = TypeVar("_Page", _WalletsPage, _Totals)


class CompanyAccounts:
    """Asks one company, as its operator, beside the live polls of its events."""

    def __init__(self, *, name: str, settings: SourceSettings) -> None:
        """Prepare; nothing is sent.

        Raises:
            ConfigurationError: base_url or key cannot work.
        """
        self.name = name
        self._http = HttpClient(source=name, settings=settings, share=HISTORY_SHARE)

    def close(self) -> None:
        """Give back the connections."""
        self._http.close()

    def read_last_sequence(self) -> int:
        """How many events there are.

        Raises:
            SourceError: No answer, or none that can be used; so for the other questions.
        """
        return self._ask(TOTALS_PATH, {}, _Totals).sequence

    def read_totals(self, *, at_sequence: int) -> Mapping[tuple[str, str], Decimal]:
        """The sum of all postings up to an event, by account and currency."""
        totals = self._ask(TOTALS_PATH, {"at_sequence": at_sequence}, _Totals)
        self._check(totals.sequence, at_sequence, TOTALS_PATH)
        return {
            (each.account, each.currency): self._parse(each.amount, TOTALS_PATH)
            for each in totals.by_account
        }

    def read_wallets(self, *, at_sequence: int) -> Iterator[OwnAccounts]:
        """Every user's wallets right after an event, page by page, in the order of their ids."""
        after = ""
        while True:
            asked = after
            params = {"at_sequence": at_sequence, "after": after, "limit": PAGE_USERS}
            page = self._ask(WALLETS_PATH, params, _WalletsPage)
            self._check(page.sequence, at_sequence, WALLETS_PATH)
            for user in page.users:
                if user.user_id <= after:
                    what = f"after={after}: {user.user_id[:60]} comes again"
                    raise self._malformed(what, WALLETS_PATH)
                after = user.user_id
                yield self._read_user(user)
            if page.next_after is None:
                return
            if page.next_after < after or page.next_after == asked:
                what = f"after={after}: the next page is said to begin at {page.next_after[:60]!r}"
                raise self._malformed(what, WALLETS_PATH)
            after = page.next_after

    def _read_user(self, user: _Holdings) -> OwnAccounts:
        wallets = {
            each.currency: OwnWallet(
                self._parse(each.available, WALLETS_PATH), self._parse(each.locked, WALLETS_PATH)
            )
            for each in user.wallets
        }
        return OwnAccounts(user.user_id, user.user_sequence, wallets)

    def _ask(self, path: str, params: Mapping[str, str | int], page_type: type[_Page]) -> _Page:
        key = self._http.key
        headers = {} if key is None else {"X-Api-Key": key}
        answer = self._http.get(path, params=params, headers=headers)
        try:
            return msgspec.json.decode(answer.body, type=page_type)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise build_malformed(
                str(error), source=self.name, url=answer.url, body=answer.body
            ) from None

    def _check(self, found: int, expected: int, path: str) -> None:
        if found != expected:
            what = f"at_sequence={expected} was answered as of {found}"
            raise self._malformed(what, path)

    def _parse(self, text: str, path: str) -> Decimal:
        try:
            return Decimal(parse_amount(text))
        except RecordRejectedError as error:
            raise self._malformed(str(error), path) from None

    def _malformed(self, what: str, path: str) -> Exception:
        return build_malformed(what, source=self.name, url=path, body=b"")
