"""The way of a message to a person: Apprise, which speaks to a hundred services.

Here: one message to one receiver, encrypted beyond this machine and without a detour, and what the
receiver's plugin says, without what its URL keeps secret. Not here: what a message says
(alert_text.py), when (alerts.py).

Source: the Apprise library, `Apprise.notify` and its result, `URLBase`, `AppriseAsset`.
"""

import logging
import re
from typing import Any
from urllib.parse import quote, unquote

from crypto_platform.encryption import is_this_machine
from crypto_platform.serving.alert_text import Message
from crypto_platform.settings import Settings

NEVER_ENCRYPTED = frozenset({"growl", "rsyslog"})
"""Schemas of services elsewhere that have no encrypted form; a test looks for further ones."""

_OPEN_MODES = frozenset({"insecure", "none"})
"""What `mode=` in a URL of e-mail or XMPP may say against its schema."""
_SECRET_CHARS_MIN = 8
"""A shorter piece of a URL is no secret, and hiding it would black out ordinary words."""


def send(settings: Settings, receiver: str, message: Message) -> str | None:
    """Hand a message over, once; None where it was taken, else why not, without the URL.

    A receiver that was too slow may have taken it all the same: it gets it again then.

    Args:
        receiver: One of alerts.receivers.
    """
    # loaded when something is sent: every run loads the definitions, and would wait 0.5 s for it
    import apprise  # noqa: PLC0415

    # what it has to say comes with its result; elsewhere nobody would know what it is about
    logging.getLogger("apprise").propagate = False
    # one thread: nothing else is sent meanwhile
    asset = apprise.AppriseAsset(async_mode=False)
    url = settings.alerts.receivers[receiver].get_secret_value()
    service: Any = apprise.Apprise.instantiate(  # pyright: ignore[reportUnknownMemberType]
        url, asset=asset
    )
    if service is None:
        return "its URL is none that Apprise can use (jsons://host/path, slack://…, mailtos://…)"
    problem = _find_openness(settings, service)
    if problem is not None:
        return problem
    # a redirect would take message and token to a place that nobody has checked
    service.redirects = False
    services: Any = apprise.Apprise(asset=asset)
    services.add(service)
    result = services.notify(
        title=message.title,
        body=message.body,
        notify_type=apprise.NotifyType.FAILURE if message.is_bad else apprise.NotifyType.SUCCESS,
        body_format=apprise.NotifyFormat.TEXT,
        timeout=settings.alerts.timeout_s,
        log_level=logging.WARNING,
    )
    if result:
        return None
    said = dict.fromkeys(entry.message for entry in result.logs())
    return _hide(url, service, " ".join(said)) or result.status.name.lower()


def _hide(url: str, service: Any, text: str) -> str:  # noqa: ANN401 - untyped parts
    """A plugin's words without the pieces of its URL; which of them are secret, it alone knows."""
    found = re.split(r"[:/@?&=#,;]+", url.partition("://")[2])
    pieces = {piece for each in found if len(each) >= _SECRET_CHARS_MIN for piece in _spell(each)}
    if service.password:
        pieces |= _spell(service.password)
    if "host" in service.template_tokens:
        pieces -= {service.host}
    if not pieces:
        return text
    longest_first = sorted(pieces, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), "(hidden)", text, flags=re.IGNORECASE)


def _spell(piece: str) -> set[str]:
    """As it stands, as it is meant, and as another URL would quote it."""
    meant = unquote(piece)
    return {piece, meant, quote(meant, safe="")}


def _find_openness(settings: Settings, service: Any) -> str | None:  # noqa: ANN401 - untyped parts
    """Why somebody on the way could read a message, or a password in its URL; None if nobody."""
    if not service.verify_certificate:
        return "its URL says verify=no: whoever answers would get the message; leave that out"
    fixed: Any = getattr(service.__class__, "notify_url", None)
    if isinstance(fixed, str) and fixed.startswith("http://"):
        return f"{service.service_name} is talked to in plain text only: choose another service"
    # an e-mail may be handed to another server than its domain's
    host: str = getattr(service, "smtp_host", None) or service.host or ""
    advice = _find_remedy(service)
    if advice is None or is_this_machine(host) or host in settings.plain_text_hosts:
        return None
    return (
        f"{host} would be talked to in plain text: {advice}, or name {host} in "
        "plain_text_hosts where the network between is all your own"
    )


def _find_remedy(service: Any) -> str | None:  # noqa: ANN401 - untyped parts
    """What would encrypt what is said to it; None where it is encrypted, or goes nowhere."""
    if service.schema in NEVER_ENCRYPTED:
        return f"{service.schema}:// is never encrypted: choose another service"
    has_both = service.protocol is not None and service.secure_protocol is not None
    if has_both and not service.secure:
        secure: Any = service.secure_protocol
        return f"write {secure if isinstance(secure, str) else secure[0]}://…"
    mode: Any = getattr(service, "secure_mode", None)
    return f"its URL says mode={mode}, leave that out" if mode in _OPEN_MODES else None
