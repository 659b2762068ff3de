"""`quotes`: which ones, and with all their digits."""

import json
from collections.abc import Collection

import pytest

from crypto_platform.cli.quotes import format_quotes
from crypto_platform.cli.sheet import print_csv
from crypto_platform.feeds.quotes import Quote, seal_quote
from crypto_platform.serving.currencies import CurrencyCodes
from crypto_platform.serving.market_sheets import build_quotes
from crypto_platform.serving.reader import UnknownCurrencyError, choose_quotes, find_quotes
from crypto_platform.serving.sheets import build_rows
from crypto_platform.settings import Settings, SourceSettings

NOON = 1_763_812_800_000_000
CODES = CurrencyCodes(
    Settings(
        sources={
            name: SourceSettings(dialect="coincap", base_url="http://127.0.0.1:1")
            for name in ("coincap", "toy")
        }
    )
)


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


def row_of(each: Quote, *, simulated: Collection[str]) -> dict[str, object]:
    """A quote for other programs."""
    [row] = build_rows(build_quotes([each], codes=CODES, simulated=simulated))
    return row


def test_json_keeps_every_digit_as_text() -> None:
    """A JSON number becomes a float in the next program, and the digits are gone."""
    digits = "93233.364845644740853459012345678"
    row = json.loads(json.dumps(row_of(quote("bitcoin", "BTC", price=digits), simulated=())))
    assert row["price"] == digits
    assert row["market_cap"] is None
    assert row["ts_event"] == "2025-11-22T12:00:00.000000Z"
    assert row["simulated"] is False


def test_a_quote_of_the_simulated_market_says_so() -> None:
    """Nobody may take an invented price for a real one."""
    row = row_of(quote("bitcoin", "BTC", source="toy"), simulated={"toy"})
    assert row["simulated"] is True


@pytest.mark.parametrize("name", ["bitcoin", "BTC", "btc", "Bitcoin"])
def test_a_currency_is_found_by_id_and_symbol_in_any_case(name: str) -> None:
    """People type what they know it by."""
    assert find_quotes([BITCOIN, ETHEREUM], [name], codes=CODES) == [BITCOIN]


def test_an_unknown_currency_is_answered_with_the_nearest() -> None:
    """An empty table would look like an empty store."""
    with pytest.raises(
        UnknownCurrencyError, match=r"bitconi: no source .* the nearest are bitcoin"
    ):
        find_quotes([BITCOIN, ETHEREUM], ["eth", "bitconi"], codes=CODES)


def test_a_short_list_prefers_real_prices_and_shows_a_symbol_once() -> None:
    """Beside a real source the simulated one, newer every second, would push it out."""
    toy = quote("bitcoin", "BTC", source="toy")
    toy_only = quote("dogecoin", "DOGE", source="toy", rank=3)
    quotes = [toy, BITCOIN, ETHEREUM, toy_only]
    chosen = choose_quotes(quotes, codes=CODES, simulated=frozenset({"toy"}), count=3)
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


def test_a_code_finds_its_currency_and_not_what_is_called_so_too() -> None:
    """Anybody may call a token BTC; its price beside Bitcoin's would be taken for it."""
    fake = quote("bitcoin-baby", "BTC")
    assert find_quotes([fake, BITCOIN], ["btc"], codes=CODES) == [BITCOIN]
    assert find_quotes([fake, BITCOIN], ["bitcoin-baby"], codes=CODES) == [fake]


def test_a_ticker_that_is_no_code_finds_all_that_are_called_so() -> None:
    """Nobody has mapped them, so nobody can say which one is meant."""
    one, two = quote("one-coin", "ODD"), quote("odd-coin", "ODD")
    assert find_quotes([one, BITCOIN, two], ["ODD"], codes=CODES) == [one, two]


def test_json_names_the_currency_that_quotes_are_joined_by() -> None:
    """Ids and tickers differ from source to source; null says that nobody has mapped it."""
    odd = row_of(quote("one-coin", "BTC"), simulated=())
    known = row_of(BITCOIN, simulated=())
    assert (known["currency"], odd["currency"]) == ("BTC", None)


def test_csv_says_of_which_currency_and_whether_simulated() -> None:
    """The last two columns are ours, not the source's."""
    text = print_csv(build_quotes([BITCOIN], codes=CODES, simulated=()))
    assert [line.split(",")[-2:] for line in text.splitlines()] == [
        ["currency", "simulated"],
        ["BTC", "false"],
    ]
