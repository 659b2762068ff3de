"""A TCP proxy before PostgreSQL that loses the server's reply to COMMIT.

Here: one proxy, used as a context manager. Forwards everything until it is told to cut; then the
next COMMIT reaches the server, and the connection breaks before the reply reaches the client.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

_CHUNK_BYTES = 64 * 1024


class CommitCutter:
    """Threads that pump bytes both ways until `cut_next_commit` was asked and a COMMIT came by."""

    def __init__(self, url: str) -> None:
        """Listen before the server of this URL."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._server = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        login = parts.netloc.rpartition("@")[0]
        self.url = urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))
        self._armed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_next_commit(self) -> None:
        """From now on the first COMMIT breaks its connection, once."""
        self._armed.set()

    def close(self) -> None:
        """Stop listening; what is connected ends with the test."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                cutting = threading.Event()
                for source, target, is_client in ((client, server, True), (server, client, False)):
                    arguments = (source, target, is_client, cutting)
                    threading.Thread(target=self._pump, args=arguments, daemon=True).start()

    def _pump(
        self,
        source: socket.socket,
        target: socket.socket,
        is_client: bool,
        cutting: threading.Event,
    ) -> None:
        with contextlib.suppress(OSError), source, target:
            while data := source.recv(_CHUNK_BYTES):
                if is_client and b"COMMIT" in data and self._armed.is_set():
                    self._armed.clear()
                    cutting.set()
                if not is_client and cutting.is_set():
                    source.shutdown(socket.SHUT_RDWR)
                    target.shutdown(socket.SHUT_RDWR)
                    return
                target.sendall(data)


@contextlib.contextmanager
def cutting_proxy(url: str) -> Iterator[CommitCutter]:
    """A proxy before this server; connect to its `url`."""
    proxy = CommitCutter(url)
    try:
        yield proxy
    finally:
        proxy.close()
