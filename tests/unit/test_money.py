"""Amounts: value and scale of a source's number, or a refusal."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_platform.domain.money import (
    are_amounts,
    check_amount_digits,
    explain_amount,
    parse_amount,
)
from crypto_platform.errors import Reason, RecordRejectedError

DIGITS_34 = "1234567890123456789012345678901234"


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("12.666344", "12.666344"),
        ("18710831.0", "18710831.0"),
        ("1.10", "1.10"),
        ("1.054e-05", "0.00001054"),
        ("1E+3", "1000"),
        ("1.50e1", "15.0"),
        ("-0", "0"),
        ("-0.00", "0.00"),
        ("0e-3", "0.000"),
        ("0e3", "0"),
        ("007.5", "7.5"),
        ("-4.2", "-4.2"),
        (DIGITS_34, DIGITS_34),
        (f"0.{DIGITS_34}", f"0.{DIGITS_34}"),
    ],
)
def test_a_number_keeps_its_value_and_scale(text: str, stored: str) -> None:
    """1.10 that comes back as 1.1 would look like a conflict between the two stores."""
    assert parse_amount(text) == stored


@pytest.mark.parametrize(
    "text",
    [
        "NaN", "Infinity", "-Infinity", "nan", "", " 1", "1 ", "1\n", "+1", "1_000", "1,5", ".5",
        "5.", "0x10", "1e", "true", "{}", "\u0661\u0662", "1e99999", "1e34", "1e-101", "9" * 35,
        f"0.{'9' * 35}", f"1.{'0' * 34}",
    ],
)  # fmt: skip
def test_what_no_store_could_keep_is_refused(text: str) -> None:
    """Decimal takes many of these silently, and a Decimal128 rounds the long ones."""
    with pytest.raises(RecordRejectedError) as refused:
        parse_amount(text)
    assert refused.value.reason is Reason.INVARIANT


def test_a_number_of_a_gigabyte_is_refused_before_it_is_written_out() -> None:
    """1e999999999 has ten characters and a billion digits."""
    with pytest.raises(RecordRejectedError):
        parse_amount("1e9999")


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=12, min_value=-(10**20), max_value=10**20
    )
)
def test_parsing_changes_neither_value_nor_scale(number: Decimal) -> None:
    """Any other rule would be one more thing that the two stores have to agree on."""
    stored = parse_amount(f"{number:e}")
    assert Decimal(stored) == number
    assert parse_amount(stored) == stored


@pytest.mark.parametrize("text", ["-0", "-0.00", "01", "1e3", "1.", ".1", "NaN", "1\n", "+1", ""])
def test_a_record_holds_amounts_in_stored_form_only(text: str) -> None:
    """Another form in a topic would be another hash of the same fact."""
    assert explain_amount(text) is not None
    assert not are_amounts(["1.10", text, "7"])


@given(st.lists(st.from_regex(r"-?[0-9.\n]{0,40}", fullmatch=True)))
def test_a_column_of_amounts_is_judged_as_each_of_them(texts: list[str]) -> None:
    """The loads look at whole columns: what passes there must pass one by one, and the reverse."""
    assert are_amounts(texts) == all(explain_amount(text) is None for text in texts)


def test_leading_zeros_of_a_fraction_are_not_digits() -> None:
    """A Decimal128 does not store them, so they must not use up its 34."""
    check_amount_digits("0." + "0" * 60 + "12345")


@pytest.mark.parametrize(
    "amount", ["1" * 35, "-" + "1" * 35, "0." + "0" * 100 + "1", "1" + "0" * 34]
)
def test_too_many_digits_in_stored_form_are_refused(amount: str) -> None:
    """Whoever publishes must not be able to make the stores differ by rounding."""
    with pytest.raises(RecordRejectedError):
        check_amount_digits(amount)
