"""Dagster's GraphQL, as far as the command line needs it.

Here: one request and its errors. Not here: what is asked (pauses.py, stack/dagster.py). The web
server has no log-in of its own and listens on the loopback; behind a proxy, use its own client.

Source: Dagster's GraphQL schema, /graphql of a running web server.
"""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from crypto_platform.errors import StackError
from crypto_platform.settings import Settings

REPOSITORY: Mapping[str, str] = {
    "repositoryLocationName": "crypto_platform",
    "repositoryName": "__repository__",
}
"""Our definitions, as workspace.yaml names them."""

TIMEOUT_S = 10.0


def find_url(settings: Settings) -> str:
    """Where the web server is.

    Raises:
        StackError: None is known.
    """
    if settings.dagster.webserver_url is None:
        message = (
            "no Dagster web server is known here: start the platform with `crypto-platform up`, or "
            "set dagster.webserver_url"
        )
        raise StackError(message)
    return settings.dagster.webserver_url


def ask_dagster(
    url: str, query: str, variables: Mapping[str, object], *, timeout_s: float = TIMEOUT_S
) -> Any:  # noqa: ANN401 - JSON of the query's shape
    """The `data` of one GraphQL request.

    Raises:
        StackError: No answer, or a refusal; says which.
    """
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(
        f"{url.rstrip('/')}/graphql", data=body, headers={"Content-Type": "application/json"}
    )
    # without a proxy: the address is one of ours
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout_s) as answer:
            content: dict[str, Any] = json.load(answer)
    except (OSError, ValueError, http.client.HTTPException) as error:
        detail = error.read().decode()[:300] if isinstance(error, urllib.error.HTTPError) else ""
        message = (
            f"Dagster's web server at {url} did not answer: {error} {detail}".rstrip()
            + "; `crypto-platform status` says whether it runs"
        )
        raise StackError(message) from None
    if content.get("errors"):
        message = f"Dagster refused: {str(content['errors'])[:300]}"
        raise StackError(message)
    return content["data"]
