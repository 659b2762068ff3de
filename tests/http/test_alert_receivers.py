"""Alerts as an e-mail and as a Slack message: what arrives, over real sockets.

Both are Apprise's work; here it is seen that what we hand over comes out whole at the other end.
Slack's own servers are not asked: its plugin is given this machine's address in their place.
"""

import email
import email.policy
import json
import socketserver
from pathlib import Path
from typing import Any

import pytest
from apprise.plugins.slack import NotifySlack

from crypto_platform.serving.alert_text import Message
from crypto_platform.serving.messages import send
from tests.local_server import QuietHandler, listening
from tests.status_steps import settings_of

MESSAGE = Message(
    title="crypto_platform local: postgres lags (begun)",
    body="90 records wait, the first of them for 45.0 s.\nWhat to do: docs/operations.md",
    is_bad=True,
)


class Mailbox(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as one message takes."""

    mails: list[bytes]

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
        self.mails.append(b"".join(lines))


def test_an_alert_arrives_as_an_email(tmp_path: Path) -> None:
    taken: list[bytes] = []

    class Own(Mailbox):
        mails = taken

    with listening(Own) as port:
        url = (
            f"mailto://127.0.0.1:{port}?mode=insecure&from=platform@example.org&to=desk@example.org"
        )
        settings = settings_of(tmp_path, ALERTS__RECEIVERS__DESK=url)
        assert send(settings, "desk", MESSAGE) is None
    [raw] = taken
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert (mail["Subject"], mail["To"]) == (MESSAGE.title, "desk@example.org")
    body = mail.get_body(("plain",))
    assert body is not None
    assert body.get_content().split() == MESSAGE.body.split()


def test_an_alert_arrives_in_slack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: dict[str, Any] = {}

    class Hook(QuietHandler):
        def respond(self) -> None:
            taken[self.path] = json.loads(self.read_body())
            self.answer(b"ok")

    tokens = "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    settings = settings_of(tmp_path, ALERTS__RECEIVERS__TEAM=f"slack://{tokens}/#night")
    with listening(Hook) as port:
        monkeypatch.setattr(NotifySlack, "webhook_url", f"http://127.0.0.1:{port}/services")
        assert send(settings, "team", MESSAGE) is None
    [(path, message)] = taken.items()
    assert (path, message["channel"]) == (f"/services/{tokens}", "#night")
    [attachment] = message["attachments"]
    assert attachment["title"] == MESSAGE.title
    assert attachment["text"].split() == MESSAGE.body.split()
