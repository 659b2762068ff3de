"""With either store away every endpoint, stream and page answers, and says where from.

Here: what to ask is taken from the app's routes; one that is new fails until it is asked here. Not
here: whether the answers are right (test_api.py), how a store is chosen (test_failover.py), what a
browser shows (tests/browser/).
"""

import json
from collections.abc import Iterator, Mapping, Sequence

import httpx
import pytest

from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.feeds.trades import seal_trade
from crypto_platform.serving.api.app import create_app
from tests.account_steps import SmallCompany, build_busy_company
from tests.api_harness import list_routes, listening, trade
from tests.platform_harness import Platform
from tests.servers.test_api import HERE, STORE_NAMES, filled, log_in, without

pytestmark = pytest.mark.timeout(300)

ASKED: Mapping[str, Sequence[Mapping[str, str]]] = {
    "/v1/markets": [{}],
    "/v1/quotes": [{}, {"as_of": "2100-01-01"}],
    "/v1/trades": [HERE],
    "/v1/candles": [HERE, {**HERE, "made_of": "trades"}],
    "/v1/book": [HERE],
    "/v1/depth": [HERE],
    "/v1/volatility": [HERE],
    "/v1/correlations": [HERE],
    "/v1/overview": [{}],
    "/v1/indicators": [{**HERE, "names": "sma:2", "made_of": each} for each in ("trades", "venue")],
    "/v1/me/orders": [{}],
    "/v1/me/orders/{order_id:path}": [{}],
    "/v1/me/wallets": [{}],
    "/v1/me/transactions": [{}],
    "/v1/me/portfolio": [{}],
    "/v1/me/portfolio/history": [{"to": "2025-11-24"}],
    "/v1/me/tax-report": [
        {"year": "2025", "currency": "USD", "format": f} for f in ("json", "csv")
    ],
}
PRICED = ("/v1/me/portfolio", "/v1/me/portfolio/history", "/v1/me/tax-report")
"""Of both homes: wallets are at home in one store, prices in the other."""
STREAMS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "/v1/stream/quotes": ("quotes", {}),
    "/v1/stream/trades": ("trades", HERE),
    "/v1/me/events": ("transactions", {}),
}
PAGES = ("/", "/markets/{venue}/{symbol:path}")
UNMARKED: Mapping[str, str] = {
    "/health": "says itself which store answers",
    "/metrics": "gives a figure of each store",
    "/operations": "names what does not answer",
    "/portfolio": "is a frame: its figures are its browser's questions to /v1/me",
    "/login": "reads a store only when a key is sent",
    "/docs": "is made of what OpenAPI says",
}
"""What answers all the same, and why it says of no store that it is the mirror."""
SENT = frozenset({"/v1/tokens", "/login", "/logout"})
NAMES = {"postgres": "PostgreSQL", "mongo": "MongoDB"}


def fill(path: str) -> str:
    filled_in = path.replace("{order_id:path}", "o-1").replace("{venue}", HERE["venue"])
    return filled_in.replace("{symbol:path}", HERE["symbol"])


def check_endpoints(client: httpx.Client, own: Mapping[str, str], *, down: str, other: str) -> None:
    for path, queries in ASKED.items():
        homes = {"mongo"} if path.startswith("/v1/me") else {"postgres"}
        homes |= {"postgres"} if path in PRICED else set()
        for query in queries:
            answer = client.get(fill(path), params=query, headers=own)
            assert answer.status_code == 200, (down, path, answer.text)
            assert answer.headers["X-Data-Source"] == other, (down, path)
            stale = str(down in homes).lower()
            assert answer.headers["X-Data-Stale"] == stale, (down, path)


def check_pages(client: httpx.Client, own: Mapping[str, str], *, down: str, other: str) -> None:
    session = {"Cookie": f"session={own['Authorization'].removeprefix('Bearer ')}"}
    for path in PAGES:
        page = client.get(fill(path), headers=session)
        assert page.status_code == 200, (down, path)
        is_mirror = down == "postgres"
        assert (f"from {NAMES[other]}{', its mirror' if is_mirror else ''}</span>") in page.text
        assert (f"{down} does not answer" in page.text) is is_mirror, (down, path)
    for path in UNMARKED:
        assert client.get(path, headers=session).status_code == 200, (down, path)
    assert client.get("/health").json()["stores"][down] == {"answers": False}
    assert f'crypto_platform_api_store_up{{store="{down}"}} 0.0' in client.get("/metrics").text
    assert f"{down} is down" in client.get("/operations").text


def read_messages(answer: httpx.Response) -> Iterator[tuple[str, dict[str, object]]]:
    """Names and documents of a stream's messages."""
    name = ""
    for line in answer.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def check_streams(
    client: httpx.Client,
    own: Mapping[str, str],
    platform: Platform,
    company: SmallCompany,
    *,
    down: str,
    other: str,
) -> None:
    """Who comes back is told at once that he missed some; then what comes is marked."""
    for path, (name, query) in STREAMS.items():
        # a newcomer of the quotes is sent what there is
        headers = {**own} if name == "quotes" else {**own, "Last-Event-ID": "unknown-1"}
        with client.stream("GET", path, params=query, headers=headers, timeout=30) as answer:
            assert answer.status_code == 200, (down, path)
            messages = read_messages(answer)
            if name != "quotes":
                assert next(messages)[0] == "reset"
                number = len(company.events)
                new = [seal_trade(trade(number, second=number))]
                platform.publish(FEED_BY_NAME["trades"], new)
                platform.publish(ACCOUNT_EVENTS, [company.deposit("ann", "USD", "1")])
                platform.load(other)
            told, document = next(messages)
        assert told == name
        assert document[name], (down, path)
        home = "mongo" if path.startswith("/v1/me") else "postgres"
        assert document["source"] == other
        assert document["stale"] is (down == home), (down, path)


def test_one_store_away_every_endpoint_stream_and_page_answers_and_says_so(
    platform: Platform,
) -> None:
    """Both are whole copies: whichever is left knows everything."""
    company = build_busy_company()
    with filled(platform) as keys:
        for down, other in (STORE_NAMES, STORE_NAMES[::-1]):
            app = create_app(without(platform.settings, down))
            with listening(app) as address, httpx.Client(base_url=address, timeout=30) as client:
                own = log_in(client, keys, "ann")
                check_endpoints(client, own, down=down, other=other)
                check_pages(client, own, down=down, other=other)
                check_streams(client, own, platform, company, down=down, other=other)
                form = {"user": "ann", "key": keys["ann"]}
                sent = client.post("/login", data=form, headers={"Origin": address})
                assert sent.headers["Location"] == "/portfolio"
                assert client.post("/logout", headers={"Origin": address}).status_code == 303
        platform.load_both()
        asked = {*ASKED, *STREAMS, *PAGES, *UNMARKED}
        routes = list_routes(app)
        assert {route.path for route in routes if "GET" in (route.methods or ())} == asked
        assert {route.path for route in routes if "POST" in (route.methods or ())} == SENT
    assert platform.audit().whole
