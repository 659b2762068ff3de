"""When a fault is told to whom: pure, the clock is handed in.

Here: what a receiver has been told, and what is news to it. Each fault is told once when it has
lasted, again after hours, and once when it is over. Not here: what a fault is (faults.py), words
(alert_text.py), sending (messages.py), the ticks (sensors/alerts.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from crypto_platform.serving.faults import Found, list_few
from crypto_platform.settings import AlertSettings


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What one receiver knows of one fault; times are seconds since 1970.

    Attributes:
        at: When it was told the last time; None while it was not.
    """

    title: str
    heading: str
    since: float
    at: float | None = None


class Change(StrEnum):
    """Why a fault is told."""

    BEGUN = "begun"
    STILL = "still"
    OVER = "over"


@dataclass(frozen=True, kw_only=True)
class News:
    """One line of a message; `text` is empty for what is over."""

    name: str
    change: Change
    title: str
    text: str
    heading: str
    since: float


def plan_news(
    settings: AlertSettings, found: Found, told: Mapping[str, Told], *, now: float
) -> tuple[list[News], Mapping[str, Told]]:
    """What one receiver is to be told, and what is known of it if that does not succeed.

    Args:
        told: What the receiver knew after the last time.
        now: Seconds since 1970.
    """
    known = {name: before for name, before in told.items() if not found.is_over(name)}
    news = [
        _report(name, before, Change.OVER)
        for name, before in told.items()
        if name not in known and before.at is not None
    ]
    # what is over stays until it was told
    kept = {each.name: told[each.name] for each in news}
    for name, fault in found.bad.items():
        before = known.get(name)
        since = now if before is None else before.since
        at = None if before is None else before.at
        kept[name] = Told(title=fault.title, heading=fault.heading, since=since, at=at)
        if at is None and now - since >= settings.after_s:
            news.append(_report(name, kept[name], Change.BEGUN, fault.text))
        elif at is not None and now - at >= settings.remind_s:
            news.append(_report(name, kept[name], Change.STILL, fault.text))
    return news, {**known, **kept}


def _report(name: str, told: Told, change: Change, text: str = "") -> News:
    return News(
        name=name,
        change=change,
        title=told.title,
        text=text,
        heading=told.heading,
        since=told.since,
    )


def mark_told(told: Mapping[str, Told], news: Sequence[News], *, now: float) -> Mapping[str, Told]:
    """What a receiver knows once it has taken the news."""
    over = {each.name for each in news if each.change is Change.OVER}
    fresh = {each.name for each in news} - over
    return {
        name: msgspec.structs.replace(before, at=now) if name in fresh else before
        for name, before in told.items()
        if name not in over
    }


Ledger = Mapping[str, Mapping[str, Told]]
"""What each receiver has been told, by its name."""


def tell_all(
    settings: AlertSettings,
    found: Found,
    ledger: Ledger,
    send: Callable[[str, Sequence[News]], str | None],
    *,
    now: float,
) -> tuple[Ledger, Sequence[str]]:
    """Tell every receiver its news; one that takes none holds up no other.

    Args:
        send: Takes a receiver's name; gives None where the message was taken, else why not.

    Returns:
        What each knows now, and a line for each that was told something or could not be.
    """
    after: dict[str, Mapping[str, Told]] = {}
    lines: list[str] = []
    for receiver in settings.receivers:
        news, known = plan_news(settings, found, ledger.get(receiver, {}), now=now)
        problem = send(receiver, news) if news else None
        after[receiver] = known if problem else mark_told(known, news, now=now)
        if problem:
            lines.append(f"{receiver} did not take {_name(news)}; tried again: {problem}")
        elif news:
            lines.append(f"{receiver} was told: {_name(news)}")
    return after, lines


def _name(news: Sequence[News]) -> str:
    return list_few([f"{each.title} ({each.change})" for each in news])
