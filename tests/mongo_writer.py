"""A process that claims one partition and commits quotes, to be killed or stopped in the middle.

Usage: python -m tests.mongo_writer URL DATABASE RECORDS HOW, where HOW is `plain`, `stop` (SIGSTOP
inside the transaction, after the inserts) or a CrashPoint. Prints `fenced` or `stored N`.
"""

import dataclasses
import os
import signal
import sys
from typing import get_args

from crypto_platform.crash_points import arm
from crypto_platform.feeds import Record
from crypto_platform.feeds.feed import Feed
from crypto_platform.feeds.quotes import QUOTES, Quote
from crypto_platform.settings import CrashPoint
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.mongo import MongoStore
from crypto_platform.stores.slices import Arrival, Slice, build_arrivals

PARTITION = TopicPart("00000000-0000-0000-0000-000000000001", 0)
TOPIC = "market.quotes"


def quote(number: int, *, content_hash: int | None = None) -> Quote:
    """Number in id and, unless told otherwise, in content."""
    return Quote(
        source="s",
        currency_id=f"currency{number}",
        quote_currency="USD",
        price=f"{number}.10",
        ts_ingest=1_700_000_000_000_000,
        event_id=f"quote:{number}",
        content_hash=number if content_hash is None else content_hash,
    )


def _stopping_feed() -> Feed[Record]:
    """Quotes whose key stops the process; it is asked for a conflict, inside the transaction."""

    def stop(record: Record) -> str:
        os.kill(os.getpid(), signal.SIGSTOP)
        return record.event_id

    return dataclasses.replace(QUOTES, key_of=stop)


def main(url: str, database: str, records: int, how: str) -> None:
    """Claim, commit, say how it ended."""
    feed = _stopping_feed() if how == "stop" else QUOTES
    store = MongoStore(url, database)
    [claim] = store.claim([(feed, TOPIC, PARTITION)], run_id="child")
    first = claim.next_offset
    facts = [quote(number) for number in range(first, records)]
    if how == "stop":
        facts.append(quote(first, content_hash=-1))
    elif how in get_args(CrashPoint):
        [point] = [each for each in get_args(CrashPoint) if each == how]
        arm(point)
    slice_ = Slice(
        claim=claim,
        hour=0,
        first_offset=first,
        next_offset=first + len(facts),
        max_ts_append=1,
        leader_epoch=None,
        arrivals=build_arrivals(
            [Arrival(fact, first + index, 1) for index, fact in enumerate(facts)], feed=QUOTES
        ),
    )
    outcome = store.commit([slice_], run_id="child")
    end = "fenced" if outcome.fenced else f"stored {outcome.stored_records['quotes']}"
    sys.stdout.write(f"{end}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
