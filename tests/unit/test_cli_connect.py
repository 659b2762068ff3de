"""`connect`: the client gets its password, the process list does not."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from crypto_platform.cli import main
from crypto_platform.cli.connect import build_mongosh, build_psql
from crypto_platform.errors import ConfigurationError
from crypto_platform.stores.mongo.commands import parse_command

SECRET = "p%40ss"
POSTGRES_URL = f"postgresql://analyst:{SECRET}@db.example:6543/crypto?sslmode=verify-full"


def test_psql_finds_all_in_its_environment_and_nothing_secret_in_its_arguments() -> None:
    """Everybody on the machine sees arguments; a quoted password must arrive unquoted."""
    client = build_psql("/bin/psql", POSTGRES_URL, role="analyst", statement="SELECT 1")
    assert list(client.argv) == ["/bin/psql", "-X", "-v", "ON_ERROR_STOP=1", "-c", "SELECT 1"]
    assert client.environment == {
        "PGHOST": "db.example",
        "PGPORT": "6543",
        "PGUSER": "analyst",
        "PGPASSWORD": "p@ss",
        "PGDATABASE": "crypto",
        "PGAPPNAME": "crypto_platform connect",
        "PGSSLMODE": "verify-full",
        "PGOPTIONS": "-c default_transaction_read_only=on",
    }


def test_only_the_analyst_is_read_only() -> None:
    """A migrator who cannot write would be of no use."""
    client = build_psql("/bin/psql", POSTGRES_URL, role="migrator", statement=None)
    assert "PGOPTIONS" not in client.environment
    assert list(client.argv) == ["/bin/psql", "-X"]


def test_mongosh_gets_its_url_by_environment() -> None:
    """As for psql."""
    url = f"mongodb://analyst:{SECRET}@127.0.0.1:1/x"
    client = build_mongosh("/bin/mongosh", url)
    assert SECRET not in " ".join(client.argv)
    assert client.environment == {"CRYPTO_MONGO_URL": url}


def test_a_store_without_address_says_what_to_start(tmp_path: Path) -> None:
    """The first thing somebody tries before `up`."""
    ended = CliRunner().invoke(main, ["connect", "postgres", "--data-dir", str(tmp_path)])
    assert ended.exit_code == 1
    assert "postgres.analyst_url is not set: start the platform here" in ended.stderr


def test_without_mongosh_a_command_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No Python package holds it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CRYPTO_PLATFORM_MONGO__ANALYST_URL", "mongodb://127.0.0.1:1")
    ended = CliRunner().invoke(main, ["connect", "mongo", "--data-dir", str(tmp_path)])
    assert ended.exit_code == 2
    assert '-c \'{"find": "quotes", "limit": 1}\'' in ended.stderr


def test_a_command_keeps_the_order_and_types_of_extended_json() -> None:
    """The first key names the command, and a long is no double."""
    command = parse_command('{"find": "quotes", "limit": {"$numberLong": "1"}}')
    assert list(command) == ["find", "limit"]


@pytest.mark.parametrize("text", ["db.quotes.find()", "[]", "{}", '{"$oid": "x"}', "1"])
def test_what_is_no_command_is_refused_with_an_example(text: str) -> None:
    """The shell's language is what people type first."""
    with pytest.raises(ConfigurationError, match="for example"):
        parse_command(text)
