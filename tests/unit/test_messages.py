"""The way of a message: who could read along, and what a receiver's plugin tells of its URL."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apprise.decorators import notify
from apprise.manager_plugins import NotificationManager

from crypto_platform.serving.alert_text import Message
from crypto_platform.serving.messages import NEVER_ENCRYPTED, send
from tests.status_steps import settings_of

TRIAL = Message(title="trial", body="a body", is_bad=True)
TOKEN = "canary-token-5028841971"

FIXED_AND_ENCRYPTED = {"pushme", "sfr"}
ON_THIS_MACHINE = {
    *("blink1", "dbus", "gio", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows")
}


def send_to(tmp_path: Path, url: str, **more: str) -> str | None:
    settings = settings_of(tmp_path, ALERTS__RECEIVERS__TEAM=url, ALERTS__TIMEOUT_S="2", **more)
    return send(settings, "team", TRIAL)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("json://hooks.example/x", "hooks.example would be talked to in plain text: write jsons:"),
        ("xml://hooks.example/x", "hooks.example would be talked to in plain text: write xmls:"),
        ("form://hooks.example/x", "hooks.example would be talked to in plain text: write forms:"),
        ("mailto://u:p@mail.example", "mail.example would be talked to in plain text: write mail"),
        ("mailto://u:p@localhost?smtp=mail.example", "mail.example would be talked to in plain"),
        ("mailtos://u:p@mail.example?mode=insecure", "says mode=insecure, leave that out, or name"),
        ("mailtos://u:p@localhost?smtp=mail.example&mode=insecure", "mail.example would be talked"),
        ("rsyslog://log.example", "log.example would be talked to in plain text: rsyslog:// is"),
        ("kavenegar://12345678/11111111111", "Kavenegar is talked to in plain text only"),
        ("mailtos://u:p@mail.example?verify=no", "its URL says verify=no"),
    ],
)
def test_what_others_could_read_is_refused_with_what_to_do(
    tmp_path: Path, url: str, said: str
) -> None:
    """A password of the mailbox and what fails here are worth reading along."""
    assert said in (send_to(tmp_path, url) or "")


@pytest.mark.parametrize(
    "url", ["mailto://u:p@mail.example:9?smtp=127.0.0.1", "mailtos://u:p@127.0.0.1:9?mode=insecure"]
)
def test_a_mail_server_of_this_machine_needs_no_encryption(tmp_path: Path, url: str) -> None:
    """It is the server that is talked to, whatever the address of the mailbox."""
    assert "plain text" not in (send_to(tmp_path, url) or "")


def test_a_host_of_ones_own_network_is_named_as_for_servers(tmp_path: Path) -> None:
    """The one way out of the rule is the same everywhere."""
    assert "plain text" in (send_to(tmp_path, "json://0.0.0.0:9/x") or "")
    assert "plain text" not in (
        send_to(tmp_path, "json://0.0.0.0:9/x", PLAIN_TEXT_HOSTS="0.0.0.0") or ""  # noqa: S104
    )


def test_services_without_an_encrypted_form_are_known() -> None:
    """A release of Apprise that brings another one must not open a way unseen."""
    manager: Any = NotificationManager()
    manager.load_modules()
    found: set[str] = set()
    for plugin in manager.plugins():
        if plugin.protocol and not plugin.secure_protocol:
            schemas = plugin.protocol
            found |= {schemas} if isinstance(schemas, str) else set(schemas)
    assert found == NEVER_ENCRYPTED | FIXED_AND_ENCRYPTED | ON_THIS_MACHINE


@pytest.fixture
def loud_service() -> Iterator[None]:
    """A plugin that logs its whole URL, and follows redirects if it may."""

    @notify(on="loud")
    def tell(  # pyright: ignore[reportUnusedFunction]
        body: str, title: str, notify_type: str, *_args: object, meta: dict[str, Any], **_: object
    ) -> bool:
        url = f"{meta['url']} {meta.get('password')} {meta['fullpath']}"
        logging.getLogger("apprise").warning("%s refused %s %s: %s", url, title, body, notify_type)
        return False

    yield
    manager: Any = NotificationManager()
    manager.remove("loud")


@pytest.mark.usefixtures("loud_service")
def test_a_plugins_words_keep_its_secrets(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """They stand in the sensor's tick, which everybody sees who sees the UI."""
    said = send_to(tmp_path, f"loud://me:pw%40x@127.0.0.1/hook/{TOKEN}?key=other-{TOKEN.upper()}")
    assert said is not None
    assert "refused trial a body" in said
    told = f"{said}{''.join(capfd.readouterr())}"
    assert TOKEN not in told.lower()
    assert "pw@x" not in told
    assert "pw%40x" not in told
