"""Tables of trades, candles and books, and the forms for other programs: every digit is there."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pandas as pd
import pytest

from crypto_platform.cli.market import build_levels, format_book, format_candles, format_trades
from crypto_platform.cli.sheet import Form, echo_form, print_csv, writing
from crypto_platform.errors import StoreUnavailableError
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.candles import Candle, Interval
from crypto_platform.feeds.feed import FieldKind
from crypto_platform.feeds.order_books import OrderBook, TimedBy
from crypto_platform.feeds.trades import Side, Trade
from crypto_platform.serving.sheets import Column, Sheet, build_rows, build_sheet

TRADES = FEED_BY_NAME["trades"]
NOON = 1_763_812_800_000_000
LONG = "93233.364845644740853459012345678"


def trade(number: int, price: str, quantity: str) -> Trade:
    """A trade of Bitcoin."""
    return Trade(
        venue="coinbase",
        venue_symbol="BTC-USD",
        symbol="BTC/USD",
        trade_id=str(number),
        price=price,
        quantity=quantity,
        taker_side=Side.BUY if number % 2 else None,
        ts_event=NOON + number,
        ts_ingest=NOON,
    )


CHEAP, DEAR = trade(1, "0.10", "1000"), trade(2, LONG, "0.00000001")
BOOK = OrderBook(
    venue="coinbase",
    venue_symbol="BTC-USD",
    symbol="BTC/USD",
    depth=2,
    bid_prices=("99.5", "9"),
    bid_quantities=("1.25", "10"),
    ask_prices=("100",),
    ask_quantities=("0.5",),
    ts_event=NOON,
    ts_ingest=NOON,
    timed_by=TimedBy.VENUE,
)


def test_amounts_stand_point_below_point_with_all_their_digits() -> None:
    """A rounded price is another price."""
    [_, cheap, dear] = format_trades([CHEAP, DEAR])
    assert cheap.split() == ["2025-11-22T12:00:00.000001Z", "0.10", "1000", "buy", "1"]
    assert dear.split() == ["2025-11-22T12:00:00.000002Z", LONG, "0.00000001", "-", "2"]
    assert cheap.index("0.10") + 1 == dear.index(LONG) + 5
    assert cheap.index("1000") + 4 == dear.index("0.00000001") + 1


def test_a_book_shows_both_sides_spread_and_mid() -> None:
    """The shorter side ends, the other goes on."""
    assert format_book(BOOK) == [
        "coinbase BTC/USD  2025-11-22T12:00:00.000000Z (the venue's time)",
        "spread 0.5  mid 99.75",
        "",
        "bid quantity   bid  ask  ask quantity",
        "        1.25  99.5  100  0.5",
        "       10      9",
    ]


def test_an_unknown_count_of_trades_is_a_dash() -> None:
    """Not nought: the venue did not say."""
    candle = Candle(
        venue="kraken",
        venue_symbol="XXBTZUSD",
        interval=Interval.MINUTE,
        ts_event=NOON,
        open="1.0",
        high="2",
        low="0.5",
        close="1.10",
        base_volume="7",
        ts_ingest=NOON,
    )
    [_, line] = format_candles([candle])
    assert line.split() == ["2025-11-22", "12:00", "1.0", "2", "0.5", "1.10", "7", "-"]


def test_csv_has_the_digits_and_leaves_the_unknown_empty() -> None:
    """A spreadsheet that reads a number has itself to blame."""
    [header, cheap, dear] = csv.reader(io.StringIO(print_csv(build_sheet(TRADES, [CHEAP, DEAR]))))
    assert dict(zip(header, dear, strict=True))["price"] == LONG
    row = dict(zip(header, cheap, strict=True))
    assert (row["price"], row["ts_event"]) == ("0.10", "2025-11-22T12:00:00.000001Z")
    assert dict(zip(header, dear, strict=True))["taker_side"] == ""


def write_parquet(sheet: Sheet, file: Path) -> None:
    """As `--parquet` does."""
    echo_form(Form(as_json=False, as_csv=False, parquet_file=file), sheet, {}, name="trades")


ODD = msgspec.structs.replace(CHEAP, symbol='line\u2028or\x85two "\n')


@pytest.mark.parametrize("pages", [[], [[CHEAP]], [[CHEAP], [], [DEAR, ODD]]])
def test_pages_print_as_the_whole_would(
    pages: list[list[Trade]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Who reads the document must not be able to tell how it was made."""
    whole = build_sheet(TRADES, [trade for page in pages for trade in page])
    printed: list[str] = []
    for form in (Form(True, False, None), Form(False, True, None)):
        with writing(form, whole.columns, {"store": "postgres"}, name="trades") as write:
            for page in pages:
                write(build_sheet(TRADES, page).rows)
        printed.append(capsys.readouterr().out)
    document = {"store": "postgres", "trades": build_rows(whole)}
    assert printed[0] == json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    assert printed[1] == print_csv(whole)


def test_a_parquet_file_has_all_pages_or_stays_as_it_was(tmp_path: Path) -> None:
    """Half an hour of trades under the name of the whole would be believed."""
    pytest.importorskip("pyarrow")
    file = tmp_path / "trades.parquet"
    sheet = build_sheet(TRADES, [CHEAP])
    form = Form(as_json=False, as_csv=False, parquet_file=file)
    with writing(form, sheet.columns, {}, name="trades") as write:
        write(sheet.rows)
        write(build_sheet(TRADES, [DEAR]).rows)
    assert list(pd.read_parquet(file)["price"]) == ["0.10", LONG]

    def pages() -> Iterator[list[Trade]]:
        yield [CHEAP]
        message = "down"
        raise StoreUnavailableError(message)

    def write_half() -> None:
        with writing(form, sheet.columns, {}, name="trades") as write:
            for page in pages():
                write(build_sheet(TRADES, page).rows)

    with pytest.raises(StoreUnavailableError):
        write_half()
    assert list(pd.read_parquet(file)["price"]) == ["0.10", LONG]
    assert [path.name for path in tmp_path.iterdir()] == ["trades.parquet"]


def test_a_list_in_parquet_is_json_as_in_csv(tmp_path: Path) -> None:
    """What Python prints of a list is nobody's format."""
    sheet = Sheet([Column("ids", FieldKind.TEXTS)], [(("a", "b"),), (None,), ((),)])
    write_parquet(sheet, tmp_path / "ids.parquet")
    found = pd.read_parquet(tmp_path / "ids.parquet")["ids"]
    assert [None if pd.isna(each) else each for each in found] == ['["a", "b"]', None, "[]"]


def test_parquet_keeps_digits_as_strings_and_microseconds_as_times(tmp_path: Path) -> None:
    """A column of doubles would have lost half of the digits before anybody looked."""
    pytest.importorskip("pyarrow")
    file = tmp_path / "trades.parquet"
    write_parquet(build_sheet(TRADES, [CHEAP, DEAR]), file)
    table = pd.read_parquet(file)
    assert list(table["price"]) == ["0.10", LONG]
    assert list(table["quantity"]) == ["1000", "0.00000001"]
    assert table["ts_event"].iloc[0] == pd.Timestamp("2025-11-22T12:00:00.000001Z")
    assert table["ts_event_text"].isna().all()
    assert [path.name for path in tmp_path.iterdir()] == ["trades.parquet"]


def test_parquet_of_nothing_has_the_same_columns(tmp_path: Path) -> None:
    """An hour without trades must not break who reads a folder of hours."""
    pytest.importorskip("pyarrow")
    write_parquet(build_sheet(TRADES, []), tmp_path / "none.parquet")
    write_parquet(build_sheet(TRADES, [DEAR]), tmp_path / "one.parquet")
    none, one = (pd.read_parquet(tmp_path / name) for name in ("none.parquet", "one.parquet"))
    assert list(none.dtypes.items()) == list(one.dtypes.items())


def test_a_book_as_rows_has_a_level_in_each() -> None:
    """A list in a cell is no table."""
    told = [
        (row["side"], row["level"], row["price"], row["quantity"])
        for row in build_rows(build_levels([BOOK]))
    ]
    assert told == [("bid", 1, "99.5", "1.25"), ("bid", 2, "9", "10"), ("ask", 1, "100", "0.5")]
