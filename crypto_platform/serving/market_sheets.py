"""What is read of the market as tables: quotes.

Here: rows for other programs. Not here: reading (reader.py, market.py), text (cli/).
"""

from collections.abc import Collection, Sequence

from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.feed import FieldKind
from crypto_platform.feeds.quotes import QUOTES, Quote
from crypto_platform.serving.currencies import CurrencyCodes
from crypto_platform.serving.sheets import Column, Sheet, build_sheet

QUOTE_COLUMNS: Sequence[Column] = (
    *build_sheet(FEED_BY_NAME[QUOTES.name], []).columns,
    Column("currency", FieldKind.TEXT),
    Column("simulated", None),
)


def build_quotes(
    quotes: Sequence[Quote], *, codes: CurrencyCodes, simulated: Collection[str]
) -> Sheet:
    """Quotes with all their digits, for other programs.

    `currency` is the unified code, None where unmapped: what quotes of several sources are joined
    by.
    """
    own = build_sheet(FEED_BY_NAME[QUOTES.name], quotes)
    rows = [
        (*row, codes.of_quote(quote), quote.source in simulated)
        for row, quote in zip(own.rows, quotes, strict=True)
    ]
    return Sheet(QUOTE_COLUMNS, rows)
