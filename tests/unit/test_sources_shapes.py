"""What of an answer nobody reads, and what is read and missing; by the dialects' own structs."""

import msgspec
import pytest

from crypto_platform.cli.sources import build_check, format_check
from crypto_platform.errors import RecordRejectedError
from crypto_platform.settings import SourceSettings
from crypto_platform.sources import FeedCheck, SourceCheck
from crypto_platform.sources.coingecko import parse_markets
from crypto_platform.sources.gemini import Gemini, read_trade_id
from crypto_platform.sources.pages import NULL, decode_frame
from crypto_platform.sources.readings import Subject
from crypto_platform.sources.shapes import Shapes, watch_shapes

GEMINI = Gemini(
    name="mine",
    settings=SourceSettings(
        dialect="gemini",
        base_url="https://venue.example",
        symbols=("btcusd",),
        requests_per_minute_max=600,
    ),
)
SUBJECT = Subject(venue="mine", venue_symbol="btcusd", symbol="BTC/USD", ts_ingest=5)
TRADE = b'{"tid": 7, "timestampms": 1565662735226, "price": "1", "amount": "2", "new_field": 1}'


class Level(msgspec.Struct):
    price: msgspec.Raw
    amount: msgspec.Raw = NULL


class Book(msgspec.Struct, rename="camel"):
    last_update: int
    bids: list[Level]
    pairs: dict[str, Level] | None = None


def test_a_field_that_nobody_reads_is_named_and_one_that_is_gone() -> None:
    """Decoding passes over the one and makes None of the other: nobody would ever notice."""
    with watch_shapes() as shapes:
        GEMINI.parse_trade(TRADE, subject=SUBJECT)
    assert (shapes.unread, shapes.missing) == ({"new_field": 1}, {"type": 1})


def test_an_item_read_by_two_structs_is_read_by_both() -> None:
    """Paging reads a trade's number alone: to it every other field is unknown."""
    with watch_shapes() as shapes:
        read_trade_id(TRADE)
        GEMINI.parse_trade(TRADE, subject=SUBJECT)
    assert shapes.unread == {"new_field": 1}


def test_items_are_counted() -> None:
    """A field that one currency of a page lacks is another matter than one that all lack."""
    body = b'[{"id": "a", "roi": null}, {"id": "b", "roi": 1, "name": "B"}, {"id": "c"}]'
    with watch_shapes() as shapes:
        parse_markets(body, source="mine", quote_currency="USD", ts_ingest=5)
    assert shapes.unread == {"roi": 2}
    assert (shapes.missing["name"], shapes.missing["symbol"]) == (2, 3)


def test_objects_within_an_answer_are_compared_too() -> None:
    """By the venue's own names, whatever ours are."""
    body = b"""{"lastUpdate": 1, "more": 0, "bids": [{"price": 1, "at": 0}, {"price": 2, "at": 0}],
        "pairs": {"x": {"price": 1, "amount": 2, "side": 3}}}"""
    with watch_shapes() as shapes:
        decode_frame(body, Book, source="mine", url="")
    assert shapes.unread == {"bids[].at": 2, "more": 1, "pairs[].side": 1}
    assert shapes.missing == {"bids[].amount": 2}


@pytest.mark.parametrize("item", [b"{", b"[1]", b'"text"'])
def test_what_is_no_object_is_the_decoders_to_refuse(item: bytes) -> None:
    """Comparing must not fail in its place."""
    with watch_shapes() as shapes, pytest.raises(RecordRejectedError):
        GEMINI.parse_trade(item, subject=SUBJECT)
    assert (shapes.unread, shapes.missing) == ({}, {})


def test_nothing_is_compared_unless_somebody_watches() -> None:
    """Ingestion decodes thousands of items a second."""
    with watch_shapes() as shapes:
        pass
    GEMINI.parse_trade(TRADE, subject=SUBJECT)
    assert shapes == Shapes()


def test_a_check_tells_the_differences_as_text_and_as_json() -> None:
    """And is good all the same: what is read was read."""
    feed = FeedCheck(
        feed="trades",
        seconds=0.1,
        records=3,
        unread_fields={"new_field": 3},
        missing_fields={"type": 3},
    )
    check = SourceCheck(name="gemini", feeds=(feed,))
    assert check.is_good
    assert format_check(check)[1:] == [
        "  missing in the answer: type (3)",
        "  in the answer, not read: new_field (3)",
    ]
    [document] = msgspec.json.decode(msgspec.json.encode(build_check(check)))["feeds"]
    assert document["unread_fields"] == {"new_field": 3}
    assert document["missing_fields"] == {"type": 3}
