"""CoinCap's dialect on hand-made bodies: no recording of API 3.0 exists here."""

import json

import pytest

from crypto_platform.errors import ConfigurationError, SourceMalformedError
from crypto_platform.feeds.quotes import Quote
from crypto_platform.settings import SourceSettings
from crypto_platform.sources.base import Poll
from crypto_platform.sources.coincap import CoinCap, parse_assets
from crypto_platform.sources.paging import Request

NOON_MS = 1_767_268_800_000

HAND_MADE_PAGE = b"""{"timestamp": 1767268800123, "data": [
 {"id": "bitcoin", "rank": "1", "symbol": "BTC", "name": "Bitcoin",
  "supply": "19970000.0000000000000000", "maxSupply": "21000000.0000000000000000",
  "marketCapUsd": "1278080000000.123456789012345678", "volumeUsd24Hr": "31234567890.50",
  "priceUsd": "64000.1234567890123456789012345", "changePercent24Hr": "-1.2300",
  "vwap24Hr": null, "explorer": "https://example.com", "tokens": {"1": ["0xabc"]}},
 {"id": "ethereum", "rank": 2, "symbol": "ETH", "name": "Ethereum", "supply": null,
  "maxSupply": null, "marketCapUsd": null, "volumeUsd24Hr": "0", "priceUsd": "3200.10"},
 {"id": "brokencoin", "rank": "3", "symbol": "BRK", "name": "Broken", "priceUsd": "NaN"},
 {"id": "tether", "rank": "4", "symbol": "USDT", "name": "Tether", "priceUsd": 1.0010}
]}"""


def parse(body: bytes) -> Poll:
    return parse_assets(body, source="coincap", ts_ingest=5)


def parse_one(**item: object) -> Poll:
    return parse(json.dumps({"timestamp": NOON_MS, "data": [{"id": "bitcoin"} | item]}).encode())


def list_quotes(poll: Poll) -> list[Quote]:
    return [record for record in poll.records if isinstance(record, Quote)]


def build_settings(**changes: object) -> SourceSettings:
    values = {"dialect": "coincap", "base_url": "https://rest.coincap.io/v3"}
    return SourceSettings.model_validate(values | changes)


def plan(**changes: object) -> list[Request]:
    settings = build_settings(**changes)
    return CoinCap(name="mine", settings=settings).plan_requests(settings)


def test_every_figure_keeps_all_its_digits() -> None:
    """CoinCap prints up to 30 digits; a float keeps 16."""
    bitcoin = list_quotes(parse(HAND_MADE_PAGE))[0]
    assert bitcoin.currency_id == "bitcoin"
    assert bitcoin.currency_symbol == "BTC"
    assert bitcoin.currency_name == "Bitcoin"
    assert bitcoin.quote_currency == "USD"
    assert bitcoin.market_cap_rank == 1
    assert bitcoin.price == "64000.1234567890123456789012345"
    assert bitcoin.market_cap == "1278080000000.123456789012345678"
    assert bitcoin.quote_volume_24h == "31234567890.50"
    assert bitcoin.price_change_24h_pct == "-1.2300"
    assert bitcoin.circulating_supply == "19970000.0000000000000000"
    assert bitcoin.max_supply == "21000000.0000000000000000"


def test_unknown_stays_unknown() -> None:
    """An unknown supply stored as 0 would make every market cap computed from it 0."""
    ethereum = list_quotes(parse(HAND_MADE_PAGE))[1]
    assert ethereum.circulating_supply is None
    assert ethereum.max_supply is None
    assert ethereum.market_cap is None
    assert ethereum.price_change_24h_pct is None
    assert ethereum.total_supply is None
    assert ethereum.quote_volume_24h == "0"


def test_rank_is_a_string_or_a_number() -> None:
    """The API prints both; a dialect for one of them loses half of the currencies."""
    ranks = [quote.market_cap_rank for quote in list_quotes(parse(HAND_MADE_PAGE))]
    assert ranks == [1, 2, 4]


def test_a_number_without_quotation_marks_keeps_its_digits_too() -> None:
    """Should the API begin to print numbers, nothing may be rounded on that day."""
    tether = list_quotes(parse(HAND_MADE_PAGE))[2]
    assert tether.price == "1.0010"


def test_an_escaped_digit_is_a_digit() -> None:
    """JSON allows any character to be written as an escape."""
    [quote] = list_quotes(parse(b'{"data": [{"id": "a", "priceUsd": "\\u0031.50"}]}'))
    assert quote.price == "1.50"


def test_one_bad_currency_does_not_stop_the_others() -> None:
    """A NaN for one coin would else be an outage of all."""
    poll = parse(HAND_MADE_PAGE)
    assert [quote.currency_id for quote in list_quotes(poll)] == ["bitcoin", "ethereum", "tether"]
    [piece] = poll.rejected
    assert piece.reason == "invariant"
    assert piece.error == "priceUsd: not a finite decimal number: 'NaN'"
    assert piece.raw == (
        b'{"id": "brokencoin", "rank": "3", "symbol": "BRK", "name": "Broken", "priceUsd": "NaN"}'
    )


def test_the_time_is_the_answers() -> None:
    """CoinCap gives no time of its own to a currency; ours would not survive a second reading."""
    assert {quote.ts_event for quote in list_quotes(parse(HAND_MADE_PAGE))} == {1767268800123000}
    [quote] = list_quotes(parse(b'{"data": [{"id": "bitcoin"}]}'))
    assert quote.ts_event is None


@pytest.mark.parametrize(
    "item",
    [
        {"priceUsd": "Infinity"},
        {"priceUsd": ""},
        {"priceUsd": "1,000"},
        {"priceUsd": "1" * 60},
        {"priceUsd": True},
        {"priceUsd": {}},
        {"rank": "first"},
        {"rank": -1},
        {"rank": 1.5},
        {"rank": 10**20},
        {"id": ""},
        {"id": None},
        {"id": 7},
        {"id": "x" * 2000},
        {"name": "nul\x00"},
        {"symbol": 7},
    ],
)
def test_what_a_store_could_not_keep_is_rejected_with_its_reason(item: dict[str, object]) -> None:
    """Published, it would go to quarantine in both stores at every poll."""
    poll = parse_one(**item)
    assert poll.records == []
    assert [piece.reason for piece in poll.rejected] == ["invariant"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>We'll be right back</html>",
        b'{"timestamp": 1, "data": [{"id": "bitcoin"}',
        b"[]",
        b'{"error": "invalid api key"}',
        b'{"timestamp": 1, "data": null}',
        b'{"timestamp": 1, "data": {"id": "bitcoin"}}',
        b'{"timestamp": "noon", "data": [{"id": "bitcoin"}]}',
        b'{"timestamp": NaN, "data": [{"id": "bitcoin"}]}',
        b'{"timestamp": -1, "data": [{"id": "bitcoin"}]}',
        b'{"timestamp": 1e30, "data": [{"id": "bitcoin"}]}',
        b'{"timestamp": 1, "data": ' + b"[" * 100_000,
    ],
)
def test_a_page_that_is_not_what_it_promises_is_refused_whole(body: bytes) -> None:
    """Half a page would look like half of the currencies being delisted."""
    with pytest.raises(SourceMalformedError) as refused:
        parse(body)
    assert body[:200].decode() in str(refused.value)


def test_another_quote_currency_is_refused_at_the_start() -> None:
    """CoinCap would answer in dollars all the same, and euros would be stored."""
    with pytest.raises(ConfigurationError, match=r"sources\.mine\.quote_currency is 'EUR'"):
        CoinCap(name="mine", settings=build_settings(quote_currency="EUR"))


def test_the_list_is_asked_for_in_pages() -> None:
    """The API gives 2,000 at most, and 100 if it is not told."""
    requests = plan(currencies_max=4500)
    assert [dict(request.params) for request in requests] == [
        {"limit": 2000, "offset": 0},
        {"limit": 2000, "offset": 2000},
        {"limit": 500, "offset": 4000},
    ]


def test_currencies_asked_for_by_id_are_all_asked_for() -> None:
    """Without a limit, the 101st id would be left out in silence."""
    ids = tuple(f"coin-{number}" for number in range(251))
    requests = plan(currency_ids=ids)
    assert [request.params["limit"] for request in requests] == [250, 1]
    assert requests[1].params["ids"] == "coin-250"
    assert ",".join(str(request.params["ids"]) for request in requests) == ",".join(ids)
