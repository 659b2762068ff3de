"""Log lines as JSON: what a collector reads, one record a line, whoever logs it."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from crypto_platform.cli import main
from crypto_platform.log_lines import JsonLogger, build_formatter, set_up_logging
from crypto_platform.settings import LoggingSettings
from crypto_platform.stack.dagster import CodeServer, Daemon, Webserver
from crypto_platform.stack.identity import new_identity
from crypto_platform.stack.part import Place
from tests.status_steps import settings_of

JSON = LoggingSettings.model_validate({"format": "json"})


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The process logs afterwards as the other tests want it."""
    root, made_by = logging.getLogger(), logging.getLoggerClass()
    handlers = list(root.handlers)
    yield
    logging.captureWarnings(capture=False)
    logging.setLoggerClass(made_by)
    root.handlers[:] = handlers


def read_lines(text: str) -> list[dict[str, Any]]:
    """Every line, each a JSON object."""
    return [json.loads(line) for line in text.splitlines()]


def test_a_record_is_one_line_with_its_time_in_utc() -> None:
    """A text of several lines would be several records to a collector."""
    record = logging.LogRecord("a.b", logging.WARNING, "", 0, "x\n%s", ("ü",), None)
    [line] = read_lines(build_formatter().format(record))
    logged_at = datetime.fromisoformat(line.pop("timestamp"))
    assert logged_at.utcoffset() == UTC.utcoffset(None)
    assert line == {"level": "warning", "logger": "a.b", "event": "x\nü"}


def test_an_error_brings_its_traceback_on_the_same_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Through the root logger, where libraries end up."""
    set_up_logging(JSON)
    try:
        _ = 1 // 0
    except ZeroDivisionError:
        logging.getLogger("some.library").exception("failed", extra={"run_id": "r1"})
    [line] = read_lines(capsys.readouterr().err)
    assert (line["level"], line["event"], line["run_id"]) == ("error", "failed", "r1")
    assert line["exception"].endswith("ZeroDivisionError: integer division or modulo by zero")


def test_the_lines_of_a_run_say_which(capsys: pytest.CaptureFixture[str]) -> None:
    """Dagster makes a run's console logger itself, with colours of its own."""
    set_up_logging(JSON)

    @dg.op
    def log_and_fail(context: dg.OpExecutionContext) -> None:
        context.log.warning("look here")
        message = "no\ngood"
        raise RuntimeError(message)

    @dg.job
    def failing() -> None:
        log_and_fail()

    with dg.DagsterInstance.ephemeral() as instance:
        result = failing.execute_in_process(instance=instance, raise_on_error=False)
    lines = read_lines(capsys.readouterr().err)
    assert {line["run_id"] for line in lines} == {result.run_id}
    assert any("look here" in line["event"] for line in lines)
    assert any("RuntimeError: no\ngood" in line["event"] for line in lines)


def test_as_text_nothing_is_changed() -> None:
    """Who has set nothing keeps what his tools read."""
    before = (logging.getLoggerClass(), list(logging.getLogger().handlers))
    set_up_logging(LoggingSettings())
    assert (logging.getLoggerClass(), list(logging.getLogger().handlers)) == before


def test_a_command_logs_as_the_settings_of_its_folder_say(tmp_path: Path) -> None:
    """The setting stands in one place for all processes."""
    (tmp_path / "settings.toml").write_text('[logging]\nformat = "json"\n')
    assert CliRunner().invoke(main, ["config", "--data-dir", str(tmp_path)]).exit_code == 0
    assert logging.getLoggerClass() is JsonLogger


@pytest.mark.parametrize("part", [CodeServer, Daemon, Webserver])
def test_dagsters_processes_are_told_by_their_option(
    tmp_path: Path, part: type[CodeServer | Daemon | Webserver]
) -> None:
    """Two of them never load our code."""
    ports = {"code_server": 1, "webserver": 2}
    for form, expected in (("json", ["--log-format", "json"]), ("text", [])):
        settings = settings_of(tmp_path, LOGGING__FORMAT=form)
        place = Place(
            data_dir=tmp_path,
            settings=settings,
            identity=new_identity(datetime.now(UTC)),
            ports=ports,
        )
        argv = list(part(place).command().argv)
        assert argv[len(argv) - len(expected) :] == expected
        assert argv.count("--log-format") == len(expected) // 2
