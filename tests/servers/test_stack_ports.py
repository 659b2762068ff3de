"""Ports: none is given to two stacks, and one that is taken is named."""

import os
import socket
from pathlib import Path

import pytest

from crypto_platform.errors import StackError
from crypto_platform.stack.ports import HOST, hold_ports


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks of this test only."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_a_folder_keeps_its_ports_from_run_to_run() -> None:
    """A bookmark on the UI, a client's settings: they outlive a restart."""
    with hold_ports(["kafka", "mongo"], fixed={}, last={}) as first:
        pass
    with hold_ports(["kafka", "mongo"], fixed={}, last=first) as second:
        assert second == first


def test_two_stacks_at_once_never_share_a_port() -> None:
    """A port is free for the kernel while its server is being started again."""
    with (
        hold_ports(["kafka"], fixed={}, last={}) as first,
        hold_ports(["kafka"], fixed={}, last=first) as second,
    ):
        assert second["kafka"] != first["kafka"]


def test_a_taken_fixed_port_is_named_with_its_owner_and_the_setting() -> None:
    """`address already in use` in one of nine logs helps nobody."""
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        words = rf"port {port} for mongo is taken.*process {os.getpid()}.*stack\.mongo_port"
        with (
            pytest.raises(StackError, match=words),
            hold_ports(["mongo"], fixed={"mongo": port}, last={}),
        ):
            pass
