"""An alert's words: one message for all that is news to a receiver.

Here: pure functions from news to text. Not here: what is news (alerts.py), the way (messages.py).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from crypto_platform.domain.readable import format_age
from crypto_platform.serving.alerts import Change, News
from crypto_platform.settings import Settings

NEWS_MAX = 20
"""What a phone shows; the rest is counted, and `status` lists it."""
TEXT_MAX = 700


@dataclass(frozen=True, kw_only=True)
class Message:
    """What a person reads; `is_bad` where anything in it has not ended."""

    title: str
    body: str
    is_bad: bool


def write_message(settings: Settings, news: Sequence[News], *, now: float) -> Message:
    """One message; what has begun stands first.

    Args:
        news: At least one.
        now: Seconds since 1970.
    """
    order = list(Change)
    ordered = sorted(news, key=lambda each: order.index(each.change))
    counts = Counter(each.change.value for each in ordered)
    shown = [_describe(settings, each, now=now) for each in ordered[:NEWS_MAX]]
    if len(ordered) > NEWS_MAX:
        shown.append(f"and {len(ordered) - NEWS_MAX} more: `crypto-platform status` lists them")
    summary = ", ".join(f"{count} {change}" for change, count in counts.items())
    title = f"crypto_platform {settings.deployment}: {summary}"
    if len(ordered) == 1:
        title = f"crypto_platform {settings.deployment}: {ordered[0].title} ({ordered[0].change})"
    return Message(
        title=title,
        body="\n\n".join(shown),
        is_bad=any(each.change is not Change.OVER for each in ordered),
    )


def write_trial(settings: Settings) -> Message:
    """What `crypto-platform alerts test` sends."""
    return Message(
        title=f"crypto_platform {settings.deployment}: trial message",
        body="Somebody asked whether alerts arrive here: they do. What they mean: "
        f"{settings.alerts.runbook_url}#alerts",
        is_bad=False,
    )


def _describe(settings: Settings, news: News, *, now: float) -> str:
    age = format_age(max(now - news.since, 0.0))
    since = f"{datetime.fromtimestamp(news.since, UTC):%Y-%m-%d %H:%M} UTC"
    if news.change is Change.OVER:
        return f"OVER after {age}: {news.title}"
    text = news.text if len(news.text) <= TEXT_MAX else f"{news.text[: TEXT_MAX - 1]}…"
    return (
        f"{news.change.upper()}, for {age} since {since}: {news.title}\n{text}\n"
        f"what to do: {settings.alerts.runbook_url}#{news.heading}"
    )
