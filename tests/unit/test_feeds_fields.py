"""Columns are judged as a whole; what is unsound is found alone and with its reason."""

import msgspec
import pytest

from crypto_platform.errors import Reason
from crypto_platform.feeds.codec import decode_batch, encode
from crypto_platform.feeds.trades import TRADES, Trade, seal_trade

DAY_US = 86_400_000_000
NOON = 1_763_812_800_000_000


def trade(number: int, **facts: object) -> Trade:
    draft = Trade(
        venue="simulated",
        venue_symbol="BTC-USD",
        trade_id=str(number),
        price="93651.06",
        quantity="0.5",
        ts_event=NOON,
        ts_ingest=NOON,
    )
    return seal_trade(msgspec.structs.replace(draft, **facts))


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"price": "0.00"}, "price: 0.00 is not above zero"),
        ({"quantity": "-1"}, "quantity: -1 is not above zero"),
        ({"price": "1e3"}, "price: not a decimal in stored form: '1e3'"),
        ({"price": "1\n2"}, "price: not a decimal in stored form: '1\\n2'"),
        ({"symbol": "BTC\x00USD"}, "symbol: holds a NUL: 'BTC\\x00USD'"),
        ({"ts_event": NOON + DAY_US + 1}, "ts_event: more than a day after ts_ingest"),
        ({"ts_event": 0}, "ts_event: 0 is before 2009 or after 2099"),
    ],
)
def test_one_unsound_record_among_many_is_refused_alone(
    facts: dict[str, object], problem: str
) -> None:
    """Its neighbours are stored at full speed, and it is kept with what is wrong with it."""
    records = [trade(number) for number in range(50)]
    records[20] = trade(20, **facts)
    decoded = decode_batch(TRADES, list(map(encode, records)), record_bytes_max=10_000)
    assert list(decoded.records) == records[:20] + records[21:]
    assert list(decoded.places) == [*range(20), *range(21, 50)]
    assert [(place, error.reason, str(error)) for place, error in decoded.refused] == [
        (20, Reason.INVARIANT, problem)
    ]
    assert decoded.columns[0] == tuple(record.event_id for record in decoded.records)


def test_values_of_every_kind_of_wrong_keep_their_places() -> None:
    """A refusal is quarantined under the offset of its value: mixed up, it accuses another."""
    good = encode(trade(1))
    values = [
        b"{",
        good,
        None,
        b'{"v":9}',
        b"x" * 20_000,
        good,
        good + good,
        encode(trade(2, price="NaN")),
    ]
    decoded = decode_batch(TRADES, values, record_bytes_max=10_000)
    assert list(decoded.places) == [1, 5]
    assert [(place, error.reason) for place, error in decoded.refused] == [
        (0, Reason.UNDECODABLE),
        (2, Reason.UNDECODABLE),
        (3, Reason.UNKNOWN_SCHEMA),
        (4, Reason.TOO_LARGE),
        (6, Reason.UNDECODABLE),
        (7, Reason.INVARIANT),
    ]


def test_pieces_of_broken_values_never_make_a_record_together() -> None:
    """Values joined before decoding would pass as one here, and every count still be right."""
    whole = encode(trade(1))
    middle = whole.index(b'","')
    decoded = decode_batch(
        TRADES, [whole[:middle], whole[middle + 1 :], whole], record_bytes_max=10_000
    )
    assert (list(decoded.places), len(decoded.refused)) == ([2], 2)


def test_an_event_a_day_ahead_is_still_taken() -> None:
    """A venue's clock may be wrong; only a partition far in the future is refused."""
    record = trade(1, ts_event=NOON + DAY_US)
    assert decode_batch(TRADES, [encode(record)], record_bytes_max=10_000).records == [record]
