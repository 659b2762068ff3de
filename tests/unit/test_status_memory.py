"""Since when records wait, as far as it can be told without asking Kafka for them."""

from crypto_platform.serving.memory import Memory
from crypto_platform.serving.probe import Answer
from crypto_platform.serving.readings import StoreReading
from crypto_platform.stores.claims import StoredOffset
from tests.status_steps import NOON, P0, SECOND, bounds, kafka_reading, offset, store_reading


def stored(*rows: StoredOffset) -> dict[str, Answer[StoreReading]]:
    """PostgreSQL alone."""
    return {"postgres": Answer(value=store_reading(*rows))}


def test_what_stands_still_is_looked_for_in_kafka() -> None:
    """Its last stored record may be days old, and the waiting one a second."""
    memory = Memory()
    long_ago = NOON - 86_400 * SECOND
    rows = stored(offset(P0, 100, max_ts_append=long_ago))
    memory.note(NOON, kafka_reading({P0: bounds(last_stable=101)}), rows)
    assert memory.unknown == {"postgres": {P0: 100}}
    memory.keep_first_waiting(NOON, "postgres", P0, NOON - 3 * SECOND)
    assert memory.waiting_since() == {"postgres": {P0: NOON - 3 * SECOND}}


def test_what_was_found_is_not_looked_for_again() -> None:
    """A stopped load would cost a consumer a second, for as long as it is stopped."""
    memory = Memory()
    rows = stored(offset(P0, 100, max_ts_append=NOON - 60 * SECOND))
    found = kafka_reading({P0: bounds(last_stable=101)})
    memory.note(NOON, found, rows)
    memory.keep_first_waiting(NOON, "postgres", P0, NOON - 3 * SECOND)
    memory.note(NOON + SECOND, found, rows)
    assert memory.unknown == {"postgres": {}}
    assert memory.waiting_since() == {"postgres": {P0: NOON - 3 * SECOND}}


def test_markers_alone_are_nothing_that_waits_but_are_looked_at_again() -> None:
    """A record may come behind them while the store stands at the same offset."""
    memory = Memory()
    rows = stored(offset(P0, 100, max_ts_append=NOON - 60 * SECOND))
    found = kafka_reading({P0: bounds(last_stable=101)})
    memory.note(NOON, found, rows)
    memory.keep_first_waiting(NOON, "postgres", P0, None)
    assert memory.waiting_since() == {"postgres": {P0: NOON}}
    memory.note(NOON + SECOND, found, rows)
    assert memory.unknown == {"postgres": {P0: 100}}


def test_what_moves_is_bounded_by_its_last_stored_record() -> None:
    """A load that catches up would else be read from Kafka beside itself."""
    memory = Memory()
    found = kafka_reading({P0: bounds(last_stable=900)})
    hour_ago = NOON - 3600 * SECOND
    memory.note(NOON, found, stored(offset(P0, 100, max_ts_append=hour_ago)))
    memory.note(NOON + SECOND, found, stored(offset(P0, 300, max_ts_append=hour_ago + SECOND)))
    assert memory.unknown == {"postgres": {}}
    assert memory.waiting_since() == {"postgres": {P0: hour_ago + SECOND}}


def test_nothing_has_waited_since_before_it_was_seen_drained() -> None:
    """A feed with one record a day would else show a day of lag for each of them."""
    memory = Memory()
    rows = stored(offset(P0, 100, max_ts_append=NOON - 86_400 * SECOND))
    memory.note(NOON, kafka_reading({P0: bounds(last_stable=100)}), rows)
    memory.note(NOON + SECOND, kafka_reading({P0: bounds(last_stable=101)}), rows)
    assert memory.waiting_since() == {"postgres": {P0: NOON}}
    assert memory.unknown == {"postgres": {}}


def test_an_open_transaction_counts_from_when_the_stable_offset_stood_still() -> None:
    """One short transaction after another is traffic, not a hanging one."""
    memory = Memory()
    memory.note(NOON, kafka_reading({P0: bounds(last_stable=100, high=120)}), {})
    memory.note(NOON + SECOND, kafka_reading({P0: bounds(last_stable=100, high=140)}), {})
    assert memory.blocked_since() == {P0: NOON}
    memory.note(NOON + 2 * SECOND, kafka_reading({P0: bounds(last_stable=140, high=150)}), {})
    assert memory.blocked_since() == {P0: NOON + 2 * SECOND}
    memory.note(NOON + 3 * SECOND, kafka_reading({P0: bounds(last_stable=150)}), {})
    assert memory.blocked_since() == {}
