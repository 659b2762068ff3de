"""How an answer looks: JSON, where it comes from in its headers, and a tag of its content.

Here: bytes and headers. Lists stand under their name, amounts are text, times RFC 3339 UTC; the
tag is of the content, so that who has it already is not sent it again. Not here: rows
(serving/sheets.py), refusals (problems.py).
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import msgspec
from fastapi import Request, Response

from crypto_platform.serving.failover import Source

SOURCE = "X-Data-Source"
STALE = "X-Data-Stale"
AGE_S = "X-Data-Age-Seconds"

_VARY = "Accept-Encoding, Authorization, Cookie"


def build_answer(
    request: Request,
    document: Mapping[str, object],
    sources: Sequence[Source] = (),
    *,
    is_private: bool = False,
) -> Response:
    """An answer of JSON; only its headers where the asker has this very content.

    Args:
        document: Plain values, as they will be read.
        sources: Of the stores that answered; the first is the main one, all say how fresh it is.
        is_private: One user's, for no cache between.
    """
    body = msgspec.json.encode(document)
    return build_tagged(
        request, body, media_type="application/json", sources=sources, is_private=is_private
    )


def build_tagged(
    request: Request,
    body: bytes,
    *,
    media_type: str,
    sources: Sequence[Source],
    is_private: bool,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An answer of any form; see build_answer."""
    tag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    named = {
        "ETag": tag,
        "Cache-Control": "private, no-cache" if is_private else "no-cache",
        "Vary": _VARY,
        **describe_sources(sources),
        **(headers or {}),
    }
    known = {each.strip() for each in request.headers.get("If-None-Match", "").split(",")}
    if tag in known or "*" in known:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=named)
    return Response(body, media_type=media_type, headers=named)


def describe_sources(sources: Sequence[Source]) -> dict[str, str]:
    """Which store answered, whether what it said may be old, how old its newest record is.

    An answer of two homes (wallets and prices) is as stale as the worse of them.
    """
    if not sources:
        return {}
    newest_us = [source.newest_us for source in sources if source.newest_us is not None]
    described = {
        SOURCE: sources[0].store,
        STALE: "true" if any(source.problems for source in sources) else "false",
    }
    if newest_us:
        described[AGE_S] = f"{max(time.time() - min(newest_us) / 1_000_000, 0.0):.3f}"
    return described
