"""The codec: which Kafka values are records, and why the others are not."""

import msgspec
import pytest

from crypto_platform.errors import Reason, RecordRejectedError
from crypto_platform.feeds import QUOTES
from crypto_platform.feeds.codec import decode, encode
from crypto_platform.feeds.quotes import Quote, seal_quote

QUOTE = seal_quote(
    Quote(
        source="coingecko",
        currency_id="bitcoin",
        quote_currency="ETH",
        price="12.666344",
        circulating_supply="18710831.0",
        ts_ingest=1_621_094_466_000_000,
    )
)


def refuse(value: bytes | None, *, record_bytes_max: int = 10_000) -> Reason:
    with pytest.raises(RecordRejectedError) as refused:
        decode(QUOTES, value, record_bytes_max=record_bytes_max)
    return refused.value.reason


def change(**changes: object) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(encode(QUOTE)) | changes)


def test_a_record_comes_back_as_it_was() -> None:
    """The loads, the audit and the restore all read what was published through here."""
    assert decode(QUOTES, encode(QUOTE), record_bytes_max=10_000) == QUOTE


def test_a_record_of_a_longer_schema_is_read_without_what_is_new() -> None:
    """A producer that is already upgraded must not fill the quarantine of one that is not."""
    assert decode(QUOTES, change(colour="red"), record_bytes_max=10_000) == QUOTE


def test_a_tombstone_is_no_record() -> None:
    """No feed deletes; a None that got through would end the load with a TypeError."""
    assert refuse(None) is Reason.UNDECODABLE


def test_a_long_value_is_refused_unread() -> None:
    """Otherwise one value could stop the load by its size alone."""
    size = len(encode(QUOTE))
    assert refuse(b"{" + b" " * 200, record_bytes_max=200) is Reason.TOO_LARGE
    assert decode(QUOTES, encode(QUOTE), record_bytes_max=size) == QUOTE
    assert refuse(encode(QUOTE), record_bytes_max=size - 1) is Reason.TOO_LARGE


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x00",
        b"{",
        b"\xff\xfe",
        b"hello",
        b'{"v":1,"price":NaN}',
        b'{"v":1,"event_id":"\xff"}',
        b'{"v":1,"unknown":' + b"[" * 5000,
    ],
)
def test_what_is_not_json_is_undecodable(value: bytes) -> None:
    """Each of these raises another error inside the JSON library."""
    assert refuse(value) is Reason.UNDECODABLE


@pytest.mark.parametrize("version", [0, 2, -1, 99, "1", None, 1.5])
def test_an_unknown_version_is_not_guessed_at(version: object) -> None:
    """A record of tomorrow may mean something else by the same field."""
    assert refuse(change(v=version)) is Reason.UNKNOWN_SCHEMA


def test_a_record_without_version_is_refused() -> None:
    """With one version only, the JSON library would not ask for it."""
    facts = msgspec.json.decode(encode(QUOTE))
    del facts["v"]
    assert refuse(msgspec.json.encode(facts)) is Reason.UNKNOWN_SCHEMA


@pytest.mark.parametrize(
    "changes",
    [
        {"price": 12.5},
        {"price": "NaN"},
        {"price": "1e3"},
        {"price": "1" * 35},
        {"price": "1" * 60},
        {"event_id": ""},
        {"event_id": "a\x00b"},
        {"event_id": None},
        {"content_hash": 2**63},
        {"currency_id": None},
        {"currency_name": "nul\x00"},
        {"currency_name": "x" * 5000},
        {"market_cap_rank": -1},
        {"market_cap_rank": "1"},
        {"ts_ingest": -1},
        {"ts_event": 10**18},
        {"ts_event": 1.5},
    ],
)
def test_a_value_a_store_would_refuse_or_change_is_refused_before(
    changes: dict[str, object],
) -> None:
    """What only one store refuses makes the two differ for good."""
    assert refuse(change(**changes)) is Reason.INVARIANT


def test_a_list_is_no_record() -> None:
    """Valid JSON of another shape."""
    assert refuse(b"[]") is Reason.INVARIANT
