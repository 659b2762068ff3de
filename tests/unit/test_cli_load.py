"""`load`: its report."""

from crypto_platform.cli.load import add_progress, build_document, format_report
from crypto_platform.delivery.load import LoadEnd, LoadReport
from crypto_platform.delivery.progress import Progress


def test_the_runs_of_one_load_are_added_up() -> None:
    """A load that follows for hours is several runs, and the report is of all of them."""
    total = Progress(stored_records={"quotes": 5}, repeated_records=1, commits=2)
    more = Progress(stored_records={"quotes": 7, "incidents": 1}, quarantined_records=3, commits=1)
    add_progress(total, more)
    assert total.stored_records == {"quotes": 12, "incidents": 1}
    assert (total.repeated_records, total.quarantined_records, total.commits) == (1, 3, 3)


def test_the_report_says_how_it_ended_and_what_was_stored() -> None:
    """Drained and fenced are both good ends, and not the same."""
    progress = Progress(stored_records={"quotes": 1500, "rejected": 0}, commits=3)
    report = LoadReport(end=LoadEnd.DRAINED, progress=progress)
    assert format_report(report, "postgres", 1.25) == (
        "postgres: nothing waits any more after 1.2 s and 3 commits: stored 1,500 quotes, "
        "0 repeated, 0 quarantined"
    )
    document = build_document(report, "postgres", "cli-1", 1.25)
    assert document["end"] == "drained"
    assert document["stored_records"] == {"quotes": 1500, "rejected": 0}
    assert "hours" not in document
