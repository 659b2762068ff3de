"""Tokens: who asks and until when, signed by this platform.

Here: issuing and reading them (JSON Web Tokens, HS256, by PyJWT). Not here: whether the key behind
one was revoked meanwhile (services.py), where one travels (identity.py).
"""

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass

import jwt

ISSUER = "crypto-platform"
TOKEN_LENGTH_MAX = 4096
_ALGORITHM = "HS256"
_CLAIMS = ("iss", "sub", "key", "iat", "exp")


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Who asks: a user, by one of his keys."""

    user_id: str
    key_id: str


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A token, and when it ends in seconds since 1970."""

    token: str
    expires_s: int


class Tokens:
    """Issues and reads them. Safe for threads."""

    def __init__(
        self, secret: bytes, *, valid_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        """Nothing is issued yet.

        Args:
            secret: Signs; 32 bytes.
            valid_s: How long one holds.
            clock: Seconds since 1970.
        """
        self._secret = secret
        self._valid_s = valid_s
        self._clock = clock

    def issue(self, asker: Asker) -> Issued:
        """A token of this asker."""
        now = int(self._clock())
        expires_s = now + int(self._valid_s)
        claims = {
            "iss": ISSUER,
            "sub": asker.user_id,
            "key": asker.key_id,
            "iat": now,
            "exp": expires_s,
        }
        return Issued(token=jwt.encode(claims, self._secret, _ALGORITHM), expires_s=expires_s)

    def read(self, token: str) -> Asker | None:
        """Whose a token is; None where it is over, or not one of ours."""
        if len(token) > TOKEN_LENGTH_MAX:
            return None
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                issuer=ISSUER,
                options={"require": list(_CLAIMS), "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            return None
        user_id, key_id, expires_s = claims["sub"], claims["key"], claims["exp"]
        is_sound = isinstance(key_id, str) and isinstance(expires_s, int)
        if not is_sound or expires_s <= self._clock():
            return None
        return Asker(user_id=user_id, key_id=key_id)


def derive_secret(secret: str, purpose: str) -> bytes:
    """A secret for one purpose, so that what is signed for one means nothing to another."""
    return hmac.digest(secret.encode(), purpose.encode(), hashlib.sha256)
