"""`trace`: what it says of a way that is known, known in part, or not at all."""

import msgspec
import pytest

from crypto_platform.cli.trace import (
    build_document,
    build_link,
    choose_newest,
    format_trace,
    measure_waits,
)
from crypto_platform.delivery.trace import Stored, Trace, name_poll
from crypto_platform.errors import Reason
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.quotes import Quote, seal_quote
from crypto_platform.kafka.reader import KeptRecord
from crypto_platform.serving.currencies import CurrencyCodes
from crypto_platform.serving.reader import UnknownCurrencyError
from crypto_platform.settings import Settings
from crypto_platform.stores.batches import BatchKind, LoadBatch
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.contents import StoredRecord
from crypto_platform.stores.matters import QuarantineEntry
from crypto_platform.stores.sums import EMPTY_SUM
from tests.feed_samples import build_record

UI = "http://127.0.0.1:3000/"
T0 = 1_769_868_000_000_000  # 2026-01-31 14:00
PARTITION = TopicPart("a-topic", 2)
QUOTES = FEED_BY_NAME["quotes"]
QUOTE = seal_quote(
    Quote(
        source="simulated",
        currency_id="bitcoin",
        currency_symbol="BTC",
        quote_currency="USD",
        price="1.5",
        ts_event=T0,
        ts_ingest=T0 + 250_000,
    )
)
CODES = CurrencyCodes(Settings())
KEPT = KeptRecord(T0 + 300_000, None, {"run_id": "polls"})


def batch(run_id: str, kind: BatchKind = BatchKind.LIVE) -> LoadBatch:
    """A load over offsets 40 to 50."""
    return LoadBatch(
        run_id=run_id,
        topic="market.quotes",
        partition=PARTITION,
        epoch=7,
        hour=T0,
        kind=kind,
        first_offset=40,
        next_offset=50,
        stored=EMPTY_SUM,
        repeated_records=0,
        quarantined_records=0,
    )


def held(*batches: LoadBatch, quote: Quote = QUOTE, offset: int = 42) -> Stored:
    """What a store knows that holds the quote."""
    return Stored(
        record=quote,
        arrival=StoredRecord(quote.event_id, quote.content_hash, "a-topic", 2, offset),
        topic="market.quotes",
        batches=batches,
        poll_records=5,
    )


def traced(
    postgres: Stored, mongo: Stored, *, kept: KeptRecord | None = KEPT, problem: str | None = None
) -> Trace:
    """The way of the quote."""
    return Trace(
        feed=QUOTES,
        event_id=QUOTE.event_id,
        stores={"postgres": postgres, "mongo": mongo},
        kept=kept,
        kafka_problem=problem,
    )


def entry() -> QuarantineEntry:
    """A conflict of the quote's id."""
    return QuarantineEntry(
        topic="market.quotes",
        partition=PARTITION,
        offset=44,
        ts_append=T0,
        reason=Reason.CONFLICT,
        error="another\x1b[2J hash",
        event_id=QUOTE.event_id,
        key=None,
        value=None,
        run_id="loads",
        state="open",
        quarantined_at=T0,
    )


def test_the_whole_way_is_shown_row_first() -> None:
    """Each line answers the question that the one before it raises."""
    replayed = batch("cli-1", BatchKind.REPLAY)
    lines = format_trace(traced(held(batch("loads"), replayed), held(batch("mirrors"))), UI)
    text = "\n".join(" ".join(line.split()) for line in lines)
    assert text == (
        f"record {QUOTE.event_id}\n"
        "postgres holds it, as market.quotes/2 offset 42\n"
        "live load run loads, offsets 40 to 50 of hour 2026-01-31-14:00, epoch 7: "
        "http://127.0.0.1:3000/runs/loads\n"
        "replay load run cli-1, offsets 40 to 50 of hour 2026-01-31-14:00, epoch 7\n"
        "mongo holds it, as market.quotes/2 offset 42\n"
        "live load run mirrors, offsets 40 to 50 of hour 2026-01-31-14:00, epoch 7: "
        "http://127.0.0.1:3000/runs/mirrors\n"
        "mirror all fields are equal in both stores\n"
        "kafka still holds it, appended at 2026-01-31 14:00:00.300000 UTC\n"
        "polled by run polls: http://127.0.0.1:3000/runs/polls\n"
        "poll simulated/quotes at 2026-01-31 14:00:00.250000 UTC, with 5 records of it stored in "
        "this partition\n"
        "event 2026-01-31 14:00:00.000000 UTC\n"
        "waits event to poll 0.250 s, poll to Kafka 0.050 s"
    )


def test_what_retention_took_is_unknown_and_not_guessed() -> None:
    """A wait computed from a time nobody has would be a number that looks true."""
    found = traced(held(batch("loads")), held(batch("mirrors")), kept=None)
    text = "\n".join(format_trace(found, None))
    assert "no longer holds it" in text
    assert "/runs/" not in text
    assert measure_waits(found) == {"event to poll": 0.25}
    document = build_document(found, None)
    assert (document["in_kafka"], document["ts_append"], document["ingest_run_id"]) == (
        False,
        None,
        None,
    )


def test_a_kafka_that_does_not_answer_has_not_lost_the_record() -> None:
    """Restored from the mirror in a hurry, because a broker was restarting."""
    found = traced(held(batch("loads")), held(), kept=None, problem="Kafka: no answer in 5 s")
    text = "\n".join(format_trace(found, None))
    assert "not known: Kafka: no answer in 5 s" in text
    assert "no longer holds it" not in text
    assert build_document(found, None)["in_kafka"] is None


def test_a_store_that_is_down_is_not_called_empty() -> None:
    """Its silence is no difference between the stores."""
    found = traced(held(batch("loads")), Stored(problem="mongo: connection refused"))
    text = "\n".join(format_trace(found, UI))
    assert "does not answer: mongo: connection refused" in text
    assert "mirror" not in text
    assert found.is_mirrored is None


def test_stores_that_differ_are_said_to_differ() -> None:
    """The mirror's whole worth is that it is equal."""
    other = msgspec.structs.replace(QUOTE, price="2.5")
    for mongo in (held(quote=other), Stored()):
        text = "\n".join(format_trace(traced(held(batch("loads")), mongo), UI))
        assert "the stores differ" in text
    later = traced(held(batch("loads")), held(batch("loads"), offset=44))
    assert "took it from two offsets" in "\n".join(format_trace(later, UI))


def test_an_id_that_nobody_knows_gets_the_next_steps() -> None:
    """A typing mistake and a store that lags look the same from here."""
    [line] = format_trace(traced(Stored(), Stored(), kept=None), UI)
    assert line.startswith(f"no store holds {QUOTE.event_id}: is it the whole event_id")
    assert "crypto-platform status" in line
    [down, only] = format_trace(traced(Stored(), Stored(problem="mongo: refused"), kept=None), UI)
    assert down == "mongo does not answer: mongo: refused"
    assert only.startswith("postgres does not hold")


def test_a_record_in_quarantine_is_found_there() -> None:
    """It is kept once, with its reason, and that is where to go on; its text steers no terminal."""
    lines = format_trace(traced(Stored(quarantined=[entry()]), Stored(), kept=None), UI)
    assert lines[0].endswith("it stands in quarantine:")
    assert lines[1] == ("  postgres: market.quotes/2 offset 44, open, conflict: another?[2J hash")


@pytest.mark.parametrize(
    ("run_id", "url", "link"),
    [
        ("a", "http://h:1", "http://h:1/runs/a"),
        ("a", "http://h:1/", "http://h:1/runs/a"),
        ("cli-a", "http://h:1", None),
        ("a", None, None),
    ],
)
def test_only_what_dagster_ran_is_linked(run_id: str, url: str | None, link: str | None) -> None:
    """A link that leads nowhere costs more time than none."""
    assert build_link(run_id, url) == link


def test_the_newest_of_a_currency_is_found_by_id_and_by_symbol() -> None:
    """One has to be able to try it without an id at hand."""
    newer = seal_quote(msgspec.structs.replace(QUOTE, ts_ingest=QUOTE.ts_ingest + 1, price="3"))
    for name in ("bitcoin", "btc"):
        assert choose_newest([QUOTE, newer], name, codes=CODES) == newer
    with pytest.raises(UnknownCurrencyError, match="the nearest are bitcoin"):
        choose_newest([QUOTE], "bitcoim", codes=CODES)


def test_a_venue_is_the_source_of_what_it_says() -> None:
    """A trade that nobody seems to have polled sends a person to the wrong log."""
    trades = FEED_BY_NAME["trades"]
    trade = build_record(trades, venue="coinbase", ts_ingest=T0)
    assert name_poll(trades, trade) == ("coinbase", "trades", T0)
