"""The API on real stores: every endpoint says what the store says, to its own user alone.

Here: answers against stores, what the database refuses the API's role, a store that comes back. Not
here: attempts at another user's data (test_api_others_data.py), what is typed
(test_api_injection.py), one store away (test_api_one_store.py), pages, tags, limits
(tests/unit/test_api_*.py), speed (benchmarks/api.py).
"""

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest

from crypto_platform.feeds import FEED_BY_NAME, Feed, Record
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.feeds.accounts import ORDERS, WALLETS
from crypto_platform.feeds.candles import Interval, seal_candle
from crypto_platform.feeds.order_books import seal_order_book
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.feeds.trades import seal_trade
from crypto_platform.migrations.run import migrate
from crypto_platform.serving.account_sheets import build_transactions
from crypto_platform.serving.api.app import create_app
from crypto_platform.serving.keys import make_key, revoke_key
from crypto_platform.serving.sheets import build_rows, build_sheet, build_struct_sheet
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.market import Market
from tests.account_steps import build_busy_company
from tests.api_harness import BOOK, SECRET, SYMBOL, VENUE, TestClient, candle, trade
from tests.fault_steps import numbered_quotes
from tests.own_servers import own_server
from tests.platform_harness import Platform, clock
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)

HERE = {"venue": VENUE, "symbol": SYMBOL}
MARKET = Market(VENUE, SYMBOL, None)
COMPANY = build_busy_company()
ODD_USER = "Zoë: 100%"
USERS = ("ann", "bob", ODD_USER, "house")
STORE_NAMES = ("postgres", "mongo")
_NOBODY_LISTENS: Mapping[str, Mapping[str, str | None]] = {
    "postgres": {"api_url": "postgresql://api:x@127.0.0.1:9/x", "analyst_url": None},
    "mongo": {"analyst_url": "mongodb://analyst:x@127.0.0.1:9/x"},
}
TRADES_OF_ONE_TIME = (1, 2, 2, 2, 3, 4)


@contextlib.contextmanager
def serving(settings: Settings) -> Iterator[httpx.Client]:
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


@contextlib.contextmanager
def filled(platform: Platform) -> Iterator[dict[str, str]]:
    """A platform with a market and accounts in both stores; gives a key of each user."""
    platform.reload(
        CRYPTO_PLATFORM_API__SECRET=SECRET,
        CRYPTO_PLATFORM_API__REQUESTS_PER_S="100000",
        CRYPTO_PLATFORM_API__BURST="100000",
        CRYPTO_PLATFORM_API__LOGINS_PER_MINUTE="6000",
    )
    numbered = enumerate(TRADES_OF_ONE_TIME, start=1)
    trades = [seal_trade(trade(number, second=second)) for number, second in numbered]
    platform.publish(QUOTES, numbered_quotes(1, 5))
    platform.publish(FEED_BY_NAME["trades"], trades)
    platform.publish(FEED_BY_NAME["candles"], [seal_candle(candle(n)) for n in range(4)])
    platform.publish(FEED_BY_NAME["order_books"], [seal_order_book(BOOK)])
    platform.publish(ACCOUNT_EVENTS, COMPANY.events)
    made = {user: make_key(platform.settings, user, label=None, clock_us=clock()) for user in USERS}
    platform.load_both()
    yield {user: key.text for user, key in made.items()}


def without(settings: Settings, store: str) -> Settings:
    """The settings of an API that does not reach this store."""
    section = getattr(settings, store)
    changed = type(section).model_validate({**section.model_dump(), **_NOBODY_LISTENS[store]})
    return settings.model_copy(update={store: changed})


@pytest.fixture
def keys(platform: Platform) -> Iterator[dict[str, str]]:
    with filled(platform) as found:
        yield found


@pytest.fixture
def client(platform: Platform, keys: dict[str, str]) -> Iterator[httpx.Client]:
    with serving(platform.settings) as opened:
        yield opened


def log_in(client: httpx.Client, keys: Mapping[str, str], user: str) -> dict[str, str]:
    answer = client.post("/v1/tokens", json={"user": user, "key": keys[user]})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def read_pages(
    client: httpx.Client,
    path: str,
    name: str,
    asked: Mapping[str, str],
    *,
    headers: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """All pages of a list, of two each."""
    rows: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = client.get(path, params={**asked, "limit": "2", **cursor}, headers=headers)
        assert answer.status_code == 200, answer.text
        document = answer.json()
        rows += document[name]
        if document["next"] is None:
            return rows
        cursor = {"cursor": document["next"]}


def rows_of(feed: Feed[Record], records: Sequence[Record]) -> list[dict[str, object]]:
    return build_rows(build_sheet(feed, records))


def check_market(client: httpx.Client, store: Store) -> None:
    """Each endpoint's rows are the store's."""
    trades, candles = FEED_BY_NAME["trades"], FEED_BY_NAME["candles"]
    newest = store.read_newest(trades, MARKET, records_max=100)
    assert read_pages(client, "/v1/trades", "trades", HERE) == rows_of(trades, newest)
    pages = store.read_market(candles, MARKET, interval=Interval.MINUTE)
    stored = [record for page in pages for record in page][::-1]
    assert read_pages(client, "/v1/candles", "candles", HERE) == rows_of(candles, stored)
    quotes = client.get("/v1/quotes").json()["quotes"]
    own = rows_of(QUOTES, store.read_latest_quotes(records_max=100))
    assert [{name: each[name] for name in own[0]} for each in quotes] == own
    [market] = client.get("/v1/markets").json()["markets"]
    assert (market["venue"], market["venue_symbol"]) == (VENUE, SYMBOL)
    assert set(market["feeds"]) == {"trades", "candles", "order_books"}
    book = client.get("/v1/book", params=HERE).json()
    assert [level["price"] for level in book["bids"]] == list(BOOK.bid_prices)
    assert [level["quantity"] for level in book["asks"]] == list(BOOK.ask_quantities)


def check_account(client: httpx.Client, own: dict[str, str], store: Store, user: str) -> None:
    """Each endpoint's rows are the store's, and this user's."""
    orders = store.read_open_orders(user, records_max=100)
    document = client.get("/v1/me/orders", headers=own).json()
    assert document["orders"] == build_rows(build_struct_sheet(ORDERS.fields, orders))
    wallets = store.read_wallets(user)
    document = client.get("/v1/me/wallets", headers=own).json()
    assert document["wallets"] == build_rows(build_struct_sheet(WALLETS.fields, wallets))
    assert {wallet["user_id"] for wallet in document["wallets"]} == {user}
    events = store.read_transactions(user, records_max=100)
    given = read_pages(client, "/v1/me/transactions", "transactions", {}, headers=own)
    assert given == build_rows(build_transactions(events, currency=None))
    for order_id, order in COMPANY.orders.items():
        path = f"/v1/me/orders/{quote(order_id, safe='')}"
        answer = client.get(path, headers=own)
        assert answer.status_code == (200 if order.user_id == user else 404)
        if answer.status_code == 200:
            fills = [fill["trade_id"] for fill in answer.json()["fills"]]
            assert fills == [fill.trade_id for fill in COMPANY.fills.get(order_id, ())]
    portfolio = client.get("/v1/me/portfolio", headers=own).json()
    assert {each["currency"] for each in portfolio["holdings"]} == {w.currency for w in wallets}


def test_every_endpoint_says_what_each_store_says(
    platform: Platform, client: httpx.Client, keys: dict[str, str]
) -> None:
    """A screen that differs from the store is one more truth to argue about."""
    for name in ("postgres", "mongo"):
        store = platform.store(name, role="analyst")
        check_market(client, store)
        for user in USERS:
            check_account(client, log_in(client, keys, user), store, user)
    assert platform.audit().whole


def test_a_key_arrives_in_both_stores_once_and_holds_until_it_is_revoked(
    platform: Platform, client: httpx.Client, keys: dict[str, str]
) -> None:
    """Whoever can read an account is part of what the platform must not lose."""
    user = "ann"
    assert client.get("/v1/me/wallets", headers=log_in(client, keys, user)).status_code == 200
    stored = [platform.store(name, role="analyst").read_api_keys(user) for name in STORE_NAMES]
    assert stored[0] == stored[1]
    [made] = stored[0]
    assert keys[user] not in str(made)
    assert revoke_key(platform.settings, user, made.key_id, clock_us=clock())
    platform.load_both()
    assert not revoke_key(platform.settings, user, made.key_id, clock_us=clock())
    refused = client.post("/v1/tokens", json={"user": user, "key": keys[user]})
    assert refused.status_code == 401
    assert platform.audit().whole


def test_a_store_that_comes_back_answers_again(platform: Platform, own_folder: Path) -> None:
    """Nobody may have to restart the API because a database was."""
    with own_server(platform, own_folder, "postgres"), filled(platform):
        settings = platform.settings
    with serving(settings) as client:

        def answers(store: str) -> bool:
            answer = client.get("/v1/trades", params=HERE)
            assert answer.status_code == 200
            return answer.headers["X-Data-Source"] == store

        assert answers("mongo")
        with own_server(platform, own_folder, "postgres"):
            eventually(lambda: answers("postgres"), within_s=20)
        eventually(lambda: answers("mongo"), within_s=20)
        with own_server(platform, own_folder, "postgres"):
            eventually(lambda: answers("postgres"), within_s=20)
            assert platform.audit().whole


OTHERS_ROWS = (
    "SELECT count(*) FROM accounts.wallet",
    "SELECT count(*) FROM accounts.event",
    'SELECT count(*) FROM accounts."order"',
    "SELECT count(*) FROM accounts.api_key",
    "SELECT count(*) FROM accounts.fill",
    "SELECT count(*) FROM accounts.ledger_posting",
    "SELECT count(*) FROM accounts.transaction",
    "SELECT * FROM accounts.balances_at('ann', now())",
    "SELECT value FROM platform.quarantine",
    "SELECT * FROM platform.load_batch",
    "UPDATE accounts.own_wallet SET available = 1",
    "INSERT INTO accounts.own_wallet SELECT * FROM accounts.own_wallet",
    "DELETE FROM accounts.own_event",
    "CREATE TABLE public.mine (id integer)",
    "CREATE TEMPORARY TABLE mine (id integer)",
    "CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE sql COST 0.1 RETURN true",
    "SET ROLE analyst",
    "SET ROLE migrator",
    "SET SESSION AUTHORIZATION loader",
    "COPY accounts.wallet TO STDOUT",
    "SELECT pg_read_file('/etc/passwd')",
)
OWN_VIEWS = ("own_event", "own_order", "own_wallet", "own_api_key")


def is_refused(connection: psycopg.Connection[Any], statement: str) -> bool:
    connection.execute("SET TRANSACTION READ WRITE")
    try:
        connection.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege:
        return True
    finally:
        connection.rollback()
    return False


def test_on_the_apis_own_connection_nobody_reads_another_users_rows(
    platform: Platform, keys: dict[str, str]
) -> None:
    """A mistake in the API, or a statement smuggled in, must find nothing of anybody else."""
    assert keys
    # a database made from a template keeps the rights of its tables but not its own
    migrate(platform.settings, progress=lambda text: None)
    url = platform.settings.postgres.api_url
    assert url is not None
    with psycopg.connect(url.get_secret_value()) as connection:
        allowed = [statement for statement in OTHERS_ROWS if not is_refused(connection, statement)]
        assert allowed == []
        for view in OWN_VIEWS:
            count = f"SELECT count(*) FROM accounts.{view}".encode()
            assert connection.execute(count).fetchall() == [(0,)], "nobody was named"
            users = f"SELECT DISTINCT user_id FROM accounts.{view}".encode()
            connection.execute("SELECT set_config('crypto_platform.user_id', 'bob', true)")
            assert connection.execute(users).fetchall() == [("bob",)]
            others = f"SELECT count(*) FROM accounts.{view} WHERE user_id = 'ann'".encode()
            assert connection.execute(others).fetchall() == [(0,)]
            connection.commit()
            assert connection.execute(count).fetchall() == [(0,)], "the name went with its work"
            connection.rollback()


def test_every_user_method_of_the_store_works_as_the_apis_role(
    platform: Platform, keys: dict[str, str]
) -> None:
    """And a name that two questions share is never the one before's."""
    store = platform.store("postgres", role="api")
    for user in itertools.islice(itertools.cycle(USERS), 8):
        assert {wallet.user_id for wallet in store.read_wallets(user)} == {user}
        assert {e.user_id for e in store.read_transactions(user, records_max=99)} == {user}
        assert {key.user_id for key in store.read_api_keys(user)} == {user}
    assert store.read_wallets("nobody") == []
    assert keys
