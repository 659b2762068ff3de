"""What `prove` says: the plan, the log above the live view, the document, the last line.

Here: pure functions from values to text. Not here: the audit's table (audit.py), the rest of the
live view (view.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crypto_platform.cli.view import Line
from crypto_platform.delivery.audit_report import AuditReport
from crypto_platform.domain.readable import format_age
from crypto_platform.stack.kills import Kill, Killer
from crypto_platform.stack.proof import Proof
from crypto_platform.stack.targets import Target

KILLS_SHOWN_MAX = 6
"""Above the tables, in a window of 24 lines."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How it ended.

    Attributes:
        lag_s_max: Longest lag seen of each store; while a store or Kafka is away there is none.
        problem: Why there is no report; None where there is one.
    """

    seed: int
    duration_s: float
    every_s: float
    kills: Sequence[Kill]
    lag_s_max: Mapping[str, float]
    problem: str | None
    report: AuditReport | None

    @property
    def is_proved(self) -> bool:
        """All came back, and the audit is whole."""
        return self.report is not None and self.report.is_proved


def describe_plan(
    data_dir: Path, targets: Sequence[Target], *, seed: int, duration_s: float, every_s: float
) -> list[str]:
    """What is about to be done, for somebody who has to agree."""
    names = ", ".join(target.name for target in targets)
    kills = f"`kill -9` on a part of it every {every_s:g} s for {duration_s:g} s"
    return [
        f"the stack in {data_dir} will be hit: {kills}",
        f"at random, seed {seed}, out of: {names}",
        "all of it comes back by itself; runs that are killed stay in Dagster as failed",
        "then: wait until no store lags, audit; no process of anything else is touched",
    ]


def build_log(killer: Killer, proof: Proof) -> list[Line]:
    """How far it is, and the last kills, for the live view."""
    if proof.is_settled:
        head = f"{len(killer.kills)} kills done; all is back and no store lags"
    elif killer.is_done:
        head = f"{len(killer.kills)} kills done, no more; waiting: {proof.waits_for}"
    else:
        head = f"killing for {killer.now_s:.0f} s so far, {len(killer.kills)} kills; Ctrl-C ends it"
    return [[(head, "bold")], *(_kill_line(kill) for kill in killer.kills[-KILLS_SHOWN_MAX:])]


def _kill_line(kill: Kill) -> Line:
    what = f"{kill.at_s:5.0f} s  killed {kill.target.name:<18}"
    if kill.away_s is None:
        return [(what, ""), ("not back yet", "red")]
    return [(what, ""), (f"back after {format_age(kill.away_s)}", "green")]


def count_records(report: AuditReport) -> int:
    """Records of all feeds in Kafka, each id once."""
    return sum(total.kafka.records for total in report.feeds.values())


def format_last_line(outcome: Outcome) -> str:
    """The whole of it in one line."""
    count = len(outcome.kills)
    kills = f"{count} kills in {outcome.duration_s:g} s"
    report = outcome.report
    if report is None:
        return (
            f"NOT PROVED: {count} kills; {outcome.problem}; look at `crypto-platform status`, then "
            f"`crypto-platform audit --wait 60`"
        )
    if not report.is_proved:
        return f"NOT PROVED: {kills}; the audit found what is named above"
    refused = max(
        (
            sum(total.stores[store].quarantined for total in report.feeds.values())
            for store in report.lag
        ),
        default=0,
    )
    longest = max(outcome.lag_s_max.values(), default=0.0)
    return (
        f"proved: {kills}; {count_records(report):,} records, each once in "
        f"{' and in '.join(report.lag)}"
        + (f" ({refused:,} refused values in quarantine)" if refused else "")
        + f"; longest lag {format_age(longest)}"
    )


def build_document(outcome: Outcome) -> dict[str, object]:
    """For --json; `audit` is as `audit --json` prints it, null where none was made."""
    report = outcome.report
    return {
        "proved": outcome.is_proved,
        "problem": outcome.problem,
        "seed": outcome.seed,
        "seconds": outcome.duration_s,
        "every_s": outcome.every_s,
        "kills": [
            {
                "target": kill.target.name,
                "pid": kill.pid,
                "at_s": round(kill.at_s, 1),
                "away_s": None if kill.away_s is None else round(kill.away_s, 1),
            }
            for kill in outcome.kills
        ],
        "lag_s_max": {store: round(lag_s, 1) for store, lag_s in outcome.lag_s_max.items()},
        "records": None if report is None else count_records(report),
        "audit": None if report is None else report.to_document(),
    }
