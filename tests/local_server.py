"""A server on this machine for one test: listening while the block lasts, in a thread of its own.

Here: starting and ending whatever socketserver gives, and an HTTP handler that says nothing on
stderr. Not here: what it answers.
"""

import http.server
import socketserver
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http import HTTPStatus


class QuietHandler(http.server.BaseHTTPRequestHandler):
    """Answers whole, and logs nothing; `respond` is a test's own."""

    def respond(self) -> None:
        """Answer a request of any method."""
        raise NotImplementedError

    def do_GET(self) -> None:
        self.respond()

    def do_POST(self) -> None:
        self.respond()

    def do_PUT(self) -> None:
        self.respond()

    def read_body(self) -> bytes:
        """What was sent with the request."""
        return self.rfile.read(int(self.headers["Content-Length"]))

    def answer(self, body: bytes = b"", *, status: int = HTTPStatus.OK, **headers: str) -> None:
        """Send an answer with its length."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Nothing on stderr."""


@contextmanager
def listening(handler: type[socketserver.BaseRequestHandler]) -> Generator[int]:
    """Answer by this handler, each connection in a thread; the port."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
