"""A source that answers as a test has written down: a real HTTP server on a real socket.

Here: replies in order, faults on the wire (slow, dripping, cut short), and what was asked. Not
here: what an API would say (the tests).
"""

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from crypto_platform.settings import SourceSettings


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer.

    Attributes:
        wait_s: Before anything is sent.
        drip_s: Between two bytes of the body.
        missing_bytes: So many more are promised by Content-Length than are sent.
        chunked: Sent in chunks; with `missing_bytes` the last chunk never comes.
    """

    body: bytes = b"{}"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    wait_s: float = 0.0
    drip_s: float = 0.0
    missing_bytes: int = 0
    chunked: bool = False


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request; header names in lower case."""

    target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {k: ",".join(v) for k, v in parse_qs(urlsplit(self.target).query).items()}


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers one connection; subclassed with the ScriptedSource it belongs to."""

    source: "ScriptedSource"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.source.take_reply(Asked(target=self.path, headers=headers))
        self.source.stopping.wait(reply.wait_s)
        with contextlib.suppress(ConnectionError):  # the client may have given up
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(reply.body) + reply.missing_bytes))
        self.end_headers()
        if reply.chunked:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(reply.body), reply.body))
            self.wfile.write(b"" if reply.missing_bytes else b"0\r\n\r\n")
        elif reply.drip_s:
            self._drip(reply)
        else:
            self.wfile.write(reply.body)
        self.close_connection = bool(reply.missing_bytes)

    def _drip(self, reply: Reply) -> None:
        for byte in reply.body:
            self.wfile.write(bytes([byte]))
            if self.source.stopping.wait(reply.drip_s):
                return

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base's name
        """Say nothing: a test asserts on `asked`."""


class ScriptedSource:
    """The server; `script` gives it replies, the last of which repeats.

    Attributes:
        on_ask: Called before each reply, in the server's thread.
        routes: Path -> its reply, whatever else is scripted.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.on_ask: Callable[[], None] = lambda: None
        self.routes: dict[str, Reply] = {}
        self.stopping = threading.Event()
        self._replies: list[Reply] = [Reply()]
        handler = type("Handler", (_Handler,), {"source": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def script(self, *replies: Reply) -> None:
        """Answer with these, in order; the last one again and again."""
        self._replies = list(replies)

    def build_settings(self, **changes: object) -> SourceSettings:
        """Settings of a source that is this server."""
        values = {
            "dialect": "coincap",
            "base_url": f"{self.url}/v3",
            "timeout_s": 5.0,
            "requests_per_minute_max": 600.0,
        }
        return SourceSettings.model_validate(values | changes)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take_reply(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        self.on_ask()
        if asked.path in self.routes:
            return self.routes[asked.path]
        return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]


@contextlib.contextmanager
def run_scripted_source() -> Iterator[ScriptedSource]:
    """A running ScriptedSource, ended afterwards."""
    source = ScriptedSource()
    source.start()
    try:
        yield source
    finally:
        source.stop()
