"""States read back from bytes are those that were written, whichever way they are read."""

from typing import Any

import bson
import msgspec
import pytest
from bson.int64 import Int64

from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.feeds.accounts import ORDERS, WALLETS, AccountEvent, OrderStatus
from crypto_platform.feeds.codec import to_columns
from crypto_platform.feeds.projection import Projection, fold
from crypto_platform.feeds.trades import Side
from crypto_platform.stores.mongo.layout import Raw
from crypto_platform.stores.mongo.pieces import documents_of
from crypto_platform.stores.mongo.states import states_of
from tests.account_steps import build_busy_company

PROJECTIONS = pytest.mark.parametrize("projection", [ORDERS, WALLETS], ids=lambda p: p.table)


def write_all(projection: Projection) -> list[bytes]:
    """Documents of all states of some company."""
    columns = to_columns(build_busy_company().events)
    named = dict(zip(AccountEvent.__struct_fields__, columns, strict=True))
    elements = documents_of(FEED_BY_NAME[ACCOUNT_EVENTS.name]).encode_fields(columns)
    states = states_of(projection)
    encoded = states.encode(fold(projection, named), elements)
    return [bytes(each.raw) for each in states.build_whole(encoded)]


@PROJECTIONS
def test_a_state_is_the_same_by_its_layout_and_by_the_driver(projection: Projection) -> None:
    """Both stores' states are compared to the digit: a value read otherwise would be a finding."""
    states = states_of(projection)
    for body in write_all(projection):
        document: dict[str, Any] = bson.decode(body)
        state = states.read(Raw(b"before" + body, 6, 6 + len(body)))
        assert state == states.decode(document)
        later = bson.encode(document | {"later": Int64(1)})
        assert states.read(Raw(later, 0, len(later))) == state


def test_words_come_back_as_what_they_mean() -> None:
    """A report asks an order's status for what it is."""
    [body, *_] = write_all(ORDERS)
    order = msgspec.structs.asdict(states_of(ORDERS).read(Raw(body, 0, len(body))))
    assert isinstance(order["side"], Side)
    assert isinstance(order["order_status"], OrderStatus)
