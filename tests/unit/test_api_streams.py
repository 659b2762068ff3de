"""Streams: each listener gets each change once, in order, and goes on where he was cut off."""

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import cast

import pytest
from fastapi import Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from crypto_platform.errors import StoreUnavailableError
from crypto_platform.serving.api import streams as module
from crypto_platform.serving.api.journal import Journal
from crypto_platform.serving.api.problems import ApiError
from crypto_platform.serving.api.streams import Row, Streams, Tail
from crypto_platform.serving.failover import Source

SOURCE = Source(store="postgres", home="postgres")


def test_a_journal_tells_each_change_once_and_of_two_the_last() -> None:
    """A quote that changed twice while nobody looked is one row."""
    journal: Journal[str] = Journal(kept_max=10)
    journal.note([("btc", 1, "btc 1"), ("eth", 1, "eth 1")])
    assert journal.since(0) == (["btc 1", "eth 1"], 2, True)
    journal.note([("eth", 1, "eth 1"), ("btc", 2, "btc 2"), ("btc", 3, "btc 3")])
    assert journal.since(2) == (["btc 3"], 4, True)
    assert journal.since(0) == (["eth 1", "btc 3"], 4, True)
    assert journal.since(4) == ([], 4, True)


def test_a_journal_says_when_it_has_forgotten_what_was_missed() -> None:
    """A listener who believes he has all of it would draw a chart with a hole."""
    journal: Journal[int] = Journal(kept_max=3)
    journal.note((number, None, number) for number in range(1, 6))
    assert journal.since(2) == ([3, 4, 5], 5, True)
    assert not journal.since(1).is_whole
    assert not journal.since(6).is_whole, "a number of another journal"


def test_a_journal_is_read_while_it_is_written() -> None:
    """The question's thread writes, the event loop reads: what is noted between is not skipped."""
    journal: Journal[int] = Journal(kept_max=100_000)
    count = 20_000
    writing = threading.Thread(
        target=lambda: [journal.note([(n % 50, n, n)]) for n in range(1, count + 1)]
    )
    writing.start()
    newest = number = 0
    while number < count:
        news = journal.since(number)
        assert news.rows == sorted(news.rows)
        assert all(row > newest for row in news.rows)
        newest, number = max([newest, *news.rows]), news.number
        assert newest == number
    writing.join()


class Feed:
    """What a tail's question finds; grows as the test says."""

    def __init__(self) -> None:
        self.rows: list[int] = [1, 2]
        self.questions = 0
        self.is_down = self.is_broken = False
        self.asked = threading.Event()

    def poll(self, journal: Journal[Row]) -> Source:
        self.questions += 1
        if self.is_broken:
            message = "a mistake"
            raise RuntimeError(message)
        if self.is_down:
            message = "away"
            raise StoreUnavailableError(message)
        journal.note((number, None, {"n": number}) for number in list(self.rows))
        return SOURCE


def request(last_event_id: str | None = None) -> Request:
    headers = [] if last_event_id is None else [(b"last-event-id", last_event_id.encode())]
    return Request({"type": "http", "headers": headers, "query_string": b""})


async def listen(
    streams: Streams, feed: Feed, *, last: str | None = None, from_start: bool = True
) -> AsyncGenerator[ServerSentEvent]:
    """The messages of a stream, without HTTP."""
    answer = await streams.open(
        request(last),
        "rows",
        ("rows",),
        lambda: Tail(feed.poll, kept_max=100),
        who="ann",
        from_start=from_start,
    )
    assert isinstance(answer, EventSourceResponse)
    return cast("AsyncGenerator[ServerSentEvent]", answer.body_iterator)


def numbers_of(message: ServerSentEvent) -> list[int]:
    assert message.event == "rows"
    document = json.loads(str(message.data))
    assert (document["source"], document["stale"]) == ("postgres", False)
    return [row["n"] for row in document["rows"]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is long for a test."""
    monkeypatch.setattr(module, "POLL_EVERY_S", 0.01)


def run(test: Callable[[], object]) -> None:
    asyncio.run(test())  # pyright: ignore[reportArgumentType] - a coroutine function


def test_a_newcomer_gets_what_there_is_then_what_comes() -> None:
    """Or only what comes, as he asks."""

    async def test() -> None:
        feed, streams = Feed(), Streams(streams_max=5)
        async with aclosing(await listen(streams, feed)) as first:
            assert numbers_of(await anext(first)) == [1, 2]
            async with aclosing(await listen(streams, feed, from_start=False)) as second:
                waiting = asyncio.ensure_future(anext(second))
                await asyncio.sleep(0.05)
                feed.rows += [3]
                assert numbers_of(await waiting) == [3]
            assert numbers_of(await anext(first)) == [3]

    run(test)


def test_a_mistake_of_ours_ends_a_stream_and_not_the_next() -> None:
    """Kept alive by heartbeats, it would be silent for a quarter of an hour."""

    async def test() -> None:
        feed, streams = Feed(), Streams(streams_max=5)
        async with aclosing(await listen(streams, feed)) as stream:
            assert numbers_of(await anext(stream)) == [1, 2]
            feed.is_broken = True
            with pytest.raises(StopAsyncIteration):
                await asyncio.wait_for(anext(stream), 5)
        feed.is_broken = False
        async with aclosing(await listen(streams, feed)) as stream:
            assert numbers_of(await anext(stream)) == [1, 2]

    run(test)


def test_who_was_cut_off_goes_on_behind_his_last_message() -> None:
    """Each trade once: a second time is as wrong as never."""

    async def test() -> None:
        feed, streams = Feed(), Streams(streams_max=5)
        async with aclosing(await listen(streams, feed)) as cut:
            last = await anext(cut)
        feed.rows += [3, 4]
        async with aclosing(await listen(streams, feed, last=last.id)) as again:
            assert numbers_of(await anext(again)) == [3, 4]
        async with aclosing(
            await listen(streams, feed, last="another-7", from_start=False)
        ) as lost:
            assert (await anext(lost)).event == "reset"

    run(test)


def test_all_listeners_share_one_question() -> None:
    """A hundred open pages must not be a hundred questions a second."""

    async def test() -> None:
        feed, streams = Feed(), Streams(streams_max=100)
        opened = [await listen(streams, feed) for _ in range(50)]
        for each in opened:
            assert numbers_of(await anext(each)) == [1, 2]
        assert feed.questions < 10
        for each in opened:
            await each.aclose()

    run(test)


def test_a_store_that_goes_away_and_comes_back_costs_no_message() -> None:
    """A stream is open for a quarter of an hour; a restart takes seconds."""

    async def test() -> None:
        feed, streams = Feed(), Streams(streams_max=5)
        async with aclosing(await listen(streams, feed)) as own:
            await anext(own)
            feed.is_down = True
            waiting = asyncio.ensure_future(anext(own))
            await asyncio.sleep(0.05)
            assert not waiting.done()
            feed.rows += [3]
            feed.is_down = False
            assert numbers_of(await waiting) == [3]

    run(test)


def test_one_client_cannot_hold_all_streams() -> None:
    """Each costs memory for as long as it is open."""

    async def test() -> None:
        feed, streams = Feed(), Streams(streams_max=1)
        async with aclosing(await listen(streams, feed)) as own:
            await anext(own)
            with pytest.raises(ApiError):
                await listen(streams, feed)
        async with aclosing(await listen(streams, feed)) as own:
            assert numbers_of(await anext(own)) == [1, 2]

    run(test)


def test_streams_that_are_asked_for_at_once_are_counted_one_after_another() -> None:
    """Twenty requests in one packet went past a limit of one: each saw nobody listening yet."""

    async def test() -> None:
        feed, streams = Feed(), Streams(streams_max=1)
        found = await asyncio.gather(
            *(listen(streams, feed) for _ in range(5)), return_exceptions=True
        )
        assert [type(each) for each in found if isinstance(each, Exception)] == [ApiError] * 4
        [own] = [each for each in found if not isinstance(each, BaseException)]
        async with aclosing(own):
            assert numbers_of(await anext(own)) == [1, 2]

    run(test)


def test_a_stream_that_never_began_holds_no_place() -> None:
    """A store that is away, a client who asks for the head only: he may come back all the same."""

    async def test() -> None:
        feed, streams = Feed(), Streams(streams_max=1)
        feed.is_down = True
        with pytest.raises(StoreUnavailableError):
            await listen(streams, feed)
        feed.is_down = False
        answer = await streams.open(
            request(),
            "rows",
            ("rows",),
            lambda: Tail(feed.poll, kept_max=100),
            who="ann",
            from_start=True,
        )

        async def receive() -> dict[str, object]:
            return {"type": "http.disconnect"}

        async def send(_: object) -> None:
            pass

        await answer({"type": "http", "method": "HEAD"}, receive, send)
        async with aclosing(await listen(streams, feed)) as own:
            assert numbers_of(await anext(own)) == [1, 2]

    run(test)
