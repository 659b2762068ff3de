"""The API's figures and reports on real stores: what the commands say, from either store."""

from collections.abc import Iterator, Mapping

import httpx
import pytest

from crypto_platform.domain.indicator_catalogue import parse_indicators
from crypto_platform.feeds.candles import Interval
from crypto_platform.feeds.record import list_fields
from crypto_platform.serving.analytics import MadeCandle, reading_built_candles
from crypto_platform.serving.failover import open_reads
from crypto_platform.serving.indicators import build_indicators, read_indicators
from crypto_platform.serving.market import Place
from crypto_platform.serving.overview import build_overview, read_overview
from crypto_platform.serving.sheets import build_rows, build_struct_sheet
from crypto_platform.settings import Settings
from crypto_platform.stores.market import ALWAYS
from tests.api_harness import SYMBOL, VENUE
from tests.platform_harness import Platform
from tests.servers.test_api import HERE, filled, log_in, read_pages, serving

pytestmark = pytest.mark.timeout(300)

PLACE = Place(VENUE, SYMBOL)
TAX = {"year": "2025", "currency": "USD"}


@pytest.fixture
def keys(platform: Platform) -> Iterator[dict[str, str]]:
    with filled(platform) as found:
        yield found


def check_figures(client: httpx.Client, settings: Settings) -> None:
    """Each endpoint's rows are those that the commands print."""
    with reading_built_candles(settings, PLACE, Interval.MINUTE, ALWAYS, newest=9) as answer:
        made = [each for page in answer.pages for each in page][::-1]
    asked = {**HERE, "made_of": "trades"}
    rows = build_rows(build_struct_sheet(list_fields(MadeCandle), made))
    assert read_pages(client, "/v1/candles", "candles", asked) == rows
    found = read_indicators(
        settings, PLACE, Interval.MINUTE, ALWAYS, parse_indicators("sma:2,rsi:14"), newest=9
    )
    asked = {**HERE, "names": "sma:2,rsi:14", "limit": "9"}
    document = client.get("/v1/indicators", params=asked).json()
    assert document["indicators"] == build_rows(build_indicators(found))[::-1]
    with open_reads(settings) as reads:
        overview = build_rows(build_overview(read_overview(reads, settings)))
    assert client.get("/v1/overview").json()["markets"] == overview
    wrong = client.get("/v1/indicators", params={**HERE, "names": "nonsense"})
    assert (wrong.status_code, "names" in wrong.json()["detail"]) == (422, True)


def check_reports(client: httpx.Client, own: Mapping[str, str]) -> None:
    """A report's forms, whose it is, and what is no report."""
    history = client.get("/v1/me/portfolio/history", params={"to": "2025-11-23"}, headers=own)
    assert history.status_code == 200, history.text
    assert [day["day"] for day in history.json()["days"]] == ["2025-11-22", "2025-11-23"]
    report = client.get("/v1/me/tax-report", params=TAX, headers=own)
    assert (report.status_code, report.json()["user"]) == (200, "ann"), report.text
    table = client.get("/v1/me/tax-report", params={**TAX, "format": "csv"}, headers=own)
    assert table.headers["Content-Type"].startswith("text/csv")
    assert table.headers["Content-Disposition"] == 'attachment; filename="tax-report-2025.csv"'
    for wrong in ({"year": "2999"}, {"time_zone": "Mars/Olympus"}, {"table": "fees"}):
        refused = client.get("/v1/me/tax-report", params={**TAX, **wrong}, headers=own)
        assert refused.status_code == 422, refused.text
    assert client.get("/v1/me/tax-report", params=TAX).status_code == 401


def test_figures_and_reports_say_what_the_commands_say(
    platform: Platform, keys: dict[str, str]
) -> None:
    """One figure, one truth, whichever store answers."""
    with serving(platform.settings) as client:
        check_figures(client, platform.settings)
        check_reports(client, log_in(client, keys, "ann"))
    gone = {"api_url": "postgresql://api:x@127.0.0.1:9/x", "analyst_url": None}
    section = platform.settings.postgres
    changed = type(section).model_validate({**section.model_dump(), **gone})
    settings = platform.settings.model_copy(update={"postgres": changed})
    with serving(settings) as client:
        check_figures(client, settings)
        check_reports(client, log_in(client, keys, "ann"))
        assert client.get("/v1/overview").headers["X-Data-Stale"] == "true"
