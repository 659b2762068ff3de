"""PostgreSQL's SQLSTATEs in the platform's words."""

import psycopg
import pytest
from psycopg.pq import DiagnosticField

from crypto_platform.errors import StoreRefusedError, StoreUnavailableError
from crypto_platform.stores.postgres.errors import is_data_error, is_repeat, translate


@pytest.mark.parametrize(
    "state", ["08006", "40001", "40P01", "53100", "53300", "55P03", "57014", "57P01", "25006"]
)
def test_what_passes_by_itself_may_be_tried_again(state: str) -> None:
    """A load that ends for good over a full disk has to be started by hand."""
    error = translate(psycopg.errors.lookup(state)("says the server"))
    assert isinstance(error, StoreUnavailableError)
    assert error.retryable
    assert state in str(error)


@pytest.mark.parametrize("state", ["42P01", "42501", "42703", "0A000", "23P01"])
def test_what_never_changes_is_not_tried_again(state: str) -> None:
    """Retrying a missing table for ever looks like a slow load."""
    error = translate(psycopg.errors.lookup(state)("says the server"), table="market.quote")
    assert isinstance(error, StoreRefusedError)
    assert not error.retryable
    assert error.table == "market.quote"


def test_a_connection_that_fails_without_a_code_is_unavailable() -> None:
    """The driver reports lost and refused connections without SQLSTATE."""
    error = translate(psycopg.OperationalError("connection refused"))
    assert isinstance(error, StoreUnavailableError)


@pytest.mark.parametrize("state", ["22P02", "22003", "22021", "23502", "54000"])
def test_a_refused_value_blames_its_record(state: str) -> None:
    """Blaming the store would stop the whole topic for one record."""
    assert is_data_error(psycopg.errors.lookup(state)())


def test_only_a_check_with_a_name_blames_the_record() -> None:
    """PostgreSQL gives a missing partition the same code, and every record would be refused."""
    name: dict[int, bytes | None] = {DiagnosticField.CONSTRAINT_NAME: b"fits"}
    assert is_data_error(psycopg.errors.CheckViolation("a check", info=name))
    missing = psycopg.errors.CheckViolation("no partition of relation found for row")
    assert not is_data_error(missing)
    assert isinstance(translate(missing, table="market.trade"), StoreUnavailableError)


@pytest.mark.parametrize("state", ["42P01", "40P01", "53100", "57014"])
def test_a_failing_store_blames_no_record(state: str) -> None:
    """Quarantine would fill with good records while the disk is full."""
    assert not is_data_error(psycopg.errors.lookup(state)())


def test_only_a_unique_violation_is_a_repeat() -> None:
    """Other constraints say that the record is wrong."""
    assert is_repeat(psycopg.errors.UniqueViolation())
    assert not is_repeat(psycopg.errors.NotNullViolation())
