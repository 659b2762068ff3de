"""Who may see how the platform is: `/metrics` and the page `/operations`.

Here: the operator's key, and what holds without one. They tell addresses, lags and incidents, which
is not for everybody who may ask for prices. Not here: users and their tokens (identity.py).

Source: RFC 7617 (Basic: a browser asks for it by itself), RFC 6750 (Bearer: for programs).
"""

import base64
import binascii
import hmac
from http import HTTPStatus

from fastapi import Request
from pydantic import SecretStr

from crypto_platform.serving.api.problems import ApiError
from crypto_platform.serving.api.services import Shared

OPERATOR = "operator"
"""The name that a browser has to be given beside the key."""


async def require_operator(request: Request, services: Shared) -> None:
    """Let in who runs the platform.

    Raises:
        ApiError: 401: the key is missing or wrong. 403: there is none, and others than this machine
            may ask.
    """
    key = services.settings.api.operator_key
    if key is None:
        if services.is_local:
            return
        raise ApiError(
            HTTPStatus.FORBIDDEN,
            "this is for who runs the platform: without api.operator_key in its settings nobody "
            "is let in where it listens beyond its own machine",
        )
    if not is_operator(request.headers.get("Authorization"), key):
        raise ApiError(
            HTTPStatus.UNAUTHORIZED,
            f"this is for who runs the platform: log in as {OPERATOR} with api.operator_key, or "
            "send it as `Authorization: Bearer KEY`",
            headers={"WWW-Authenticate": f'Basic realm="{OPERATOR}", charset="UTF-8"'},
        )


def is_operator(header: str | None, key: SecretStr) -> bool:
    """Whether a header Authorization holds the key, by Basic or Bearer; no length is given away."""
    scheme, _, value = (header or "").partition(" ")
    expected = key.get_secret_value().encode()
    given = value.strip().encode()
    if scheme.lower() == "basic":
        expected = f"{OPERATOR}:".encode() + expected
        try:
            given = base64.b64decode(given, validate=True)
        except binascii.Error:
            return False
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given, expected)
