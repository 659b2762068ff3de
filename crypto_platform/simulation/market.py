"""The simulated market: what every currency costs at any second, the same whoever asks.

Here: random walks with random access in time, and the market figures made from them. Not here:
what is listed (currencies.py), HTTP and CoinCap's field names (server.py), faults (faults.py).

A walk is Brownian motion by midpoint displacement (Levy's construction): it is fixed at every
multiple of 2^23 s (97 days), and each second between lies halfway between two coarser ones plus
noise. The noise is a hash of (seed, second), so the past and the future stand without being
stored. Log price = log(base) + beta x market walk + own walk. The fixed points scatter around
the base by themselves, so prices wander for weeks and never run away.

Floats are right here: this is where prices are invented, not where they are counted. They become
text once, by `format(x, ".18f")`; what is multiplied afterwards is multiplied as Decimal.
"""

import hashlib
import math
import struct
from array import array
from collections.abc import Sequence
from decimal import Context, Decimal
from functools import lru_cache
from operator import attrgetter
from statistics import NormalDist
from typing import NamedTuple

from crypto_platform.simulation.currencies import Currency

DAY_S = 86_400
MARKET_VOLATILITY_PCT = 2.2
"""Standard deviation of a day's move of the market as a whole."""

_ANCHOR_S = 2**23
_VWAP_STEP_S = 2**12
_POINTS_CACHED_MAX = 512
_UINT32_VALUES = 2**32
_EXACT = Context(prec=60)
"""Supply (16 digits) times price (24 digits) fits; the default 28 digits would round it."""


class Quote(NamedTuple):
    """A currency's published figures at one second, as text with the digits of the source.

    Attributes:
        rank: 1 for the largest market cap of that second.
        price_usd: Positive, 18 decimals; so is `vwap_usd`.
        market_cap_usd: Exactly supply x price, rounded to 16 decimals.
        volume_usd: Of the last 24 hours, 16 decimals. None: unknown, and then `vwap_usd` is too.
        vwap_usd: Of the last 24 hours, weighted by time; trades.py does not enter.
        change_pct: Since 24 hours ago, 18 decimals, signed.
    """

    currency: Currency
    rank: int
    price_usd: str
    market_cap_usd: str
    volume_usd: str | None
    vwap_usd: str | None
    change_pct: str


class Walk:
    """A bundle of independent Brownian walks, each with variance 1 per second.

    Any second can be asked for, in any order. A look costs at most 23 new points; following the
    clock costs one a second, for the coarser points are kept.
    """

    def __init__(self, *, seed: int, width: int) -> None:
        """Make `width` walks. The same seed gives the same walks; a wider bundle adds to them."""
        self._seed = seed
        self._width = width
        self._noise_format = f"<{width}I"
        self.read_point = lru_cache(maxsize=_POINTS_CACHED_MAX)(self._make_point)

    def _make_point(self, second: int) -> "array[float]":
        noise = self._make_noise(second)
        if second % _ANCHOR_S == 0:
            spread = math.sqrt(_ANCHOR_S / 2)  # neighbours then differ as Brownian motion would
            return array("d", [spread * z for z in noise])
        step = second & -second  # the lowest set bit says how fine this point is
        before, after = self.read_point(second - step), self.read_point(second + step)
        spread = math.sqrt(step / 2)  # variance halfway across a bridge of 2 x step seconds
        return array(
            "d",
            [(a + b) / 2 + spread * z for a, b, z in zip(before, after, noise, strict=True)],
        )

    def _make_noise(self, second: int) -> list[float]:
        # SHAKE's longer output starts with the shorter one: a wider bundle keeps its first walks.
        digest = hashlib.shake_128(f"{self._seed}:{second}".encode()).digest(4 * self._width)
        to_normal = NormalDist().inv_cdf
        return [
            to_normal((number + 0.5) / _UINT32_VALUES)
            for number in struct.unpack(self._noise_format, digest)
        ]


class Market:
    """All currencies on correlated walks; the same seed and second always give the same quotes."""

    def __init__(self, *, seed: int, currencies: Sequence[Currency]) -> None:
        """Centre each currency's walk on its base price."""
        self.seed = seed
        self.currencies = tuple(currencies)
        self._walk = Walk(seed=seed, width=1 + len(self.currencies))
        per_second = 1 / 100 / math.sqrt(DAY_S)
        self._moves = [
            (
                math.log(float(currency.price_usd)),
                currency.beta * MARKET_VOLATILITY_PCT * per_second,
                currency.own_volatility_pct * per_second,
            )
            for currency in self.currencies
        ]
        steps_a_day = DAY_S // _VWAP_STEP_S
        self._step_prices = lru_cache(maxsize=2 * steps_a_day)(self.read_prices)
        self._area_between = lru_cache(maxsize=2)(self._make_area_between)
        self.read_quotes = lru_cache(maxsize=4)(self._make_quotes)

    def _make_quotes(self, second: int) -> tuple[Quote, ...]:
        """Work out what the market publishes at a second; `read_quotes` keeps the last answers.

        Args:
            second: Seconds since 1970, UTC.

        Returns:
            One quote a currency, by falling market cap.
        """
        prices = self.read_prices(second)
        prices_before = self.read_prices(second - DAY_S)
        means = self._mean_prices(second, prices, prices_before)
        priced = [
            _price_currency(currency, price=price, price_before=before, mean=mean)
            for currency, price, before, mean in zip(
                self.currencies, prices, prices_before, means, strict=True
            )
        ]
        priced.sort(key=attrgetter("market_cap_usd"), reverse=True)
        return tuple(_build_quote(one, rank=rank) for rank, one in enumerate(priced, 1))

    def read_prices(self, second: int) -> list[float]:
        """Prices alone, in the order of the currencies: far less work than whole quotes."""
        market_walk, *own_walks = self._walk.read_point(second)
        return [
            math.exp(base + market_move * market_walk + own_move * own_walk)
            for (base, market_move, own_move), own_walk in zip(self._moves, own_walks, strict=True)
        ]

    def _mean_prices(
        self, second: int, prices: list[float], prices_before: list[float]
    ) -> list[float]:
        """Average each price over the last day, by trapezoids on a grid of about an hour.

        The first and last trapezoid end at the day's own ends, so that the mean has no jumps.
        """
        start = second - DAY_S
        first = (start // _VWAP_STEP_S + 1) * _VWAP_STEP_S
        last = second // _VWAP_STEP_S * _VWAP_STEP_S
        columns = zip(
            prices_before,
            self._step_prices(first),
            self._area_between(first, last),
            self._step_prices(last),
            prices,
            strict=True,
        )
        head_s, tail_s = (first - start) / 2, (second - last) / 2
        return [
            (head_s * (before + at_first) + area + tail_s * (at_last + now)) / DAY_S
            for before, at_first, area, at_last, now in columns
        ]

    def _make_area_between(self, first: int, last: int) -> list[float]:
        rows = [self._step_prices(at) for at in range(first, last + 1, _VWAP_STEP_S)]
        return [
            _VWAP_STEP_S * (sum(column) - (column[0] + column[-1]) / 2)
            for column in zip(*rows, strict=True)
        ]


class _Priced(NamedTuple):
    """A currency with what its quote is made of, not yet ranked."""

    currency: Currency
    price_usd: str
    market_cap_usd: Decimal
    change_pct: float
    mean_usd: float


def _price_currency(
    currency: Currency, *, price: float, price_before: float, mean: float
) -> _Priced:
    price_usd = format(price, ".18f")
    return _Priced(
        currency=currency,
        price_usd=price_usd,
        market_cap_usd=_EXACT.multiply(currency.supply, Decimal(price_usd)),
        change_pct=(price / price_before - 1) * 100,
        mean_usd=mean,
    )


def _build_quote(priced: _Priced, *, rank: int) -> Quote:
    turnover_ratio = priced.currency.turnover_ratio
    volume_usd = vwap_usd = None
    if turnover_ratio is not None:
        livelier = 1 + abs(priced.change_pct) / 10  # a day of large moves is one of much trading
        volume_usd = format(float(priced.market_cap_usd) * turnover_ratio * livelier, ".16f")
        vwap_usd = format(priced.mean_usd, ".18f")
    return Quote(
        currency=priced.currency,
        rank=rank,
        price_usd=priced.price_usd,
        market_cap_usd=format(priced.market_cap_usd, ".16f"),
        volume_usd=volume_usd,
        vwap_usd=vwap_usd,
        change_pct=format(priced.change_pct, ".18f"),
    )
