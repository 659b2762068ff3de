"""Values as a person reads them."""

from decimal import Decimal

import pytest

from crypto_platform.cli.sparkline import LOW, draw_sparkline
from crypto_platform.cli.text import format_raw, format_table, printable
from crypto_platform.domain.readable import (
    format_age,
    format_bytes,
    format_change,
    format_count,
    format_money,
    format_price,
)


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("64123.123456789", "64,123.12"),
        ("1.10", "1.10"),
        ("0.999096", "0.999096"),
        ("0.000010546789", "0.0000105468"),
        ("0", "0.00"),
        ("1234567890123456789012345678901234", "1,234,567,890,123,456,789,012,345,678,901,234.00"),
        (None, "-"),
    ],
)
def test_a_price_keeps_the_digits_that_matter(amount: str | None, shown: str) -> None:
    """A coin worth a thousandth of a cent must not cost 0.00, and 34 digits must not fail."""
    assert format_price(amount) == shown


def test_unknown_is_a_dash() -> None:
    """A zero would be a statement."""
    unknown = (format_count(None), format_age(None), format_money(None), format_change(None))
    assert unknown == ("-", "-", "-", "-")


def test_a_change_has_its_sign_and_no_negative_zero() -> None:
    """-0.00 % would show a fall where there is none."""
    assert (format_change("1.1"), format_change("-0.004")) == ("+1.10 %", "+0.00 %")


def test_ages_and_sizes_take_one_unit() -> None:
    """They are compared at a glance."""
    ages = [format_age(seconds) for seconds in (0.42, 12.7, 119, 120, 7200, 200_000)]
    assert ages == ["0.4 s", "13 s", "119 s", "2 min", "2 h", "2 d"]
    sizes = [format_bytes(size) for size in (999, 1000, 2_500_000_000)]
    assert sizes == ["999 B", "1.0 kB", "2.5 GB"]


def test_wide_characters_do_not_break_a_table() -> None:
    """Currencies are named in every script, and the figures behind them must stay in line."""
    lines = format_table(("name", "n"), [("比特币", "1"), ("Bitcoin", "22")], right=frozenset({1}))
    assert lines == ["name      n", "比特币    1", "Bitcoin  22"]


def test_a_source_cannot_steer_the_terminal() -> None:
    """Names come from the internet; an escape sequence in one could hide or fake lines."""
    assert printable("\x1b[2JBit\ncoin\u202e") == "?[2JBit?coin?"


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (None, ["none"]),
        (b"", ["empty"]),
        ('{"name": "日本 ü"}'.encode(), ['{"name": "日本 ü"}']),
        (b"\x1b[2Jgone\x00", ["\\x1b[2Jgone\\x00"]),
        (
            b"\x00\xff poison, 17 bytes",
            [
                "000000  00 ff 20 70 6f 69 73 6f 6e 2c 20 31 37 20 62 79  .. poison, 17 by",
                "000010  74 65 73                                         tes",
            ],
        ),
        ("ab日".encode() * 9, ["ab日" * 4 + "ab", "... and 23 bytes more"]),
    ],
)
def test_bytes_are_shown_as_text_or_hex_and_never_steer_the_terminal(
    raw: bytes | None, lines: list[str]
) -> None:
    """What a source sent may hold anything, escape sequences too."""
    assert format_raw(raw, bytes_max=22) == lines


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        (["1", "2", "3"], 9, "▁▄█"),
        (["5", "5"], 9, "▁▁"),
        (["-1"], 9, "▁"),
        (["0", "9", "1", "9", "2", "3"], 3, "██▁"),
    ],
)
def test_a_course_goes_from_its_lowest_to_its_highest_in_its_width(
    values: list[str], width: int, line: str
) -> None:
    """Of a stretch that is one bar its last day is shown: the line ends with today."""
    assert draw_sparkline([Decimal(value) for value in values], width=width, flat=LOW) == line
