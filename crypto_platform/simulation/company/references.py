"""What a product is worth at a moment, for traders who look elsewhere first.

Here: the simulation's own deterministic prices, and the quotes of a CoinCap-dialect API followed
from a thread. Not here: what traders make of them (traders.py).
"""

import http.client
import json
import logging
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from decimal import Decimal
from typing import Protocol, cast

from crypto_platform.simulation.company.products import CURRENCIES_READ, PRODUCTS, Product
from crypto_platform.simulation.currencies import list_currencies
from crypto_platform.simulation.trades import Tape

FOLLOW_S = 5.0
STALE_S = 60.0
"""A followed price older than this is no longer believed; the own one is taken instead."""

_PRICE_MAX = Decimal(10**9)
"""Nothing costs as much; in ticks it still has room in what an event can hold."""
_TIMEOUT_S = 5.0
_BODY_BYTES_MAX = 4 * 1024 * 1024
_log = logging.getLogger(__name__)


class NoQuotesError(ValueError):
    """An answer that is no page of quotes; says why."""


class References(Protocol):
    """Where prices come from."""

    def read(self, product: Product, time_us: int) -> int:
        """A product's price in its ticks, at least 1."""
        ...


class OwnPrices:
    """The prices around which the simulated market trades, of the same seed."""

    def __init__(self, *, seed: int) -> None:
        """Look at the tape of a seed."""
        self._tape = Tape(seed=seed, currencies=list_currencies(CURRENCIES_READ))

    def read(self, product: Product, time_us: int) -> int:
        """Between the best bid and the best ask of that moment."""
        listed = self._tape.products[product.product_id]
        slot = self._tape.read_slot(listed, max(self._tape.find_slot(listed, time_us), 1))
        middle = slot.best_bid + slot.best_ask
        steps = product.price_decimals - listed.price_decimals
        return max(middle * 10**steps // 2 if steps >= 0 else middle // 10**-steps // 2, 1)


class FollowedPrices:
    """The last quotes of an API, where they are young enough; else the own prices."""

    def __init__(self, own: References, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        """Follow nothing yet."""
        self._own = own
        self._clock_s = clock_s
        self._known: dict[str, tuple[float, Decimal]] = {}

    def read(self, product: Product, time_us: int) -> int:
        """The followed price in ticks, rounded down."""
        at_s, price = self._known.get(product.currency.currency_id, (0.0, None))
        if price is None or self._clock_s() - at_s > STALE_S:
            return self._own.read(product, time_us)
        return max(int(price.scaleb(product.price_decimals)), 1)

    def take(self, body: bytes) -> None:
        """Believe the prices of an answer.

        Raises:
            NoQuotesError: It is no such answer; nothing of it was taken.
        """
        found: dict[str, tuple[float, Decimal]] = {}
        try:
            document = cast("dict[str, list[dict[str, str]]]", json.loads(body))
            for item in document["data"]:
                price = Decimal(str(item["priceUsd"]))
                if price.is_finite() and 0 < price < _PRICE_MAX:
                    found[item["id"]] = (self._clock_s(), price)
        except (LookupError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
            text = f"no page of quotes: {error!r}"
            raise NoQuotesError(text) from None
        self._known |= found

    def follow(self, url: str, stop: threading.Event) -> None:
        """Ask again and again until `stop`; for a thread of its own.

        Args:
            url: Up to the API's version, such as http://127.0.0.1:8099/v3.
            stop: Ends it, within the timeout of a question.
        """
        ids = ",".join(product.currency.currency_id for product in PRODUCTS.values())
        address = f"{url.rstrip('/')}/assets?{urllib.parse.urlencode({'ids': ids})}"
        was_good = True
        while not stop.is_set():
            try:
                with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as answer:
                    self.take(answer.read(_BODY_BYTES_MAX))
                was_good = True
            except (OSError, NoQuotesError, http.client.HTTPException) as error:
                if was_good:
                    _log.warning("%s gives no prices (%s): own ones are used", url, error)
                was_good = False
            stop.wait(FOLLOW_S)
