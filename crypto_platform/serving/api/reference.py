"""`/docs`: the API's reference as one page, made of what OpenAPI says, without any script.

Here: OpenAPI -> what the page shows, and the one in docs/reference. Not here: what it says
(schemas.py, documents.py).
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import jinja2
from fastapi import APIRouter, Request, Response

_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("crypto_platform.serving.api", "."),
    autoescape=True,
    undefined=jinja2.ChainableUndefined,
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

router = APIRouter()


@router.get("/docs", include_in_schema=False)
def show_reference(request: Request) -> Response:
    """One page."""
    page = render_reference(request.app.openapi(), base_url=str(request.base_url))
    return Response(page, media_type="text/html", headers={"Content-Security-Policy": _POLICY})


def render_reference(api: Mapping[str, Any], *, base_url: str) -> str:
    """The page of an OpenAPI document.

    Args:
        base_url: Where examples ask.
    """
    endpoints = list(list_endpoints(api, base_url=base_url.rstrip("/")))
    return _templates.get_template("reference.html").render(api=api, endpoints=endpoints)


def list_endpoints(api: Mapping[str, Any], *, base_url: str) -> Iterator[dict[str, Any]]:
    """What a person wants to know of each endpoint, in the document's order.

    Args:
        base_url: Where examples ask, without a slash at its end.
    """
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            answers = operation["responses"]
            content = answers.get("200", {}).get("content", {}).get("application/json", {})
            example = content.get("example")
            yield {
                "name": operation["operationId"],
                "tag": operation["tags"][0],
                "method": method.upper(),
                "path": path,
                "summary": operation["summary"],
                "description": operation.get("description", ""),
                "parameters": operation.get("parameters", []),
                "curl": _build_curl(base_url, path, operation),
                "example": example and json.dumps(example, indent=2, ensure_ascii=False),
                "answers": sorted(answers.items()),
            }


def _build_curl(base_url: str, path: str, operation: Mapping[str, Any]) -> str:
    """What a person would type: what is required, by example."""
    words = ["curl"]
    if "401" in operation["responses"] and "requestBody" not in operation:
        words.append('-H "Authorization: Bearer $TOKEN"')
    if "text/event-stream" in operation["responses"]["200"].get("content", {}):
        words.append("-N")
    if "requestBody" in operation:
        words += ["-H 'Content-Type: application/json'", '-d \'{"user": "…", "key": "…"}\'']
    required = {
        parameter["name"]: parameter["schema"]["examples"][0]
        for parameter in operation.get("parameters", [])
        if parameter["required"] and parameter["in"] == "query"
    }
    query = f"?{urlencode(required, safe='/')}" if required else ""
    return " ".join([*words, f"'{base_url}{path}{query}'"])
