"""CoinGecko's dialect on a page recorded in 2021, and on hand-made ones."""

import json
from decimal import Decimal
from typing import Any

import pytest

from crypto_platform.errors import SourceMalformedError
from crypto_platform.feeds.quotes import Quote
from crypto_platform.settings import SourceSettings
from crypto_platform.sources.base import Poll
from crypto_platform.sources.coingecko import CoinGecko, parse_markets
from crypto_platform.sources.paging import Request
from tests.recordings import read_cassette, read_markets_in_eth

THEIR_FIELDS = {
    "price": "current_price",
    "market_cap": "market_cap",
    "fully_diluted_market_cap": "fully_diluted_valuation",
    "quote_volume_24h": "total_volume",
    "high_24h": "high_24h",
    "low_24h": "low_24h",
    "price_change_24h": "price_change_24h",
    "price_change_24h_pct": "price_change_percentage_24h",
    "market_cap_change_24h": "market_cap_change_24h",
    "market_cap_change_24h_pct": "market_cap_change_percentage_24h",
    "circulating_supply": "circulating_supply",
    "total_supply": "total_supply",
    "max_supply": "max_supply",
}


def parse(body: bytes, *, quote_currency: str = "ETH") -> Poll:
    return parse_markets(body, source="coingecko", quote_currency=quote_currency, ts_ingest=5)


def list_quotes(poll: Poll) -> list[Quote]:
    return [record for record in poll.records if isinstance(record, Quote)]


def build_settings(**changes: object) -> SourceSettings:
    values = {"dialect": "coingecko", "base_url": "https://api.coingecko.com/api/v3"}
    return SourceSettings.model_validate(values | changes)


def plan(**changes: object) -> list[Request]:
    settings = build_settings(**changes)
    return CoinGecko(name="mine", settings=settings).plan_requests(settings)


def test_every_recorded_number_keeps_its_value_and_scale() -> None:
    """18710831.0 that becomes 18710831 is another number to both stores."""
    body = read_markets_in_eth()
    printed: list[dict[str, Any]] = json.loads(body, parse_float=str, parse_int=str)
    poll = parse(body)
    assert poll.rejected == []
    assert len(poll.records) == len(printed) == 2
    for quote, theirs in zip(poll.records, printed, strict=True):
        for ours, name in THEIR_FIELDS.items():
            found = getattr(quote, ours)
            if theirs[name] is None:
                assert found is None, name
            else:
                assert Decimal(found).as_tuple() == Decimal(theirs[name]).as_tuple(), name


def test_the_recorded_bitcoin_reads_as_a_person_reads_it() -> None:
    """Two fields mixed up would pass a comparison by names that are mixed up as well."""
    bitcoin, ethereum = list_quotes(parse(read_markets_in_eth()))
    assert (bitcoin.currency_id, bitcoin.currency_symbol, bitcoin.currency_name) == (
        "bitcoin",
        "btc",
        "Bitcoin",
    )
    assert bitcoin.quote_currency == "ETH"
    assert bitcoin.price == "12.666344"
    assert bitcoin.market_cap == "236997829"
    assert bitcoin.market_cap_rank == 1
    assert bitcoin.circulating_supply == "18710831.0"
    assert bitcoin.ts_event == 1_621_094_383_867_000  # 2021-05-15T15:59:43.867Z
    assert ethereum.fully_diluted_market_cap is None
    assert ethereum.total_supply is None
    assert ethereum.price_change_24h == "0.0"


def test_the_recorded_error_is_no_page() -> None:
    """Served with 200 by some cache, it must not count as a market without currencies."""
    [_, error] = read_cassette("market_data_for_multiple_coins_in_eth.yml")
    with pytest.raises(SourceMalformedError, match="Missing parameter vs_currency"):
        parse(error["response"]["body"]["string"].encode())


def test_a_small_price_is_written_out() -> None:
    """1.054e-05 is what the API prints; neither store gives it back in that form."""
    [quote] = list_quotes(parse(b'[{"id": "shiba-inu", "current_price": 1.054e-05}]'))
    assert quote.price == "0.00001054"


def test_other_figures_under_the_same_last_updated_are_another_quote() -> None:
    """CoinGecko repeats the time and changes a figure: by the time alone, one of both were lost."""
    body = read_markets_in_eth()
    corrected = body.replace(b'"current_price":12.666344', b'"current_price":12.666345')
    [[first, same], [second, again]] = (list_quotes(parse(each)) for each in (body, corrected))
    assert (first.price, second.price) == ("12.666344", "12.666345")
    assert first.ts_event == second.ts_event
    assert first.event_id != second.event_id
    assert same.event_id == again.event_id


def test_null_and_missing_are_unknown() -> None:
    """A rank of 0 or a time of now would be our invention."""
    body = b'[{"id": "a", "market_cap_rank": null, "last_updated": null, "max_supply": null}]'
    [quote] = list_quotes(parse(body))
    assert quote.market_cap_rank is None
    assert quote.ts_event is None
    assert quote.max_supply is None
    assert quote.price is None
    assert quote.event_id.startswith("coingecko:a:ETH:-:")


@pytest.mark.parametrize(
    ("text", "ts_event"),
    [
        ("2021-05-15T15:59:43Z", 1_621_094_383_000_000),
        ("2021-05-15T17:59:43.867+02:00", 1_621_094_383_867_000),
        ("2021-05-15T15:59:43.867001Z", 1_621_094_383_867_001),
        ("2021-05-15T15:59:59.999999999Z", 1_621_094_399_999_999),
    ],
)
def test_a_time_is_exact_to_the_microsecond_and_cut_behind_it(text: str, ts_event: int) -> None:
    """Rounded up, the last one would stand in the next hour."""
    [quote] = list_quotes(parse(json.dumps([{"id": "a", "last_updated": text}]).encode()))
    assert quote.ts_event == ts_event


@pytest.mark.parametrize(
    "text",
    ["2021-05-15T15:59:43", "2021-05-15", "yesterday", "", "1621094383", "1969-12-31T23:59:59Z",
     "2021-02-30T00:00:00Z"],
)  # fmt: skip
def test_a_time_that_is_none_is_not_guessed(text: str) -> None:
    """A time without a zone is off by up to 14 hours."""
    poll = parse(json.dumps([{"id": "a", "last_updated": text}]).encode())
    assert poll.records == []
    assert [piece.reason for piece in poll.rejected] == ["invariant"]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (b'{"id": "bad", "current_price": NaN}', "undecodable"),
        (b'{"id": "bad", "current_price": -Infinity}', "undecodable"),
        (b'{"id": "bad", "name": "\\ud800"}', "undecodable"),
        (b'{"id": "bad", "name": "\xff"}', "undecodable"),
        (b'{"id": "bad", "current_price": "\xff"}', "undecodable"),
        (b'{"id": "bad", "current_price": true}', "invariant"),
        (b'{"id": "bad", "current_price": "a \\" NaN"}', "invariant"),
        (b'{"id": "bad", "current_price": ' + b"9" * 60 + b"}", "invariant"),
        (b'{"id": "bad", "market_cap_rank": 1.0}', "invariant"),
        (b'{"id": "bad\\u0000"}', "invariant"),
        (b'{"symbol": "bad"}', "invariant"),
        (b"7", "invariant"),
        (b"null", "invariant"),
        (b"[]", "invariant"),
    ],
)
def test_one_bad_currency_is_rejected_with_its_own_bytes(item: bytes, reason: str) -> None:
    """NaN is no JSON at all: without care, one of them makes the whole page unreadable."""
    before, after = b'{"id": "one", "name": "NaN [1]"}', b'{"id": "two", "current_price": 2}'
    poll = parse(b"[" + before + b", " + item + b" ,\n" + after + b"]")
    assert [quote.currency_id for quote in list_quotes(poll)] == ["one", "two"]
    assert [(piece.reason, piece.raw) for piece in poll.rejected] == [(reason, item)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!DOCTYPE html><html></html>",
        b'[{"id": "bitcoin"}, {"id"',
        b'[{"id": "bitcoin", "name": "\\ud8',
        b'{"status": {"error_code": 429}}',
        b"null",
        b"[NaN",
        b"[" * 100_000,
    ],
)
def test_a_page_that_is_no_list_is_refused_whole(body: bytes) -> None:
    """Half a page would look like half of the currencies being delisted."""
    with pytest.raises(SourceMalformedError) as refused:
        parse(body)
    assert body[:200].decode() in str(refused.value)


@pytest.mark.timeout(10)
def test_a_hostile_page_is_refused_in_linear_time() -> None:
    """A regular expression that starts over at each quotation mark would take days for this."""
    with pytest.raises(SourceMalformedError):
        parse(b'["' + b'\\"' * 1_000_000)


def test_the_question_names_the_quote_currency_in_their_case() -> None:
    """The page does not say in which currency it is: what is asked is what is stored."""
    [request] = plan(quote_currency="ETH")
    assert dict(request.params) == {
        "vs_currency": "eth",
        "order": "market_cap_desc",
        "per_page": 250,
        "page": 1,
    }


def test_pages_have_one_size() -> None:
    """Pages are numbered: with sizes 250 and 50, page 2 would be the currencies 51 to 100."""
    requests = plan(currencies_max=300)
    assert [(r.params["per_page"], r.params["page"]) for r in requests] == [(150, 1), (150, 2)]


def test_currencies_asked_for_by_id_come_on_one_page() -> None:
    """Else the API's default page of 100 would cut the list in silence."""
    [request] = plan(currency_ids=("bitcoin", "ethereum"))
    assert request.params["ids"] == "bitcoin,ethereum"
    assert request.params["per_page"] == 2
    assert request.params["page"] == 1
