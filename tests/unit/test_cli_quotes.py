"""`quotes`: which ones, and with all their digits."""

import json

import pytest

from crypto_platform.cli.quotes import build_row, format_quotes
from crypto_platform.feeds.quotes import Quote, seal_quote
from crypto_platform.serving.reader import UnknownCurrencyError, choose_quotes, find_quotes

NOON = 1_763_812_800_000_000


def quote(
    currency_id: str, symbol: str, *, source: str = "coincap", rank: int = 1, price: str = "1.5"
) -> Quote:
    """A quote of noon, received a second later."""
    return seal_quote(
        Quote(
            source=source,
            currency_id=currency_id,
            quote_currency="USD",
            currency_symbol=symbol,
            currency_name=currency_id.title(),
            market_cap_rank=rank,
            price=price,
            ts_event=NOON,
            ts_ingest=NOON + 1_000_000,
        )
    )


BITCOIN, ETHEREUM = quote("bitcoin", "BTC"), quote("ethereum", "ETH", rank=2)


def test_json_keeps_every_digit_as_text() -> None:
    """A JSON number becomes a float in the next program, and the digits are gone."""
    digits = "93233.364845644740853459012345678"
    row = json.loads(json.dumps(build_row(quote("bitcoin", "BTC", price=digits), simulated=())))
    assert row["price"] == digits
    assert row["market_cap"] is None
    assert row["ts_event"] == "2025-11-22T12:00:00.000000Z"
    assert row["simulated"] is False


def test_a_quote_of_the_simulated_market_says_so() -> None:
    """Nobody may take an invented price for a real one."""
    row = build_row(quote("bitcoin", "BTC", source="toy"), simulated={"toy"})
    assert row["simulated"] is True


@pytest.mark.parametrize("name", ["bitcoin", "BTC", "btc", "Bitcoin"])
def test_a_currency_is_found_by_id_and_symbol_in_any_case(name: str) -> None:
    """People type what they know it by."""
    assert find_quotes([BITCOIN, ETHEREUM], [name]) == [BITCOIN]


def test_an_unknown_currency_is_answered_with_the_nearest() -> None:
    """An empty table would look like an empty store."""
    with pytest.raises(
        UnknownCurrencyError, match=r"bitconi: no source .* the nearest are bitcoin"
    ):
        find_quotes([BITCOIN, ETHEREUM], ["eth", "bitconi"])


def test_a_short_list_prefers_real_prices_and_shows_a_symbol_once() -> None:
    """Beside a real source the simulated one, newer every second, would push it out."""
    toy = quote("bitcoin", "BTC", source="toy")
    toy_only = quote("dogecoin", "DOGE", source="toy", rank=3)
    quotes = [toy, BITCOIN, ETHEREUM, toy_only]
    chosen = choose_quotes(quotes, simulated=frozenset({"toy"}), count=3)
    assert chosen == [BITCOIN, ETHEREUM, toy_only]


def test_the_table_shortens_amounts_and_shows_ages() -> None:
    """A price without its age may be yesterday's."""
    [_, line] = format_quotes([BITCOIN], now_us=NOON + 5_000_000)
    assert line.split() == [
        "1",
        "Bitcoin",
        "BTC",
        "1.50",
        "USD",
        "-",
        "-",
        "-",
        "coincap",
        "5.0",
        "s",
    ]
