"""The file in which somebody says where his deposits come from."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from crypto_platform.domain.hours import to_time_us
from crypto_platform.domain.tax_events import Origin
from crypto_platform.domain.valuation import Money
from crypto_platform.errors import ConfigurationError
from crypto_platform.serving.origins import read_origins

BERLIN = ZoneInfo("Europe/Berlin")
EXPECTED = {
    # midnight in Berlin
    "ev-1": Origin(
        to_time_us(datetime(2021, 3, 3, 23, tzinfo=UTC)), Money("EUR", Decimal("1200.50"))
    ),
    "ev-2": Origin(to_time_us(datetime(2020, 1, 1, 12, tzinfo=UTC)), Money("USD", Decimal(0))),
}
TOML = """
[ev-1]
acquired = 2021-03-04
cost = "1200.50"
currency = "EUR"
[ev-2]
acquired = 2020-01-01T12:00:00Z
cost = 0
currency = "USD"
"""
CSV = """event_id,acquired,cost,currency
ev-1, 2021-03-04, 1200.50, EUR

ev-2,2020-01-01T12:00:00Z,0,USD
"""


@pytest.mark.parametrize(
    ("name", "text"), [("o.toml", TOML), ("o.csv", CSV), ("o", "\ufeff" + CSV)]
)
def test_both_forms_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    """Whoever keeps a table and whoever keeps a file of settings own the same coins."""
    file = tmp_path / name
    file.write_text(text, "utf-8")
    assert read_origins(file, time_zone=BERLIN) == EXPECTED


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("o.csv", "", "nothing"),
        ("o.csv", "id,acquired,cost,currency\n", "id,acquired"),
        ("o.csv", "event_id,acquired,cost,currency\nev-1,2021-03-04,1\n", "ev-1: found 3"),
        ("o.csv", CSV + "ev-1,2021-03-04,1,EUR\n", "ev-1: it is there twice"),
        ("o.csv", "event_id,acquired,cost,currency\nev-1,4 March,1,EUR\n", "ev-1: acquired"),
        ("o.csv", "event_id,acquired,cost,currency\nev-1,1969-03-04,1,EUR\n", "before 1970"),
        ("o.csv", "event_id,acquired,cost,currency\nev-1,2021-03-04,1.2.3,EUR\n", "ev-1: cost"),
        ("o.csv", "event_id,acquired,cost,currency\nev-1,2021-03-04,-1,EUR\n", "below zero"),
        ("o.csv", "event_id,acquired,cost,currency\nev-1,2021-03-04,1,€\n", "ev-1: currency"),
        ("o.toml", "ev-1 = 7", "ev-1: found no table"),
        ("o.toml", "[ev-1]\ncost = '1'", "ev-1: found cost"),
        ("o.toml", TOML.replace('"1200.50"', "1200.50"), "quotation marks"),
        ("o.toml", "[ev-1", "Expected"),
        ("missing.toml", None, "No such file"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_works(
    tmp_path: Path, name: str, text: str | None, found: str
) -> None:
    """A cost that was misread is a wrong gain under somebody's signature."""
    file = tmp_path / name
    if text is not None:
        file.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match="event_id,acquired,cost,currency") as refused:
        read_origins(file, time_zone=BERLIN)
    assert found in str(refused.value)
