"""The seam that kills a load must do nothing unless a test asked for it."""

from crypto_platform import crash_points


def test_an_unarmed_process_survives_every_point() -> None:
    """A crash point left armed in production would be the fault it tests for."""
    crash_points.arm(None)
    crash_points.reach("after_offset_update")
    crash_points.reach("after_copy")
    crash_points.reach("before_commit")
    crash_points.reach("after_commit")


def test_only_the_armed_point_kills() -> None:
    """Dying elsewhere would test another fault than the named one."""
    crash_points.arm("after_commit")
    crash_points.reach("before_commit")
    crash_points.arm(None)


def test_what_an_ingest_run_does_before_its_crash_point_is_done_for_tests_only() -> None:
    """A flush before each commit would cost every poll of every deployment."""
    assert not crash_points.is_armed("before_kafka_commit")
    crash_points.arm("before_kafka_commit")
    assert crash_points.is_armed("before_kafka_commit")
    assert not crash_points.is_armed("after_kafka_commit")
    crash_points.arm(None)
