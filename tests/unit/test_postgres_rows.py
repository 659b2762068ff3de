"""Records as COPY text: what is written has to be what COPY reads."""

import msgspec
import pytest

from crypto_platform.feeds.quotes import Quote
from crypto_platform.feeds.rejected import Rejected
from crypto_platform.stores.base import Arrival, Claim, Slice, TopicPart
from crypto_platform.stores.postgres.rows import (
    ROWS_PER_CHUNK,
    Placed,
    columns_of,
    copy_chunks,
    format_time,
)
from tests.store_steps import QUOTES, REJECTED, TOPIC_ID

CLAIM = Claim(
    feed=QUOTES,
    topic="market.quotes",
    partition=TopicPart(TOPIC_ID, 2),
    epoch=1,
    next_offset=0,
    leader_epoch=None,
    max_ts_append=0,
)
SLICE = Slice(
    claim=CLAIM,
    hour=0,
    first_offset=0,
    next_offset=1,
    max_ts_append=0,
    leader_epoch=None,
    arrivals=(),
)
BARE = Quote(
    event_id="id", content_hash=-5, source="s", currency_id="c", quote_currency="USD", ts_ingest=1
)


def placed(record: Quote | Rejected, offset: int = 7) -> Placed:
    """The record as it arrived in partition 2."""
    return SLICE, Arrival(record, offset, 1_000_000)


def line_of(**changes: str | int) -> dict[str, str]:
    """One row's values by column."""
    record = msgspec.structs.replace(BARE, **changes)
    [chunk] = copy_chunks(QUOTES, [placed(record)])
    values = chunk.decode().removesuffix("\n").split("\t")
    return dict(zip(columns_of(QUOTES), values, strict=True))


@pytest.mark.parametrize(
    ("time_us", "text"),
    [
        (0, "1970-01-01 00:00:00.000000+00"),
        (1, "1970-01-01 00:00:00.000001+00"),
        (1_621_094_383_867_009, "2021-05-15 15:59:43.867009+00"),
        (253_402_300_799_999_999, "9999-12-31 23:59:59.999999+00"),
    ],
)
def test_times_keep_their_microseconds(time_us: int, text: str) -> None:
    """By way of a float the last digits would drift, and with them the order of events."""
    assert format_time(time_us) == text


def test_amounts_are_written_as_they_are() -> None:
    """Each digit is the source's; a trailing zero says how exactly it knew."""
    row = line_of(price="1.10", market_cap="-0.0000000000000000000000000000000001")
    assert (row["price"], row["market_cap"]) == ("1.10", "-0.0000000000000000000000000000000001")


def test_unknown_is_null() -> None:
    """An empty text or a 0 would claim to know."""
    row = line_of()
    assert (row["price"], row["currency_name"], row["ts_event"]) == (r"\N", r"\N", r"\N")
    assert row["market_cap_rank"] == r"\N"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a\tb", r"a\tb"),
        ("a\nb", r"a\nb"),
        ("a\rb", r"a\rb"),
        ("a\\b", r"a\\b"),
        (r"\N", r"\\N"),
        (r"\.", r"\\."),
        ("", ""),
        ("ü 日本", "ü 日本"),
    ],
)
def test_text_cannot_break_out_of_its_column(text: str, escaped: str) -> None:
    """A tab in a currency's name would shift every value behind it."""
    assert line_of(currency_name=text)["currency_name"] == escaped


def test_a_row_ends_with_its_first_arrival() -> None:
    """The audit finds rows by it."""
    row = line_of()
    arrival = [row[name] for name in columns_of(QUOTES)[-4:]]
    assert arrival == [TOPIC_ID, "2", "7", "1970-01-01 00:00:01.000000+00"]
    assert (row["event_id"], row["content_hash"]) == ("id", "-5")


def test_bytes_are_written_in_hex() -> None:
    """A rejected piece may hold any byte, newline and backslash included."""
    record = Rejected(
        event_id="id",
        source="s",
        feed="quotes",
        reason="invariant",
        error="e",
        raw=b"\x00\n\\",
        ts_ingest=1,
    )
    [chunk] = copy_chunks(REJECTED, [placed(record)])
    values = dict(zip(columns_of(REJECTED), chunk.decode().split("\t"), strict=True))
    assert values["raw"] == r"\\x000a5c"


def test_chunks_hold_all_rows_in_order() -> None:
    """A row lost between two chunks would be lost for good."""
    records = [placed(BARE, offset) for offset in range(ROWS_PER_CHUNK * 2 + 1)]
    chunks = list(copy_chunks(QUOTES, records))
    offset_column = columns_of(QUOTES).index("arrival_offset")
    rows = b"".join(chunks).decode().splitlines()
    assert len(chunks) == 3
    assert [int(row.split("\t")[offset_column]) for row in rows] == list(range(1001))


def test_one_odd_text_does_not_change_its_neighbours() -> None:
    """Columns are escaped as a whole once any of their texts needs it."""
    odd = msgspec.structs.replace(BARE, currency_name="a\tb")
    plain = msgspec.structs.replace(BARE, currency_name="plain")
    [chunk] = copy_chunks(QUOTES, [placed(odd), placed(plain), placed(BARE)])
    column = columns_of(QUOTES).index("currency_name")
    names = [row.split("\t")[column] for row in chunk.decode().splitlines()]
    assert names == [r"a\tb", "plain", r"\N"]
