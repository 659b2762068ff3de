"""The way of a message to a person: Apprise, which speaks to a hundred services.

Here: one message to one receiver. Not here: what it says (alert_text.py), when (alerts.py).

Source: the Apprise library, `Apprise.notify` and its result.
"""

import logging

from pydantic import SecretStr

from crypto_platform.serving.alert_text import Message


def send(url: SecretStr, message: Message, *, timeout_s: float) -> str | None:
    """Hand a message over, once; None where it was taken, else why not, without the URL.

    A receiver that was too slow may have taken it all the same: it gets it again then.
    """
    # loaded when something is sent: every run loads the definitions, and would wait 0.5 s for it
    import apprise  # noqa: PLC0415

    # what it has to say comes with its result; elsewhere nobody would know what it is about
    logging.getLogger("apprise").propagate = False
    service = apprise.Apprise(asset=apprise.AppriseAsset(async_mode=False))
    if not service.add(url.get_secret_value()):  # pyright: ignore[reportUnknownMemberType]
        return "its URL is none that Apprise can use (json://host/path, slack://…, mailtos://…)"
    result = service.notify(  # pyright: ignore[reportUnknownMemberType]
        title=message.title,
        body=message.body,
        notify_type=apprise.NotifyType.FAILURE if message.is_bad else apprise.NotifyType.SUCCESS,
        body_format=apprise.NotifyFormat.TEXT,
        timeout=timeout_s,
        log_level=logging.WARNING,
    )
    if result:
        return None
    said = dict.fromkeys(entry.message for entry in result.logs())
    return " ".join(said) or result.status.name.lower()
