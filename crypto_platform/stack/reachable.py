"""Which sources are read in this run, and why others are not.

Here: the modes of `--sources`, the pure decision, one quick request per public source. Not here:
polling them (sources/); a source that fails later backs off by itself.
"""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from crypto_platform.settings import ENV_PREFIX, Settings, SourceSettings, SourcesMode

ANSWER_WAIT_S = 2.0


@dataclass(frozen=True, kw_only=True)
class SourceChoice:
    """Whether a source is read.

    Attributes:
        reason: Why not, with what to do about it; empty where it is read.
    """

    enabled: bool
    reason: str = ""


async def choose_sources(settings: Settings, mode: SourcesMode) -> dict[str, SourceChoice]:
    """Decide for every source of the settings, asking public ones all at once.

    Takes ANSWER_WAIT_S at most. In mode `live` they are read without being asked: who says so
    wants to see them fail rather than missing.
    """
    asked = {
        name: source
        for name, source in settings.sources.items()
        if mode == "auto" and plan_source(name, source, mode=mode, answers=None).enabled
    }
    public = {name: source for name, source in asked.items() if not source.simulated}
    answers = await asyncio.gather(*(_answers(source.base_url) for source in public.values()))
    known = dict(zip(public, answers, strict=True))
    return {
        name: plan_source(name, source, mode=mode, answers=known.get(name))
        for name, source in settings.sources.items()
    }


def plan_source(
    name: str, source: SourceSettings, *, mode: SourcesMode, answers: bool | None
) -> SourceChoice:
    """Decide for one source.

    Args:
        name: In the settings.
        source: Its settings.
        mode: `auto`, `live` (public ones only) or `simulated` (only those).
        answers: Whether it answered just now; None where it was not asked.
    """
    if not source.enabled:
        return SourceChoice(enabled=False, reason=f"sources.{name}.enabled is false")
    if source.simulated:
        reason = "left out by --sources live" if mode == "live" else ""
    elif mode == "simulated":
        reason = "left out by --sources simulated"
    elif source.key_required and source.key is None:
        reason = (
            f'no key: put `key = "..."` under [sources.{name}] in settings.toml, '
            f"or set {ENV_PREFIX}SOURCES__{name.upper()}__KEY"
        )
    elif answers is False:
        reason = f"not reachable within {ANSWER_WAIT_S:.0f} s; --sources live reads it all the same"
    else:
        reason = ""
    return SourceChoice(enabled=not reason, reason=reason)


def describe_sources(settings: Settings, choices: Mapping[str, SourceChoice]) -> list[str]:
    """Lines for a person: what is read, what is not and why."""
    read = [
        f"{name} (simulated)" if settings.sources[name].simulated else name
        for name, choice in choices.items()
        if choice.enabled
    ]
    lines = [f"sources read: {', '.join(read) or 'none'}"]
    lines += [f"not read: {name}: {c.reason}" for name, c in choices.items() if not c.enabled]
    return lines


async def _answers(url: str) -> bool:
    try:
        return await asyncio.wait_for(asyncio.to_thread(_ask, url), ANSWER_WAIT_S)
    except TimeoutError:
        return False  # looking up a name may take longer than any limit given to the request


def _ask(url: str) -> bool:
    """Whether the host answers, with whatever status: a 404 for the bare path is an answer."""
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_WAIT_S):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
