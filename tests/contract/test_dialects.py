"""What every dialect must do, whatever its API: a new one is tested before it has a test file.

A new dialect adds one sample: an answer with two good items and a bad one, and what it must refuse.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
import pytest

from crypto_platform.errors import (
    SourceMalformedError,
    SourceRefusedError,
    SourceUnavailableError,
)
from crypto_platform.feeds import FEED_BY_NAME, FEEDS
from crypto_platform.feeds.codec import decode, encode
from crypto_platform.feeds.feed import hash_facts
from crypto_platform.sources import DIALECTS, Source
from crypto_platform.sources.base import Poll
from tests.scripted_source import Reply, ScriptedSource, run_scripted_source

RECEIVED = 4_000_000_000_000_000
"""In 2096, after all events here: one from the future would be refused."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Hand-made bodies in one API's shape.

    Attributes:
        body: Two good items and a bad one, with nulls, 30 digits and an exponent.
        figures: Some of its numbers, as a record prints them.
        empty: A well-formed answer without any item.
        error: A well-formed answer that is an error object.
    """

    feed: str
    body: bytes
    figures: tuple[str, ...]
    empty: bytes
    error: bytes
    settings: dict[str, object] = field(default_factory=dict)


SAMPLES = {
    "coinbase": Sample(
        feed="trades",
        body=b"""[
            {"trade_id": 9, "side": null, "size": "19970000.0", "price": "1.054e-05",
             "time": "2026-01-01T12:00:00.123456Z"},
            {"trade_id": 8, "side": "sell", "size": "bad", "price": "NaN",
             "time": "2026-01-01T12:00:00.123Z"},
            {"trade_id": 7, "side": "buy", "price": "64000.1234567890123456789012345",
             "size": 1.10, "time": "2026-01-01T12:00:00Z"}]""",
        figures=("64000.1234567890123456789012345", "19970000.0", "0.00001054", "1.10"),
        empty=b"[]",
        error=b'{"message": "Internal server error"}',
        settings={"symbols": "BTC-USD"},
    ),
    "coincap": Sample(
        feed="quotes",
        body=b"""{"timestamp": 1767268800123, "data": [
            {"id": "bitcoin", "rank": "1", "symbol": "BTC", "name": "Bitcoin", "maxSupply": null,
             "priceUsd": "64000.1234567890123456789012345", "supply": "19970000.0"},
            {"id": "bad", "rank": 2, "priceUsd": "NaN"},
            {"id": "pepe", "rank": 3, "priceUsd": "1.054e-05", "changePercent24Hr": "-0.0"}]}""",
        figures=("64000.1234567890123456789012345", "19970000.0", "0.00001054", "0.0"),
        empty=b'{"timestamp": 1767268800123, "data": []}',
        error=b'{"error": "internal error", "timestamp": 1767268800123}',
    ),
    "coingecko": Sample(
        feed="quotes",
        body=b"""[
            {"id": "bitcoin", "symbol": "btc", "name": "Bitcoin", "max_supply": null,
             "current_price": 64000.1234567890123456789012345, "circulating_supply": 19970000.0,
             "last_updated": "2026-01-01T12:00:00.123Z"},
            {"id": "bad", "current_price": NaN, "last_updated": "2026-01-01T12:00:00.123Z"},
            {"id": "pepe", "current_price": 1.054e-05, "market_cap_change_24h": -0.0,
             "last_updated": null}]""",
        figures=("64000.1234567890123456789012345", "19970000.0", "0.00001054", "0.0"),
        empty=b"[]",
        error=b'{"status": {"error_code": 429, "error_message": "too many"}}',
        settings={"quote_currency": "EUR"},
    ),
}

REFUSED_PAGES = {
    "empty": lambda sample: sample.empty,
    "error object": lambda sample: sample.error,
    "cut short": lambda sample: sample.body[:-20],
    "html": lambda _: b"<!DOCTYPE html><html><body>We'll be right back</body></html>",
    "nothing": lambda _: b"",
    "other json": lambda _: b'"hello"',
}


@pytest.fixture
def server() -> Iterator[ScriptedSource]:
    with run_scripted_source() as running:
        yield running


@pytest.fixture(params=sorted(DIALECTS))
def dialect(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def source(server: ScriptedSource, dialect: str) -> Source:
    settings = server.build_settings(dialect=dialect, **SAMPLES[dialect].settings)
    return DIALECTS[dialect](name="mine", settings=settings)


@pytest.fixture
def sample(dialect: str) -> Sample:
    return SAMPLES[dialect]


def poll(
    source: Source, server: ScriptedSource, sample: Sample, *, ts_ingest: int = RECEIVED
) -> Poll:
    server.script(Reply(body=sample.body))
    return source.poll(sample.feed, positions={}, ts_ingest=ts_ingest)


def test_every_dialect_has_a_sample() -> None:
    """A dialect without one would pass this suite by not taking part."""
    assert sorted(SAMPLES) == sorted(DIALECTS)


def test_a_source_knows_its_name_and_gives_catalogued_feeds(source: Source) -> None:
    """A feed nobody catalogued has no topic."""
    assert source.name == "mine"
    assert source.feeds
    assert set(source.feeds) <= {feed.name for feed in FEEDS if not feed.owned_by_platform}


def test_good_items_become_records_and_the_bad_one_is_rejected_with_its_bytes(
    source: Source, server: ScriptedSource, sample: Sample
) -> None:
    """One broken coin must cost neither the others nor what it said."""
    found = poll(source, server, sample)
    assert len(found.records) == 2
    [piece] = found.rejected
    assert b'"bad"' in piece.raw
    assert piece.raw in sample.body
    assert (piece.source, piece.feed, piece.ts_ingest) == ("mine", sample.feed, RECEIVED)


def test_records_are_sealed_and_pass_the_decoder_of_the_loads(
    source: Source, server: ScriptedSource, sample: Sample
) -> None:
    """What is published and then quarantined was never worth publishing."""
    for record in poll(source, server, sample).records:
        assert record.event_id.startswith("mine:")
        assert record.content_hash == hash_facts(record)
        assert record.ts_ingest == RECEIVED
        feed = FEED_BY_NAME[sample.feed]
        assert decode(feed, encode(record), record_bytes_max=100_000) == record


def test_no_figure_passed_through_a_float(
    source: Source, server: ScriptedSource, sample: Sample
) -> None:
    """29 digits, an exponent, a zero that is signed or last: each is another as a float."""
    found = poll(source, server, sample)
    facts = [msgspec.structs.asdict(record) for record in found.records]
    assert not any(isinstance(value, float) for record in facts for value in record.values())
    printed = encode(found.records[0]) + encode(found.records[1])
    for figure in sample.figures:
        assert f'"{figure}"'.encode() in printed


def test_the_same_answer_read_later_is_the_same_facts(
    source: Source, server: ScriptedSource, sample: Sample
) -> None:
    """Ids that depend on when we asked would store each fact once a poll."""
    early = poll(source, server, sample, ts_ingest=RECEIVED)
    late = poll(source, server, sample, ts_ingest=RECEIVED + 6)
    assert [record.event_id for record in early.records] == [r.event_id for r in late.records]
    assert [record.content_hash for record in early.records] == [
        r.content_hash for r in late.records
    ]
    assert [piece.event_id for piece in early.rejected] == [p.event_id for p in late.rejected]
    assert {record.ts_ingest for record in late.records} == {RECEIVED + 6}


@pytest.mark.parametrize("page", sorted(REFUSED_PAGES))
def test_a_page_that_is_not_what_it_promises_is_refused_whole(
    source: Source, server: ScriptedSource, sample: Sample, page: str
) -> None:
    """Nothing of it may be published, and the next poll may well succeed."""
    server.script(Reply(body=REFUSED_PAGES[page](sample)))
    with pytest.raises(SourceMalformedError) as refused:
        source.poll(sample.feed, positions={}, ts_ingest=RECEIVED)
    assert refused.value.source == "mine"
    assert refused.value.url.startswith(server.url)
    assert refused.value.retryable


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=429, headers={"Retry-After": "3"}), SourceUnavailableError),
        (Reply(status=500), SourceUnavailableError),
        (Reply(status=403), SourceRefusedError),
        (Reply(status=404), SourceRefusedError),
        (Reply(body=b"[{}]", missing_bytes=5), SourceMalformedError),
    ],
    ids=["429", "500", "403", "404", "truncated"],
)
def test_an_answer_that_is_no_page_is_the_right_error(
    source: Source, server: ScriptedSource, sample: Sample, reply: Reply, kind: type[Exception]
) -> None:
    """Ingestion decides by the type alone: come again, change a setting, or wait."""
    server.script(reply)
    with pytest.raises(kind):
        source.poll(sample.feed, positions={}, ts_ingest=RECEIVED)
