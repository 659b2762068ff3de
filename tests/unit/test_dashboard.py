"""The dashboard's pages over fake stores: what they say, refuse and let a browser load."""

import hashlib
import json
import re
import threading
from decimal import Decimal

import pytest

from crypto_platform.domain.market_overview import LastPrice, MarketSummary
from crypto_platform.feeds.quotes import Quote
from crypto_platform.feeds.record import Record
from crypto_platform.serving.audits import find_audits
from crypto_platform.serving.currencies import CurrencyCodes
from crypto_platform.serving.dashboard.overview import build_rows, draw_line
from crypto_platform.serving.dashboard.render import STATIC, STATIC_URL
from crypto_platform.settings import Settings, SourceSettings
from crypto_platform.stores.market import Market
from tests.api_harness import BOOK, FakeStore, candle, serving, trade
from tests.store_steps import NOON

UNKNOWN_FIGURES = (
    *("change_24h_pct", "change_7d_pct", "high_24h", "low_24h"),
    *("base_volume_24h", "quote_volume_24h", "volatility_24h_pct"),
)
MARKET_PATH = "/markets/simulated_exchange/BTC-USD"


def quote(currency_id: str = "bitcoin", **fields: str | None) -> Quote:
    return Quote(
        event_id=f"q-{currency_id}",
        source="simulated",
        currency_id=currency_id,
        quote_currency="USD",
        price="64250.123456789012345678901234",
        ts_event=NOON,
        ts_ingest=NOON,
        **fields,  # type: ignore[arg-type]
    )


def build_store(*quotes: Quote) -> FakeStore:
    return FakeStore(
        market={
            "trades": [trade(1, second=1)],
            "candles": [candle(minute) for minute in range(5)],
            "order_books": [BOOK],
        },
        quotes=list(quotes),
    )


def test_the_overview_shows_short_amounts_and_keeps_every_digit() -> None:
    """An amount that a page has rounded for good cannot be compared with the store's."""
    with serving(build_store(quote())) as client:
        page = client.get("/").text
    assert '<data value="64250.123456789012345678901234"' in page
    assert ">64,250.12</data>" in page
    assert f'href="{MARKET_PATH}"' in page
    assert 'datetime="2025-11-22T12:00:00.000Z"' in page


def test_what_a_source_calls_its_currency_is_text_and_never_markup() -> None:
    """Names come from strangers; one of them would run its script in everybody's session."""
    name = "<script>alert(1)</script>"
    with serving(build_store(quote(currency_name=name, currency_symbol='"><b>'))) as client:
        page = client.get("/").text
    assert name not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert '"><b>' not in page


def test_pages_allow_no_script_and_no_style_but_our_own_files() -> None:
    """An inline script would have to be allowed for all, an injected one included."""
    with serving(build_store(quote())) as client:
        for path in ("/", MARKET_PATH, "/markets/nowhere/BTC"):
            answer = client.get(path)
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
            assert "unsafe" not in policy
            assert " style=" not in answer.text
            for tag in re.findall(r"<script[^>]*>", answer.text):
                assert f' src="{STATIC_URL}/' in tag
            assert "<style" not in answer.text
            assert not re.findall(r'(?:src|href)="https?://(?!www\.tradingview\.com)', answer.text)


def test_files_may_be_kept_for_good_for_their_address_names_their_content() -> None:
    """Each page would ask for 300 kB again, or an old script would meet a new page."""
    with serving(build_store()) as client:
        page = client.get(MARKET_PATH).text
        found = re.findall(rf'(?:src|href)="({STATIC_URL}/[^"]+)"', page)
        assert len(found) > 4
        for path in found:
            answer = client.get(path)
            assert answer.status_code == 200, path
            assert "immutable" in answer.headers["Cache-Control"]
        assert client.get("/static/000000000000/dashboard.css").status_code == 404


def test_every_module_that_a_module_imports_is_there() -> None:
    """There is no build step that would notice."""
    modules = list(STATIC.glob("js/*.js"))
    assert modules
    for module in modules:
        text = module.read_text("utf-8")
        for name in re.findall(r"""(?:from|import|import\()\s*"(\.[^"]+)\"""", text):
            assert (module.parent / name).is_file(), f"{module.name} imports {name}"


def test_libraries_are_as_they_were_published() -> None:
    """A library that somebody has mended here is lost at its next version."""
    vendor = STATIC / "vendor"
    noted = json.loads((vendor / "versions.json").read_text("utf-8"))
    files = {name: own for package in noted.values() for name, own in package["files"].items()}
    there = {path.name for path in vendor.iterdir()} - {"versions.json"}
    assert there == set(files)
    for name, sha256 in files.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == sha256, name


def test_a_market_that_is_not_there_is_a_page_that_names_what_is() -> None:
    """A misspelt link should lead on."""
    with serving(build_store()) as client:
        answer = client.get("/markets/simulated_exchange/BTC-EUR")
    assert answer.status_code == 404
    assert "BTC-USD" in answer.text or "BTC/USD" in answer.text
    assert answer.headers["Content-Type"].startswith("text/html")


def test_a_page_leaves_out_what_a_market_has_not() -> None:
    """An empty chart looks like a fault."""
    store = build_store()
    del store.market["candles"], store.market["order_books"]
    with serving(store) as client:
        page = client.get(MARKET_PATH).text
    assert re.findall(r'data-panel="(\w+)"', page) == ["candles", "trades"]
    assert 'value="1m" data-made-of="trades"' in page


def test_the_last_audit_of_each_feed_is_whole_unless_a_check_failed() -> None:
    """One that has never run is no audit, and one check of five is enough."""

    def node(feed: str, *statuses: str | None) -> dict[str, object]:
        checks = [
            {"name": f"c{number}", "executionForLatestMaterialization": each and {"status": each}}
            for number, each in enumerate(statuses)
        ]
        audited = [{"timestamp": "1763812800000", "partition": "2025-11-22-11:00"}]
        return {
            "assetKey": {"path": ["audit", feed]},
            "assetMaterializations": audited if statuses else [],
            "assetChecksOrError": {"checks": checks},
        }

    nodes = [node("trades", "SUCCEEDED", "FAILED"), node("candles"), node("quotes", "SUCCEEDED")]
    quotes, trades = find_audits({"assetNodes": [*nodes, node("quotes", "SUCCEEDED", None)]})
    assert (quotes.feed, quotes.failed) == ("quotes", [])
    assert (trades.feed, trades.failed, trades.at_us) == ("trades", ["c1"], NOON)
    assert quotes.is_answered
    for status in ("IN_PROGRESS", "SKIPPED", "EXECUTION_FAILED"):
        [audit] = find_audits({"assetNodes": [node("quotes", "SUCCEEDED", status)]})
        assert (audit.is_answered, audit.faults) == (False, []), status


def test_a_symbol_with_a_slash_is_a_market_too() -> None:
    """The unified name is what people type."""
    with serving(build_store()) as client:
        page = client.get("/markets/simulated_exchange/BTC/USD")
    assert page.status_code == 200
    assert 'data-symbol="BTC-USD"' in page.text


def test_without_a_store_a_page_says_so_and_nothing_of_the_inside() -> None:
    """What a driver says names hosts and users."""
    down = FakeStore(is_down=True)
    with serving(down) as client:
        for path in ("/", MARKET_PATH):
            answer = client.get(path)
            assert answer.status_code == 503
            assert "No store answers" in answer.text
            assert "secret" not in answer.text


def test_with_its_home_down_the_overview_says_where_its_prices_are_from() -> None:
    """A reader must know that he looks at the mirror."""
    with serving(FakeStore(is_down=True), build_store(quote())) as client:
        page = client.get("/").text
    assert "from MongoDB, its mirror" in page
    assert "64,250.12" in page


def test_an_empty_platform_says_what_to_wait_for() -> None:
    """The first minute after `up`: an empty table looks like a fault."""
    with serving(FakeStore()) as client:
        page = client.get("/")
    assert page.status_code == 200
    assert "No quote is stored yet" in page.text


def test_a_currency_leads_to_a_real_market_before_a_simulated_one() -> None:
    """Whoever follows Bitcoin's name wants the real price."""
    sources = {
        "simulated": SourceSettings(
            dialect="coingecko", base_url="http://127.0.0.1", simulated=True
        ),
    }
    settings = Settings(sources=sources)
    markets = [
        Market("a_simulated", "BTC-USD", "BTC/USD"),
        Market("kraken", "XBTUSD", "BTC/USD"),
    ]
    summary = MarketSummary(
        last=LastPrice(Decimal(2), NOON),
        sparkline=[Decimal(1), Decimal(2)],
        **dict.fromkeys(UNKNOWN_FIGURES),
    )
    [row] = build_rows(
        [quote()],
        markets,
        {("kraken", "XBTUSD"): summary},
        codes=CurrencyCodes(settings),
        simulated=frozenset({"a_simulated", "simulated"}),
    )
    assert row.market == markets[1]
    assert row.code == "BTC"
    assert row.is_simulated
    assert row.line is not None
    assert row.line.is_rising


def test_a_line_has_its_highest_price_at_the_top() -> None:
    """Drawn in an SVG's coordinates, whose top is 0."""
    line = draw_line([Decimal(1), Decimal(3), Decimal(2)])
    assert line is not None
    assert line.path == "M0.0 23.0L50.0 1.0L100.0 12.0"
    assert draw_line([Decimal(1)]) is None
    flat = draw_line([Decimal("0.1"), Decimal("0.1")])
    assert flat is not None
    assert flat.path == "M0.0 12.0L100.0 12.0"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_what_is_behind_them(scheme: str) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1, in both schemes; half of all readers need it some day."""
    css = (STATIC / "dashboard.css").read_text("utf-8")
    light, dark = re.findall(r":root \{([^}]*)\}", css)[:2]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    if scheme == "dark":
        colours |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark))
    texts = ("text", "muted", "accent", "up", "down", "warn", "chart-1", "chart-2")
    for text in texts:
        for behind in ("ground", "surface", "raised"):
            assert contrast(colours[text], colours[behind]) >= 4.5, (text, behind)
    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
    assert contrast(colours["warn"], colours["warn-soft"]) >= 4.5
    assert contrast(colours["edge"], colours["surface"]) >= 3  # 1.4.11: of what is typed into


def contrast(one: str, other: str) -> float:
    """As WCAG counts it, 1 to 21."""
    dark, light = sorted(luminance(colour) for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


class SlowStore(FakeStore):
    """Asked for a market's figures it takes longer than a page waits."""

    may_answer: threading.Event

    def read_newest(self, *_: object, **__: object) -> list[Record]:
        self.may_answer.wait(20)
        return []


def test_an_overview_without_the_markets_figures_says_what_is_missing() -> None:
    """Lines and a table that are gone without a word look like a market without trades."""
    whole = build_store(quote())
    store = SlowStore(market=whole.market, quotes=whole.quotes)
    store.may_answer = threading.Event()
    with serving(store) as client:
        page = client.get("/").text
        store.may_answer.set()
    assert "Not shown: lines of the last day and the markets' figures, for no answer" in page
    with serving(whole) as client:
        assert "Not shown" not in client.get("/").text
