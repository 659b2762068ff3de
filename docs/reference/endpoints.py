"""endpoints.md: every endpoint of the HTTP API, made of its OpenAPI document.

Not here: whose rows one sees, keys, limits (docs/api.md).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, cast

from crypto_platform.serving.api.app import create_app
from crypto_platform.serving.api.reference import list_endpoints
from crypto_platform.settings import DEFAULT_SOURCES, Settings
from docs.reference.markdown import (
    MADE,
    block,
    code,
    join,
    json_block,
    list_codes,
    sentence,
    table,
)

Schema = Mapping[str, Any]

_TEXT = """
The running API gives the same as `/openapi.json`, and as a page at `/docs`. Whose rows one sees,
keys, limits and streams: [HTTP API](../api.md).
"""

BASE_URL = "http://127.0.0.1:8080"
_SIGNS_NOTHING = "nobody is asked, so nothing is signed"


def write_endpoints() -> str:
    """The page."""
    api = read_openapi()
    endpoints = sorted(list_endpoints(api, base_url=BASE_URL), key=lambda each: each["tag"])
    groups = groupby(endpoints, key=lambda each: each["tag"])
    return join(
        ["# Endpoints of the HTTP API", MADE],
        api["info"]["description"],
        _TEXT,
        _write_common(api),
        *(part for tag, own in groups for part in _write_group(tag, list(own), api)),
    )


def read_openapi() -> Schema:
    """The document, of an API that has connected to nothing."""
    given = {"sources": DEFAULT_SOURCES, "api": {"secret": _SIGNS_NOTHING}}
    return create_app(Settings.model_validate(given)).openapi()


def _write_common(api: Schema) -> list[str]:
    responses = api["paths"]["/v1/trades"]["get"]["responses"]
    headers = [
        (code(name), sentence(header["description"]))
        for name, header in responses["200"]["headers"].items()
    ]
    [problem] = responses["422"]["content"].values()
    return [
        "## What all of them have in common",
        "",
        *table(("header of an answer", "meaning"), headers),
        "",
        "A refusal has one shape, `application/problem+json`:",
        "",
        *_write_fields(problem["schema"], api),
    ]


def _write_group(
    tag: str, endpoints: Sequence[Mapping[str, Any]], api: Schema
) -> Iterator[list[str]]:
    yield [f"## {tag.capitalize()}"]
    for each in endpoints:
        operation = api["paths"][each["path"]][each["method"].lower()]
        yield [f"### {each['method']} {each['path']}"]
        yield [sentence(f"{each['summary']}. {each['description']}")]
        yield _write_parameters(each["parameters"], api)
        yield _write_body(operation, api)
        yield block(each["curl"], "sh")
        if "200" in operation["responses"]:
            yield from _write_answer(operation["responses"]["200"], api)
        yield table(
            ("status", "meaning"),
            [(code(status), sentence(each["description"])) for status, each in each["answers"]],
        )


def _write_parameters(parameters: Sequence[Schema], api: Schema) -> list[str]:
    rows = [
        (
            code(each["name"]),
            "must be given" if each["required"] else _print_default(each["schema"]),
            _name_type(each["schema"], api),
            sentence(each.get("description") or each["schema"].get("description")),
        )
        for each in parameters
    ]
    return table(("parameter", "default", "type", "meaning"), rows)


def _print_default(schema: Schema) -> str:
    default = schema.get("default")
    return "" if default in (None, []) else code(default)


def _write_body(operation: Schema, api: Schema) -> list[str]:
    if "requestBody" not in operation:
        return []
    [content] = operation["requestBody"]["content"].values()
    return ["The body, as JSON:", "", *_write_fields(content["schema"], api)]


def _write_answer(answer: Schema, api: Schema) -> Iterator[list[str]]:
    content = answer.get("content", {}).get("application/json", {})
    if "example" in content:
        yield ["An answer, shortened:"]
        yield json_block(content["example"])
    if content.get("schema"):
        yield _write_fields(content["schema"], api)


def _write_fields(schema: Schema, api: Schema) -> list[str]:
    rows = [
        (code(name), _name_type(field, api), sentence(field.get("description")))
        for name, field in list_fields(schema, api)
    ]
    return table(("field", "type", "meaning"), rows)


def list_fields(schema: Schema, api: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """The fields of a document that hold a value, by their paths: `trades[].price`."""
    whole = _resolve(schema, api)
    for name, given in whole.get("properties", {}).items():
        field = _resolve(given, api)
        own = f"{path}{name}"
        if field.get("type") == "array" and "properties" in field.get("items", {}):
            yield from list_fields(field["items"], api, f"{own}[].")
        elif "properties" in field:
            yield from list_fields(field, api, f"{own}.")
        else:
            yield own, field
    if isinstance(others := whole.get("additionalProperties"), Mapping):
        yield f"{path}NAME", cast("Schema", others)


def _resolve(schema: Schema, api: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    return {**api["components"]["schemas"][schema["$ref"].rpartition("/")[2]], **schema}


def _name_type(schema: Schema, api: Schema) -> str:
    choices = [_resolve(each, api) for each in schema.get("anyOf", [schema])]
    known = [each for each in choices if each.get("type") != "null"]
    return " or ".join(dict.fromkeys(_name_choice(each, api) for each in known))


def _name_choice(schema: Schema, api: Schema) -> str:
    if "enum" in schema:
        return f"one of {list_codes(schema['enum'])}"
    if schema.get("type") == "array":
        return f"list of {_name_type(schema.get('items', {'type': 'object'}), api)}"
    kinds = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    kind = schema.get("format") or " or ".join(kinds)
    bounds = [str(schema[key]) for key in ("minimum", "maximum") if key in schema]
    amount = " (amount)" if schema.get("pattern", "").startswith("^-?") else ""
    return f"{kind}{amount} {' to '.join(bounds)}".strip()
