"""Whole polls of both dialects over a real socket."""

import json
from collections.abc import Iterator

import pytest

from crypto_platform.errors import SourceMalformedError, SourceUnavailableError
from crypto_platform.feeds.quotes import Quote
from crypto_platform.sources.base import Poll
from crypto_platform.sources.coincap import CoinCap
from crypto_platform.sources.coingecko import CoinGecko
from tests.recordings import read_markets_in_eth
from tests.scripted_source import Reply, ScriptedSource, run_scripted_source

KEY = "a-key-for-tests"


@pytest.fixture
def source() -> Iterator[ScriptedSource]:
    with run_scripted_source() as running:
        yield running


def build_coincap(source: ScriptedSource, **changes: object) -> CoinCap:
    return CoinCap(name="mine", settings=source.build_settings(**changes))


def build_coingecko(source: ScriptedSource, **changes: object) -> CoinGecko:
    settings = source.build_settings(dialect="coingecko", **changes)
    return CoinGecko(name="gecko", settings=settings)


def reply_assets(*currency_ids: str, timestamp: int = 1_767_268_800_000) -> Reply:
    data = [{"id": currency_id, "priceUsd": "1.10"} for currency_id in currency_ids]
    return Reply(body=json.dumps({"timestamp": timestamp, "data": data}).encode())


def list_ids(poll: Poll) -> list[str]:
    return [record.currency_id for record in poll.records if isinstance(record, Quote)]


def test_coincap_is_asked_with_its_bearer_key_page_by_page(source: ScriptedSource) -> None:
    """The limits and offsets must cover the list without a gap."""
    source.script(reply_assets("a", "b"), reply_assets("c"))
    poll = build_coincap(source, key=KEY, currencies_max=2500).poll(
        "quotes", positions={}, ts_ingest=5
    )
    assert list_ids(poll) == ["a", "b", "c"]
    assert [asked.query for asked in source.asked] == [
        {"limit": "2000", "offset": "0"},
        {"limit": "500", "offset": "2000"},
    ]
    assert {asked.path for asked in source.asked} == {"/v3/assets"}
    assert {asked.headers["authorization"] for asked in source.asked} == {f"Bearer {KEY}"}


def test_coingecko_is_asked_in_the_quote_currency_with_its_demo_key(
    source: ScriptedSource,
) -> None:
    """The recorded page, in ETH: that currency is nowhere in the page itself."""
    source.script(Reply(body=read_markets_in_eth()))
    gecko = build_coingecko(source, key=KEY, quote_currency="ETH", currency_ids="bitcoin,ethereum")
    poll = gecko.poll("quotes", positions={}, ts_ingest=5)
    assert list_ids(poll) == ["bitcoin", "ethereum"]
    assert {getattr(record, "quote_currency", None) for record in poll.records} == {"ETH"}
    [asked] = source.asked
    assert asked.path == "/v3/coins/markets"
    assert asked.query["vs_currency"] == "eth"
    assert asked.query["ids"] == "bitcoin,ethereum"
    assert asked.headers["x-cg-demo-api-key"] == KEY
    assert "authorization" not in asked.headers


def test_without_a_key_none_is_sent(source: ScriptedSource) -> None:
    """`Bearer None` is a wrong key to most servers."""
    source.script(Reply(body=b'[{"id": "bitcoin"}]'))
    build_coingecko(source).poll("quotes", positions={}, ts_ingest=5)
    source.script(reply_assets("bitcoin"))
    build_coincap(source).poll("quotes", positions={}, ts_ingest=5)
    for asked in source.asked:
        assert "x-cg-demo-api-key" not in asked.headers
        assert "authorization" not in asked.headers


def test_a_page_served_twice_is_taken_once(source: ScriptedSource) -> None:
    """A stuck cache gives page 1 for page 2 as well."""
    source.script(reply_assets("a", "b"))
    poll = build_coincap(source, currencies_max=4000).poll("quotes", positions={}, ts_ingest=5)
    assert list_ids(poll) == ["a", "b"]
    assert len(source.asked) == 2


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=429, headers={"Retry-After": "5"}), SourceUnavailableError),
        (Reply(body=b"<html></html>"), SourceMalformedError),
        (Reply(body=b'{"timestamp": 1, "data": [{"id": "c"}'), SourceMalformedError),
    ],
)
def test_a_poll_whose_second_page_fails_gives_nothing(
    source: ScriptedSource, reply: Reply, kind: type[Exception]
) -> None:
    """Half a market published as a whole one cannot be told from delistings."""
    source.script(reply_assets("a", "b"), reply)
    with pytest.raises(kind):
        build_coincap(source, currencies_max=4000).poll("quotes", positions={}, ts_ingest=5)


def test_a_source_that_failed_can_be_asked_again(source: ScriptedSource) -> None:
    """One instance serves a whole run of polls."""
    coincap = build_coincap(source)
    source.script(Reply(body=b"<html></html>"), reply_assets("a"))
    with pytest.raises(SourceMalformedError):
        coincap.poll("quotes", positions={}, ts_ingest=5)
    assert list_ids(coincap.poll("quotes", positions={}, ts_ingest=6)) == ["a"]
