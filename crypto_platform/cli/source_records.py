"""The file of `sources check --record`, and its answers given again for `--replay`.

Here: what the file holds, a server on this machine that answers as it says. Not here: what is noted
of an answer and what is left out (sources/exchanges.py).

Replayed, the real source asks over HTTP at the time of the recording: candles that were closed then
are closed again.
"""

import contextlib
import http.server
import importlib.metadata
import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from crypto_platform.errors import ConfigurationError
from crypto_platform.settings import SourceSettings
from crypto_platform.sources.exchanges import Exchange

_SETTINGS = frozenset(
    {
        "dialect",
        "ccxt_id",
        "feeds",
        "intervals",
        "depth",
        "quote_currency",
        "currency_ids",
        "symbols",
        "currencies",
        "currencies_max",
    }
)
"""What of a source's settings decides over its requests; neither key nor address."""


class SourceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a check asked and was answered.

    Attributes:
        checked_us: The time of the polls.
        base_path: Of base_url; its host stays with who recorded.
        settings: Those that decide over the requests.
    """

    version: str
    source: str
    checked_us: int
    base_path: str
    settings: dict[str, object]
    exchanges: list[Exchange]


def build_record(
    name: str, settings: SourceSettings, exchanges: Sequence[Exchange], *, checked_us: int
) -> SourceRecord:
    """The record of a source's check."""
    return SourceRecord(
        version=importlib.metadata.version("crypto-platform"),
        source=name,
        checked_us=checked_us,
        base_path=urlsplit(settings.base_url).path.rstrip("/"),
        settings=settings.model_dump(mode="json", include=set(_SETTINGS)),
        exchanges=list(exchanges),
    )


def write_record(record: SourceRecord, file: Path) -> None:
    """Write it as JSON that people can read.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    try:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    except OSError as error:
        message = f"--record {file}: {error.strerror}"
        raise ConfigurationError(message) from error


def read_record(file: Path) -> SourceRecord:
    """Read what `write_record` wrote.

    Raises:
        ConfigurationError: It is not there, or no such file.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=SourceRecord)
    except OSError as error:
        message = f"--replay {file}: {error.strerror}"
        raise ConfigurationError(message) from error
    except msgspec.DecodeError as error:
        message = f"--replay {file}: not what `sources check --record` writes: {error}"
        raise ConfigurationError(message) from error


@contextlib.contextmanager
def replay_record(record: SourceRecord) -> Generator[SourceSettings]:
    """Settings of a source that is answered as the record says, while the block lasts."""
    handler = type("Handler", (_Handler,), {"exchanges": list(record.exchanges)})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    here = {
        "base_url": f"http://127.0.0.1:{server.server_port}{record.base_path}",
        "requests_per_minute_max": 6000,
    }
    try:
        yield SourceSettings.model_validate(record.settings | here)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Gives the answers to a request in their order, the last one again and again."""

    exchanges: list[Exchange]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        fitting = [
            each for each in self.exchanges if (each.path, each.query) == (asked.path, asked.query)
        ]
        if len(fitting) > 1:
            self.exchanges.remove(fitting[0])
        found = fitting[0] if fitting else _NOT_RECORDED
        body = found.body_bytes
        self.send_response(found.status)
        for name, value in found.headers.items():
            # the body is kept decompressed
            if name.lower() not in ("content-encoding", "date"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base's name
        """Say nothing: the check tells what came."""


_NOT_RECORDED = Exchange(
    path="", query="", status=404, headers={}, body='{"message": "not in the record"}'
)
