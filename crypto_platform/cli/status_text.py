"""A Status as lines of text; its rows are also what the live view shows.

Here: which values stand in which column. Not here: what they mean (serving/judge.py), the live
view's layout (view.py).
"""

from collections.abc import Sequence

from crypto_platform.cli.text import format_table, printable
from crypto_platform.domain.readable import UNKNOWN, format_age, format_bytes, format_count
from crypto_platform.serving.derived import describe_waiting
from crypto_platform.serving.health import (
    FeedStatus,
    SourceStatus,
    Status,
    StoreStatus,
)

STORE_COLUMNS = (
    *("store", "state", "lag", "lag age", "records/min", "last commit", "quarantined", "blocked"),
)
FEED_COLUMNS = ("feed", "topic", "offsets/min", "last append", "offsets", "held back", "kept")
SOURCE_COLUMNS = ("source", "state", "last poll", "next", "failures")
STORE_NUMBERS = frozenset({2, 3, 4, 5, 6, 7})
FEED_NUMBERS = frozenset({2, 3, 4, 5, 6})
SOURCE_NUMBERS = frozenset({2, 3, 4})


def store_row(store: StoreStatus) -> tuple[str, ...]:
    """One row under STORE_COLUMNS."""
    return (
        store.name,
        _store_state(store),
        format_count(store.lag_records),
        format_age(store.lag_s),
        format_count(store.records_per_minute),
        format_age(store.commit_age_s),
        format_count(store.quarantined_records),
        format_count(store.blocked_partitions),
    )


def _store_state(store: StoreStatus) -> str:
    if not store.up:
        return "DOWN"
    return "paused" if store.is_paused else "up"


def feed_row(feed: FeedStatus) -> tuple[str, ...]:
    """One row under FEED_COLUMNS."""
    held = feed.high - feed.low if feed.high is not None and feed.low is not None else None
    return (
        feed.name,
        feed.topic,
        format_count(feed.offsets_per_minute),
        format_age(feed.append_age_s),
        format_count(held),
        format_age(feed.blocked_s) if feed.blocked_s else UNKNOWN,
        "for good" if feed.kept_days is None else f"{feed.kept_days} d",
    )


def source_row(source: SourceStatus) -> tuple[str, ...]:
    """One row under SOURCE_COLUMNS."""
    if not source.enabled:
        return (source.name, "not read", UNKNOWN, UNKNOWN, UNKNOWN)
    due = UNKNOWN if source.due_in_s is None else f"in {format_age(max(source.due_in_s, 0.0))}"
    state = "simulated" if source.simulated else "live"
    return (
        source.name,
        "paused" if source.is_paused else state,
        format_age(source.poll_age_s),
        UNKNOWN if source.is_paused else due,
        format_count(source.failures),
    )


def describe_disk(status: Status) -> str:
    """1.2 GB used, 40.0 GB free, about 300 days left at this pace."""
    disk = status.disk
    if disk is None:
        return "size unknown"
    text = f"{format_bytes(disk.used_bytes)} used, {format_bytes(disk.free_bytes)} free"
    if disk.days_left is not None:
        text += f", about {disk.days_left:,.0f} days left at this pace"
    return text


def describe_memory(status: Status) -> str:
    """3.1 GB of 8.0 GB available."""
    memory = status.memory
    if memory is None:
        return "unknown"
    return f"{format_bytes(memory.available_bytes)} of {format_bytes(memory.size_bytes)} available"


def describe_webserver(status: Status) -> str:
    """The UI's address, or why there is none."""
    if status.webserver_url is None:
        return (
            "none known: `crypto-platform up` starts it, or dagster.webserver_url names it; until "
            "then nobody knows what is paused and how the last audits ended"
        )
    return status.webserver_url if status.webserver_up else f"{status.webserver_url} DOWN"


def describe_parts(status: Status) -> list[str]:
    """What of the stack is not as it should be, or was started again."""
    return [
        f"{part.name} is {part.state}"
        + (f", started again {_times(part.restarts)}" if part.restarts else "")
        for part in status.parts or ()
        if part.restarts or not part.is_good
    ]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def format_status(status: Status) -> list[str]:
    """The whole status for a person."""
    kafka = status.kafka_address or "no address known"
    phase = "" if status.parts is not None else " (no stack of this folder is running)"
    lines = [
        *format_table(
            ("", ""),
            [
                ("status", f"{_verdict(status)}, {status.at:%Y-%m-%d %H:%M:%S} UTC"),
                ("data folder", f"{status.data_dir}{phase}: {describe_disk(status)}"),
                ("memory", describe_memory(status)),
                ("Dagster UI", describe_webserver(status)),
                ("dashboard, API", status.api_url or "none known: `crypto-platform up` starts it"),
                ("Kafka", kafka if status.kafka_up else f"{kafka} DOWN"),
                *((s.name, _describe_store(s)) for s in status.stores),
                ("analytics", describe_waiting(status.analytics)),
            ],
        ),
        "",
        *_section(STORE_COLUMNS, [store_row(s) for s in status.stores], STORE_NUMBERS),
        *_section(FEED_COLUMNS, [feed_row(f) for f in status.feeds], FEED_NUMBERS),
        *_section(SOURCE_COLUMNS, [source_row(s) for s in status.sources], SOURCE_NUMBERS),
    ]
    remarks = [*describe_parts(status), *status.pauses]
    lines += [*remarks, ""] if remarks else []
    return lines + [f"not good: {printable(problem)}" for problem in status.problems]


def _verdict(status: Status) -> str:
    return status.word if status.is_good else f"NOT GOOD ({len(status.problems)} reasons below)"


def _describe_store(store: StoreStatus) -> str:
    address = store.address or "no address known"
    return f"{address}  {store.version}" if store.up else f"{address} DOWN"


def _section(
    header: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int]
) -> list[str]:
    return [*format_table(header, rows, right=right), ""] if rows else []
