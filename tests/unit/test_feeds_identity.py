"""Identity: the event id names a fact, the content hash says what it says."""

import msgspec
import pytest

from crypto_platform.errors import IncidentKind, Reason
from crypto_platform.feeds.candles import Candle, seal_candle
from crypto_platform.feeds.feed import build_event_id, hash_content, hash_facts
from crypto_platform.feeds.incidents import Incident, build_incident, build_load_incident
from crypto_platform.feeds.instruments import Instrument, ListedKind, seal_instrument
from crypto_platform.feeds.order_books import OrderBook, seal_order_book
from crypto_platform.feeds.quotes import Quote, seal_quote
from crypto_platform.feeds.rejected import RAW_BYTES_MAX, build_rejected
from crypto_platform.feeds.trades import Trade, seal_trade


def draft_quote(**changes: object) -> Quote:
    facts: dict[str, object] = {
        "source": "coincap",
        "currency_id": "bitcoin",
        "quote_currency": "USD",
        "price": "64000.10",
        "ts_event": 1_767_268_800_000_000,
        "ts_ingest": 1_767_268_801_000_000,
    }
    return msgspec.convert(facts | changes | {"v": 1}, Quote)


def test_an_id_is_the_same_in_every_release() -> None:
    """Another id for a stored fact would store it a second time, on every machine at once."""
    quote = seal_quote(draft_quote())
    assert quote.event_id == "coincap:bitcoin:USD:1767268800000000:89126ab4d3425ed0"
    assert quote.content_hash == -8569669816061632816


def test_when_we_received_it_is_no_part_of_a_fact() -> None:
    """Else each poll of an unchanged page would be new facts."""
    later = draft_quote(ts_ingest=1_767_268_999_000_000)
    assert seal_quote(later).event_id == seal_quote(draft_quote()).event_id
    assert seal_quote(later).content_hash == seal_quote(draft_quote()).content_hash


@pytest.mark.parametrize(
    "changes",
    [
        {"price": "64000.1"},
        {"price": None},
        {"market_cap_rank": 1},
        {"currency_symbol": "btc"},
        {"circulating_supply": "0"},
        {"ts_event": 1_767_268_800_000_001},
        {"ts_event": None},
        {"source": "simulated"},
    ],
)
def test_other_content_is_another_quote(changes: dict[str, object]) -> None:
    """CoinGecko serves other figures under the same time; neither may hide the other."""
    assert seal_quote(draft_quote(**changes)).event_id != seal_quote(draft_quote()).event_id


def seal_market_records(symbol: str | None) -> list[Trade | Candle | OrderBook]:
    """A trade, a candle and a book of one market that was mapped to this."""
    market = {"v": 1, "venue": "kraken", "venue_symbol": "MATICUSD", "symbol": symbol}
    market |= {"ts_event": 1_767_268_800_000_000, "ts_ingest": 1_767_268_801_000_000}
    prices = dict.fromkeys(("open", "high", "low", "close"), "0.4")
    levels = dict.fromkeys(("bid_prices", "bid_quantities", "ask_prices", "ask_quantities"), ())
    trade = {"trade_id": "7", "price": "0.4", "quantity": "1"}
    candle = {"interval": "1m", "base_volume": "1"} | prices
    book = {"depth": 1, "timed_by": "venue"} | levels
    return [
        seal_trade(msgspec.convert(market | trade, Trade)),
        seal_candle(msgspec.convert(market | candle, Candle)),
        seal_order_book(msgspec.convert(market | book, OrderBook)),
    ]


@pytest.mark.parametrize("symbol", [None, "POL/USD"])
def test_what_a_market_is_mapped_to_is_no_part_of_its_records(symbol: str | None) -> None:
    """A mapping made later would turn each trade read again into a conflict."""
    for before, after in zip(
        seal_market_records("MATIC/USD"), seal_market_records(symbol), strict=True
    ):
        assert msgspec.structs.replace(after, symbol="MATIC/USD") == before


def test_what_an_instrument_is_mapped_to_is_content() -> None:
    """Its revisions say since when a mapping holds."""

    def listed(symbol: str) -> int:
        return seal_instrument(
            Instrument(
                source="kraken",
                kind=ListedKind.INSTRUMENT,
                native_id="MATICUSD",
                symbol=symbol,
                ts_ingest=1,
            )
        ).content_hash

    assert listed("MATIC/USD") != listed("POL/USD")


def test_the_hash_does_not_depend_on_an_id_already_set() -> None:
    """The deep audit hashes sealed records again and must get the same."""
    quote = seal_quote(draft_quote())
    assert hash_facts(quote) == quote.content_hash
    assert seal_quote(quote) == quote


def test_a_hash_fits_a_signed_bigint() -> None:
    """Both stores keep it as int64."""
    hashes = [hash_content({"number": number}) for number in range(200)]
    assert all(-(2**63) <= digest < 2**63 for digest in hashes)
    assert any(digest < 0 for digest in hashes)
    assert len(set(hashes)) == 200


def test_moving_a_value_to_the_next_field_changes_the_hash() -> None:
    """Facts glued together without borders would make two different quotes one."""
    assert hash_content({"a": "ab", "b": "c"}) != hash_content({"a": "a", "b": "bc"})
    assert hash_content({"a": "x", "b": None}) != hash_content({"a": None, "b": "x"})


def test_a_field_added_later_changes_no_old_hash() -> None:
    """The deep audit would else call every record of last year changed."""
    assert hash_content({"a": "x", "b": None}) == hash_content({"a": "x"})
    assert hash_content({"b": "y", "a": "x"}) == hash_content({"a": "x", "b": "y"})


def test_no_part_of_an_id_can_imitate_a_border() -> None:
    """A currency id with a colon would else take another currency's place."""
    assert build_event_id("a:b", "c") == "a%3Ab:c"
    assert build_event_id("a%3Ab", "c") == "a%253Ab:c"
    assert build_event_id("a", None, 5) == "a:-:5"


def test_the_same_rejected_piece_is_one_fact() -> None:
    """A coin that stays broken for a day would else be stored 1,440 times."""

    def reject(raw: bytes, ts_ingest: int) -> str:
        return build_rejected(
            source="coincap",
            feed="quotes",
            reason=Reason.INVARIANT,
            error="priceUsd: not a finite decimal number: 'NaN'",
            raw=raw,
            ts_ingest=ts_ingest,
        ).event_id

    assert reject(b"{}", 1) == reject(b"{}", 2)
    assert reject(b"{}", 1) != reject(b"[]", 1)


def test_long_rejected_pieces_that_differ_at_the_end_are_two_facts() -> None:
    """The cut copy is the same; the name comes from the whole."""
    ids = {
        build_rejected(
            source="s", feed="quotes", reason=Reason.INVARIANT, error="e", raw=raw, ts_ingest=1
        ).event_id
        for raw in (b"x" * RAW_BYTES_MAX + b"1", b"x" * RAW_BYTES_MAX + b"2")
    }
    assert len(ids) == 2


def test_noticing_an_incident_again_says_the_same_fact() -> None:
    """Two runs that meet the same gap must not open two incidents."""

    def notice(ts_ingest: int) -> Incident:
        return build_load_incident(
            kind=IncidentKind.RETENTION_GAP,
            sink="postgres",
            feed="quotes",
            topic="market.quotes",
            topic_id="abc",
            part=1,
            first_offset=10,
            next_offset=20,
            message="10 records are gone",
            next_step="crypto-platform incident ack",
            ts_ingest=ts_ingest,
        )

    assert notice(1).event_id == notice(2).event_id
    told = msgspec.structs.replace(notice(2), message="12 records are gone", next_step="-")
    assert build_incident(told).content_hash == notice(1).content_hash
    acknowledged = build_incident(msgspec.structs.replace(notice(3), state="acknowledged"))
    assert acknowledged.event_id != notice(1).event_id
