"""What all requests of one process share: connections, tokens, limits, short memories.

Here: making them from settings, and how an endpoint gets them. Not here: what is asked.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Request

from crypto_platform.errors import ConfigurationError
from crypto_platform.feeds.quotes import QUOTES, Quote
from crypto_platform.serving.api.catalogue import CATALOGUE_EVERY_S, Catalogue, read_catalogue
from crypto_platform.serving.api.limits import Buckets
from crypto_platform.serving.api.log_in import LogIns
from crypto_platform.serving.api.metrics import Metrics
from crypto_platform.serving.api.streams import Streams
from crypto_platform.serving.api.tokens import Tokens, derive_secret
from crypto_platform.serving.audits import Audits
from crypto_platform.serving.currencies import CurrencyCodes
from crypto_platform.serving.failover import Answered, Reads
from crypto_platform.serving.keys import read_keys
from crypto_platform.serving.monitor import Monitor
from crypto_platform.serving.overview import Overview, read_overview
from crypto_platform.serving.pauses import ask_paused
from crypto_platform.serving.reader import RECORDS_MAX
from crypto_platform.serving.status_metrics import Seen
from crypto_platform.settings import Settings

T = TypeVar("T")

QUOTES_EVERY_S = 0.5
OVERVIEW_EVERY_S = 5.0


class Recent(Generic[T]):
    """An answer that all share who ask within a moment. Safe for threads."""

    def __init__(self, read: Callable[[], T], *, every_s: float) -> None:
        """Nothing is asked yet.

        Args:
            read: Asks; an error goes to whoever waits, and is not remembered.
            every_s: An answer of this age is asked for anew.
        """
        self._read = read
        self._every_s = every_s
        self._lock = threading.Lock()
        self._last: tuple[T, float] | None = None

    def get(self) -> T:
        """The answer; one asks, the others wait for him."""
        last = self._last
        if last is not None and time.monotonic() - last[1] < self._every_s:
            return last[0]
        with self._lock:
            last = self._last
            if last is not None and time.monotonic() - last[1] < self._every_s:
                return last[0]
            value = self._read()
            self._last = (value, time.monotonic())
            return value


@dataclass(frozen=True, kw_only=True)
class Services:
    """All of it.

    Attributes:
        is_local: Nobody beyond this machine can ask, but through a proxy on it.
        cursor_secret: Signs cursors.
        simulated: Names of simulated sources.
        quotes: The newest of every source and currency.
        overview: All markets at a glance.
        monitor: How the platform is.
        audits: How the last ones ended.
        requests: How often each client or user may ask.
    """

    settings: Settings
    is_local: bool
    reads: Reads
    metrics: Metrics
    tokens: Tokens
    log_ins: LogIns
    cursor_secret: bytes
    codes: CurrencyCodes
    simulated: frozenset[str]
    catalogue: Recent[Catalogue]
    quotes: Recent[Answered[list[Quote]]]
    overview: Recent[Overview]
    monitor: Monitor
    audits: Audits
    requests: Buckets
    streams: Streams


def build_services(settings: Settings, reads: Reads, *, is_local: bool) -> Services:
    """Everything from settings; no store is asked yet.

    Raises:
        ConfigurationError: There is no secret to sign with.
    """
    if settings.api.secret is None:
        message = (
            "api.secret is not set: start the platform here with `crypto-platform up`, which makes "
            "one, or set CRYPTO_PLATFORM_API__SECRET to 32 or more random characters"
        )
        raise ConfigurationError(message)
    secret = settings.api.secret.get_secret_value()
    codes = CurrencyCodes(settings)
    monitor = Monitor(settings, read_paused=lambda: ask_paused(settings))
    audits = Audits(settings)
    tokens = Tokens(derive_secret(secret, "tokens"), valid_s=settings.api.token_s)
    return Services(
        settings=settings,
        is_local=is_local,
        reads=reads,
        metrics=Metrics(reads, lambda: Seen(status=monitor.read(), audits=audits.read())),
        tokens=tokens,
        log_ins=LogIns(
            tokens,
            lambda user_id: read_keys(reads, user_id).value,
            per_minute=settings.api.logins_per_minute,
        ),
        cursor_secret=derive_secret(secret, "cursors"),
        codes=codes,
        simulated=frozenset(name for name, own in settings.sources.items() if own.simulated),
        catalogue=Recent(lambda: read_catalogue(reads, codes), every_s=CATALOGUE_EVERY_S),
        quotes=Recent(lambda: read_quotes(reads), every_s=QUOTES_EVERY_S),
        overview=Recent(lambda: read_overview(reads, settings), every_s=OVERVIEW_EVERY_S),
        monitor=monitor,
        audits=audits,
        requests=Buckets(per_s=settings.api.requests_per_s, burst=settings.api.burst),
        streams=Streams(streams_max=settings.api.streams_max),
    )


def read_quotes(reads: Reads, *, as_of_us: int | None = None) -> Answered[list[Quote]]:
    """The newest quote of every source and currency, best rank first; or as it was known then."""
    answered = reads.ask(
        lambda store: store.read_latest_quotes(records_max=RECORDS_MAX, as_of_us=as_of_us),
        [QUOTES],
    )
    quotes = [record for record in answered.value if isinstance(record, Quote)]
    return Answered(source=answered.source, value=quotes)


async def find_services(request: Request) -> Services:
    """The process's; not a plain function, which would be given a thread for every request."""
    services: Services = request.app.state.services
    return services


Shared = Annotated[Services, Depends(find_services)]
"""How an endpoint asks for them."""
