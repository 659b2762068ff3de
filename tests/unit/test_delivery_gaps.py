"""A gap's incident: one name however often it is noticed, and words a person can act on."""

from collections.abc import Sequence

from crypto_platform.delivery.gaps import KnownGap, build_gap_incident, read_gaps
from crypto_platform.errors import IncidentKind
from crypto_platform.feeds.candles import Interval
from crypto_platform.feeds.feed import Feed, Record
from crypto_platform.feeds.incidents import Incident
from crypto_platform.feeds.trades import Trade, seal_trade
from crypto_platform.sources.base import Gap
from crypto_platform.stores.base import Store
from crypto_platform.stores.market import Span

NOON = 1_767_268_800_000_000
TRADES = Gap(
    venue_symbol="BTC-USD",
    after_id="100",
    before_id="150",
    missing_records=49,
    after_us=NOON,
    before_us=NOON + 60_000_000,
)
CANDLES = Gap(
    venue_symbol="BTC-USD",
    interval=Interval.MINUTE,
    after_us=NOON,
    before_us=NOON + 600_000_000,
)
NAMELESS = Gap(venue_symbol="btcusd", after_us=NOON, before_us=NOON + 60_000_000)


def build(gap: Gap, *, feed: str = "trades", ts_ingest: int = 1) -> Incident:
    topic = f"market.{feed}"
    return build_gap_incident(gap, source="coinbase", feed=feed, topic=topic, ts_ingest=ts_ingest)


def test_a_gap_in_trades_names_both_its_ends() -> None:
    """Whoever looks for what is missing needs the numbers and the times."""
    incident = build(TRADES)
    assert (incident.kind, incident.state) == (IncidentKind.TRADE_GAP.value, "open")
    assert (incident.source, incident.feed, incident.sink) == ("coinbase", "trades", None)
    assert incident.message == (
        "coinbase does not give the trades of BTC-USD after trade 100 (2026-01-01 12:00:00Z) and "
        "before trade 150 (2026-01-01 12:01:00Z) any more: 49 are missing"
    )


def test_what_is_not_known_of_a_gap_is_said() -> None:
    """0 missing, or a time of 1970, would be a lie."""
    incident = build(Gap(venue_symbol="BTC-USD", after_id="100", before_id="150"))
    assert "time not known" in incident.message
    assert "it is not known how many" in incident.message


def test_a_gap_without_a_trade_beside_it_is_named_by_its_times() -> None:
    """Where nothing was read before, there is no number to name."""
    incident = build(NAMELESS)
    assert "after 2026-01-01 12:00:00Z and before 2026-01-01 12:01:00Z" in incident.message
    assert incident.subject.endswith(f"btcusd/{NOON}/{NOON + 60_000_000}")


def test_a_gap_in_candles_is_named_by_its_times() -> None:
    """Candles have no numbers."""
    incident = build(CANDLES, feed="candles")
    assert incident.kind == IncidentKind.CANDLE_GAP.value
    assert "of 1m from 2026-01-01 12:00:00Z to 2026-01-01 12:10:00Z" in incident.message


def test_the_same_gap_is_one_matter_and_another_is_another() -> None:
    """A run that is killed between seeing and telling sees it again."""
    ids = [
        build(gap, feed=feed, ts_ingest=at).event_id
        for gap, feed in ((TRADES, "trades"), (CANDLES, "candles"))
        for at in (1, 2)
    ]
    assert ids[0] == ids[1] != ids[2] == ids[3]


class StoreOfGaps:
    """Three incidents, and the trade before the first gap."""

    def read_incidents(self) -> list[Record]:
        return [
            build(TRADES, ts_ingest=NOON + 9),
            build(CANDLES, feed="candles", ts_ingest=NOON + 700_000_000),
            build(NAMELESS, ts_ingest=NOON + 90_000_000),
        ]

    def read_facts(self, feed: Feed[Record], event_ids: Sequence[str]) -> list[Record]:
        trade = seal_trade(
            Trade(
                venue="coinbase",
                venue_symbol="BTC-USD",
                trade_id="100",
                price="1",
                quantity="1",
                ts_event=NOON,
                ts_ingest=NOON,
            )
        )
        return [trade] if feed.name == "trades" and trade.event_id in event_ids else []


def test_an_incident_says_again_which_gap_it_was() -> None:
    """A day that a poll jumped over must not pass for polled, nor an old gap cover all days."""
    store: Store = StoreOfGaps()  # type: ignore[assignment]
    assert read_gaps(store) == [
        KnownGap("coinbase", "BTC-USD", None, Span(NOON, NOON + 9)),
        KnownGap("coinbase", "BTC-USD", Interval.MINUTE, Span(NOON, NOON + 600_000_000)),
        KnownGap("coinbase", "btcusd", None, Span(NOON, NOON + 60_000_000)),
    ]
