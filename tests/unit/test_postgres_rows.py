"""Records as COPY text: what is written has to be what COPY reads."""

import msgspec
import pytest

from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.feeds.accounts import ORDERS
from crypto_platform.feeds.order_books import ORDER_BOOKS
from crypto_platform.feeds.quotes import Quote
from crypto_platform.feeds.rejected import Rejected
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.postgres.rows import (
    columns_of,
    encode_rows,
    encode_states,
    format_fields,
    format_texts,
    format_time,
    pick_lines,
)
from crypto_platform.stores.slices import Arrival, build_arrivals
from tests.account_steps import SmallCompany
from tests.feed_samples import build_record
from tests.store_steps import QUOTES, REJECTED, TOPIC_ID

P2 = TopicPart(TOPIC_ID, 2)
BARE = Quote(
    event_id="id", content_hash=-5, source="s", currency_id="c", quote_currency="USD", ts_ingest=1
)


def rows_of(*records: Record, feed: Feed[Record] = QUOTES) -> bytes:
    """The records as they arrived in partition 2, from offset 7 on."""
    arrived = [Arrival(record, 7 + i, 1_000_000) for i, record in enumerate(records)]
    arrivals = build_arrivals(arrived, feed=feed)
    return encode_rows(format_fields(feed.fields, arrivals.columns), P2, arrivals)


def line_of(**changes: str | int) -> dict[str, str]:
    """One row's values by column."""
    record = msgspec.structs.replace(BARE, **changes)
    values = rows_of(record).decode().removesuffix("\n").split("\t")
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


def test_lists_of_amounts_are_array_literals() -> None:
    """Each digit as it is; an empty side of an order book is not an unknown one."""
    book = build_record(ORDER_BOOKS, bid_prices=("1.10", "1.0"), ask_prices=())
    row = rows_of(book, feed=ORDER_BOOKS).decode()
    values = dict(zip(columns_of(ORDER_BOOKS), row.split("\t"), strict=True))
    assert (values["bid_prices"], values["ask_prices"]) == ("{1.10,1.0}", "{}")


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
    row = rows_of(record, feed=REJECTED).decode()
    values = dict(zip(columns_of(REJECTED), row.split("\t"), strict=True))
    assert values["raw"] == r"\\x000a5c"


def test_rows_are_picked_whole() -> None:
    """Where some of a batch are repeats, only the lines of the others go to the server."""
    odd = msgspec.structs.replace(BARE, currency_name="a\nb")
    rows = rows_of(BARE, odd, BARE)
    first, second, third = rows.splitlines(keepends=True)
    assert pick_lines(rows, [0, 2]) == [first, third]
    assert pick_lines(rows, [1]) == [second]
    assert pick_lines(rows, []) == []


def test_one_odd_text_does_not_change_its_neighbours() -> None:
    """Columns are escaped as a whole once any of their texts needs it."""
    odd = msgspec.structs.replace(BARE, currency_name="a\tb")
    plain = msgspec.structs.replace(BARE, currency_name="plain")
    rows = rows_of(odd, plain, BARE).decode()
    column = columns_of(QUOTES).index("currency_name")
    names = [row.split("\t")[column] for row in rows.splitlines()]
    assert names == [r"a\tb", "plain", r"\N"]


def test_a_states_line_has_its_records_texts_and_its_own() -> None:
    """Written once for both: what one of them escaped the other would not break."""
    company = SmallCompany()
    company.deposit("ann\t", "USD", "10")
    event = company.accept("ann\t", "o-1", price="7", quantity="1")
    arrivals = build_arrivals([Arrival(event, 7, 1_000_000)] * 2, feed=ACCOUNT_EVENTS)
    texts = format_fields(ACCOUNT_EVENTS.fields, arrivals.columns)
    derived = ORDERS.derive(arrivals.named(ACCOUNT_EVENTS))
    first, second = encode_states(ORDERS, derived, texts).decode().splitlines()
    found = dict(zip([f.name for f in ORDERS.fields], first.split("\t"), strict=True))
    assert first == second
    assert (found["user_id"], found["is_open"], found["order_funds"]) == (r"ann\t", "t", r"\N")
    assert encode_states(ORDERS, derived.take([]), texts) == b""


def test_texts_make_one_array_whatever_they_hold() -> None:
    """Ids are joined into one literal; a quote or backslash inside one must not end it."""
    assert format_texts([]) == "{}"
    assert format_texts(["a", 'b"c', "d\\e", "f,g", "{h}", "NULL", ""]) == (
        r'{"a","b\"c","d\\e","f,g","{h}","NULL",""}'
    )
