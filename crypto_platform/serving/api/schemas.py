"""What OpenAPI says of answers, from the same declarations that the answers are made of.

Here: JSON Schemas of rows and documents, the refusals every endpoint may give, headers. Not here:
parameters, which FastAPI describes by itself.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from crypto_platform.feeds.feed import FieldKind
from crypto_platform.feeds.meaning import explain_fields
from crypto_platform.serving.api.answers import AGE_S, SOURCE, STALE
from crypto_platform.serving.api.problems import PROBLEM_TYPE
from crypto_platform.serving.sheets import Column

Schema = dict[str, Any]

TEXT: Schema = {"type": ["string", "null"]}
AMOUNT: Schema = {"type": ["string", "null"], "pattern": r"^-?\d+(\.\d+)?$"}
FLAG: Schema = {"type": "boolean"}
TIME: Schema = {"type": ["string", "null"], "format": "date-time"}

_OF_KIND: Mapping[FieldKind | None, Schema] = {
    None: FLAG,
    FieldKind.TEXT: TEXT,
    FieldKind.AMOUNT: AMOUNT,
    FieldKind.AMOUNTS: {"type": "array", "items": {"type": "string"}},
    FieldKind.TEXTS: {"type": "array", "items": {"type": "string"}},
    FieldKind.TIME_US: TIME,
    FieldKind.INTEGER: {"type": ["integer", "null"]},
    FieldKind.FLAG: {"type": ["boolean", "null"]},
}

_PROBLEM: Schema = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "about:blank: the status says it all."},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer", "description": "As of the answer itself."},
        "detail": {"type": "string", "description": "For a person: what to do next."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "in": {"type": "string", "description": "path, query or body."},
                    "name": {"type": "string", "description": "Of the parameter."},
                    "problem": {"type": "string", "description": "Why it cannot be used."},
                },
            },
        },
    },
}

_REFUSALS = {
    HTTPStatus.BAD_REQUEST: "The body is no JSON that can be read.",
    HTTPStatus.UNAUTHORIZED: "Nobody, or a token that is over: log in.",
    HTTPStatus.NOT_FOUND: "Nothing of that name; the nearest are named.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is longer than any that is of use.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "A parameter cannot be used; each is named.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too often; `Retry-After` says when.",
    HTTPStatus.NOT_IMPLEMENTED: "This form cannot be made here.",
    HTTPStatus.SERVICE_UNAVAILABLE: "No store answers.",
}

_HEADERS: Schema = {
    SOURCE: {"description": "Which store answered.", "schema": {"enum": ["postgres", "mongo"]}},
    STALE: {
        "description": "Whether its home did not, or is behind.",
        "schema": {"enum": ["true", "false"]},
    },
    AGE_S: {
        "description": "Of the newest record of this kind there.",
        "schema": {"type": "string"},
    },
    "ETag": {"description": "For If-None-Match.", "schema": {"type": "string"}},
}


def say(schema: Schema, text: str) -> Schema:
    """The same with what it means."""
    return {**schema, "description": text}


def describe_rows(
    columns: Sequence[Column], *structs: type, beside: Mapping[str, str] = MappingProxyType({})
) -> Schema:
    """A list of rows.

    Args:
        structs: Their docstrings say what fields mean, the last one's where several do.
        beside: What fields mean of which no struct says so.
    """
    meaning = {name: text for struct in structs for name, text in explain_fields(struct).items()}
    meaning |= beside
    properties = {
        column.name: {**_OF_KIND[column.kind], **_describe(meaning.get(column.name))}
        for column in columns
    }
    return describe_list(describe_object(properties))


def describe_list(items: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": items}


def describe_object(properties: Mapping[str, Schema]) -> Schema:
    """An object that has all of them."""
    return {"type": "object", "required": list(properties), "properties": dict(properties)}


def describe_page(name: str, rows: Schema, **more: Schema) -> Schema:
    """A list under its name, beside others, and how to go on."""
    going_on = say(TEXT, "`cursor` of the next page; null where there is none.")
    return describe_object({**more, name: rows, "next": going_on})


def answers(
    schema: Schema | None,
    example: object = None,
    *,
    refusals: Sequence[HTTPStatus] = (),
    of_store: bool = True,
) -> dict[int | str, dict[str, Any]]:
    """What an endpoint may answer: its document, or a refusal.

    Args:
        of_store: It comes from a store, says which, and may be known to who asks.
    """
    found: dict[int | str, dict[str, Any]] = {
        int(status): {
            "description": _REFUSALS[status],
            "content": {PROBLEM_TYPE: {"schema": _PROBLEM, "example": _show_problem(status)}},
        }
        for status in (
            *refusals,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.TOO_MANY_REQUESTS,
            HTTPStatus.SERVICE_UNAVAILABLE,
        )
    }
    if schema is not None:
        content: Schema = {"schema": schema}
        if example is not None:
            content["example"] = example
        ok: dict[str, Any] = {"description": "As asked.", "content": {"application/json": content}}
        if of_store:
            ok["headers"] = _HEADERS
            found[int(HTTPStatus.NOT_MODIFIED)] = {"description": "You have it already."}
        found[int(HTTPStatus.OK)] = ok
    return found


def answers_stream(*, refusals: Sequence[HTTPStatus]) -> dict[int | str, dict[str, Any]]:
    """What a stream may answer: messages, or a refusal."""
    found = answers(None, refusals=refusals)
    found[int(HTTPStatus.OK)] = {
        "description": "Messages, each with an id for Last-Event-ID; `reset`: some were missed.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
    return found


def _show_problem(status: HTTPStatus) -> Schema:
    return {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": _REFUSALS[status],
    }


def _describe(text: str | None) -> Schema:
    return {} if text is None else {"description": text}
