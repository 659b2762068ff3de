"""Partitions: a table whose partition cannot be made is named, so that other feeds go on."""

import contextlib
from collections.abc import Generator
from typing import cast

import psycopg
import pytest

from crypto_platform.errors import StoreRefusedError
from crypto_platform.feeds.trades import TRADES, Trade, seal_trade
from crypto_platform.stores.claims import Claim, TopicPart
from crypto_platform.stores.postgres.encoded import encode_slice
from crypto_platform.stores.postgres.partitions import Partitions
from crypto_platform.stores.postgres.session import Session
from crypto_platform.stores.slices import Arrival, Slice, build_arrivals

AT = 1_763_640_000_000_000


class RefusingSession:
    """Its role may not call the function; PostgreSQL names no table then."""

    @contextlib.contextmanager
    def transaction(self) -> Generator["RefusingSession"]:
        yield self

    def execute(self, *statement: object) -> None:
        del statement
        raise psycopg.errors.InsufficientPrivilege


def slice_of_a_trade() -> Slice:
    draft = Trade(
        venue="coinbase",
        venue_symbol="BTC-USD",
        trade_id="1",
        price="1.10",
        quantity="2",
        ts_event=AT,
        ts_ingest=AT,
    )
    claim = Claim(
        feed=TRADES,
        topic=TRADES.topic,
        partition=TopicPart("11111111-1111-1111-1111-111111111111", 0),
        epoch=1,
        next_offset=0,
        leader_epoch=None,
        max_ts_append=0,
    )
    return Slice(
        claim=claim,
        hour=0,
        first_offset=0,
        next_offset=1,
        max_ts_append=AT,
        leader_epoch=None,
        arrivals=build_arrivals([Arrival(seal_trade(draft), 0, AT)], feed=TRADES),
    )


def test_a_refusal_names_the_table() -> None:
    """Without its name a load gives up every other feed as well."""
    partitions = Partitions(cast("Session", RefusingSession()))
    with pytest.raises(StoreRefusedError) as caught:
        partitions.ensure([encode_slice(slice_of_a_trade())])
    assert caught.value.table == "market.trade"
