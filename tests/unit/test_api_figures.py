"""The API's figures and reports over fake stores: pages, forms, refusals, whose they are."""

import csv
import io
import threading
import time
from collections.abc import Iterator
from decimal import Decimal

import httpx
import msgspec
import pytest

from crypto_platform.serving.api import reports
from crypto_platform.serving.sheets import print_time
from tests.api_harness import SYMBOL, VENUE, FakeStore, candle, serving, trade
from tests.unit.test_api_account import build_store, log_in

MINUTE = 60_000_000
HOUR = 60 * MINUTE
HERE = {"venue": VENUE, "symbol": "BTC/USD"}
TAX = {"year": "2025", "currency": "USD"}


@pytest.fixture
def store() -> FakeStore:
    """Trades in four minutes of six, and a busy company."""
    store = build_store()
    seconds = (0, 30, 60, 200, 301, 302)
    store.market["trades"] = [trade(n, second=s) for n, s in enumerate(seconds, start=1)]
    return store


@pytest.fixture
def client(store: FakeStore) -> Iterator[httpx.Client]:
    with serving(store) as client:
        yield client


def test_candles_of_trades_come_page_by_page_newest_first(client: httpx.Client) -> None:
    """A minute without a trade has no candle, and none is given twice."""
    given: list[tuple[str, int]] = []
    cursor: dict[str, str] = {}
    while True:
        asked = {**HERE, "made_of": "trades", "limit": "3", **cursor}
        page = client.get("/v1/candles", params=asked).json()
        assert (page["venue_symbol"], page["symbol"]) == (SYMBOL, "BTC/USD")
        given += [(each["ts_event"][14:16], each["trade_count"]) for each in page["candles"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert given == [("05", 2), ("03", 1), ("01", 1), ("00", 2)]
    stolen = client.get("/v1/candles", params={**HERE, "made_of": "trades", "cursor": "x"})
    assert stolen.status_code == 422


def test_indicators_are_of_the_newest_candles_and_unknown_where_nothing_is_known(
    client: httpx.Client,
) -> None:
    """An average of fewer candles than it names is another figure."""
    asked = {**HERE, "names": "sma:3", "limit": "3"}
    rows = client.get("/v1/indicators", params=asked).json()["indicators"]
    assert [row["ts_event"][14:16] for row in rows] == ["05", "03", "01"]
    averages = [row[name] for row in rows for name in row if name.startswith("sma")]
    assert averages[2] is None
    assert averages[0] is not None
    assert client.get("/v1/indicators", params=asked).json()["made_of"] == "trades"
    for wrong in ("nonsense", "sma:0", "sma:20:3", ","):
        refused = client.get("/v1/indicators", params={**HERE, "names": wrong})
        assert refused.status_code == 422, wrong
        assert refused.json()["detail"].startswith("names: ")


def test_indicators_are_of_the_venues_candles_where_there_are_no_trades_or_they_are_asked_for(
    store: FakeStore, client: httpx.Client
) -> None:
    """A year of hourly candles says enough for an average, and has no trades."""
    store.market["candles"] = [candle(minute) for minute in range(5)]
    asked = {**HERE, "names": "sma:2,vwap", "limit": "4", "made_of": "venue"}
    document = client.get("/v1/indicators", params=asked).json()
    assert document["made_of"] == "venue"
    minutes = [row["ts_event"][14:16] for row in document["indicators"]]
    assert minutes == ["04", "03", "02", "01"]
    averages = [next(row[n] for n in row if n.startswith("sma")) for row in document["indicators"]]
    assert averages == ["2", "2", "2", "2"]

    store.market["trades"] = []
    with serving(store) as without_trades:
        asked.pop("made_of")
        assert without_trades.get("/v1/indicators", params=asked).json() == document
        asked["made_of"] = "trades"
        assert without_trades.get("/v1/indicators", params=asked).status_code == 404


def test_the_overview_has_every_market(client: httpx.Client) -> None:
    """And says of what its figures were made."""
    [row] = client.get("/v1/overview").json()["markets"]
    assert (row["venue"], row["symbol"]) == (VENUE, "BTC/USD")


def test_movements_are_of_the_full_hours_newest_first(
    store: FakeStore, client: httpx.Client
) -> None:
    """This hour is not over; a price that swings between 2 and 4 every minute moves much."""
    now = time.time_ns() // 1000
    hour = now - now % HOUR
    store.market["candles"] = [
        msgspec.structs.replace(candle(0), ts_event=hour - n * MINUTE, close=str(2 + n // 5 % 2))
        for n in range(180, -60, -1)
    ]
    document = client.get("/v1/volatility", params={**HERE, "limit": 2}).json()
    assert document["made_of"] == "venue"
    newest, before = document["volatility"]
    assert [row["as_of"] for row in (newest, before)] == [
        print_time(hour),
        print_time(hour - HOUR),
    ]
    assert (newest["returns"], before["returns"]) == (35, 23)
    assert Decimal(newest["annualised_pct"]) > 1000
    alone = client.get("/v1/correlations", params=HERE).json()
    assert (alone["symbol"], alone["correlations"]) == ("BTC/USD", [])
    for path, too_many in (("/v1/volatility", "169"), ("/v1/correlations", "25")):
        assert client.get(path, params={**HERE, "limit": too_many}).status_code == 422
        assert client.get(path, params={**HERE, "symbol": "no/no"}).status_code == 404


def test_a_user_gets_his_own_report_in_the_form_he_asks_for(client: httpx.Client) -> None:
    """What a tax office is sent must be his, and whole."""
    own = log_in(client, "ann")
    report = client.get("/v1/me/tax-report", params=TAX, headers=own)
    assert (report.status_code, report.json()["user"]) == (200, "ann"), report.text
    assert report.headers["Cache-Control"] == "private, no-cache"
    asked = {**TAX, "format": "csv", "table": "fees"}
    table = client.get("/v1/me/tax-report", params=asked, headers=own)
    assert table.headers["Content-Type"].startswith("text/csv")
    assert table.headers["Content-Disposition"] == 'attachment; filename="tax-report-2025.csv"'
    [header, *_] = csv.reader(io.StringIO(table.text))
    assert "event_id" in header
    history = client.get("/v1/me/portfolio/history", params={"to": "2025-11-23"}, headers=own)
    assert [day["day"] for day in history.json()["days"]] == ["2025-11-22", "2025-11-23"]


def test_a_report_with_deposits_of_unknown_cost_says_so_in_every_form(
    store: FakeStore, client: httpx.Client
) -> None:
    """He gave no origins, and could not have: an unknown gain must not come unannounced."""
    store.company.deposit("ann", "ETH", "7")
    own = log_in(client, "ann")
    notes = client.get("/v1/me/tax-report", params=TAX, headers=own).json()["notes"]
    assert any("deposits have an unknown cost" in note for note in notes), notes
    for form in ("csv", "pdf"):
        answer = client.get("/v1/me/tax-report", params={**TAX, "format": form}, headers=own)
        assert answer.headers["X-Report-Notes"] == "; ".join(notes)


def test_what_cannot_be_reported_is_told_as_the_askers_fault(client: httpx.Client) -> None:
    """And nothing of anybody is reported to nobody."""
    own = log_in(client, "ann")
    for wrong in (
        {"year": "2999"},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "../../etc/passwd"},
        {"table": "fees"},
        {"method": "best"},
        {"currency": "usd"},
        {"user": "bob"},
    ):
        refused = client.get("/v1/me/tax-report", params={**TAX, **wrong}, headers=own)
        assert refused.status_code == 422, (wrong, refused.text)
    days = {"from": "2025-11-23", "to": "2025-11-22"}
    assert client.get("/v1/me/portfolio/history", params=days, headers=own).status_code == 422
    for path in ("/v1/me/tax-report", "/v1/me/portfolio/history"):
        assert client.get(path, params=TAX).status_code == 401


def test_few_reports_are_made_at_a_time_and_nobody_waits_for_them(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One takes seconds of a core; who waited for his would keep a thread from others' prices."""
    own = log_in(client, "ann")
    monkeypatch.setattr(reports, "_places", threading.BoundedSemaphore(1))
    with reports._places:  # noqa: SLF001 - as if one were being made
        begun = time.monotonic()
        busy = client.get("/v1/me/tax-report", params=TAX, headers=own)
    assert (busy.status_code, busy.headers["Retry-After"]) == (503, "3")
    assert time.monotonic() - begun < 2
    assert client.get("/v1/me/tax-report", params=TAX, headers=own).status_code == 200
