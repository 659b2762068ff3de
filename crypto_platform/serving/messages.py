"""The way of a message to a person: Apprise, which speaks to a hundred services.

Here: one message to one receiver, encrypted beyond this machine. Not here: what it says
(alert_text.py), when (alerts.py).

Source: the Apprise library, `Apprise.notify` and its result, `URLBase`.
"""

import logging
from typing import Any

from crypto_platform.encryption import is_this_machine
from crypto_platform.serving.alert_text import Message
from crypto_platform.settings import Settings


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
    return " ".join(said) or result.status.name.lower()


def _find_openness(settings: Settings, service: Any) -> str | None:  # noqa: ANN401 - untyped parts
    """Why somebody on the way could read a message, or a password in its URL; None if nobody."""
    if not service.verify_certificate:
        return "its URL says verify=no: whoever answers would get the message; leave that out"
    has_both = service.protocol is not None and service.secure_protocol is not None
    host: str = service.host or ""
    if not has_both or service.secure or is_this_machine(host):
        return None
    if host in settings.plain_text_hosts:
        return None
    secure: Any = service.secure_protocol
    name = secure if isinstance(secure, str) else secure[0]
    return (
        f"{host} would be talked to in plain text: write {name}://…, or name {host} in "
        "plain_text_hosts where the network between is all your own"
    )
