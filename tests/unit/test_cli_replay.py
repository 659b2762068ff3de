"""`replay`: which hours are meant, and what its plan and its refusal say."""

from datetime import UTC, datetime

import click
import pytest

from crypto_platform.cli.replay import (
    build_document,
    format_plan,
    format_replayed,
    parse_hour,
    parse_hours,
)
from crypto_platform.delivery.replay import Replayed, ReplayRange, refuse_gaps
from crypto_platform.domain.hours import MICROSECONDS_PER_HOUR, to_time_us
from crypto_platform.errors import IncidentError, IncidentKind
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.stores.claims import StoredOffset, TopicPart

NOW = datetime(2026, 1, 31, 15, 20, tzinfo=UTC)
TWO = datetime(2026, 1, 31, 14, tzinfo=UTC)
TWO_US = to_time_us(TWO)


def planned(
    part: int, first: int, end: int, *, lost: tuple[int, ...] = (), whole: int | None = None
) -> ReplayRange:
    """A range of topic market.quotes."""
    row = StoredOffset(
        topic="market.quotes",
        partition=TopicPart("a-topic", part),
        next_offset=end,
        leader_epoch=None,
        max_ts_append=0,
        epoch=1,
        owner_run_id=None,
        claimed_at=None,
        updated_at=None,
        blocked_by=None,
    )
    return ReplayRange(
        feed=FEED_BY_NAME["quotes"],
        row=row,
        first_offset=first,
        next_offset=end,
        lost_hours=lost,
        first_whole_hour=whole,
        low=first,
    )


@pytest.mark.parametrize(
    "text",
    [
        *("2026-01-31-14:00", "2026-01-31T14:00", "2026-01-31 14:00", "2026-01-31T14"),
        *("2026-01-31T14:00:00Z", "2026-01-31T15:00+01:00", " 2026-01-31-14:00 "),
    ],
)
def test_an_hour_may_be_written_as_dagster_or_as_iso_does(text: str) -> None:
    """People copy it from the UI, from a log or from psql, and each writes it otherwise."""
    assert parse_hour(text, option="--partition", now=NOW) == TWO_US


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("yesterday", "use 2026-01-31-14:00"),
        ("14:00", "use 2026-01-31-14:00"),
        ("2026-01-31-14:30", "2026-01-31-14:00 is the one that holds it"),
        ("2026-01-31-16:00", "has not begun yet: it is 2026-01-31-15:20"),
    ],
)
def test_what_is_no_past_hour_is_refused_with_one_that_works(text: str, hint: str) -> None:
    """A replay of the wrong hour restores nothing, and says that it went well."""
    with pytest.raises(click.BadParameter) as refused:
        parse_hour(text, option="--partition", now=NOW)
    assert hint in refused.value.message
    assert refused.value.param_hint == "--partition"


def test_the_last_hour_is_itself_replayed() -> None:
    """Dagster's ranges include their end, and so must the command that stands in for them."""
    one = (TWO_US, TWO_US + MICROSECONDS_PER_HOUR)
    assert parse_hours("2026-01-31-14:00", None, now=NOW) == one
    assert parse_hours("2026-01-31-14:00", "2026-01-31-14:00", now=NOW) == one
    several = parse_hours("2026-01-31-12:00", "2026-01-31-14:00", now=NOW)
    assert several == (TWO_US - 2 * MICROSECONDS_PER_HOUR, TWO_US + MICROSECONDS_PER_HOUR)


def test_hours_in_the_wrong_order_are_refused() -> None:
    """They would be an empty range, which restores nothing without a word."""
    with pytest.raises(click.BadParameter, match="is before --partition"):
        parse_hours("2026-01-31-14:00", "2026-01-31-13:00", now=NOW)


def test_a_plan_says_what_would_be_read_and_what_is_gone() -> None:
    """Whoever looks first must see both before anything is written."""
    hour = TWO_US
    ranges = [planned(0, 10, 1510), planned(1, 5, 9, lost=(hour,), whole=hour)]
    assert format_plan("mongo", ranges) == [
        "partition        offsets     to read  kafka",
        "market.quotes/0  10 to 1510    1,500  has all of it",
        "market.quotes/1  5 to 9            4  gone in part: 2026-01-31-14:00",
        "mongo: 1,504 offsets would be read; nothing was written",
    ]
    assert "nothing to replay" in format_plan("mongo", [])[0]


def test_a_plan_that_is_whole_is_not_refused() -> None:
    """Hours that retention took are no matter for hours it left."""
    refuse_gaps("postgres", [planned(0, 10, 20, whole=TWO_US)])


def test_a_gap_in_any_partition_names_the_hours_and_the_way_out() -> None:
    """A person who is told only 'gone' does not know what to do next."""
    hours = tuple(TWO_US - n * MICROSECONDS_PER_HOUR for n in range(7, 0, -1))
    ranges = [
        planned(0, 1, 2),
        planned(1, 30, 40, lost=hours[:6], whole=hours[-1]),
        planned(2, 50, 60, lost=hours, whole=TWO_US),
    ]
    with pytest.raises(IncidentError) as refused:
        refuse_gaps("postgres", ranges)
    assert refused.value.kind is IncidentKind.RETENTION_GAP
    assert str(refused.value) == (
        "Kafka's retention has removed records of 2026-01-31-07:00, 2026-01-31-08:00, "
        "2026-01-31-09:00, 2026-01-31-10:00, 2026-01-31-11:00 and 2 more, the last "
        "2026-01-31-13:00 (offsets of market.quotes/1 below 30, market.quotes/2 below 50); nothing "
        "of market.quotes was replayed. Hours from 2026-01-31-14:00 on can be replayed; what "
        "postgres lacks of older ones can only come from the other store, the mirror to restore "
        "from"
    )


def test_the_last_line_says_what_was_read_and_what_was_missing() -> None:
    """`restored 0` after a deletion is how a person finds out that it was another hour."""
    replayed = Replayed(
        read_records=1500, stored_records=40, repeated_records=1459, quarantined_records=1
    )
    assert format_replayed("postgres", replayed) == (
        "postgres: read 1,500, restored 40, already there 1,459, quarantined 1"
    )
    document = build_document("postgres", "cli-1", replayed)
    assert (document["restored_records"], document["already_there_records"]) == (40, 1459)
