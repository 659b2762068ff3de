"""One symbol at several venues at one time: who asks what, and how far apart they are.

Here: prices, spreads and shares of volume compared. A venue's price is the mid price of its book,
which is there whether or not anybody trades; where there is none, or an old one, that of its last
trade. The reference is the median of the venues' prices, so that one venue that went wrong does not
move it; a price that is older than FRESH_S_MAX is shown, but is no part of it: it is of another
time. Not here: which venues and symbols (a unified symbol, never guessed, names what is compared),
reading.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from crypto_platform.domain import exact
from crypto_platform.domain.book_metrics import RATIO_DECIMALS, to_bps
from crypto_platform.domain.hours import TimeUs

FRESH_S_MAX = 300
_FRESH_US_MAX = FRESH_S_MAX * 1_000_000
_HALF = Decimal("0.5")


class PriceOf(StrEnum):
    """What a venue's price was taken from."""

    BOOK = "book"
    TRADE = "trade"


class Timed(NamedTuple):
    """A price and when it was so."""

    price: Decimal
    time_us: TimeUs


@dataclass(frozen=True, kw_only=True)
class VenueMarket:
    """What is known of a symbol at one venue.

    Attributes:
        best_bid, best_ask: Of one book; None where that side, or the book, is not there.
        last_trade: None where there is none.
        base_volume: Of the time that is compared, 24 hours mostly; None where it is not known.
    """

    venue: str
    venue_symbol: str
    best_bid: Timed | None = None
    best_ask: Timed | None = None
    last_trade: Timed | None = None
    base_volume: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class VenueRow:
    """A venue beside the others.

    Attributes:
        price: None where nothing is known.
        price_of: What it was taken from.
        age_us: How old it was at the time of comparison, never below 0.
        is_fresh: Whether it counts for the reference.
        difference_bps: From the reference, in basis points of it.
        spread_bps: Of its book, in basis points of its mid price.
        volume_share_ratio: Of what all venues traded whose volume is known.
    """

    market: VenueMarket
    price: Decimal | None
    price_of: PriceOf | None
    age_us: int | None
    is_fresh: bool
    difference_bps: Decimal | None
    spread_bps: Decimal | None
    volume_share_ratio: Decimal | None


class Gap(NamedTuple):
    """Where one would have bought and sold; below zero where that loses, fees not counted.

    Attributes:
        bps: Best bid of all less best ask of all, in basis points of the ask.
    """

    buy_at: str
    ask: Decimal
    sell_at: str
    bid: Decimal
    bps: Decimal


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A symbol at all its venues.

    Attributes:
        reference_price: Median of the fresh prices; None where there is none.
        rows: By venue and its symbol.
        gap: None where fewer than two venues have a fresh book.
    """

    reference_price: Decimal | None
    rows: Sequence[VenueRow]
    gap: Gap | None


def compare_venues(markets: Sequence[VenueMarket], *, as_of_us: TimeUs) -> Comparison:
    """Put the venues of one symbol beside each other."""
    markets = sorted(markets, key=lambda market: (market.venue, market.venue_symbol))
    prices = [_find_price(market, as_of_us=as_of_us) for market in markets]
    known = [found.timed for found in prices if found is not None]
    reference = find_median([each.price for each in known if _is_fresh(each, as_of_us=as_of_us)])
    volume = exact.total_known(market.base_volume for market in markets)
    return Comparison(
        reference_price=reference,
        rows=[
            _build_row(market, found, reference, volume, as_of_us=as_of_us)
            for market, found in zip(markets, prices, strict=True)
        ],
        gap=_find_gap(markets, as_of_us=as_of_us),
    )


def find_median(prices: Sequence[Decimal]) -> Decimal | None:
    """The middle one, or halfway between the two; None of none."""
    if not prices:
        return None
    ordered = sorted(prices)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low if low == high else exact.multiply(exact.add(low, high), _HALF)


class _Price(NamedTuple):
    timed: Timed
    of: PriceOf


def _is_fresh(timed: Timed, *, as_of_us: TimeUs) -> bool:
    return as_of_us - timed.time_us <= _FRESH_US_MAX


def _find_price(market: VenueMarket, *, as_of_us: TimeUs) -> _Price | None:
    bid, ask, trade = market.best_bid, market.best_ask, market.last_trade
    last = None if trade is None else _Price(trade, PriceOf.TRADE)
    if bid is None or ask is None:
        return last
    mid = Timed(exact.multiply(exact.add(bid.price, ask.price), _HALF), bid.time_us)
    if last is None or _is_fresh(mid, as_of_us=as_of_us) or last.timed.time_us < mid.time_us:
        return _Price(mid, PriceOf.BOOK)
    return last


def _build_row(
    market: VenueMarket,
    found: _Price | None,
    reference: Decimal | None,
    volume: Decimal | None,
    *,
    as_of_us: TimeUs,
) -> VenueRow:
    share = None
    if market.base_volume is not None and volume:
        share = exact.round_half_up(exact.divide(market.base_volume, volume), RATIO_DECIMALS)
    difference_bps = None
    if found is not None and reference is not None:
        difference_bps = to_bps(exact.subtract(found.timed.price, reference), of=reference)
    return VenueRow(
        market=market,
        price=None if found is None else found.timed.price,
        price_of=None if found is None else found.of,
        age_us=None if found is None else max(as_of_us - found.timed.time_us, 0),
        is_fresh=found is not None and _is_fresh(found.timed, as_of_us=as_of_us),
        difference_bps=difference_bps,
        spread_bps=_find_spread_bps(market),
        volume_share_ratio=share,
    )


def _find_spread_bps(market: VenueMarket) -> Decimal | None:
    bid, ask = market.best_bid, market.best_ask
    if bid is None or ask is None:
        return None
    mid = exact.multiply(exact.add(bid.price, ask.price), _HALF)
    return to_bps(exact.subtract(ask.price, bid.price), of=mid)


def _find_gap(markets: Sequence[VenueMarket], *, as_of_us: TimeUs) -> Gap | None:
    """The dearest bid and the cheapest ask that are not of one venue."""
    pairs = [
        (exact.subtract(bid.price, ask.price), buyer.venue, ask.price, seller.venue, bid.price)
        for seller in markets
        for buyer in markets
        for bid, ask in [(seller.best_bid, buyer.best_ask)]
        if seller.venue != buyer.venue
        and bid is not None
        and ask is not None
        and _is_fresh(bid, as_of_us=as_of_us)
        and _is_fresh(ask, as_of_us=as_of_us)
    ]
    if not pairs:
        return None
    gained, buy_at, ask_price, sell_at, bid_price = max(pairs)
    return Gap(buy_at, ask_price, sell_at, bid_price, to_bps(gained, of=ask_price))
