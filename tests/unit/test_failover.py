"""Which store answers a read, by how both are doing; and that a dead one costs nobody much."""

import threading
import time
from pathlib import Path

import pytest

from crypto_platform.cli.sheet import echo_source
from crypto_platform.errors import StoreRefusedError, StoreUnavailableError
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.serving.failover import Position, Reads, choose, home_of
from crypto_platform.serving.probe import Answer
from crypto_platform.settings import load_settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.batches import RESTORING
from crypto_platform.stores.claims import StoredOffset, TopicPart

TRADES = FEED_BY_NAME["trades"]
NOON = 1_763_812_800_000_000
SECOND = 1_000_000
DOWN: Answer[Position] = Answer(problem="refused")


def row(next_offset: int, *, second: int, blocked_by: str | None = None) -> StoredOffset:
    """How far a store has come in partition 0 of the trades."""
    return StoredOffset(
        topic="market.trades",
        partition=TopicPart("id", 0),
        next_offset=next_offset,
        leader_epoch=None,
        max_ts_append=NOON + second * SECOND,
        epoch=1,
        owner_run_id=None,
        claimed_at=None,
        updated_at=None,
        blocked_by=blocked_by,
    )


def at(*rows: StoredOffset) -> Answer[Position]:
    return Answer(value=Position(rows={each.partition: each for each in rows}))


def test_home_answers_while_it_lives_and_is_not_behind() -> None:
    """An answer that jumps between stores for a commit's length would flicker."""
    positions = {"postgres": at(row(90, second=50)), "mongo": at(row(100, second=60))}
    chosen = choose("postgres", positions, behind_s_max=60)
    assert (list(chosen.order), dict(chosen.problems)) == (["postgres", "mongo"], {})


def test_the_mirror_answers_where_home_is_down_or_behind() -> None:
    """Prices of an hour ago that look like those of now are worse than none."""
    down = choose("postgres", {"postgres": DOWN, "mongo": at()}, behind_s_max=60)
    assert down.order[0] == "mongo"
    assert down.problems == {"postgres": "postgres does not answer (refused)"}
    positions = {"postgres": at(row(90, second=0)), "mongo": at(row(100, second=61))}
    behind = choose("postgres", positions, behind_s_max=60)
    assert (behind.order[0], behind.problems) == ("mongo", {"postgres": "postgres is 61 s behind"})


def test_a_quiet_feed_is_not_behind() -> None:
    """Equal offsets are equal contents, however old."""
    positions = {"postgres": at(row(100, second=0)), "mongo": at(row(100, second=0))}
    assert choose("postgres", positions, behind_s_max=60).order[0] == "postgres"


def test_a_home_that_lost_everything_or_is_being_restored_is_behind() -> None:
    """Its empty tables answer quickly, and wrongly."""
    mirror = at(row(100, second=1))
    lost = choose("postgres", {"postgres": at(), "mongo": mirror}, behind_s_max=60)
    half = at(row(50, second=1, blocked_by=RESTORING))
    restored = choose("postgres", {"postgres": half, "mongo": mirror}, behind_s_max=60)
    assert (lost.order[0], restored.order[0]) == ("mongo", "mongo")


def test_a_home_under_repair_is_behind_though_it_has_come_as_far() -> None:
    """Collections that were dropped, or are being put back, answer at once: with nothing."""
    repaired = at(row(100, second=60, blocked_by=RESTORING))
    mirror = at(row(100, second=60))
    chosen = choose("postgres", {"postgres": repaired, "mongo": mirror}, behind_s_max=60)
    assert chosen.order[0] == "mongo"
    assert chosen.problems == {"postgres": "postgres is wholly behind"}
    alone = choose("postgres", {"postgres": repaired, "mongo": at()}, behind_s_max=60)
    assert alone.problems["postgres"] == "postgres is wholly behind"


def test_two_stores_that_are_both_behind_leave_home_the_word() -> None:
    """Each lacks what the other has: no better one is there."""
    other = row(10, second=500)
    positions = {
        "postgres": Answer(value=Position(rows={("a", 0): row(9, second=0), ("b", 0): other})),
        "mongo": Answer(value=Position(rows={("a", 0): other, ("b", 0): row(9, second=0)})),
    }
    chosen = choose("postgres", positions, behind_s_max=60)
    assert chosen.order[0] == "postgres"
    assert chosen.problems["postgres"] == "postgres is 500 s behind"


def test_market_data_is_at_home_in_postgres() -> None:
    """What is read together must be at home together."""
    assert home_of([TRADES, FEED_BY_NAME["quotes"]]) == "postgres"


class FakeStore:
    """Answers when its server does."""

    def __init__(self, server: "Server") -> None:
        self._server = server

    def check_readable(self) -> None:
        if self._server.is_emptied:
            message = "collections missing in MongoDB: orders"
            raise StoreRefusedError(message)

    def read_offsets(self) -> list[StoredOffset]:
        self._server.reach()
        return [self._server.row]

    def ping(self) -> str:
        self._server.reach()
        if self._server.refuses:
            message = "no such table"
            raise StoreRefusedError(message)
        return self._server.name

    def close(self) -> None:
        pass


class Server:
    """One store's server: up, down (refuses) or deaf (accepts and says nothing)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_down = False
        self.hears = threading.Event()
        self.hears.set()
        self.row = row(1, second=0)
        self.refuses = False
        self.is_emptied = False
        self.questions = 0

    def reach(self) -> None:
        self.questions += 1
        self.hears.wait(20)
        if self.is_down:
            message = "refused"
            raise StoreUnavailableError(message)


class Two:
    """Both servers and the reads on them."""

    def __init__(self, folder: Path) -> None:
        self.servers = {name: Server(name) for name in ("postgres", "mongo")}
        self.reads = Reads(load_settings(folder, environment={}), open_=self._open)

    def _open(self, name: str) -> Store:
        fake: object = FakeStore(self.servers[name])
        return fake  # pyright: ignore[reportReturnType] - as much of a store as reads need

    def ask(self) -> tuple[str, float]:
        """Who answers, and after how many seconds."""
        begun = time.monotonic()
        answered = self.reads.ask(lambda store: store.ping(), [TRADES])
        assert answered.value == answered.source.store
        return answered.value, time.monotonic() - begun


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


def test_a_deaf_home_costs_one_read_a_moment_and_no_other(two: Two) -> None:
    """Else a page of twenty reads would hang for half a minute."""
    assert two.ask()[0] == "postgres"
    two.servers["postgres"].hears.clear()
    two.reads.forget()
    store, seconds = two.ask()
    assert store == "mongo"
    assert seconds < 2
    took = [two.ask()[1] for _ in range(5)]
    assert max(took) < 0.5
    two.servers["postgres"].hears.set()
    deadline = time.monotonic() + 10
    while two.ask()[0] != "postgres":
        assert time.monotonic() < deadline


def test_a_question_under_way_is_given_up_when_its_store_falls_silent(two: Two) -> None:
    """A long range may take a minute; a dead server must not."""
    begun = threading.Event()

    def question(store: Store) -> str:
        if not begun.is_set():
            begun.set()
            two.servers["postgres"].hears.clear()
        return store.ping()

    started = time.monotonic()
    answered = two.reads.ask(question, [TRADES])
    assert answered.source.store == "mongo"
    assert time.monotonic() - started < 2
    two.servers["postgres"].hears.set()


def test_nobody_answering_says_what_each_said(two: Two) -> None:
    """Who looks has to know which server to start."""
    for server in two.servers.values():
        server.is_down = True
    with pytest.raises(StoreUnavailableError, match=r"postgres .*refused.* mongo .*refused"):
        two.ask()


def test_a_home_that_is_behind_says_so_where_its_mirror_fails(two: Two) -> None:
    """Prices of an hour ago would pass for those of now."""
    two.servers["mongo"].row = row(2, second=3600)
    two.servers["mongo"].refuses = True
    source = two.reads.ask(lambda store: store.ping(), [TRADES]).source
    assert source.store == "postgres"
    assert source.problems == (
        "postgres is 3,600 s behind",
        "mongo does not answer (no such table)",
    )


def test_nothing_is_an_answer(two: Two) -> None:
    """A question for what is not there is answered with None, by a store that is well."""
    answered = two.reads.ask(lambda store: store.close(), [TRADES])
    assert (answered.value, answered.source.store) == (None, "postgres")


def test_a_mirror_that_does_not_tell_is_no_secret(
    two: Two, capsys: pytest.CaptureFixture[str]
) -> None:
    """Home may be behind, and nobody knows."""
    two.servers["mongo"].is_down = True
    echo_source(two.reads.ask(lambda store: store.ping(), [TRADES]).source)
    assert "postgres could not be compared with its mirror" in capsys.readouterr().err
    two.servers["mongo"].is_down = False
    two.reads.forget()
    echo_source(two.reads.ask(lambda store: store.ping(), [TRADES]).source)
    assert not capsys.readouterr().err


def test_a_home_without_a_collection_does_not_answer(two: Two) -> None:
    """MongoDB answers questions of what is not there: with nothing, and as home."""
    two.servers["mongo"].is_emptied = True
    source = two.reads.ask(lambda store: store.ping(), [FEED_BY_NAME["account_events"]]).source
    assert (source.home, source.store) == ("mongo", "postgres")
    assert source.problems == ("mongo does not answer (collections missing in MongoDB: orders)",)
