"""Markets by the names people type, and what is mapped to what."""

import msgspec
import pytest

from crypto_platform.feeds.instruments import Instrument, ListedKind
from crypto_platform.feeds.quotes import Quote, seal_quote
from crypto_platform.serving.currencies import CurrencyCodes, Listed, find_symbol, list_symbols
from crypto_platform.serving.market import Place, UnknownMarketError, find_market
from crypto_platform.settings import Settings, SourceSettings
from crypto_platform.stores.market import Market

BTC = Market("coinbase", "BTC-USD", "BTC/USD")
ETH = Market("coinbase", "ETH-USD", "ETH/USD")
XBT, DARK = Market("kraken", "XXBTZUSD", "BTC/USD"), Market("kraken", "XBTUSD.d", None)
MARKETS = [BTC, ETH, XBT, DARK]


@pytest.mark.parametrize(
    ("venue", "symbol", "found"),
    [
        ("coinbase", "BTC-USD", BTC),
        ("coinbase", "BTC/USD", BTC),
        ("Coinbase", "btc/usd", BTC),
        ("kraken", "BTC/USD", XBT),
        ("kraken", "xbtusd.D", DARK),
    ],
)
def test_a_market_is_found_by_the_unified_symbol_and_the_venues_own(
    venue: str, symbol: str, found: Market
) -> None:
    """People type what they know it by."""
    assert find_market(MARKETS, Place(venue, symbol), what="trades") == found


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (Place("coinbase", "BTC/UDS"), r"BTC/UDS at coinbase .*nearest are .*BTC/USD"),
        (Place("coinbase", "XXBTZUSD"), r"XXBTZUSD at coinbase .*kraken has it"),
        (Place("coinbse", "BTC/USD"), r"venue 'coinbse' .*coinbase, kraken"),
        (Place("kraken", "QQQ"), r"QQQ at kraken .*there are BTC/USD, XBTUSD\.d"),
    ],
)
def test_an_unknown_market_is_answered_with_what_is_near(place: Place, said: str) -> None:
    """An empty table would look like an empty store."""
    with pytest.raises(UnknownMarketError, match=said):
        find_market(MARKETS, place, what="trades")


def test_two_markets_of_one_symbol_are_not_mixed() -> None:
    """Prices of two books in one list would jump up and down."""
    other = Market("kraken", "XBT/USD", "BTC/USD")
    with pytest.raises(UnknownMarketError, match=r"any of XXBTZUSD, XBT/USD"):
        find_market([XBT, other], Place("kraken", "BTC/USD"), what="trades")
    assert find_market([XBT, other], Place("kraken", "XBT/USD"), what="trades") == other


SOURCES = {
    "kraken": SourceSettings(dialect="kraken", base_url="http://127.0.0.1:1"),
    "gecko": SourceSettings(
        dialect="coingecko", base_url="http://127.0.0.1:1", currencies={"own": "OWN"}
    ),
}


def pair(native_id: str, base: str, *, symbol: str | None = None) -> Instrument:
    """An instrument of Kraken against dollars."""
    return Instrument(
        source="kraken",
        kind=ListedKind.INSTRUMENT,
        native_id=native_id,
        symbol=symbol,
        base_id=base,
        quote_id="ZUSD",
        ts_ingest=1,
    )


def currency(currency_id: str) -> Quote:
    """A quote of a currency."""
    return seal_quote(
        Quote(source="gecko", currency_id=currency_id, quote_currency="USD", ts_ingest=1)
    )


@pytest.mark.parametrize(
    ("base", "base_currency", "symbol", "found"),
    [
        ("XXBT", "BTC", "BTC/USD:USD-261225", "BTC/USD:USD-261225"),
        ("XXBT", "XBT", "XBT/USD:USD-261225", "BTC/USD"),
        ("XXBT", None, None, "BTC/USD"),
        ("NEW", "NEWCOIN", "NEWCOIN/USD", "NEWCOIN/USD"),
        ("NEW", None, None, None),
    ],
)
def test_a_listed_name_holds_until_the_mapping_says_another(
    base: str, base_currency: str | None, symbol: str | None, found: str | None
) -> None:
    """BASE/QUOTE made anew would name a future as the market of its currencies."""
    instrument = msgspec.structs.replace(
        pair("ID", base, symbol=symbol), base_currency=base_currency, quote_currency="USD"
    )
    assert find_symbol(CurrencyCodes(Settings(sources=SOURCES)), instrument) == found


def test_what_is_listed_is_mapped_by_its_sources_ids_or_said_to_be_unmapped() -> None:
    """What nobody mapped has to be found before somebody misses it in a join."""
    instruments = [
        pair("XXBTZUSD", "XXBT"),
        pair("NEWUSD", "NEW"),
        pair("OLD", "OLD", symbol="A/B"),
    ]
    quotes = [currency("bitcoin"), currency("own"), currency("unheard-of")]
    listed = list_symbols(CurrencyCodes(Settings(sources=SOURCES)), instruments, quotes)
    assert [(each.native_id, each.unified, each.unmapped_ids) for each in listed] == [
        ("bitcoin", "BTC", ()),
        ("own", "OWN", ()),
        ("unheard-of", None, ("unheard-of",)),
        ("NEWUSD", None, ("NEW",)),
        ("OLD", "A/B", ()),
        ("XXBTZUSD", "BTC/USD", ()),
    ]
    assert isinstance(listed[0], Listed)
