"""Which currency an id means: by the source's own id, never by a ticker alone."""

from pathlib import Path

import pytest

from crypto_platform.domain.currencies import map_currencies, read_table
from crypto_platform.errors import ConfigurationError
from crypto_platform.settings import SETTINGS_FILE, load_settings


@pytest.mark.parametrize(
    ("dialect", "currency_id", "code"),
    [
        ("coincap", "bitcoin", "BTC"),
        ("coingecko", "binancecoin", "BNB"),
        ("coincap", "binance-coin", "BNB"),
        ("kraken", "XXBT", "BTC"),
        ("kraken", "XBT", "BTC"),
        ("kraken", "XDG", "DOGE"),
        ("kraken", "LUNA", "LUNC"),
        ("coinbase", "BTC", "BTC"),
        ("coinbase", "CGLD", "CELO"),
    ],
)
def test_an_id_means_what_its_source_means_by_it(dialect: str, currency_id: str, code: str) -> None:
    """Kraken's LUNA is not the LUNA of others: a price of the wrong one is off by thousands."""
    assert map_currencies(dialect, {}).get(currency_id) == code


@pytest.mark.parametrize(
    ("dialect", "currency_id"),
    [("coingecko", "btc"), ("coingecko", "bitcoin-2"), ("coinbase", "FARTBOY"), ("none", "BTC")],
)
def test_what_stands_nowhere_is_unmapped(dialect: str, currency_id: str) -> None:
    """Anybody may call a token BTC."""
    assert map_currencies(dialect, {}).get(currency_id) is None


def test_settings_add_to_the_table_and_correct_it() -> None:
    """Whoever knows better need not wait for a release."""
    own = {"new-coin": "NEW", "bitcoin": "", "ethereum": "ETHW"}
    mapped = map_currencies("coincap", own)
    assert (mapped["new-coin"], mapped["ethereum"], mapped["tether"]) == ("NEW", "ETHW", "USDT")
    assert "bitcoin" not in mapped


def test_every_code_of_the_table_says_what_it_means() -> None:
    """A code without a meaning is a ticker again."""
    table = read_table()
    used = {
        code
        for part in (table.venues, table.lists)
        for mapped in part.values()
        for code in mapped.values()
    }
    assert used - set(table.codes) == set()
    assert len(set(table.codes.values())) == len(table.codes)


def test_no_two_ids_of_a_list_mean_one_currency() -> None:
    """Two prices of one source for one currency: one of them is of something else."""
    for mapped in read_table().lists.values():
        assert len(set(mapped.values())) == len(mapped)


def test_a_source_is_given_mappings_in_the_settings(tmp_path: Path) -> None:
    """Read once at start, with everything else that can be set."""
    (tmp_path / SETTINGS_FILE).write_text(
        '[sources.coingecko.currencies]\n"some-coin" = "SOME"\n', "utf-8"
    )
    settings = load_settings(tmp_path, environment={})
    assert settings.sources["coingecko"].currencies == {"some-coin": "SOME"}


def test_a_code_of_another_form_is_refused_with_its_place(tmp_path: Path) -> None:
    """A name instead of a code would join with nothing, and nobody would be told."""
    (tmp_path / SETTINGS_FILE).write_text(
        '[sources.coingecko.currencies]\n"some-coin" = "Some Coin"\n', "utf-8"
    )
    with pytest.raises(ConfigurationError, match=r"coingecko\.currencies\.some-coin.*Some Coin"):
        load_settings(tmp_path, environment={})
