"""Which configured sources are asked, and what is said about the others."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from crypto_platform.errors import ConfigurationError, SourceMalformedError, SourceRefusedError
from crypto_platform.feeds.quotes import Quote, seal_quote
from crypto_platform.settings import Settings, load_settings
from crypto_platform.sources import build_sources, check_source, explain_sources
from crypto_platform.sources.base import Poll

QUOTE = seal_quote(Quote(source="fake", currency_id="a", quote_currency="USD", ts_ingest=1))


class FakeSource:
    """Gives one poll, or the error."""

    name = "fake"
    feeds = ("quotes",)

    def __init__(self, poll: Poll | SourceMalformedError) -> None:
        self._poll = poll

    def poll(self, feed: str, *, positions: Mapping[str, str], ts_ingest: int) -> Poll:
        del feed, positions, ts_ingest
        if isinstance(self._poll, SourceMalformedError):
            raise self._poll
        return self._poll


def load(tmp_path: Path, **environment: str) -> Settings:
    variables = {f"CRYPTO_PLATFORM_SOURCES__{key}": value for key, value in environment.items()}
    return load_settings(tmp_path, environment=variables)


def test_a_source_without_its_key_is_left_out_and_says_which_setting_holds_it(
    tmp_path: Path,
) -> None:
    """A run that fails every minute for a missing key would hide real failures."""
    settings = load(tmp_path)
    assert sorted(build_sources(settings)) == [
        "binance",
        "bitstamp",
        "coinbase",
        "coingecko",
        "ecb",
        "gemini",
        "kraken",
        "simulated",
        "simulated_ecb",
        "simulated_exchange",
    ]
    [coincap] = [state for state in explain_sources(settings) if state.name == "coincap"]
    assert not coincap.enabled
    assert coincap.reason == (
        "needs a key: set CRYPTO_PLATFORM_SOURCES__COINCAP__KEY "
        "(or key = ... under [sources.coincap])"
    )


@pytest.mark.parametrize("key", ["", "  "])
def test_an_empty_key_is_none(tmp_path: Path, key: str) -> None:
    """Compose files pass an unset variable on as an empty one."""
    assert "coincap" not in build_sources(load(tmp_path, COINCAP__KEY=key))


def test_a_source_with_its_key_is_asked(tmp_path: Path) -> None:
    """The key alone must be enough."""
    settings = load(tmp_path, COINCAP__KEY="a-key-for-tests\n", COMPANY__KEY="operator-key")
    assert {"coincap", "company"} <= set(build_sources(settings))
    away = [state.name for state in explain_sources(settings) if not state.enabled]
    assert away == ["company_exchange"]


def test_two_companies_are_refused_by_name(tmp_path: Path) -> None:
    """Their users' wallets would overwrite each other."""
    second = {
        "BRANCH__DIALECT": "company",
        "BRANCH__BASE_URL": "http://127.0.0.1:1",
        "BRANCH__KEY": "another-key",
    }
    settings = load(tmp_path, COMPANY__KEY="operator-key", **second)
    with pytest.raises(ConfigurationError, match=r"company and branch .*branch\.enabled"):
        build_sources(settings)
    settings = load(tmp_path, COMPANY__KEY="operator-key", **second, BRANCH__ENABLED="false")
    assert "company" in build_sources(settings)


def test_a_source_that_is_switched_off_says_so(tmp_path: Path) -> None:
    """Somebody else may have switched it off."""
    settings = load(tmp_path, COINGECKO__ENABLED="false")
    assert "coingecko" not in build_sources(settings)
    [state] = [state for state in explain_sources(settings) if state.name == "coingecko"]
    assert state.reason == "switched off: sources.coingecko.enabled is false"


def test_an_unknown_dialect_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    """Left out in silence, a mistyped source would never be missed."""
    settings = load(tmp_path, COINGECKO__DIALECT="coingeko", COINGECKO__ENABLED="false")
    with pytest.raises(
        ConfigurationError, match=r"'coingeko'.* known are .*coinbase, coincap, coingecko"
    ):
        build_sources(settings)
    with pytest.raises(ConfigurationError, match="coingecko"):
        explain_sources(settings)


def test_a_key_that_no_header_can_carry_is_refused_unseen(tmp_path: Path) -> None:
    """The HTTP library would refuse it as well, and print it."""
    with pytest.raises(ConfigurationError) as refused:
        build_sources(load(tmp_path, COINCAP__KEY="secret\nsecond-line"))
    assert "sources.coincap.key" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "base_url",
    [
        "https://user:password@example.com/v3",
        "https://example.com/v3?apiKey=password",
        "https://example.com/v3#password",
        "https:///password",
    ],
)
def test_an_address_with_a_secret_inside_is_refused_unseen(tmp_path: Path, base_url: str) -> None:
    """Addresses stand in logs, errors and the UI."""
    with pytest.raises(ConfigurationError) as refused:
        build_sources(load(tmp_path, COINGECKO__BASE_URL=base_url))
    assert "sources.coingecko.base_url" in str(refused.value)
    assert "password" not in str(refused.value)


def test_a_check_counts_what_one_poll_gave() -> None:
    """`sources check` is the first thing a user with a new key types."""
    check = check_source(FakeSource(Poll(records=[QUOTE])))
    [feed] = check.feeds
    assert (check.name, check.is_good) == ("fake", True)
    assert (feed.feed, feed.records, feed.rejected, feed.sample) == ("quotes", 1, 0, QUOTE)
    assert feed.error is None
    assert feed.seconds >= 0


def test_a_check_of_a_source_that_fails_is_one_line() -> None:
    """Answers of several lines are part of the error's text."""
    error = SourceMalformedError("fake: no list:\n<html>\n</html>", source="fake", url="/")
    check = check_source(FakeSource(error))
    assert not check.is_good
    assert check.feeds[0].error == "fake: no list: <html> </html>"


def test_a_check_names_the_symbol_that_alone_is_at_fault() -> None:
    """The others' records would hide it: it was answered, and the check said all is well."""
    gone = SourceRefusedError("fake: its list has no GONE-USD", source="fake", url="/")
    check = check_source(FakeSource(Poll(records=[QUOTE], faults={"GONE-USD": gone})))
    assert not check.is_good
    assert (check.feeds[0].records, check.feeds[0].error) == (1, str(gone))


def test_a_source_that_gives_nothing_usable_is_not_good() -> None:
    """It answered, and yet there is nothing to publish."""
    assert not check_source(FakeSource(Poll(records=[]))).is_good


@pytest.mark.parametrize("name", ["simulated_exchange", "coinbase", "kraken", "binance"])
def test_the_default_paces_of_a_venue_fit_into_its_budget(tmp_path: Path, name: str) -> None:
    """One asked for more than it allows backs off all day, and is blocked in the end."""
    settings = load(tmp_path)
    source = settings.sources[name]
    requests = {
        "trades": len(source.symbols),
        "order_books": len(source.symbols),
        "candles": len(source.symbols) * len(source.intervals),
        "instruments": 2,
    }
    a_minute = sum(
        count * 60 / source.paces_s.get(feed, source.pace_s) for feed, count in requests.items()
    )
    # and once a run the list that unifies its symbols
    assert a_minute + 1 <= build_sources(settings)[name].http.budget.requests_max
