"""A TCP proxy that loses a reply: it passes a request on and cuts the line before the answer.

Here: bytes between one listener and one port. Not here: what the bytes mean.
"""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator

_LOOK_MS = 50
_CHUNK_BYTES = 65536


class CuttingProxy:
    """Passes everything, until told which bytes to cut the line after.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        cuts: How many lines were cut.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.cuts = 0
        self._cut_after: bytes | None = None
        self._is_down = False
        self._stays_down = False
        self._passing = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, request: bytes, *, stays_down: bool = False, passing: int = 0) -> None:
        """Lose the answer to the next request that holds these bytes.

        Args:
            request: Some bytes of it.
            stays_down: Refuse everything afterwards, until `heal`.
            passing: So many such requests are answered first.
        """
        self._passing = passing
        self._cut_after, self._stays_down = request, stays_down

    def heal(self) -> None:
        """Pass everything again."""
        self._cut_after, self._is_down = None, False

    def close(self) -> None:
        """Listen no more, and end every line at its next byte."""
        self._is_down = True
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass, args=[client], daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        """Both directions of one line in one thread, so that no answer slips through a cut."""
        with (
            contextlib.suppress(OSError),
            client,
            socket.create_connection(("127.0.0.1", self._target_port)) as server,
        ):
            # poll, not select: a long test run has descriptors above 1024, which select refuses
            poll, sides = select.poll(), {each.fileno(): each for each in (client, server)}
            for descriptor in sides:
                poll.register(descriptor, select.POLLIN)
            while not self._is_down:
                for descriptor, _ in poll.poll(_LOOK_MS):
                    if not self._pass_once(sides[descriptor], client, server):
                        return

    def _pass_once(self, side: socket.socket, client: socket.socket, server: socket.socket) -> bool:
        data = side.recv(_CHUNK_BYTES)
        if side is server:
            client.sendall(data)
            return bool(data)
        server.sendall(data)
        if self._cut_after is None or self._cut_after not in data:
            return bool(data)
        if self._passing:
            self._passing -= 1
            return True
        self._cut_after, self._is_down = None, self._stays_down
        # the server has done its work once its answer is here; and here it ends
        server.recv(_CHUNK_BYTES)
        self.cuts += 1
        return False


@contextlib.contextmanager
def cutting_proxy(target_port: int) -> Iterator[CuttingProxy]:
    """A proxy that ends with the block."""
    proxy = CuttingProxy(target_port)
    try:
        yield proxy
    finally:
        proxy.close()
