"""Logging in: a user and a key for a token, and whether a key still holds.

Here: throttled by client and by user, for each attempt costs a tenth of a second of a core; an
unknown user, a wrong key and a revoked one are answered alike, after the same work. Not here: keys
(serving/keys.py), tokens (tokens.py).
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from math import ceil

from fastapi import Request

from crypto_platform.feeds.api_keys import Key
from crypto_platform.serving.api.limits import Buckets
from crypto_platform.serving.api.parameters import NAME_LENGTH_MAX
from crypto_platform.serving.api.problems import ApiError
from crypto_platform.serving.api.tokens import Asker, Issued, Tokens
from crypto_platform.serving.keys import BusyError, find_matching

KNOWN_EVERY_S = 5.0
"""So long a key is believed to hold."""
KNOWN_MAX = 10_000
USERS_SHARE = 10
"""So many times a client's attempts are let through for one user: to guess from many addresses has
an end, and one address alone keeps nobody from logging in."""

ReadKeys = Callable[[str], list[Key]]


class LogIns:
    """Of one process. Safe for threads."""

    def __init__(
        self,
        tokens: Tokens,
        read_keys: ReadKeys,
        *,
        per_minute: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nobody has tried yet.

        Args:
            read_keys: A user's keys; may raise StoreUnavailableError.
            per_minute: Attempts of one client; USERS_SHARE times as many for one user.
            clock: Seconds that only rise.
        """
        self._tokens = tokens
        self._read_keys = read_keys
        self._clock = clock
        self._clients, self._users = (
            Buckets(per_s=each / 60, burst=max(each, 1.0), clock=clock)
            for each in (per_minute, per_minute * USERS_SHARE)
        )
        self._lock = threading.Lock()
        self._known: OrderedDict[Asker, tuple[bool, float]] = OrderedDict()

    def log_in(self, request: Request, user_id: str, key: str) -> Issued:
        """A token for a key.

        Raises:
            ApiError: 429: too many attempts; 401: no such key of this user; 503: others log in.
            StoreUnavailableError: No store can tell.
        """
        client = "" if request.client is None else request.client.host
        # an attempt that is refused for its client costs its user nothing
        wait_s = self._clients.take(client) or self._users.take(user_id)
        if wait_s:
            raise ApiError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too many attempts to log in",
                headers={"Retry-After": str(ceil(wait_s))},
            )
        # what no user can be called is not asked for: a store refuses NUL
        is_name = len(user_id) <= NAME_LENGTH_MAX and "\x00" not in user_id
        try:
            found = find_matching(self._read_keys(user_id) if is_name else [], key)
        except BusyError:
            message = "too many log in at this moment; try again"
            raise ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE, message, headers={"Retry-After": "2"}
            ) from None
        if found is None:
            raise ApiError(
                HTTPStatus.UNAUTHORIZED,
                "no such key of this user; `crypto-platform keys create` makes one",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return self._tokens.issue(Asker(user_id=found.user_id, key_id=found.key_id))

    def holds(self, asker: Asker) -> bool:
        """Whether the key behind a token was not revoked, as of KNOWN_EVERY_S ago at most.

        Raises:
            StoreUnavailableError: No store can tell.
        """
        now = self._clock()
        with self._lock:
            known = self._known.get(asker)
        if known is not None and now - known[1] < KNOWN_EVERY_S:
            return known[0]
        keys = self._read_keys(asker.user_id)
        holds = any(key.key_id == asker.key_id and key.revoked_us is None for key in keys)
        with self._lock:
            self._known[asker] = (holds, now)
            self._known.move_to_end(asker)
            if len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)
        return holds
