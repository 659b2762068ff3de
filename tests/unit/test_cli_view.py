"""The live view: made from values, and it ends."""

import io
import threading
from pathlib import Path

import pytest
from rich.console import Console, Group

from crypto_platform.cli.status_text import format_status, source_row, store_row
from crypto_platform.cli.view import Onlooker, Prices, format_line, render, run_live_view
from crypto_platform.feeds.quotes import Quote
from crypto_platform.serving.health import PartStatus, Status
from crypto_platform.serving.judge import build_status
from crypto_platform.serving.probe import Answer
from crypto_platform.serving.readings import StoreReading
from tests.status_steps import NOON, readings, settings_of


def quote(price: str) -> Quote:
    """Bitcoin at noon."""
    return Quote(
        source="simulated",
        currency_id="bitcoin",
        currency_symbol="BTC",
        quote_currency="USD",
        price=price,
        ts_event=NOON,
        ts_ingest=NOON,
    )


def show(status: Status, prices: Prices, *, columns: int) -> list[str]:
    """The lines of a frame, without colours."""
    console = Console(file=io.StringIO(), width=columns, color_system=None)
    head = [[(line, "dim")] for line in ("Ctrl-C stops", "logs x", "settings y")]
    frame = render(status, prices, head=head, columns=columns)
    console.print(Group(frame))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().rstrip().splitlines()


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_a_frame_fits_every_terminal(tmp_path: Path, columns: int) -> None:
    """A line that wraps shifts all below it, and Live then leaves its rests behind."""
    prices = Prices(settings_of(tmp_path))
    prices.take([quote("93000.5")])
    lines = show(build_status(settings_of(tmp_path), readings()), prices, columns=columns)
    assert all(len(line) <= columns for line in lines)
    assert lines[3:5] == ["logs x", "settings y"]
    assert len(lines) <= 23
    assert lines[0].startswith("crypto-platform good   12:00:00 UTC   0 incidents open")
    assert any("93,000.50 USD" in line for line in lines)


def test_wide_terminals_show_sources_beside_prices(tmp_path: Path) -> None:
    """A window of 24 lines has to hold it all."""
    prices = Prices(settings_of(tmp_path))
    prices.take([quote("93000.5")] * 8)
    status = build_status(settings_of(tmp_path), readings())
    assert len(show(status, prices, columns=120)) < len(show(status, prices, columns=80)) <= 23


def test_a_price_shows_whether_it_rose_or_fell_since_the_last_one(tmp_path: Path) -> None:
    """A colour that follows the day's change stays the same for hours."""
    prices = Prices(settings_of(tmp_path))
    moves: list[int | None] = []
    for price in ("10", "10.5", "10.50", "9"):
        prices.take([quote(price)])
        moves.append(prices.moves.get("simulated/bitcoin"))
    assert moves == [None, 1, 0, -1]


def test_what_is_down_or_was_started_again_is_told(tmp_path: Path) -> None:
    """It is what people look for when they look at all."""
    restarted = PartStatus(
        name="kafka", state="ready", pid=1, restarts=2, address=None, is_good=True
    )
    found = readings(postgres=Answer[StoreReading](problem="refused"), parts=(restarted,))
    status = build_status(settings_of(tmp_path), found)
    text = "\n".join(show(status, Prices(settings_of(tmp_path)), columns=120))
    assert "crypto-platform NOT GOOD" in text
    assert "not good: postgres is down: refused" in text
    assert "kafka is ready, started again 2 times" in text
    assert "postgres DOWN" in format_line(status, Prices(settings_of(tmp_path)))


def test_a_pause_is_shown_with_its_end(tmp_path: Path) -> None:
    """Who finds it paused has not typed `pause`, and asks how to undo it."""
    found = readings(paused=frozenset({"simulated", "mongo"}))
    status = build_status(settings_of(tmp_path), found)
    told = (
        "source simulated is paused: `crypto-platform resume simulated` goes on",
        "store mongo is paused: `crypto-platform resume mongo` goes on",
    )
    frame = "\n".join(show(status, Prices(settings_of(tmp_path)), columns=120))
    line = format_line(status, Prices(settings_of(tmp_path)))
    assert all(text in shown for text in told for shown in (frame, line, format_status(status)))
    assert store_row(status.stores[1])[:2] == ("mongo", "paused")
    [simulated] = [source for source in status.sources if source.name == "simulated"]
    assert source_row(simulated)[:2] == ("simulated", "paused")


def test_the_view_ends_when_told_and_survives_that_nothing_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`up` waits for it before it stops the servers; and servers may all be down."""
    stop = threading.Event()
    stop.set()
    run_live_view(settings_of(tmp_path), stop)
    assert capsys.readouterr().out == ""
    stop.clear()
    threading.Timer(0.5, stop.set).start()
    run_live_view(settings_of(tmp_path), stop)
    [line] = capsys.readouterr().out.splitlines()
    assert "NOT GOOD: Kafka is down" in line
    assert "postgres DOWN" in line


def test_an_onlooker_sees_each_status_and_may_end_the_view(tmp_path: Path) -> None:
    """`prove` would miss the longest lag, and never learn that it is over."""
    stop = threading.Event()
    seen: list[Status] = []
    output = io.StringIO()

    def see(status: Status) -> None:
        seen.append(status)
        if len(seen) == 2:
            stop.set()

    onlooker = Onlooker(see=see, log=list)
    run_live_view(settings_of(tmp_path), stop, onlooker=onlooker, output=output)
    assert len(seen) == 2
    assert len(output.getvalue().splitlines()) == 1
