"""A backfilled past reaches charts, the gap report and users' reports without another click.

A year of hourly candles and three days of trades of five symbols, each as one run, on a running
stack; from then on sensors alone are at work.
"""

import json
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest

from crypto_platform.domain.hours import to_time_us
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.feeds.codec import encode
from crypto_platform.kafka.producer import Outgoing, Publisher
from crypto_platform.settings import Settings
from crypto_platform.stack.embedded import embedded_servers
from tests.account_steps import SmallCompany
from tests.stack_harness import run_cli, running_up, stack_folder, state_of
from tests.ui_harness import Stack
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.servers, pytest.mark.timeout(3600)]

VENUE = "simulated_exchange"
SYMBOLS = ("AAVE-USD", "DOT-USD", "ETC-USD", "ICP-USD", "NEAR-USD")
"""Of those that trade least: some 22,000 times a day."""
LOOK_S = 2.0
"""Each look is a process or a query: what is looked at needs the cores more."""
USER = "ann"
HELD = "AAVE"
SETTINGS = f"""
[company]
enabled = false
[analytics]
every_s = 30
[sources.{VENUE}]
symbols = {json.dumps(SYMBOLS)}
intervals = ["1h"]
pace_s = 5
"""
MIDNIGHT = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
"""Since then the simulated exchange trades."""
DAYS = [FIRST_DAY + timedelta(days=n) for n in range((MIDNIGHT - FIRST_DAY).days)][-365:]
TRADE_DAYS = DAYS[-3:]
HELD_SINCE = DAYS[-30]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A user has held something for a month, of which no price is stored."""
    with stack_folder() as folder:
        with embedded_servers(folder, migrate=True) as settings:
            publish_deposit(settings)
        (folder / "settings.toml").write_text(SETTINGS, "utf-8")
        with running_up(folder):
            made = Stack(folder, [MIDNIGHT])
            eventually(lambda: bool(read_days(made)), within_s=240, every_s=LOOK_S)
            yield made


def publish_deposit(settings: Settings) -> None:
    company = SmallCompany(begins_us=to_time_us(HELD_SINCE))
    event = company.deposit(USER, HELD, "2")
    feed = FEED_BY_NAME[ACCOUNT_EVENTS.name]
    publisher = Publisher(settings, source="test", feed=feed.name)
    publisher.open()
    publisher.publish([Outgoing(feed.topic, feed.key_of(event), encode(event))])
    publisher.close()


def read_days(stack: Stack) -> Sequence[Mapping[str, Any]]:
    """What the user had at each day's end; today is not over."""
    words = ("portfolio", "--user", USER, "--history", "--json", "--data-dir", str(stack.folder))
    said = run_cli(*words, timeout_s=60)
    return json.loads(said.stdout)["days"][:-1] if said.returncode == 0 else []


def ask_api(stack: Stack, path: str, **query: object) -> Mapping[str, Any]:
    url = f"{state_of(stack.folder).api_url}{path}?{urlencode(query)}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def count_rows(stack: Stack, statement: str) -> int:
    url = stack.settings.postgres.analyst_url
    assert url is not None
    with psycopg.connect(url.get_secret_value()) as connection:
        [(count,)] = connection.execute(statement.encode()).fetchall()
    return int(count)


def count_candles(stack: Stack, table: str) -> int:
    """Hours of the three days that are there."""
    names = ", ".join(f"'{symbol}'" for symbol in SYMBOLS)
    return count_rows(
        stack,
        f"SELECT count(*) FROM {table} WHERE venue = '{VENUE}' AND venue_symbol IN ({names}) "
        f"AND \"interval\" = '1h' AND open_time >= '{TRADE_DAYS[0]}' AND open_time < '{MIDNIGHT}'",
    )


def read_gaps(stack: Stack) -> Mapping[str, int]:
    """What quality/gaps shows; empty until it was made for the first time."""
    fields = "assetMaterializations(limit: 1) { metadataEntries { label"
    fields += " ... on IntMetadataEntry { intValue } } }"
    found = stack.ask_node(["quality", "gaps"], fields)["assetMaterializations"]
    return {
        entry["label"]: entry["intValue"]
        for each in found
        for entry in each["metadataEntries"]
        if "intValue" in entry
    }


def list_runs(stack: Stack, path: Sequence[str]) -> set[str]:
    """Which runs materialized an asset."""
    fields = "assetMaterializations(limit: 1000) { runId }"
    found = stack.ask_node(list(path), fields)["assetMaterializations"]
    return {each["runId"] for each in found}


def read_prices(candle: Mapping[str, str]) -> tuple[str, Sequence[Decimal]]:
    return candle["ts_event"], [Decimal(candle[name]) for name in ("open", "high", "low", "close")]


def test_a_backfilled_year_is_in_charts_gap_report_and_portfolio(stack: Stack) -> None:
    """Whoever fills a hole should not have to know what else is made of it."""
    # the last days are there already: a first poll reads as many candles as a page holds
    assert read_days(stack)[0]["unvalued"] == [HELD]
    for feed, days in (("candles", DAYS), ("trades", TRADE_DAYS)):
        asset = ["history", VENUE, feed]
        names = [f"{day:%Y-%m-%d}" for day in days]
        assert stack.backfill(names, [asset], within_s=1200) == ("COMPLETED_SUCCESS", [])
        assert len(list_runs(stack, asset)) == 1

    hours = len(SYMBOLS) * 24 * len(TRADE_DAYS)
    eventually(
        lambda: count_candles(stack, "analytics.candle") == hours, within_s=300, every_s=LOOK_S
    )
    eventually(
        lambda: count_candles(stack, "analytics.indicator") == hours, within_s=120, every_s=LOOK_S
    )
    complete = len(SYMBOLS) * (7 + len(TRADE_DAYS))
    eventually(lambda: read_gaps(stack).get("complete") == complete, within_s=300, every_s=LOOK_S)

    place = {"venue": VENUE, "symbol": SYMBOLS[0], "interval": "1h", "limit": 1000}
    span = {"from": f"{TRADE_DAYS[0]:%Y-%m-%d}", "to": f"{MIDNIGHT:%Y-%m-%d}"}
    year = ask_api(stack, "/v1/candles", **place, to=span["to"])
    assert len(year["candles"]) == min(1000, 24 * len(DAYS))
    made = ask_api(stack, "/v1/candles", **place, **span, made_of="trades")["candles"]
    own = ask_api(stack, "/v1/candles", **place, **span)["candles"]
    assert len(made) == 24 * len(TRADE_DAYS)
    assert list(map(read_prices, made)) == list(map(read_prices, own))
    indicators = ask_api(stack, "/v1/indicators", **place, **span, names="sma:20")["indicators"]
    assert [each["close"] for each in indicators] == [each["close"] for each in made]
    assert {tuple(day["unvalued"]) for day in read_days(stack)} == {()}
    assert stack.audit()["whole"]
