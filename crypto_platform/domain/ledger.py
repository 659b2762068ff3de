"""Double entry, exactly: postings are signed amounts whose sum is zero in every currency.

Here: sums by currency, whatever the scales. Not here: who posts what to which account (feeds/
account_events.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import chain

from crypto_platform.domain.exact import ZERO, add


def sum_by_currency(postings: Iterable[tuple[str, str]]) -> Mapping[str, Decimal]:
    """The sum of each currency's postings.

    Args:
        postings: Currency and amount in stored form.
    """
    sums: dict[str, Decimal] = {}
    for currency, amount in postings:
        sums[currency] = add(sums.get(currency, ZERO), Decimal(amount))
    return sums


def do_cancel_out(currencies: Sequence[str], amounts: Sequence[str]) -> bool:
    """Whether each posting has its opposite, digit by digit; then the sums are zero.

    One quick look that nearly every double entry passes; it halves what the rules of an account
    event cost. False says nothing yet: legs may cancel out in other ways.
    """
    waiting: set[tuple[str, str]] = set()
    for leg in zip(currencies, amounts, strict=True):
        currency, amount = leg
        opposite = currency, amount[1:] if amount.startswith("-") else f"-{amount}"
        if opposite in waiting:
            waiting.remove(opposite)
        elif leg in waiting:
            return False
        else:
            waiting.add(leg)
    return not waiting


def are_opposite_neighbours(
    currencies: Sequence[Sequence[str]], amounts: Sequence[Sequence[str]]
) -> bool:
    """Whether the legs of all these entries are pairs of neighbours, each the other's opposite.

    The same quick look at thousands of entries at once, for money is moved from here to there.
    False says nothing yet either.

    Args:
        currencies, amounts: Of each entry's legs.
    """
    if any(len(legs) % 2 for legs in amounts):
        return False
    posted, legs = list(chain.from_iterable(currencies)), list(chain.from_iterable(amounts))
    if posted[::2] != posted[1::2]:
        return False
    # all signs turned at once, for no amount holds a line break or a NUL
    ones, others = "\n".join(["", *legs[::2]]), "\n".join(["", *legs[1::2]])
    return ones.replace("\n-", "\0").replace("\n", "\n-").replace("\0", "\n") == others
