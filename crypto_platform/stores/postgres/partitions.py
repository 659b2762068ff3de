"""Tables partitioned by event time: the partitions a commit needs are there before it begins.

In a transaction of their own, by a function that belongs to the migrator: the loader may not change
tables, and CREATE TABLE … PARTITION OF would wait behind every open load (measured), which building
a table apart and attaching it does not. Not here: the function (migrations/).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import psycopg

from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.feed import Step
from crypto_platform.stores.postgres.encoded import encoded_of
from crypto_platform.stores.postgres.errors import translate
from crypto_platform.stores.postgres.facts import table_name
from crypto_platform.stores.postgres.session import Session
from crypto_platform.stores.slices import Slice

_MAKE_PARTITION = "SELECT platform.make_partition(%s, %s, %s, %s)"


class Partitions:
    """Which partitions exist, as far as this process knows: they are asked for once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._made: set[tuple[str, datetime]] = set()

    def ensure(self, slices: Iterable[Slice]) -> None:
        """Make what these slices need and is not there.

        Raises:
            StoreUnavailableError: It could not be made; nothing was written.
            StoreRefusedError: The same, and names the table, without which a load goes on.
        """
        for feed, hours in _list_hours(slices):
            step = feed.partition_step
            if step is None:
                continue
            for begin in sorted({step.begin_of(hour) for hour in hours}):
                if (feed.table, begin) not in self._made:
                    self._make(feed, step, begin)

    def forget(self) -> None:
        """Ask for all of them again: a backup may have been restored under a lost connection."""
        self._made.clear()

    def _make(self, feed: Feed[Record], step: Step, begin: datetime) -> None:
        with self._session.transaction() as connection:
            try:
                connection.execute(_MAKE_PARTITION, [feed.schema, feed.table, step.value, begin])
            except psycopg.Error as error:
                raise translate(error, table=table_name(feed)) from error
        self._made.add((feed.table, begin))


def _list_hours(slices: Iterable[Slice]) -> Sequence[tuple[Feed[Record], set[int]]]:
    hours: dict[str, tuple[Feed[Record], set[int]]] = {}
    for each in slices:
        feed = each.claim.feed
        _, of_feed = hours.setdefault(feed.name, (feed, set()))
        of_feed |= {hour for _, hour in encoded_of(each).touched}
    return list(hours.values())
