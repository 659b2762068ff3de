"""What a book says as a person reads it: nothing is rounded away, nothing unknown made up."""

from decimal import Decimal

import pytest
from click.testing import CliRunner

from crypto_platform.cli import main
from crypto_platform.cli.depth import format_metrics, format_orders
from crypto_platform.cli.sparkline import draw_bar, draw_sparkline
from crypto_platform.domain.book_metrics import fill_buy, fill_sell, measure_book
from crypto_platform.feeds.order_books import OrderBook, TimedBy, read_levels
from crypto_platform.feeds.trades import Side
from crypto_platform.serving.book_metrics import METRIC_COLUMNS, MeasuredBook, Order, build_metrics
from crypto_platform.serving.failover import Source
from crypto_platform.serving.sheets import build_rows
from crypto_platform.stores.market import Market

NOON = 1_763_812_800_000_000


def book(bids: tuple[str, ...], asks: tuple[str, ...]) -> OrderBook:
    """One unit on each level; three levels were asked for."""
    return OrderBook(
        venue="coinbase",
        venue_symbol="BTC-USD",
        symbol="BTC/USD",
        depth=3,
        bid_prices=bids,
        bid_quantities=("1",) * len(bids),
        ask_prices=asks,
        ask_quantities=("1",) * len(asks),
        ts_event=NOON,
        ts_ingest=NOON,
        timed_by=TimedBy.VENUE,
    )


BOOK = book(("99.95", "99.94", "99.93"), ("100.05", "100.50"))


def test_a_band_that_the_snapshot_does_not_leave_says_at_least() -> None:
    """The fourth bid is not there, and may be the largest of all."""
    assert format_metrics(BOOK, measure_book(read_levels(BOOK)), symbol="BTC/USD") == [
        "coinbase BTC/USD  2025-11-22T12:00:00.000000Z (the venue's time)",
        "mid 100.000  spread 0.10 (10.00 bp)  imbalance +0.000 over 2 levels a side",
        "",
        "within  bids: base  quote      asks: base  quote",
        " 10 bp  >= 3        >= 299.82  1           100.05",
        " 50 bp  >= 3        >= 299.82  2           200.55",
        "100 bp  >= 3        >= 299.82  2           200.55",
        "",
        " 10 bp  ████████████████████████ | ████████",
        " 50 bp  ████████████████████████ | ████████████████",
        "100 bp  ████████████████████████ | ████████████████",
    ]


def test_a_book_without_a_side_has_no_bands() -> None:
    """And no spread of 0."""
    one = book((), ("100",))
    lines = format_metrics(one, measure_book(read_levels(one)), symbol=None)
    assert lines[1:] == ["mid -  spread - (-)  imbalance -"]


def test_an_order_that_eats_the_book_is_told_what_there_was() -> None:
    """No price is better than one that nobody would get."""
    levels = read_levels(BOOK)
    orders = [
        Order(Side.BUY, Decimal(2), fill_buy(levels, Decimal(2))),
        Order(Side.SELL, Decimal(9), fill_sell(levels, Decimal(9))),
    ]
    assert format_orders(orders) == [
        "",
        "order  quantity  average price           slippage",
        "buy           2  100.275                 27.50 bp",
        "sell          9  too thin: 3 for 299.82  -",
    ]


def test_a_row_has_all_figures_under_their_names() -> None:
    """A column too few shifts the rest."""
    source = Source(store="postgres", home="postgres")
    market = Market("coinbase", "BTC-USD", "BTC/USD")
    metrics = measure_book(read_levels(BOOK))
    measured = MeasuredBook(source=source, market=market, book=BOOK, metrics=metrics, orders=[])
    [row] = build_rows(build_metrics(measured))
    assert len(row) == len(METRIC_COLUMNS)
    assert (row["spread_bps"], row["ask_quote_50bps"]) == ("10.000000", "200.55")
    assert (row["bid_is_whole_10bps"], row["ask_is_whole_100bps"]) == (False, True)
    empty = book((), ())
    nothing = MeasuredBook(
        source=source,
        market=market,
        book=empty,
        metrics=measure_book(read_levels(empty)),
        orders=[],
    )
    [row] = build_rows(build_metrics(nothing))
    assert (row["mid_price"], row["bid_is_whole_10bps"]) == (None, None)


@pytest.mark.parametrize("size", ["0", "-1", "1e3", "much"])
def test_a_size_that_is_none_says_what_one_is(size: str) -> None:
    """Usage errors end with 2, before anything is asked."""
    ended = CliRunner().invoke(main, ["depth", "coinbase", "BTC/USD", "--size", size])
    assert ended.exit_code == 2
    assert "is no quantity, as 0.5 is one" in ended.output


def test_a_bar_is_its_share_of_the_longest_and_never_hides_what_is_there() -> None:
    """A level of a thousandth is still one."""
    bars = [draw_bar(Decimal(n), longest=Decimal(1000), width=10) for n in (0, 1, 550, 1000)]
    assert [len(bar) for bar in bars] == [0, 1, 5, 10]


def test_a_book_without_anything_near_draws_no_bars() -> None:
    """Nothing within a per cent is no division by nothing."""
    wide = book(("90",), ("110",))
    assert format_metrics(wide, measure_book(read_levels(wide)), symbol=None)[-1] == (
        f"100 bp  {'':24} |"
    )


def test_a_sparkline_rises_with_the_price_and_leaves_out_the_unknown() -> None:
    """The newest is the last, also where there are more than fit."""
    values = [Decimal(1), None, Decimal(8), Decimal(4)]
    assert draw_sparkline(values, width=9) == "▁ █▄"
    assert draw_sparkline([Decimal(n) for n in range(16)], width=4) == "▁▃▅█"
    assert draw_sparkline([Decimal(5)] * 3, width=9) == "▅▅▅"
    assert draw_sparkline([None, None], width=9) == "  "
    assert draw_sparkline([], width=9) == ""
