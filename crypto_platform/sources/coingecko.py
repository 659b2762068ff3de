"""CoinGecko API v3: quotes of many currencies in a currency of choice.

Here: the path, the pages, the field names. Figures are JSON numbers such as 1.054e-05 or
18710831.0, whose digits must not pass through a float; each currency has a time of its own, and
other figures may come under the same time.

Source: CoinGecko API v3, "Coins List with Market Data" (/coins/markets).
"""

import math
from collections.abc import Mapping
from functools import partial

import msgspec

from crypto_platform.feeds import QUOTES
from crypto_platform.feeds.quotes import Quote, seal_quote
from crypto_platform.settings import SourceSettings
from crypto_platform.sources.base import Poll
from crypto_platform.sources.http import Answer
from crypto_platform.sources.pages import (
    NULL,
    CurrencyId,
    decode_item,
    decode_page,
    read_amount,
    read_items,
    read_rank,
    read_time,
)
from crypto_platform.sources.paging import QuoteSource, Request, split_ids

PATH = "/coins/markets"
KEY_HEADER = "x-cg-demo-api-key"
PAGE_CURRENCIES_MAX = 250


class _Market(msgspec.Struct):
    """One currency as CoinGecko prints it; Raw keeps the digits."""

    id: CurrencyId
    symbol: str | None = None
    name: str | None = None
    current_price: msgspec.Raw = NULL
    market_cap: msgspec.Raw = NULL
    market_cap_rank: msgspec.Raw = NULL
    fully_diluted_valuation: msgspec.Raw = NULL
    total_volume: msgspec.Raw = NULL
    high_24h: msgspec.Raw = NULL
    low_24h: msgspec.Raw = NULL
    price_change_24h: msgspec.Raw = NULL
    price_change_percentage_24h: msgspec.Raw = NULL
    market_cap_change_24h: msgspec.Raw = NULL
    market_cap_change_percentage_24h: msgspec.Raw = NULL
    circulating_supply: msgspec.Raw = NULL
    total_supply: msgspec.Raw = NULL
    max_supply: msgspec.Raw = NULL
    last_updated: str | None = None


_MARKET_DECODER = msgspec.json.Decoder(_Market)


def parse_markets(
    body: bytes, *, source: str, quote_currency: str, ts_ingest: int, url: str = PATH
) -> Poll:
    """Turn one page of currencies into quotes.

    Args:
        body: [{"id": str, "symbol", "name": str | null, "current_price", "market_cap", ...: number
            | null, "last_updated": RFC 3339 | null, ...}].
        source: Name in the settings.
        quote_currency: What was asked for, upper case; the page does not say it.
        ts_ingest: When the poll began, microseconds.
        url: Where it came from, for errors.

    Returns:
        Quotes in CoinGecko's order, ts_event the currency's own time or None; a currency that
        cannot be a record is in `rejected`. Both empty for an empty list.

    Raises:
        SourceMalformedError: Not such a page; nothing of it is used.
    """
    _, items = decode_page(body, list[msgspec.Raw], list, source=source, url=url)
    parse = partial(
        _parse_market, source=source, quote_currency=quote_currency, ts_ingest=ts_ingest
    )
    return read_items(items, parse, source=source, feed=QUOTES, ts_ingest=ts_ingest)


def _parse_market(item: bytes, *, source: str, quote_currency: str, ts_ingest: int) -> Quote:
    market = decode_item(_MARKET_DECODER, item)

    def amount(name: str) -> str | None:
        return read_amount(getattr(market, name), name)

    return seal_quote(
        Quote(
            source=source,
            currency_id=market.id,
            quote_currency=quote_currency,
            currency_symbol=market.symbol,
            currency_name=market.name,
            market_cap_rank=read_rank(market.market_cap_rank, "market_cap_rank"),
            price=amount("current_price"),
            market_cap=amount("market_cap"),
            fully_diluted_market_cap=amount("fully_diluted_valuation"),
            quote_volume_24h=amount("total_volume"),
            high_24h=amount("high_24h"),
            low_24h=amount("low_24h"),
            price_change_24h=amount("price_change_24h"),
            price_change_24h_pct=amount("price_change_percentage_24h"),
            market_cap_change_24h=amount("market_cap_change_24h"),
            market_cap_change_24h_pct=amount("market_cap_change_percentage_24h"),
            circulating_supply=amount("circulating_supply"),
            total_supply=amount("total_supply"),
            max_supply=amount("max_supply"),
            ts_event=read_time(market.last_updated, "last_updated"),
            ts_ingest=ts_ingest,
        )
    )


class CoinGecko(QuoteSource):
    """One instance of CoinGecko's API v3, without key or with a demo key."""

    path = PATH

    def plan_requests(self, settings: SourceSettings) -> list[Request]:
        """By ids, or by numbered pages.

        Those have all one size: 300 currencies are two pages of 150 (and 301 two of 151: the number
        is rounded up to whole pages).
        """
        query = {"vs_currency": settings.quote_currency.lower(), "order": "market_cap_desc"}
        if settings.currency_ids:
            return [
                Request(
                    params={**query, "per_page": len(ids), "page": 1, "ids": ",".join(ids)},
                    by_ids=True,
                )
                for ids in split_ids(settings.currency_ids, page_ids_max=PAGE_CURRENCIES_MAX)
            ]
        pages = math.ceil(settings.currencies_max / PAGE_CURRENCIES_MAX)
        per_page = math.ceil(settings.currencies_max / pages)
        return [
            Request(params={**query, "per_page": per_page, "page": page}, by_ids=False)
            for page in range(1, pages + 1)
        ]

    def name_caller(self, key: str) -> Mapping[str, str]:
        """A demo key."""
        return {KEY_HEADER: key}

    def parse_page(self, answer: Answer, *, ts_ingest: int) -> Poll:
        """One page; see parse_markets."""
        return parse_markets(
            answer.body,
            source=self.name,
            quote_currency=self.quote_currency,
            ts_ingest=ts_ingest,
            url=answer.url,
        )
