"""API keys: made of one secret and a name, so that none is stored.

A key is NAME.SIGNATURE; the name is `operator` or a user's id. Compared in constant time.
"""

import hashlib
import hmac
import re

from crypto_platform.simulation.company.traders import USERS_MAX

OPERATOR = "operator"
SECRET_CHARACTERS_MIN = 16

_USER_ID = re.compile(r"u(\d{6})")


class KeyRing:
    """The keys of one secret."""

    def __init__(self, secret: str) -> None:
        """Make keys of `secret`.

        Raises:
            ValueError: It is too short to be one.
        """
        if len(secret) < SECRET_CHARACTERS_MIN:
            text = f"a secret has at least {SECRET_CHARACTERS_MIN} characters"
            raise ValueError(text)
        self._secret = secret.encode()

    def make_key(self, name: str) -> str:
        """The key of `operator` or of a user's id."""
        return f"{name}.{hmac.new(self._secret, name.encode(), hashlib.sha256).hexdigest()}"

    def find_holder(self, key: str) -> str | None:
        """Whose key it is: `operator`, a user's id; None: nobody's."""
        name = key.partition(".")[0]
        if name != OPERATOR and parse_user_id(name) is None:
            return None
        is_right = hmac.compare_digest(key.encode(), self.make_key(name).encode())
        return name if is_right else None


def print_user_id(user: int) -> str:
    """u000042."""
    return f"u{user:06}"


def parse_user_id(text: str) -> int | None:
    """The number of a user's id; None where it is none."""
    found = _USER_ID.fullmatch(text)
    user = 0 if found is None or not text.isascii() else int(found[1])
    return user if 1 <= user <= USERS_MAX else None
