"""Log lines: as the libraries write them, or each record as one line of JSON.

Here: setting up a process of ours. Not here: what is logged and at which level (who logs), the
files (stack/logs.py). Dagster's daemon and web server, which do not load our code, are told by
their own option (stack/dagster.py) and write the same keys: timestamp, level, logger, event.

Source: structlog, "Standard Library Logging", rendering records of other libraries.
"""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, cast

from crypto_platform.settings import LogFormat, LoggingSettings

_DAGSTER_META = "dagster_meta"
"""Where Dagster keeps the run a record belongs to, on the record."""


def set_up_logging(settings: LoggingSettings) -> None:
    """Make this process log as set; as text it logs as it does by itself."""
    if settings.format is LogFormat.TEXT:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(build_formatter())
    # a run's console logger is made by Dagster for each run, with a format of its own
    logging.setLoggerClass(JsonLogger)
    logging.basicConfig(handlers=[handler], force=True)
    logging.captureWarnings(capture=True)


class JsonLogger(logging.Logger):
    """A logger whose lines on a terminal are JSON, whatever a library asks of the handler."""

    def addHandler(self, hdlr: logging.Handler) -> None:  # noqa: N802 - its name
        """Take the handler, with our format if it writes to stdout or stderr."""
        if getattr(hdlr, "stream", None) in {sys.stdout, sys.stderr}:
            hdlr.setFormatter(build_formatter())
        super().addHandler(hdlr)


def build_formatter() -> logging.Formatter:
    """One JSON object a line: timestamp (UTC), level, logger, event, and what is known besides.

    Besides: run_id of a record of a Dagster run, exception with its traceback.
    """
    # loaded where it is asked for: most commands need none of it
    import structlog  # noqa: PLC0415

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_run_id,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )


def _add_run_id(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    record: logging.LogRecord = event["_record"]
    meta = getattr(record, _DAGSTER_META, None)
    found = cast("Mapping[str, object]", meta).get("run_id") if isinstance(meta, Mapping) else None
    run_id = found or getattr(record, "run_id", None)
    return event if run_id is None else {**event, "run_id": str(run_id)}
