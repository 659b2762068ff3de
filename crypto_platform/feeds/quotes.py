"""quotes: a source's published price of a currency with its market figures.

A source may serve other figures under the same time (CoinGecko does), so the content is part of the
identity: a change is a new quote, never a conflict.
"""

from crypto_platform.feeds.feed import (
    Amount,
    Count,
    Feed,
    Index,
    Record,
    Text,
    TimeUs,
    seal,
)


class Quote(Record, frozen=True, kw_only=True, tag=1):
    """One source's figures of one currency at one time.

    Attributes:
        source: Who published it: a name in the settings.
        currency_id: The source's own id (bitcoin).
        currency_symbol: As the source writes it (BTC).
        currency_name: As the source writes it (Bitcoin).
        quote_currency: Currency of all money below, upper case (USD, ETH).
        price: Of one unit, in quote currency.
        market_cap_rank: 1 is the largest.
        market_cap: Price x circulating supply, in quote currency.
        fully_diluted_market_cap: Price x maximal supply, in quote currency.
        quote_volume_24h: Traded in 24 hours, in quote currency.
        vwap_24h: Volume-weighted average price of 24 hours, in quote currency.
        high_24h: Highest price of 24 hours, in quote currency.
        low_24h: Lowest price of 24 hours, in quote currency.
        price_change_24h: In 24 hours, in quote currency.
        price_change_24h_pct: In 24 hours, per cent, from -100 upwards.
        market_cap_change_24h: In 24 hours, in quote currency.
        market_cap_change_24h_pct: In 24 hours, per cent, from -100 upwards.
        circulating_supply: Units that can be traded; None is unknown, not 0.
        total_supply: Units there are; None is unknown, not 0.
        max_supply: Units there can ever be; None is unknown, not 0.
        ts_event: The currency's own time where the source gives one, else its answer's.
    """

    source: Text
    currency_id: Text
    quote_currency: Text
    currency_symbol: Text | None = None
    currency_name: Text | None = None
    market_cap_rank: Count | None = None
    price: Amount | None = None
    market_cap: Amount | None = None
    fully_diluted_market_cap: Amount | None = None
    quote_volume_24h: Amount | None = None
    vwap_24h: Amount | None = None
    high_24h: Amount | None = None
    low_24h: Amount | None = None
    price_change_24h: Amount | None = None
    price_change_24h_pct: Amount | None = None
    market_cap_change_24h: Amount | None = None
    market_cap_change_24h_pct: Amount | None = None
    circulating_supply: Amount | None = None
    total_supply: Amount | None = None
    max_supply: Amount | None = None
    ts_event: TimeUs | None = None


def seal_quote(draft: Quote) -> Quote:
    """Give a quote its hash and its id: source, currency, quote currency, time, content."""
    identity = (draft.source, draft.currency_id, draft.quote_currency, draft.ts_event)
    return seal(draft, identity=identity, content_in_id=True)


QUOTES = Feed(
    name="quotes",
    topic="market.quotes",
    partitions=3,
    record=Quote,
    versions=Quote,
    key_of=lambda quote: f"{quote.source}:{quote.currency_id}",
    schema="market",
    table="quote",
    collection="quotes",
    indexes=(Index(fields=("source", "currency_id", "-ts_ingest")),),
    description="A source's published price of a currency with its market figures.",
)
