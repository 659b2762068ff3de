"""A gap's incident: one name however often it is noticed, and words a person can act on."""

from crypto_platform.delivery.gaps import build_gap_incident
from crypto_platform.errors import IncidentKind
from crypto_platform.feeds.candles import Interval
from crypto_platform.feeds.incidents import Incident
from crypto_platform.sources.base import Gap

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
    incident = build(Gap(venue_symbol="btcusd", after_us=NOON, before_us=NOON + 60_000_000))
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
