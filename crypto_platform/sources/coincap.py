"""CoinCap API 3.0: quotes of many currencies in US dollars. The simulated market speaks it too.

Here: the path, the pages, the field names. Figures are strings of up to 30 digits, `rank` is a
string or an integer, what CoinCap does not know is null. An answer has one time for all its
currencies.

Source: CoinCap API 3.0, "Assets" (rest.coincap.io/v3).
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated

import msgspec

from crypto_platform.domain.hours import TIME_US_MAX
from crypto_platform.errors import ConfigurationError
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
)
from crypto_platform.sources.paging import QuoteSource, Request, split_ids

PATH = "/assets"
QUOTE_CURRENCY = "USD"
PAGE_CURRENCIES_MAX = 2000
PAGE_IDS_MAX = 250
"""Ids in one request: longer addresses are refused by servers (8 KB)."""


class _Assets(msgspec.Struct):
    """A page; `timestamp` is the answer's time in milliseconds."""

    data: list[msgspec.Raw]
    timestamp: Annotated[int, msgspec.Meta(ge=0, le=TIME_US_MAX // 1000)] | None = None


class _Asset(msgspec.Struct, rename="camel"):
    """One currency as CoinCap prints it; Raw keeps the digits."""

    id: CurrencyId
    symbol: str | None = None
    name: str | None = None
    rank: msgspec.Raw = NULL
    supply: msgspec.Raw = NULL
    max_supply: msgspec.Raw = NULL
    market_cap_usd: msgspec.Raw = NULL
    price_usd: msgspec.Raw = NULL
    volume_usd_24h: msgspec.Raw = msgspec.field(default=NULL, name="volumeUsd24Hr")
    change_percent_24h: msgspec.Raw = msgspec.field(default=NULL, name="changePercent24Hr")
    vwap_24h: msgspec.Raw = msgspec.field(default=NULL, name="vwap24Hr")


_ASSET_DECODER = msgspec.json.Decoder(_Asset)


def parse_assets(body: bytes, *, source: str, ts_ingest: int, url: str = PATH) -> Poll:
    """Turn one page of currencies into quotes in USD.

    Args:
        body: {"timestamp": ms, "data": [{"id": str, "rank": str | int, "symbol", "name", "supply",
            "maxSupply", "marketCapUsd", "volumeUsd24Hr", "priceUsd", "changePercent24Hr",
            "vwap24Hr": str | null, ...}]}.
        source: Name in the settings.
        ts_ingest: When the poll began, microseconds.
        url: Where it came from, for errors.

    Returns:
        Quotes in CoinCap's order, ts_event the answer's time; a currency that cannot be a record
        (no id, a price of NaN) is in `rejected`. Both empty for an empty list.

    Raises:
        SourceMalformedError: Not such a page; nothing of it is used.
    """
    page, items = decode_page(body, _Assets, _list_items, source=source, url=url)
    parse = partial(
        _parse_asset,
        source=source,
        ts_event=None if page.timestamp is None else page.timestamp * 1000,
        ts_ingest=ts_ingest,
    )
    return read_items(items, parse, source=source, feed=QUOTES, ts_ingest=ts_ingest)


def _list_items(page: _Assets) -> list[msgspec.Raw]:
    return page.data


def _parse_asset(item: bytes, *, source: str, ts_event: int | None, ts_ingest: int) -> Quote:
    asset = decode_item(_ASSET_DECODER, item)
    return seal_quote(
        Quote(
            source=source,
            currency_id=asset.id,
            quote_currency=QUOTE_CURRENCY,
            currency_symbol=asset.symbol,
            currency_name=asset.name,
            market_cap_rank=read_rank(asset.rank, "rank"),
            price=read_amount(asset.price_usd, "priceUsd"),
            market_cap=read_amount(asset.market_cap_usd, "marketCapUsd"),
            quote_volume_24h=read_amount(asset.volume_usd_24h, "volumeUsd24Hr"),
            vwap_24h=read_amount(asset.vwap_24h, "vwap24Hr"),
            price_change_24h_pct=read_amount(asset.change_percent_24h, "changePercent24Hr"),
            circulating_supply=read_amount(asset.supply, "supply"),
            max_supply=read_amount(asset.max_supply, "maxSupply"),
            ts_event=ts_event,
            ts_ingest=ts_ingest,
        )
    )


class CoinCap(QuoteSource):
    """One instance of CoinCap's API 3.0."""

    path = PATH

    def plan_requests(self, settings: SourceSettings) -> list[Request]:
        """By ids, or by offsets; in US dollars only."""
        if settings.quote_currency != QUOTE_CURRENCY:
            message = (
                f"sources.{self.name}.quote_currency is {settings.quote_currency!r}, but CoinCap "
                f"quotes in {QUOTE_CURRENCY} only: leave it out, or use the dialect coingecko"
            )
            raise ConfigurationError(message)
        if settings.currency_ids:
            # without a limit the answer stops at 100
            return [
                Request(params={"ids": ",".join(ids), "limit": len(ids)}, by_ids=True)
                for ids in split_ids(settings.currency_ids, page_ids_max=PAGE_IDS_MAX)
            ]
        wanted = settings.currencies_max
        return [
            Request(
                params={"limit": min(PAGE_CURRENCIES_MAX, wanted - offset), "offset": offset},
                by_ids=False,
            )
            for offset in range(0, wanted, PAGE_CURRENCIES_MAX)
        ]

    def name_caller(self, key: str) -> Mapping[str, str]:
        """CoinCap takes a bearer's token."""
        return {"Authorization": f"Bearer {key}"}

    def parse_page(self, answer: Answer, *, ts_ingest: int) -> Poll:
        """One page; see parse_assets."""
        return parse_assets(answer.body, source=self.name, ts_ingest=ts_ingest, url=answer.url)
