"""Which of Dagster's history goes when: the rules, without a database."""

from datetime import timedelta
from pathlib import Path

import dagster as dg

from crypto_platform.definitions import build_definitions
from crypto_platform.jobs.purge import PURGE_JOB, build_purge_job, list_rules
from crypto_platform.settings import load_settings

DAY = timedelta(days=1)
FINISHED = {
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
}


def test_every_way_to_end_falls_under_one_rule_and_no_other_status_does() -> None:
    """A status without a rule grows for good; a run at work under a rule would lose its log."""
    statuses = [
        status for rule in list_rules(keep=DAY, keep_failed=DAY) for status in rule.statuses
    ]
    assert sorted(status.value for status in statuses) == ["CANCELED", "FAILURE", "SUCCESS"]
    assert set(statuses) == FINISHED


def test_failures_have_an_age_of_their_own() -> None:
    """With the ages mixed up, a failure would be gone before anybody has read of it."""
    age_of = {
        status: rule.age
        for rule in list_rules(keep=3 * DAY, keep_failed=30 * DAY)
        for status in rule.statuses
    }
    assert age_of[dg.DagsterRunStatus.FAILURE] == 30 * DAY
    assert age_of[dg.DagsterRunStatus.SUCCESS] == 3 * DAY
    assert age_of[dg.DagsterRunStatus.CANCELED] == 3 * DAY


def test_the_purge_runs_every_hour_without_being_switched_on(tmp_path: Path) -> None:
    """Nobody thinks of it before the disk is full."""
    [schedule] = [
        schedule
        for schedule in build_definitions(load_settings(tmp_path, environment={})).schedules or []
        if isinstance(schedule, dg.ScheduleDefinition) and schedule.job_name == PURGE_JOB
    ]
    assert schedule.cron_schedule == "17 * * * *"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


def test_a_purge_that_died_with_its_machine_gives_its_place_back(tmp_path: Path) -> None:
    """Dagster would believe it to be at work for ever: the launcher asks no run how it is."""
    job = build_purge_job(load_settings(tmp_path, environment={}))
    assert job.run_tags["dagster/max_runtime"] == "3600"
