"""The command group: it names its commands without importing them, and ends errors in one line."""

import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from crypto_platform.cli import COMMANDS, main
from crypto_platform.settings import process_environment


def test_every_command_can_be_typed_and_says_what_it_does() -> None:
    """The list in --help is written apart from the commands, which are imported late."""
    context = main.make_context("crypto-platform", ["--help"], resilient_parsing=True)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None, name
        assert command.help, name


def test_help_is_shown_without_loading_drivers() -> None:
    """`--help` and `exec` are typed often; drivers and Dagster take seconds."""
    code = (
        "import sys, crypto_platform.cli\n"
        "from click.testing import CliRunner\n"
        "assert CliRunner().invoke(crypto_platform.cli.main, ['--help']).exit_code == 0\n"
        "heavy = {'dagster', 'psycopg', 'pymongo', 'confluent_kafka', 'pandas'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_error_is_one_message_and_exit_code_1(tmp_path: Path) -> None:
    """A traceback hides the sentence that says what to do."""
    result = CliRunner().invoke(main, ["exec", "--data-dir", str(tmp_path), "--", "true"])
    assert result.exit_code == 1
    assert result.output == (
        f"Error: nothing was ever started in {tmp_path}: `crypto-platform up` first\n"
    )


def test_wrong_usage_is_exit_code_2() -> None:
    """Scripts tell `not good` from `typed wrongly` by it."""
    assert CliRunner().invoke(main, ["up", "--sources", "none"]).exit_code == 2


def test_exec_passes_the_environment_on_and_the_exit_code_back(tmp_path: Path) -> None:
    """CI runs its materializations this way: a failure must fail the job."""
    (tmp_path / "environment").write_text("DAGSTER_HOME=/of/the/stack\n", "utf-8")
    command = (sys.executable, "-m", "crypto_platform.cli", "exec", "--data-dir", str(tmp_path))
    done = subprocess.run(
        [*command, "--", "sh", "-c", 'echo "$DAGSTER_HOME $CRYPTO_STACK_DATA_DIR"; exit 3'],
        capture_output=True,
        text=True,
        env=process_environment() | {"DAGSTER_HOME": "/of/the/user"},
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "/of/the/stack \n")


def test_down_with_nothing_running_says_so(tmp_path: Path) -> None:
    """Stopping what is stopped is no error: scripts do it to be sure."""
    result = CliRunner().invoke(main, ["down", "--data-dir", str(tmp_path)])
    assert (result.exit_code, result.output) == (0, f"nothing runs in {tmp_path}\n")
