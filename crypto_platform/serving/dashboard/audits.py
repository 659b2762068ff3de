"""When each feed was audited the last time, and what came out: asked of Dagster, which did it.

Here: one question over GraphQL, and what its answer means. Not here: the audit
(delivery/audit.py), its asset (assets/audits.py), which gives the hour's answers as checks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crypto_platform.feeds import FEEDS
from crypto_platform.serving.dagster_api import ask_dagster

TIMEOUT_S = 5.0
FAILED = frozenset({"FAILED", "EXECUTION_FAILED"})

_AUDITS = """
query Audits($keys: [AssetKeyInput!]) {
  assetNodes(assetKeys: $keys) {
    assetKey { path }
    assetMaterializations(limit: 1) { timestamp partition }
    assetChecksOrError {
      ... on AssetChecks { checks { name executionForLatestMaterialization { status } } }
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
    """

    feed: str
    hour: str
    at_us: int
    failed: Sequence[str]


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
            found[feed] = LastAudit(
                feed=feed,
                hour=audited["partition"] or "",
                at_us=int(audited["timestamp"]) * 1000,
                failed=[
                    check["name"]
                    for check in node["assetChecksOrError"].get("checks", [])
                    if _has_failed(check)
                ],
            )
    return [found[feed.name] for feed in FEEDS if feed.name in found]


def _has_failed(check: Mapping[str, Any]) -> bool:
    execution: Mapping[str, Any] | None = check["executionForLatestMaterialization"]
    return execution is not None and execution["status"] in FAILED
