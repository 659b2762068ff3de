"""Reads while a real store is stopped, frozen or behind: answers go on, and say where from."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from crypto_platform.cli import main
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.feeds.accounts import Wallet
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.serving.failover import Answered, Reads
from crypto_platform.serving.reader import QuoteReader, QuotesAnswer
from crypto_platform.settings import ENV_PREFIX, process_environment
from crypto_platform.stack.state import read_state
from tests.account_steps import build_busy_company
from tests.fault_steps import assert_whole, numbered_quotes
from tests.own_servers import own_server
from tests.platform_harness import Platform, clock
from tests.trouble_steps import suspended
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)

ANSWER_S_MAX = 2.0


def timed(read: Callable[[], QuotesAnswer]) -> tuple[QuotesAnswer, float]:
    """An answer and how long it took."""
    begun = time.monotonic()
    answer = read()
    return answer, time.monotonic() - begun


def run(platform: Platform, *words: str) -> Result:
    """The command line on this platform's data folder."""
    cleared = {name: None for name in process_environment() if name.startswith(ENV_PREFIX)}
    return CliRunner().invoke(main, [*words, "--data-dir", str(platform.data_dir)], env=cleared)


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    """What the test opened, closed with it."""
    with ExitStack() as stack:
        yield stack


def open_reader(platform: Platform, closing: ExitStack) -> QuoteReader:
    """Quotes as a running view reads them, by the settings of now."""
    reader = QuoteReader(platform.settings)
    closing.callback(reader.close)
    return reader


def pid_of(folder: Path, part: str) -> int:
    """The process of a server in a folder of its own."""
    state = read_state(folder)
    assert state is not None
    pid = state.parts[part].pid
    assert pid is not None
    return pid


def test_reads_go_on_from_the_mirror_while_home_is_away_and_go_home_again(
    platform: Platform, own_folder: Path, closing: ExitStack
) -> None:
    """Fault 30: a trading desk that sees nothing while one of two equal stores restarts."""
    platform.publish(QUOTES, numbered_quotes(1, 20))
    with own_server(platform, own_folder, "postgres"):
        platform.load_both()
        reader = open_reader(platform, closing)
        eventually(lambda: reader.read().source.is_home, within_s=10)
        first, _ = timed(reader.read)
        assert (first.source.store, first.source.is_home) == ("postgres", True)

        with suspended(pid_of(own_folder, "postgres")):
            frozen, seconds = timed(reader.read)
            assert (frozen.source.store, frozen.source.is_home) == ("mongo", False)
            assert seconds < ANSWER_S_MAX
            assert frozen.quotes == first.quotes
            assert max(timed(reader.read)[1] for _ in range(5)) < ANSWER_S_MAX / 2
        eventually(lambda: reader.read().source.is_home, within_s=20)

    gone, seconds = timed(reader.read)
    assert (gone.source.store, seconds < ANSWER_S_MAX) == ("mongo", True)
    assert gone.quotes == first.quotes
    [problem] = gone.source.problems
    assert problem.startswith("postgres does not answer (")
    shown = run(platform, "quotes", "--json")
    document = json.loads(shown.stdout)
    source = document["source"]
    assert (document["store"], source["home"], source["is_home"]) == ("mongo", "postgres", False)
    assert source["newest_record"] is not None
    assert "read from mongo instead, its mirror, whose newest record is" in shown.stderr

    with own_server(platform, own_folder, "postgres"):
        eventually(lambda: reader.read().source.is_home, within_s=20)
        assert json.loads(run(platform, "quotes", "--json").stdout)["source"]["is_home"]
        assert_whole(platform, numbered_quotes(1, 20))


def test_what_belongs_to_users_is_read_from_postgresql_while_mongodb_is_away(
    platform: Platform, own_folder: Path, closing: ExitStack
) -> None:
    """Fault 30: nobody may stand before an empty wallet because one of two stores is away."""
    truth = build_busy_company()
    platform.publish(ACCOUNT_EVENTS, truth.events)
    wallets = [own for (user, _), own in sorted(truth.wallets.items()) if user == "ann"]

    def ask(reads: Reads) -> tuple[Answered[list[Wallet]], float]:
        begun = time.monotonic()
        answered = reads.ask(lambda store: list(store.read_wallets("ann")), [ACCOUNT_EVENTS])
        assert answered.value == wallets
        return answered, time.monotonic() - begun

    with own_server(platform, own_folder, "mongo"):
        platform.load_both()
        reads = Reads(platform.settings)
        closing.callback(reads.close)
        eventually(lambda: ask(reads)[0].source.is_home, within_s=10)

        with suspended(pid_of(own_folder, "mongo")):
            frozen, seconds = ask(reads)
            assert (frozen.source.store, frozen.source.home) == ("postgres", "mongo")
            assert frozen.source.newest_us is not None
            assert seconds < ANSWER_S_MAX
            assert max(ask(reads)[1] for _ in range(5)) < ANSWER_S_MAX / 2
        eventually(lambda: ask(reads)[0].source.is_home, within_s=20)

    gone, seconds = ask(reads)
    assert (gone.source.store, seconds < ANSWER_S_MAX) == ("postgres", True)
    assert gone.source.problems[0].startswith("mongo does not answer (")
    shown = run(platform, "wallet", "--user", "ann", "--json")
    document = json.loads(shown.stdout)
    source = document["source"]
    assert (document["store"], source["home"], source["is_home"]) == ("postgres", "mongo", False)
    assert source["newest_record"] is not None
    assert "read from postgres instead, its mirror, whose newest record is" in shown.stderr

    with own_server(platform, own_folder, "mongo"):
        eventually(lambda: ask(reads)[0].source.is_home, within_s=20)
        assert json.loads(run(platform, "wallet", "--user", "ann", "--json").stdout)["source"][
            "is_home"
        ]
        assert platform.audit(deep=True).whole


def test_a_home_that_is_behind_leaves_the_answer_to_its_mirror(
    platform: Platform, closing: ExitStack
) -> None:
    """Fault 30: prices of an hour ago look like those of now."""
    platform.reload(CRYPTO_PLATFORM_SERVING__BEHIND_S_MAX="1")
    platform.publish(QUOTES, numbered_quotes(1, 1))
    platform.load_both()
    loaded_at = clock()
    reader = open_reader(platform, closing)
    eventually(lambda: reader.read().source.is_home, within_s=10)

    eventually(lambda: clock() > loaded_at + 1_500_000, within_s=5)
    platform.publish(QUOTES, numbered_quotes(2, 2))
    platform.load("mongo")
    eventually(lambda: len(reader.read().quotes) == 2, within_s=10)
    source = reader.read().source
    assert (source.store, source.is_home) == ("mongo", False)
    assert source.problems[0].startswith("postgres is ")

    platform.load("postgres")
    eventually(lambda: reader.read().source.is_home, within_s=10)
    assert platform.audit(deep=False).whole
