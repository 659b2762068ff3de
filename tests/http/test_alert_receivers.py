"""Alerts as an e-mail and as a Slack message: what arrives, over real sockets.

Both are Apprise's work; here it is seen that what we hand over comes out whole at the other end.
Slack's own servers are not asked: its plugin is given this machine's address in their place.
"""

import email
import email.policy
import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apprise.plugins.slack import NotifySlack

from crypto_platform.serving.alert_text import Message
from crypto_platform.serving.messages import send
from tests.status_steps import settings_of

MESSAGE = Message(
    title="crypto_platform local: postgres lags (begun)",
    body="90 records wait, the first of them for 45.0 s.\nWhat to do: docs/operations.md",
    is_bad=True,
)


class Mailbox(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as one message takes."""

    def handle(self) -> None:
        self._say("220 mail.test")
        while line := self.rfile.readline():
            command = line.split(b" ")[0].strip().upper()
            if command == b"DATA":
                self._say("354 go on")
                self._take()
            self._say("221 bye" if command == b"QUIT" else "250 ok")
            if command == b"QUIT":
                return

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def _take(self) -> None:
        lines: list[bytes] = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        taken(self.server).append(b"".join(lines))


class Hook(http.server.BaseHTTPRequestHandler):
    """A webhook of Slack's."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        taken(self.server).append({"path": self.path} | json.loads(body))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Nothing on stderr."""


def taken(server: socketserver.BaseServer) -> list[Any]:
    """What a server got, in order."""
    return server.__dict__.setdefault("taken", [])


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[socketserver.TCPServer]:
    """One of the handlers above, listening."""
    made = socketserver.ThreadingTCPServer(("127.0.0.1", 0), request.param)
    made.daemon_threads = True
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def port_of(server: socketserver.TCPServer) -> int:
    """Where it listens."""
    return server.server_address[1]


@pytest.mark.parametrize("server", [Mailbox], indirect=True)
def test_an_alert_arrives_as_an_email(tmp_path: Path, server: socketserver.TCPServer) -> None:
    url = (
        f"mailto://127.0.0.1:{port_of(server)}?mode=insecure&from=platform@example.org"
        "&to=desk@example.org"
    )
    settings = settings_of(tmp_path, ALERTS__RECEIVERS__DESK=url)
    assert send(settings, "desk", MESSAGE) is None
    [raw] = taken(server)
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert (mail["Subject"], mail["To"]) == (MESSAGE.title, "desk@example.org")
    body = mail.get_body(("plain",))
    assert body is not None
    assert body.get_content().split() == MESSAGE.body.split()


@pytest.mark.parametrize("server", [Hook], indirect=True)
def test_an_alert_arrives_in_slack(
    tmp_path: Path, server: socketserver.TCPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NotifySlack, "webhook_url", f"http://127.0.0.1:{port_of(server)}/services")
    tokens = "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    settings = settings_of(tmp_path, ALERTS__RECEIVERS__TEAM=f"slack://{tokens}/#night")
    assert send(settings, "team", MESSAGE) is None
    [message] = taken(server)
    assert (message["path"], message["channel"]) == (f"/services/{tokens}", "#night")
    [attachment] = message["attachments"]
    assert attachment["title"] == MESSAGE.title
    assert attachment["text"].split() == MESSAGE.body.split()
