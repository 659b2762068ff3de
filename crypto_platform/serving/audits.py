"""When each feed was audited the last time, and what came out: asked of Dagster, which did it.

Here: one question over GraphQL, and what its answer means. Not here: the audit
(delivery/audit.py), its asset (assets/audits.py), which gives the hour's answers as checks.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crypto_platform.feeds import FEEDS
from crypto_platform.serving.dagster_api import ask_dagster, find_url
from crypto_platform.serving.probe import Answer, Probe
from crypto_platform.settings import Settings

logger = logging.getLogger(__name__)

TIMEOUT_S = 5.0
EVERY_S = 30.0
WITHIN_S = 2.0
FAILED = frozenset({"FAILED", "EXECUTION_FAILED"})
UNANSWERED = frozenset({"IN_PROGRESS", "SKIPPED", "EXECUTION_FAILED"})
"""Of a check that is being asked anew, or whose audit ended before its answer."""
_WARNING = "WARN"

_AUDITS = """
query Audits($keys: [AssetKeyInput!]) {
  assetNodes(assetKeys: $keys) {
    assetKey { path }
    assetMaterializations(limit: 1) { timestamp partition }
    assetChecksOrError {
      ... on AssetChecks { checks { name executionForLatestMaterialization {
        status
        evaluation { severity description }
      } } }
    }
  }
}
"""


@dataclass(frozen=True, kw_only=True)
class LastAudit:
    """The last audited hour of a feed.

    Attributes:
        hour: As Dagster names the partition: 2026-11-27-20:00.
        at_us: When it was audited.
        failed: Names of the checks that were not good.
        faults: What those of them said that are no mere warning; empty where the hour is whole.
        is_answered: Every check has said something; without that, no faults mean nothing.
    """

    feed: str
    hour: str
    at_us: int
    failed: Sequence[str]
    faults: Sequence[str] = ()
    is_answered: bool = True


class Audits:
    """Asks again and again, and nobody waits for long. Safe for threads."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is asked yet."""
        self._probe = Probe(lambda: read_audits(find_url(settings)), every_s=EVERY_S)

    def ask(self) -> None:
        """Begin, so that `read` need not wait."""
        self._probe.ask()

    def read(self) -> Sequence[LastAudit]:
        """The last one of each feed; none where no Dagster is known or it does not answer soon."""
        return self.answer().value or []

    def answer(self) -> Answer[list[LastAudit]]:
        """The same, or why it is not known.

        A mistake of ours is logged and is such a reason: who asks has other things to tell besides.
        """
        self._probe.ask()
        try:
            return self._probe.answer(within_s=WITHIN_S)
        except Exception as error:
            logger.exception("Dagster's answer about the last audits could not be read")
            return Answer(problem=f"{type(error).__name__} (the log has it whole)")


def read_audits(url: str) -> list[LastAudit]:
    """Feeds that have been audited, in the catalogue's order.

    Raises:
        StackError: Dagster's web server does not answer.
    """
    keys = [{"path": ["audit", feed.name]} for feed in FEEDS]
    return find_audits(ask_dagster(url, _AUDITS, {"keys": keys}, timeout_s=TIMEOUT_S))


def find_audits(answer: Mapping[str, Any]) -> list[LastAudit]:
    """What Dagster's answer says; a feed that was never audited is left out. Pure."""
    found: dict[str, LastAudit] = {}
    for node in answer["assetNodes"]:
        for audited in node["assetMaterializations"]:
            feed = node["assetKey"]["path"][-1]
            checks = node["assetChecksOrError"].get("checks", [])
            answers = {check["name"]: _find_failure(check) for check in checks}
            failed = {name: answer for name, answer in answers.items() if answer is not None}
            found[feed] = LastAudit(
                feed=feed,
                hour=audited["partition"] or "",
                at_us=int(audited["timestamp"]) * 1000,
                failed=list(failed),
                faults=[
                    f"{name}: {answer.get('description') or 'without words'}"
                    for name, answer in failed.items()
                    if answer and answer.get("severity") != _WARNING
                ],
                is_answered=not any(_find_status(check) in UNANSWERED for check in checks),
            )
    return [found[feed.name] for feed in FEEDS if feed.name in found]


def _find_failure(check: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Severity and words of a check that was not good, as far as known; None of one that was."""
    if _find_status(check) not in FAILED:
        return None
    return check["executionForLatestMaterialization"].get("evaluation") or {}


def _find_status(check: Mapping[str, Any]) -> str:
    execution: Mapping[str, Any] | None = check["executionForLatestMaterialization"]
    return "" if execution is None else execution["status"]
