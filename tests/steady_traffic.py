"""A platform at work inside a test: a market that ticks, an ingest run, a load of each store.

Here: the three of them, and how old the newest trade of each market is in each store, asked ten
times a second. Not here: what is broken meanwhile.
"""

import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from crypto_platform.delivery.ingest import FeedReport, ingest
from crypto_platform.delivery.load import LoadReport, load
from crypto_platform.domain.hours import to_time_us
from crypto_platform.feeds import FEEDS
from crypto_platform.feeds.quotes import Quote, seal_quote
from crypto_platform.feeds.trades import Trade, seal_trade
from crypto_platform.settings import ENV_PREFIX
from crypto_platform.sources.base import Poll
from crypto_platform.stores import STORES, open_store
from tests.platform_harness import Platform, clock
from tests.waiting import eventually

VENUE = "ticking"
MARKETS = tuple(f"M{number}-USD" for number in range(24))
"""So many that every partition of the trades' topic, and so every broker, has some."""
PACE_S = 0.2
FRESH_S = 2.0
"""A trade that is stored no later is fresh: two polls, a commit, and the question's own pace."""
_SAMPLE_S = 0.1
_US = 1_000_000


class TickingVenue:
    """One trade a market every PACE_S, numbered from 1, to be had at any time; quotes of now."""

    name = VENUE
    feeds = ("trades", "quotes")

    def __init__(self) -> None:
        self._began_us = clock()

    def poll(self, feed: str, *, positions: Mapping[str, str], ts_ingest: int) -> Poll:
        """The trades behind each market's position, or one quote a market."""
        now = int((clock() - self._began_us) / (PACE_S * _US))
        if feed == "quotes":
            quotes = [self._quote(market, now, ts_ingest) for market in MARKETS]
            return Poll(records=quotes)
        trades = [
            self._trade(market, number, ts_ingest)
            for market in MARKETS
            for number in range(int(positions.get(market, 0)) + 1, now + 1)
        ]
        return Poll(records=trades, positions=dict.fromkeys(MARKETS, str(now)))

    def _time_of(self, number: int) -> int:
        return self._began_us + int(number * PACE_S * _US)

    def _quote(self, market: str, number: int, ts_ingest: int) -> Quote:
        return seal_quote(
            Quote(
                source=VENUE,
                currency_id=market,
                quote_currency="USD",
                price=f"{number}.5",
                ts_event=self._time_of(number),
                ts_ingest=ts_ingest,
            )
        )

    def _trade(self, market: str, number: int, ts_ingest: int) -> Trade:
        return seal_trade(
            Trade(
                venue=VENUE,
                venue_symbol=market,
                trade_id=str(number),
                price="1.5",
                quantity="2",
                ts_event=self._time_of(number),
                ts_ingest=ts_ingest,
            )
        )


class Following(threading.Thread):
    """A load that follows, on a store of its own, until `stop`."""

    def __init__(self, platform: Platform, store: str) -> None:
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self.report: LoadReport | None = None
        self._settings = platform.settings
        self._store = open_store(store, platform.settings)

    def run(self) -> None:
        self.report = load(
            self._settings,
            self._store,
            FEEDS,
            run_id=f"following-{self._store.sink}",
            clock=clock,
            stop=self.stop,
            follow_s=300,
        )
        self._store.close()


class Polling(threading.Thread):
    """An ingest run of the ticking venue, until `stop`."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self.reports: list[FeedReport] = []
        variable = f"{ENV_PREFIX}SOURCES__{VENUE.upper()}__"
        self._settings = platform.reload(
            **{
                f"{variable}DIALECT": "coinbase",
                f"{variable}BASE_URL": "http://127.0.0.1:9",
                f"{variable}PACE_S": str(PACE_S),
            }
        )

    def run(self) -> None:
        venue = TickingVenue()
        self.reports = ingest(
            self._settings,
            {VENUE: venue},
            [(VENUE, feed) for feed in venue.feeds],
            clock=clock,
            stop=self.stop,
            follow_s=300,
        )


@dataclass
class Freshness:
    """How old one store's newest trade was, of the market that was worst off.

    Attributes:
        ages: When it was asked (time.monotonic), and seconds; only what was answered.
    """

    ages: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])

    def is_fresh(self, *, since: float = 0.0) -> bool:
        """Whether the newest answer is, and was given after a time."""
        return bool(self.ages) and self.ages[-1][0] > since and self.ages[-1][1] < FRESH_S

    def describe(self, *, since: float) -> tuple[float, float]:
        """Seconds from a time until it was fresh for good, and the greatest age from then on."""
        later = [(asked, age) for asked, age in self.ages if asked >= since]
        stale = [asked for asked, age in later if age >= FRESH_S]
        fresh = [asked for asked, age in later if not stale or asked > stale[-1]]
        return (fresh[0] - since if stale else 0.0), max(age for _, age in later)


class Watching(threading.Thread):
    """Asks one store again and again, on connections of its own."""

    def __init__(self, platform: Platform, store: str) -> None:
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self.freshness = Freshness()
        self._asking = _ASKING[store](platform)

    def run(self) -> None:
        with self._asking as ask:
            while not self.stop.wait(_SAMPLE_S):
                newest = ask()
                if newest is not None:
                    self.freshness.ages.append((time.monotonic(), (clock() - newest) / _US))


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """All of it, at work."""

    polling: Polling
    loads: Mapping[str, Following]
    watching: Mapping[str, Watching]

    def wait_until_fresh(self, *, since: float = 0.0, within_s: float = 60.0) -> None:
        """Until both stores are."""
        each = [watching.freshness for watching in self.watching.values()]
        eventually(lambda: all(f.is_fresh(since=since) for f in each), within_s=within_s)

    def stop(self) -> None:
        """End all, ingestion first."""
        for thread in (self.polling, *self.watching.values(), *self.loads.values()):
            thread.stop.set()
        for thread in (self.polling, *self.watching.values(), *self.loads.values()):
            thread.join(timeout=90)
            assert not thread.is_alive(), thread


@contextmanager
def steady_traffic(platform: Platform) -> Generator[Traffic]:
    """Everything at work for as long as the block lasts."""
    polling = Polling(platform)
    traffic = Traffic(
        polling=polling,
        loads={store: Following(platform, store) for store in STORES},
        watching={store: Watching(platform, store) for store in STORES},
    )
    for thread in (polling, *traffic.loads.values(), *traffic.watching.values()):
        thread.start()
    try:
        yield traffic
    finally:
        traffic.stop()


def count_trades(platform: Platform, store: str) -> dict[str, list[int]]:
    """The numbers of all trades of each market, sorted; one stored twice stands here twice."""
    if store == "postgres":
        with platform.postgres_admin() as connection:
            rows = connection.execute("SELECT venue_symbol, trade_id FROM market.trade").fetchall()
    else:
        with MongoClient[dict[str, Any]](platform.servers.mongo_admin_url) as client:
            rows = [(d["venue_symbol"], d["trade_id"]) for d in client[platform.name].trades.find()]
    numbers: dict[str, list[int]] = {market: [] for market in MARKETS}
    for market, trade_id in rows:
        numbers[str(market)].append(int(str(trade_id)))
    return {market: sorted(each) for market, each in numbers.items()}


@contextmanager
def _asking_postgres(platform: Platform) -> Generator[Callable[[], int | None]]:
    newest = (
        "SELECT min(newest), count(*) FROM "
        "(SELECT max(ts_event) AS newest FROM market.trade GROUP BY venue_symbol) AS markets"
    )
    with platform.postgres_admin() as connection:

        def ask() -> int | None:
            [(found, count)] = connection.execute(newest).fetchall()
            return to_time_us(cast("datetime", found)) if count == len(MARKETS) else None

        yield ask


@contextmanager
def _asking_mongo(platform: Platform) -> Generator[Callable[[], int | None]]:
    group = {"$group": {"_id": "$venue_symbol", "newest": {"$max": "$ts_event_us"}}}
    url = platform.servers.mongo_admin_url
    with MongoClient[dict[str, Any]](
        url, serverSelectionTimeoutMS=1000, socketTimeoutMS=1000
    ) as client:

        def ask() -> int | None:
            try:
                found = list(client[platform.name].trades.aggregate([group]))
            except PyMongoError:
                return None
            return min(each["newest"] for each in found) if len(found) == len(MARKETS) else None

        yield ask


_ASKING = {"postgres": _asking_postgres, "mongo": _asking_mongo}
