"""A replica set found through this machine: its other members fall under the rule of encryption.

The server is as much of one as tells who belongs to its set.
"""

import socketserver
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

import bson
import pytest

from crypto_platform.errors import ConfigurationError, PlatformError
from crypto_platform.stores.mongo import MongoStore
from tests.local_server import listening

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
HELLO = {"hello", "ismaster"}
OTHER = "mongo2.invalid"


@dataclass
class Member:
    """A primary that knows of another member; `asked` names the commands but those of its state."""

    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"mongodb://localhost:{self.port}/x?replicaSet=r"

    def answer(self, command: dict[str, object]) -> dict[str, object]:
        name = next(iter(command))
        if name.lower() not in HELLO:
            self.asked.append(name)
        return {
            "ok": 1.0,
            "version": "8.0.0",
            "helloOk": True,
            "isWritablePrimary": True,
            "setName": "r",
            "setVersion": 1,
            "hosts": [f"localhost:{self.port}", f"{OTHER}:27017"],
            "primary": f"localhost:{self.port}",
            "me": f"localhost:{self.port}",
            "minWireVersion": 0,
            "maxWireVersion": 25,
            "maxBsonObjectSize": 16 * 1024 * 1024,
            "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000,
            "logicalSessionTimeoutMinutes": 30,
        }


@pytest.fixture
def member() -> Iterator[Member]:
    made = Member()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while len(head := self.rfile.read(16)) == 16:
                length, request, _, operation = struct.unpack("<iiii", head)
                body = self.rfile.read(length - 16)
                if operation == OP_QUERY:
                    document = body[body.index(b"\0", 4) + 1 + 8 :]
                    start = struct.pack("<iqii", 8, 0, 0, 1)
                else:
                    document = body[5:]
                    start = struct.pack("<iB", 0, 0)
                size = struct.unpack("<i", document[:4])[0]
                payload = start + bson.encode(made.answer(bson.decode(document[:size])))
                kind = OP_REPLY if operation == OP_QUERY else OP_MSG
                self.wfile.write(struct.pack("<iiii", 16 + len(payload), 1, request, kind))
                self.wfile.write(payload)

    with listening(Handler) as made.port:
        yield made


def test_a_member_on_another_machine_is_refused_before_anything_is_said(member: Member) -> None:
    """A URL of this machine passed, and with the next primary records went over the network."""
    with (
        closing(MongoStore(member.url, "x", timeout_s=2.0)) as store,
        pytest.raises(ConfigurationError, match=rf"member {OTHER}, .* add tls=true .* or name"),
    ):
        store.ping()
    assert member.asked == []


def test_a_member_that_is_named_as_an_exception_is_taken(member: Member) -> None:
    """As any other server in a network of one's own."""
    with closing(MongoStore(member.url, "x", timeout_s=2.0, plain_text_hosts=[OTHER])) as store:
        assert store.ping() == "8.0.0"
    assert member.asked


def test_encryption_opens_the_way_to_every_member(member: Member) -> None:
    """What fails then is the connection: this server has no TLS."""
    url = f"{member.url}&tls=true"
    with (
        closing(MongoStore(url, "x", timeout_s=1.0)) as store,
        pytest.raises(PlatformError) as refused,
    ):
        store.ping()
    assert not isinstance(refused.value, ConfigurationError)
