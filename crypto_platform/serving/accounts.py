"""Orders, wallets and transactions of one user, from whichever store answers, MongoDB first.

Here: typed questions that name the user, the value of wallets. Not here: SQL and BSON (stores/),
who may ask for whom, text (cli/).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from crypto_platform.domain.exact import add, multiply
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.feeds.accounts import AccountEvent, Order, Wallet
from crypto_platform.feeds.quotes import QUOTES, Quote
from crypto_platform.feeds.trades import TRADES, Trade
from crypto_platform.serving.currencies import CurrencyCodes
from crypto_platform.serving.failover import Answered, Reads, Source
from crypto_platform.serving.reader import RECORDS_MAX, choose_quotes
from crypto_platform.settings import Settings
from crypto_platform.stores.accounts import Whole
from crypto_platform.stores.base import Store
from crypto_platform.stores.market import ALWAYS, Span

ORDERS_MAX = 1_000
"""Open orders of a user in one answer."""
VALUE_CURRENCY = "USD"


def read_open_orders(reads: Reads, user_id: str) -> Answered[list[Order]]:
    """The user's open orders, the newest first.

    Raises:
        StoreUnavailableError: No store answered; holds what each said.
    """
    return reads.ask(
        lambda store: store.read_open_orders(user_id, records_max=ORDERS_MAX), [ACCOUNT_EVENTS]
    )


def read_order(reads: Reads, user_id: str, order_id: str) -> Answered[list[Whole]]:
    """The order with its fills, or nothing where the user has none of that id."""

    def question(store: Store) -> list[Whole]:
        found = store.read_order(user_id, order_id)
        return [] if found is None else [found]

    return reads.ask(question, [ACCOUNT_EVENTS])


def read_wallets(reads: Reads, user_id: str) -> Answered[list[Wallet]]:
    """The user's wallets, by currency."""
    return reads.ask(lambda store: store.read_wallets(user_id), [ACCOUNT_EVENTS])


def read_transactions(
    reads: Reads,
    user_id: str,
    span: Span = ALWAYS,
    *,
    currency: str | None = None,
    before_sequence: int | None = None,
    records_max: int,
) -> Answered[list[AccountEvent]]:
    """A page of the user's events, the newest first; see Store.read_transactions."""
    return reads.ask(
        lambda store: store.read_transactions(
            user_id,
            span,
            currency=currency,
            before_sequence=before_sequence,
            records_max=records_max,
        ),
        [ACCOUNT_EVENTS],
    )


@dataclass(frozen=True, kw_only=True)
class Price:
    """What one unit of a currency costs in US dollars.

    Attributes:
        source: Who said so: a source of quotes, or the venue of a trade.
        ts_event: When, microseconds; None where it did not say.
    """

    price: str
    source: str
    ts_event: int | None


@dataclass(frozen=True, kw_only=True)
class Holding:
    """A wallet and what it is worth.

    Attributes:
        quantity: Available and locked together.
        price, value: None where nobody knows a price; the value is in US dollars, unrounded.
    """

    wallet: Wallet
    quantity: Decimal
    price: Price | None
    value: Decimal | None


@dataclass(frozen=True, kw_only=True)
class Portfolio:
    """What a user has.

    Attributes:
        value: Of all holdings with a price.
        unpriced: Currencies without one, which `value` leaves out.
        prices_from: Which store told the prices; None where none was asked.
    """

    holdings: Sequence[Holding]
    value: Decimal
    unpriced: Sequence[str]
    prices_from: Source | None = None


def read_portfolio(reads: Reads, settings: Settings, user_id: str) -> Answered[Portfolio]:
    """The user's wallets, each at the newest quote of its currency, else at the newest trade.

    Wallets and prices each come from their own home: whether it is behind is known of both.

    Raises:
        StoreUnavailableError: No store answered; holds what each said.
    """
    codes = CurrencyCodes(settings)
    simulated = frozenset(name for name, own in settings.sources.items() if own.simulated)
    wallets = reads.ask(lambda store: store.read_wallets(user_id), [ACCOUNT_EVENTS])
    wanted = {wallet.currency for wallet in wallets.value} - {VALUE_CURRENCY}
    if not wanted:
        return Answered(source=wallets.source, value=value_wallets(wallets.value, {}))

    def question(store: Store) -> dict[str, Price]:
        prices = find_quoted(_read_quotes(store), codes, simulated)
        return _read_traded(store, wanted - set(prices)) | prices

    prices = reads.ask(question, [QUOTES, FEED_BY_NAME[TRADES.name]])
    portfolio = value_wallets(wallets.value, prices.value)
    return Answered(source=wallets.source, value=replace(portfolio, prices_from=prices.source))


def _read_quotes(store: Store) -> list[Quote]:
    found = store.read_latest_quotes(records_max=RECORDS_MAX)
    return [quote for quote in found if isinstance(quote, Quote)]


def find_quoted(
    quotes: Sequence[Quote], codes: CurrencyCodes, simulated: frozenset[str]
) -> dict[str, Price]:
    """The price of each currency that a quote in US dollars tells, a real source's first."""
    usable = [quote for quote in quotes if quote.quote_currency == VALUE_CURRENCY and quote.price]
    chosen = choose_quotes(usable, codes=codes, simulated=simulated, count=len(usable))
    return {
        code: Price(price=quote.price, source=quote.source, ts_event=quote.ts_event)
        for quote in chosen
        if (code := codes.of_quote(quote)) is not None and quote.price is not None
    }


def _read_traded(store: Store, currencies: set[str]) -> dict[str, Price]:
    """The price of the newest trade against US dollars, whichever venue it was at."""
    if not currencies:
        return {}
    feed = FEED_BY_NAME[TRADES.name]
    symbols = {f"{currency}/{VALUE_CURRENCY}": currency for currency in currencies}
    newest: dict[str, Trade] = {}
    for market in store.list_markets(feed):
        currency = symbols.get(market.symbol or "")
        if currency is None:
            continue
        for trade in store.read_newest(feed, market, records_max=1):
            known = newest.get(currency)
            if isinstance(trade, Trade) and (known is None or known.ts_event < trade.ts_event):
                newest[currency] = trade
    return {
        currency: Price(price=trade.price, source=trade.venue, ts_event=trade.ts_event)
        for currency, trade in newest.items()
    }


def value_wallets(wallets: Sequence[Wallet], prices: Mapping[str, Price]) -> Portfolio:
    """What the wallets are worth; an unknown price is no price, never 0."""
    dollar = Price(price="1", source="the currency itself", ts_event=None)
    known = {**prices, VALUE_CURRENCY: dollar}
    holdings: list[Holding] = []
    total = Decimal(0)
    for wallet in wallets:
        quantity = add(Decimal(wallet.available), Decimal(wallet.locked))
        price = known.get(wallet.currency)
        value = None if price is None else multiply(quantity, Decimal(price.price))
        total = total if value is None else add(total, value)
        holdings.append(Holding(wallet=wallet, quantity=quantity, price=price, value=value))
    unpriced = [each.wallet.currency for each in holdings if each.price is None and each.quantity]
    return Portfolio(holdings=holdings, value=total, unpriced=unpriced)
