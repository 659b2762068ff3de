"""Several feeds of one source in one run: each at its pace, gaps told once, with the cursors."""

import json
import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from click.testing import CliRunner, Result

from crypto_platform.cli import main
from crypto_platform.delivery.ingest import FeedReport, ingest
from crypto_platform.errors import SourceError, SourceRefusedError, SourceUnavailableError
from crypto_platform.feeds.quotes import Quote, seal_quote
from crypto_platform.kafka.cursors import cursor_key, read_cursors
from crypto_platform.kafka.watermarks import Watermarks
from crypto_platform.settings import ENV_PREFIX, process_environment
from crypto_platform.sources.base import Gap, Poll
from tests.platform_harness import Platform, clock
from tests.waiting import eventually

NAME = "simulated"
EVENT = 1_763_812_800_000_000
GAP = Gap(
    venue_symbol="BTC-USD",
    after_id="100",
    before_id="150",
    missing_records=49,
    after_us=EVENT,
    before_us=EVENT + 1,
)


class TwoFeeds:
    """A source that counts how often each of its feeds is asked."""

    name = NAME
    feeds = ("quotes", "trades")

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.gaps: tuple[Gap, ...] = ()
        self.faults: dict[str, SourceError] = {}
        self.interruption: SourceUnavailableError | None = None
        self.fails = False

    def poll(self, feed: str, *, positions: Mapping[str, str], ts_ingest: int) -> Poll:
        _ = positions
        self.asked[feed] += 1
        if feed == "trades":
            if self.fails:
                message = "simulated: not now"
                raise SourceUnavailableError(message, source=NAME, url="http://example.com")
            return Poll(
                records=(),
                positions={"BTC-USD": "150"},
                gaps=self.gaps,
                faults=self.faults,
                interruption=self.interruption,
            )
        quote = Quote(
            source=NAME,
            currency_id="bitcoin",
            quote_currency="USD",
            price="1.5",
            ts_event=EVENT,
            ts_ingest=ts_ingest,
        )
        return Poll(records=[seal_quote(quote)])


def follow(platform: Platform, source: TwoFeeds, *, until: int) -> list[FeedReport]:
    """A following run that is stopped once trades were asked for so often."""
    stop = threading.Event()
    selection = [(NAME, feed) for feed in source.feeds]
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(
            ingest,
            *(platform.settings, {NAME: source}, selection),
            clock=clock,
            stop=stop,
            follow_s=60,
        )
        try:
            eventually(lambda: source.asked["trades"] >= until or running.done(), within_s=30)
        finally:
            stop.set()
        return running.result(timeout=20)


def run(platform: Platform, *words: str) -> Result:
    """The command line on this platform's data folder."""
    cleared = {name: None for name in process_environment() if name.startswith(ENV_PREFIX)}
    return CliRunner().invoke(
        main, [*words, "--data-dir", str(platform.data_dir)], env=cleared, catch_exceptions=False
    )


def test_a_refused_symbol_is_told_and_the_rest_is_published(platform: Platform) -> None:
    """Its asset warns each minute until the setting is mended, and its cursor moves on."""
    prefix = f"CRYPTO_PLATFORM_SOURCES__{NAME.upper()}__"
    platform.reload(**{f"{prefix}PACES_S__TRADES": "0.2"})
    source = TwoFeeds()
    text = "simulated: its list has no GONE-USD"
    source.faults = {"GONE-USD": SourceRefusedError(text, source=NAME, url="")}
    [_, trades] = follow(platform, source, until=3)
    assert trades.polls >= 3
    # once a run, not at each of its polls
    assert list(trades.errors) == [text]
    cursors = read_cursors(platform.settings, Watermarks(platform.settings))
    assert any(cursor.position == "150" for cursor in cursors.values())


def test_a_poll_that_was_cut_short_is_published_and_the_next_waits_as_the_source_says(
    platform: Platform,
) -> None:
    """Its cursors move on, and it is no second failure in a row."""
    source = TwoFeeds()
    source.interruption = SourceUnavailableError(
        "simulated: over its budget", source=NAME, url="", retry_after_s=500
    )
    for _ in range(2):
        [_, trades] = ingest(
            platform.settings,
            {NAME: source},
            [(NAME, feed) for feed in source.feeds],
            clock=clock,
            stop=threading.Event(),
        )
        assert (trades.polls, trades.failures) == (1, 1)
    cursors = read_cursors(platform.settings, Watermarks(platform.settings))
    assert cursors[cursor_key(NAME, "trades", "BTC-USD")].position == "150"
    whole = cursors[cursor_key(NAME, "trades")]
    assert (whole.failures, whole.not_before - whole.polled_at) == (1, 500_000_000)


def test_each_feed_is_asked_at_its_own_pace(platform: Platform) -> None:
    """A list that changes once a week must not be asked for as often as trades."""
    prefix = f"CRYPTO_PLATFORM_SOURCES__{NAME.upper()}__"
    platform.reload(**{f"{prefix}PACE_S": "30", f"{prefix}PACES_S__TRADES": "0.2"})
    source = TwoFeeds()
    quotes, trades = follow(platform, source, until=5)
    assert source.asked["quotes"] == quotes.polls == 1
    assert trades.polls >= 5


def test_a_feed_that_fails_waits_by_its_own_pace_and_holds_up_no_other(platform: Platform) -> None:
    """The back-off of the one must not become that of the other."""
    prefix = f"CRYPTO_PLATFORM_SOURCES__{NAME.upper()}__"
    platform.reload(**{f"{prefix}PACE_S": "0.2", f"{prefix}PACES_S__TRADES": "0.4"})
    source = TwoFeeds()
    source.fails = True
    quotes, trades = follow(platform, source, until=3)
    assert (trades.polls, quotes.failures) == (0, 0)
    # 0.4 s, 0.8 s; quotes meanwhile every 0.2 s
    assert quotes.polls >= 4
    assert (quotes.records, quotes.unchanged_records) == (1, quotes.polls - 1)
    cursors = read_cursors(platform.settings, platform.watermarks())
    failed = cursors[f"{NAME}/trades/"]
    assert failed.failures == trades.failures >= 3
    assert failed.not_before - failed.polled_at == 400_000 * 2 ** (failed.failures - 1)


def test_a_position_that_stays_is_written_once(platform: Platform) -> None:
    """Twenty symbols a second would fill the topic of cursors with what it holds already."""
    prefix = f"CRYPTO_PLATFORM_SOURCES__{NAME.upper()}__"
    platform.reload(**{f"{prefix}PACES_S__TRADES": "0.2"})
    follow(platform, TwoFeeds(), until=4)
    cursors = read_cursors(platform.settings, platform.watermarks())
    whole, symbol = (cursors[f"{NAME}/trades/{name}"] for name in ("", "BTC-USD"))
    assert symbol.position == "150"
    # written with the first poll; the feed's own cursor with each
    assert whole.polled_at - symbol.polled_at >= 3 * 200_000


def test_a_gap_is_told_once_and_acknowledged(platform: Platform) -> None:
    """What the venue cannot give any more is somebody's business, and no load's."""
    source = TwoFeeds()
    source.gaps = (GAP,)
    for _ in range(2):
        # the second run sees it again, as one does that was killed before its commit
        [_, trades] = platform.ingest({NAME: source})
        assert (trades.gaps, trades.failures) == (1, 0)
    platform.load_both()

    listed = json.loads(run(platform, "incident", "list", "--json").stdout)["incidents"]
    [found] = listed
    assert (found["kind"], found["source"], found["feed"]) == ("trade_gap", NAME, "trades")
    assert "after trade 100" in found["message"]
    assert "before trade 150" in found["message"]

    answered = run(platform, "incident", "ack", found["subject"], "--reason", "known", "--yes")
    assert answered.exit_code == 0, answered.output
    platform.load_both()
    assert json.loads(run(platform, "incident", "list", "--json").stdout)["incidents"] == []
    assert platform.audit().whole
