"""`crypto-platform prove`: what is refused, what is said, and the exit codes."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from crypto_platform.cli import main
from crypto_platform.cli.prove_text import (
    Outcome,
    build_document,
    build_log,
    describe_plan,
    format_last_line,
)
from crypto_platform.delivery.audit_report import (
    AuditReport,
    FeedTotal,
    KafkaCount,
    Lag,
    StoreCount,
)
from crypto_platform.stack.kills import Kill, Killer
from crypto_platform.stack.proof import Proof
from crypto_platform.stack.targets import Target

KAFKA = Target(part="kafka")
LOAD = Target(part="mongo", is_run=True)


def report(*, whole: bool = True, quarantined: int = 0) -> AuditReport:
    """An audit of two feeds with 1,000 and 500 records."""
    return AuditReport(
        whole=whole,
        deep=False,
        audited_at="2025-11-22T12:00:00Z",
        since=None,
        seconds=1.25,
        feeds={
            name: FeedTotal(
                kafka=KafkaCount(records=records, hash="0a", refused=0, read=records),
                stores={
                    store: StoreCount(records=records, hash="0a", quarantined=quarantined)
                    for store in ("postgres", "mongo")
                },
            )
            for name, records in (("quotes", 1000), ("trades", 500))
        },
        lag=dict.fromkeys(("postgres", "mongo"), Lag(lag_records=0, blocked_partitions=0)),
        behind=[],
        findings=[],
        hours=[],
        lost=[],
        notes=[],
    )


def outcome(found: AuditReport | None, *, problem: str | None = None) -> Outcome:
    return Outcome(
        seed=7,
        duration_s=20.0,
        every_s=10.0,
        kills=[
            Kill(target=KAFKA, pid=11, at_s=0.04, away_s=4.26),
            Kill(target=LOAD, pid=12, at_s=10.0),
        ],
        lag_s_max={"postgres": 2.5, "mongo": 12.4},
        problem=problem,
        report=found,
    )


def test_the_last_line_says_what_was_proved() -> None:
    """It is the one line that people copy."""
    assert format_last_line(outcome(report())) == (
        "proved: 2 kills in 20 s; 1,500 records, each once in postgres and in mongo; "
        "longest lag 12 s"
    )
    refused = format_last_line(outcome(report(quarantined=2)))
    assert "in mongo (4 refused values in quarantine); longest" in refused


def test_what_is_not_proved_is_said_first() -> None:
    """A line that begins like the good one is read as the good one."""
    assert format_last_line(outcome(report(whole=False))).startswith("NOT PROVED: 2 kills")
    told = format_last_line(outcome(None, problem="mongo lags 3 records"))
    assert told.startswith("NOT PROVED: 2 kills; mongo lags 3 records; look at")


@pytest.mark.parametrize(
    ("found", "proved"), [(report(), True), (report(whole=False), False), (None, False)]
)
def test_only_a_whole_audit_is_a_proof(found: AuditReport | None, *, proved: bool) -> None:
    """Exit 0 for a platform that nobody audited would be a lie."""
    assert outcome(found).is_proved is proved
    assert format_last_line(outcome(found)).startswith("proved: ") is proved


def test_the_document_holds_all_of_it() -> None:
    """A script wants each kill, and the audit as `audit --json` has it."""
    found = report()
    document = build_document(outcome(found))
    assert document == {
        "proved": True,
        "problem": None,
        "seed": 7,
        "seconds": 20.0,
        "every_s": 10.0,
        "kills": [
            {"target": "kafka", "pid": 11, "at_s": 0.0, "away_s": 4.3},
            {"target": "load run of mongo", "pid": 12, "at_s": 10.0, "away_s": None},
        ],
        "lag_s_max": {"postgres": 2.5, "mongo": 12.4},
        "records": 1500,
        "audit": found.to_document(),
    }
    assert json.loads(json.dumps(document)) == document
    unproved = build_document(outcome(None, problem="x"))
    assert (unproved["proved"], unproved["audit"], unproved["records"]) == (False, None, None)


def test_the_plan_names_every_target_and_the_seed(tmp_path: Path) -> None:
    """Nobody agrees to what they have not read."""
    text = "\n".join(describe_plan(tmp_path, [KAFKA, LOAD], seed=7, duration_s=60.0, every_s=10.0))
    for word in (str(tmp_path), "kill -9", "every 10 s for 60 s", "seed 7", "kafka, load run of"):
        assert word in text


def test_the_log_shows_the_last_kills_and_what_is_awaited() -> None:
    """Without it a minute of red figures looks like a fault."""

    class Nothing:
        def kill(self, target: Target) -> int | None:
            return 1

        def is_back(self, target: Target, *, killed: int) -> bool:
            return False

    killer = Killer(
        Nothing(), [KAFKA], seed=1, every_s=10.0, duration_s=20.0, say=lambda line: None
    )
    proof = Proof(killer, duration_s=20.0)
    killer.step(1.0)
    lines = ["".join(text for text, _ in line) for line in build_log(killer, proof)]
    assert lines[0] == "killing for 1 s so far, 1 kills; Ctrl-C ends it"
    assert lines[1].split() == ["1", "s", "killed", "kafka", "not", "back", "yet"]
    killer.kills[0].away_s = 4.26
    killer.step(25.0)
    lines = ["".join(text for text, _ in line) for line in build_log(killer, proof)]
    assert lines[0].startswith("1 kills done, no more; waiting: ")
    assert lines[1].endswith("back after 4.3 s")


def test_without_a_terminal_it_asks_for_yes(tmp_path: Path) -> None:
    """A script must not hang at a question, nor kill without having said so."""
    ended = CliRunner().invoke(main, ["prove", "--data-dir", str(tmp_path)])
    assert ended.exit_code == 2
    assert "--yes does it without asking" in ended.stderr


@pytest.mark.parametrize("words", [["--every", "0"], ["--seconds", "x"], ["--seed", "-1"]])
def test_wrong_numbers_are_exit_2(tmp_path: Path, words: list[str]) -> None:
    """A pause of 0 s would be a storm."""
    ended = CliRunner().invoke(main, ["prove", "--yes", *words, "--data-dir", str(tmp_path)])
    assert ended.exit_code == 2


def test_where_no_stack_runs_it_says_so_and_prints_no_document(tmp_path: Path) -> None:
    """With compose or remote servers there is nothing here that may be killed."""
    ended = CliRunner().invoke(main, ["prove", "--yes", "--json", "--data-dir", str(tmp_path)])
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert "no embedded stack runs in" in ended.stderr
    assert "compose" in ended.stderr


def test_servers_given_by_url_are_refused(tmp_path: Path) -> None:
    """They may be somebody's production."""
    setting = {
        "CRYPTO_PLATFORM_KAFKA__BOOTSTRAP_SERVERS": "kafka.example:9092",
        "CRYPTO_PLATFORM_KAFKA__SECURITY_PROTOCOL": "SSL",
    }
    ended = CliRunner(env=setting).invoke(main, ["prove", "--yes", "--data-dir", str(tmp_path)])
    assert ended.exit_code == 1
    assert "kafka given by URL" in ended.stderr
