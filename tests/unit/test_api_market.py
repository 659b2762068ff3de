"""The API's market endpoints over fake stores: pages, tags, refusals, where answers come from."""

import itertools

import httpx
import pytest

from crypto_platform.feeds.quotes import Quote
from crypto_platform.serving.api.cursors import CursorError, open_cursor, seal_cursor
from crypto_platform.serving.api.limits import Buckets
from crypto_platform.serving.api.paging import Reached, count_needed, cut, narrow
from crypto_platform.settings import ApiSettings
from crypto_platform.stores.market import ALWAYS
from tests.api_harness import BOOK, SECRET, SYMBOL, VENUE, FakeStore, candle, serving, trade
from tests.store_steps import NOON

HERE = {"venue": VENUE, "symbol": "BTC/USD"}


def build_store() -> FakeStore:
    """Seven trades, four of them of one microsecond; five candles, a book, a quote."""
    seconds = (1, 2, 3, 3, 3, 3, 4)
    return FakeStore(
        market={
            "trades": [trade(number, second=s) for number, s in enumerate(seconds, start=1)],
            "candles": [candle(minute) for minute in range(5)],
            "order_books": [BOOK],
        },
        quotes=[
            Quote(
                event_id="q1",
                source="simulated",
                currency_id="bitcoin",
                quote_currency="USD",
                price="64250.123456789012345678901234",
                ts_event=NOON,
                ts_ingest=NOON,
            )
        ],
    )


def check_problem(answer: httpx.Response, status: int) -> dict[str, object]:
    """A refusal in its one form."""
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["detail"]
    return document


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 100])
def test_the_pages_of_a_list_give_each_trade_once_newest_first(limit: int) -> None:
    """Trades of one microsecond on the border of two pages were lost or doubled otherwise."""
    given: list[str] = []
    with serving(build_store()) as client:
        cursor: dict[str, str] = {}
        for _ in range(10):
            page = client.get("/v1/trades", params={**HERE, "limit": limit, **cursor}).json()
            assert len(page["trades"]) <= limit
            given += [each["trade_id"] for each in page["trades"]]
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
    assert given == ["7", "6", "5", "4", "3", "2", "1"]


def test_a_page_keeps_to_its_span_and_names_its_market() -> None:
    """`to` is not part of the answer: the next span begins there."""
    with serving(build_store()) as client:
        asked = {**HERE, "from": "2025-11-22T12:00:02Z", "to": "2025-11-22T12:00:04Z", "limit": 4}
        page = client.get("/v1/trades", params=asked).json()
        rest = client.get("/v1/trades", params={**asked, "cursor": page["next"]}).json()
    assert (page["venue_symbol"], page["symbol"]) == (SYMBOL, "BTC/USD")
    assert [each["trade_id"] for each in page["trades"]] == ["6", "5", "4", "3"]
    assert [each["trade_id"] for each in rest["trades"]] == ["2"]
    assert rest["trades"][0]["ts_event"] == "2025-11-22T12:00:02.000000Z"
    assert rest["trades"][0]["price"] == "64250.10"


def test_candles_go_on_behind_their_cursor() -> None:
    """A chart that scrolls back must miss no candle."""
    with serving(build_store()) as client:
        first = client.get("/v1/candles", params={**HERE, "limit": 3}).json()
        second = client.get(
            "/v1/candles", params={**HERE, "limit": 3, "cursor": first["next"]}
        ).json()
    minutes = [each["ts_event"][14:16] for each in first["candles"] + second["candles"]]
    assert minutes == ["04", "03", "02", "01", "00"]
    assert second["next"] is None


def test_a_cursor_opens_no_other_list() -> None:
    """Else it would jump to where another list was left."""
    with serving(build_store()) as client:
        cursor = client.get("/v1/trades", params={**HERE, "limit": 1}).json()["next"]
        for path, more in (
            ("/v1/candles", {}),
            ("/v1/trades", {"from": "2025-11-22"}),
            ("/v1/trades", {"cursor": ("A" if cursor[0] != "A" else "B") + cursor[1:]}),
            ("/v1/trades", {"cursor": "%00"}),
            ("/v1/trades", {"cursor": ""}),
        ):
            answer = client.get(path, params={**HERE, "cursor": cursor, **more})
            assert "cursor" in str(check_problem(answer, 422)["detail"])


def test_a_cursor_is_bound_to_its_secret_and_scope() -> None:
    """Whoever makes one up gets nothing."""
    cursor = seal_cursor(b"secret", ("trades", "alice"), (7, 1))
    assert open_cursor(b"secret", ("trades", "alice"), cursor) == [7, 1]
    for secret, scope in ((b"secret", ("trades", "bob")), (b"other", ("trades", "alice"))):
        with pytest.raises(CursorError):
            open_cursor(secret, scope, cursor)


def test_a_page_within_one_microsecond_goes_on_behind_what_was_given() -> None:
    """A venue that tells whole milliseconds has hundreds of one time."""
    reached: Reached | None = None
    given: list[int] = []
    times = [9, 5, 5, 5, 5, 5, 1]
    for _ in itertools.count():
        span, count = narrow(ALWAYS, reached), count_needed(2, reached)
        left = [i for i, at in enumerate(times) if span.ends_us is None or at < span.ends_us]
        found = left[:count]
        page = cut(found, [times[i] for i in found], 2, reached)
        given += page.records
        reached = page.reached
        if reached is None:
            break
    assert given == [0, 1, 2, 3, 4, 5, 6]


def test_quotes_keep_every_digit_and_say_which_currency_they_mean() -> None:
    """A price that went through a float is another price."""
    with serving(build_store()) as client:
        [quote] = client.get("/v1/quotes", params={"currency": "btc"}).json()["quotes"]
        assert quote["price"] == "64250.123456789012345678901234"
        assert (quote["currency"], quote["simulated"]) == ("BTC", True)
        unknown = client.get("/v1/quotes", params={"currency": "bitcion"})
        assert "bitcoin" in str(check_problem(unknown, 404)["detail"])
        past = client.get("/v1/quotes", params={"as_of": "2020-01-01"})
        assert past.json() == {"quotes": []}


def test_a_books_depth_and_what_orders_would_get_are_told() -> None:
    """Two bids of 3 in all: a sale of 4 has no price, and none is made up."""
    with serving(build_store()) as client:
        found = client.get("/v1/depth", params={**HERE, "size": ["1", "4"]}).json()
        assert (found["mid_price"], found["spread"], found["symbol"]) == ("10.25", "0.5", "BTC/USD")
        assert found["buy_1000_slippage_bps"] is None
        got = [(o["side"], o["quantity"], o["filled"], o["slippage_bps"]) for o in found["orders"]]
        assert got == [
            ("buy", "1", "1", "243.902439"),
            ("sell", "1", "1", "243.902439"),
            ("buy", "4", "3", None),
            ("sell", "4", "3", None),
        ]
        check_problem(client.get("/v1/depth", params={**HERE, "as_of": "2020-01-01"}), 404)
        for wrong in ("0", "-1", "1e3", "much"):
            check_problem(client.get("/v1/depth", params={**HERE, "size": wrong}), 422)


def test_a_book_has_its_levels_and_its_middle() -> None:
    """Best first, as many as asked for."""
    with serving(build_store()) as client:
        book = client.get("/v1/book", params={**HERE, "levels": 1}).json()
        assert book["bids"] == [{"price": "10.0", "quantity": "1"}]
        assert (book["mid_price"], book["spread"]) == ("10.25", "0.5")
        check_problem(client.get("/v1/book", params={**HERE, "as_of": "2020-01-01"}), 404)


def test_what_cannot_be_used_is_named() -> None:
    """A typing mistake that is ignored answers another question."""
    with serving(build_store()) as client:
        for wrong, name in (
            ({"limit": "0"}, "limit"),
            ({"limit": "1001"}, "limit"),
            ({"from": "yesterday"}, "from"),
            ({"from": "0001-01-01T00:00:00+14:00"}, "from"),
            ({"from": "2025-11-23", "to": "2025-11-22"}, ""),
            ({"form": "2025-11-22"}, "form"),
            ({"symbol": "a\x00b"}, "symbol"),
            ({"venue": "x" * 129}, "venue"),
        ):
            document = check_problem(client.get("/v1/trades", params={**HERE, **wrong}), 422)
            errors = document["errors"]
            assert isinstance(errors, list)
            assert [each["name"] for each in errors] == [name]


def test_an_unknown_market_path_or_method_is_a_problem_too() -> None:
    """A client reads one form of refusal, not three."""
    with serving(build_store()) as client:
        unknown = client.get("/v1/trades", params={"venue": VENUE, "symbol": "BTC/USDT"})
        assert "BTC/USD" in str(check_problem(unknown, 404)["detail"])
        check_problem(client.get("/v1/nothing"), 404)
        check_problem(client.post("/v1/trades"), 405)


def test_who_has_the_answer_is_sent_it_no_more() -> None:
    """A page that asks every second would move the same 100 kB every second."""
    store = build_store()
    with serving(store) as client:
        first = client.get("/v1/trades", params=HERE)
        known = {"If-None-Match": f'"other", {first.headers["ETag"]}'}
        again = client.get("/v1/trades", params=HERE, headers=known)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        store.market["trades"].append(trade(8, second=5))
        newer = client.get("/v1/trades", params=HERE, headers=known)
        assert (newer.status_code, newer.json()["trades"][0]["trade_id"]) == (200, "8")


def test_a_long_answer_is_compressed_for_who_can_read_it() -> None:
    """Seven trades are 2 kB."""
    with serving(build_store()) as client:
        packed = client.get("/v1/trades", params=HERE)
        plain = client.get("/v1/trades", params=HERE, headers={"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.json() == plain.json()


def test_the_mirror_answers_and_says_that_it_is_stale() -> None:
    """Who trades on a price must know that its home is away."""
    postgres, mongo = build_store(), build_store()
    with serving(postgres, mongo) as client:
        well = client.get("/v1/trades", params=HERE).headers
        assert (well["X-Data-Source"], well["X-Data-Stale"]) == ("postgres", "false")
        assert float(well["X-Data-Age-Seconds"]) > 0
        postgres.is_down = True
        for path, params in (("/v1/trades", HERE), ("/v1/book", HERE), ("/v1/candles", HERE)):
            answer = client.get(path, params=params)
            assert answer.status_code == 200
            assert answer.headers["X-Data-Source"] == "mongo"
            assert answer.headers["X-Data-Stale"] == "true"
        assert client.get("/health").status_code == 200


def test_nothing_of_our_insides_is_told() -> None:
    """An address or a statement in an error is where an attack begins."""
    down = build_store()
    down.is_down = True
    with serving(down) as client:
        answer = client.get("/v1/markets")
        assert "10.0.0.1" not in str(check_problem(answer, 503))
        assert answer.headers["Retry-After"]
        assert client.get("/health").status_code == 503
    broken = build_store()
    broken.bug = RuntimeError("password is hunter2")
    with serving(broken) as client:
        assert "hunter2" not in str(check_problem(client.get("/v1/markets"), 500))


def test_a_client_that_asks_too_often_is_told_when_to_come_again() -> None:
    """One loop without a pause must not take the answers of all others."""
    slow = ApiSettings.model_validate({"secret": SECRET, "requests_per_s": 0.1, "burst": 3})
    with serving(build_store(), api=slow) as client:
        codes = [client.get("/v1/quotes").status_code for _ in range(4)]
        assert codes == [200, 200, 200, 429]
        refused = client.get("/v1/quotes")
        check_problem(refused, 429)
        assert 1 <= int(refused.headers["Retry-After"]) <= 10
        assert client.get("/health").status_code == 200


def test_a_bucket_is_refilled_at_its_rate_and_holds_no_more_than_its_burst() -> None:
    """Who was away for a day may not ask a million times at once."""
    now = [0.0]
    buckets = Buckets(per_s=2, burst=3, clock=lambda: now[0])
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    now[0] = 0.5
    assert (buckets.take("a"), buckets.take("a")) == (0, 0.5)
    assert buckets.take("b") == 0
    now[0] = 1000
    assert [buckets.take("a") == 0 for _ in range(4)] == [True, True, True, False]


def test_what_is_answered_is_counted() -> None:
    """A path that somebody made up gets no name of its own, or names would fill the memory."""
    with serving(build_store()) as client:
        client.get("/v1/quotes")
        client.get("/v1/made/up")
        text = client.get("/metrics").text
    assert 'requests_total{method="GET",route="/v1/quotes",status="200"} 1.0' in text
    assert 'requests_total{method="GET",route="none",status="404"} 1.0' in text
    assert 'store_up{store="postgres"} 1.0' in text


def test_the_reference_names_every_endpoint_and_needs_nothing_from_elsewhere() -> None:
    """It is read where there is no way out, and by who allows no scripts."""
    with serving(build_store()) as client:
        paths = client.get("/openapi.json").json()["paths"]
        page = client.get("/docs").text
    assert {"/v1/trades", "/v1/me/wallets", "/v1/stream/quotes", "/health"} <= set(paths)
    assert all(f"</b> {path}" in page for path in paths)
    assert "<script" not in page
    elsewhere = [each for each in page.split("http://")[1:] if not each.startswith("testserver")]
    assert (elsewhere, "https://" in page) == ([], False)
