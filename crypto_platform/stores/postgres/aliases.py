"""market.currency_alias: what sources' own currency ids mean, for whoever joins quotes in SQL.

Here: the table filled anew. Not here: the mapping (domain/currencies.py).
"""

from collections.abc import Sequence

from crypto_platform.stores.postgres.session import Session

_INSERT = """
INSERT INTO market.currency_alias (source, currency_id, currency)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[])
"""


def replace_aliases(url: str, aliases: Sequence[tuple[str, str, str]]) -> None:
    """Make the table what is mapped now, in one transaction.

    Args:
        url: Of the role that owns the tables.
        aliases: Source, currency id, unified code.

    Raises:
        StoreUnavailableError, StoreRefusedError: The table is as it was.
    """
    session = Session(url, application_name="crypto_platform aliases")
    columns = [list(column) for column in zip(*aliases, strict=True)] or [[], [], []]
    try:
        with session.transaction() as connection:
            connection.execute("DELETE FROM market.currency_alias")
            connection.execute(_INSERT, columns)
    finally:
        session.close()
