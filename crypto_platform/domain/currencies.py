"""Which currency a source's own id means: the one place where ids become unified codes.

Here: the table shipped with the package (currencies.toml) joined with what a source's settings add
to it. A mapping goes by the source and its own id, never by a ticker alone, for tickers collide;
what is not in the table is None. Not here: who asks (sources/, serving/), settings.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

TABLE_FILE = "currencies.toml"


class CurrencyTable(NamedTuple):
    """The table as shipped.

    Attributes:
        codes: Unified code -> what it means.
        venues: By dialect whose codes are the unified ones: what it calls otherwise.
        lists: By dialect that has ids of its own: id -> unified code.
    """

    codes: Mapping[str, str]
    venues: Mapping[str, Mapping[str, str]]
    lists: Mapping[str, Mapping[str, str]]


@cache
def read_table() -> CurrencyTable:
    """Read the shipped table, once a process."""
    text = files("crypto_platform.domain").joinpath(TABLE_FILE).read_text("utf-8")
    return CurrencyTable(**tomllib.loads(text))


def map_currencies(dialect: str, own: Mapping[str, str]) -> Mapping[str, str]:
    """The source's own currency ids that are mapped, with their unified codes.

    Args:
        dialect: What the source speaks; one that the table does not have maps nothing by itself.
        own: Of the source's settings: adds to the table and corrects it; an empty code leaves an id
            unmapped.
    """
    table = read_table()
    mapped = dict(table.lists.get(dialect, {}))
    if dialect in table.venues:
        mapped = {code: code for code in table.codes} | dict(table.venues[dialect])
    return {currency_id: code for currency_id, code in (mapped | dict(own)).items() if code}
