"""Choosing ports on 127.0.0.1 that no other stack will get.

Here: fixed ports of the settings, those of the last run while they are free, fresh ones else; and
keeping them for as long as the stack runs. Not here: the addresses made of them (environment.py).
"""

import errno
import fcntl
import os
import random
import socket
from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from crypto_platform.errors import StackError
from crypto_platform.stack.folder import cache_folder

HOST = "127.0.0.1"
_FRESH_FROM = 20_000
_FRESH_TO = 32_000
_TRIES_MAX = 200
_LOCAL_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


@contextmanager
def hold_ports(
    names: Iterable[str], *, fixed: Mapping[str, int], last: Mapping[str, int]
) -> Generator[dict[str, int]]:
    """Choose a port for each name and keep other stacks of this user from choosing it.

    The kernel knows a port as taken only while its server listens: not before the server is up,
    and not while it is started again. So each port has a locked file in the user's cache as well.

    Args:
        names: Ports wanted, named as in `StackSettings` without `_port`.
        fixed: From the settings; 0 or missing leaves the choice to us.
        last: Those of the folder's last run, kept while they are free.

    Yields:
        Name -> port.

    Raises:
        StackError: A fixed port is taken; names it, who has it where known, and the setting.
    """
    chosen: dict[str, int] = {}
    with ExitStack() as locks:
        for name in names:
            wanted = fixed.get(name, 0)
            if wanted:
                if not _hold(wanted, locks):
                    message = (
                        f"port {wanted} for {name} is taken{_describe_owner(wanted)}: free it, or "
                        f"set stack.{name}_port to another one (0 picks a free one)"
                    )
                    raise StackError(message, port=wanted)
                chosen[name] = wanted
            elif last.get(name) and _hold(last[name], locks):
                chosen[name] = last[name]
            else:
                chosen[name] = _hold_fresh(name, locks)
        yield chosen


def _hold(port: int, locks: ExitStack) -> bool:
    """Lock a port if it is free; False where it is not."""
    folder = cache_folder() / "ports"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / str(port), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _try_listen(port)
    except OSError as error:
        os.close(descriptor)
        if error.errno in {errno.EADDRINUSE, errno.EACCES, errno.EWOULDBLOCK}:
            return False
        raise
    locks.callback(os.close, descriptor)
    return True


def _try_listen(port: int) -> None:
    with socket.socket() as listener:
        # Without this a port is refused for a minute after its server's last connection; only
        # listeners exclude each other then.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(1)


def _hold_fresh(name: str, locks: ExitStack) -> int:
    """Take a random port below the range from which the kernel gives ports to clients.

    Inside that range a client of ours that retries while a server restarts may be given the very
    port it wants to reach: it connects to itself, and the server finds its port taken.
    """
    low, high = _fresh_range()
    for port in random.sample(range(low, high), _TRIES_MAX):
        if _hold(port, locks):
            return port
    message = f"no free port between {low} and {high} for {name}: set stack.{name}_port"
    raise StackError(message)


def _fresh_range() -> tuple[int, int]:
    if _LOCAL_PORT_RANGE.exists():
        first_of_clients = int(_LOCAL_PORT_RANGE.read_text("ascii").split()[0])
        if first_of_clients > _FRESH_FROM + _TRIES_MAX:
            return _FRESH_FROM, min(_FRESH_TO, first_of_clients)
    return _FRESH_FROM, _FRESH_TO


def _describe_owner(port: int) -> str:
    """` by NAME (process N)`, or nothing where the system does not tell us."""
    try:
        for connection in psutil.net_connections("tcp"):
            local = tuple(connection.laddr)
            if connection.status == psutil.CONN_LISTEN and local[1:] == (port,):
                if connection.pid is None:
                    return ""
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        pass
    return ""
