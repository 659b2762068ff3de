"""The views of both stores, as the migrations make them: a part of data.md."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from crypto_platform.migrations.postgres import VIEWS_AND_FUNCTIONS
from crypto_platform.stores.mongo.views import VIEWS, View
from docs.reference.markdown import block, code, items, list_codes

_OWN_ROWS = """
Rows of the user whom the transaction has named: all that the HTTP API reads of accounts.
"""


class _Statements(NamedTuple):
    """What makes PostgreSQL's views and functions, by name."""

    views: Mapping[str, str]
    comments: Mapping[str, str]
    functions: Sequence[str]


def write_views() -> Iterator[list[str]]:
    """PostgreSQL's views with their statements, its functions, and MongoDB's views."""
    yield ["## Views and functions of PostgreSQL"]
    yield from _write_views()
    yield ["## Views of MongoDB"]
    for view in VIEWS:
        yield from _write_mongo_view(view)


def _read_statements() -> _Statements:
    views: dict[str, str] = {}
    comments: dict[str, str] = {}
    functions: list[str] = []
    for statement in VIEWS_AND_FUNCTIONS:
        if view := re.match(r"\s*CREATE VIEW (\S+)", statement):
            views[view[1]] = statement
        elif comment := re.match(r"\s*COMMENT ON VIEW (\S+) IS\s+'(.*)'\s*$", statement, re.DOTALL):
            comments[comment[1]] = comment[2]
        elif function := re.match(r"\s*CREATE FUNCTION ([^)]*\))\s*RETURNS", statement):
            functions.append(function[1])
    return _Statements(views, comments, functions)


def _write_views() -> Iterator[list[str]]:
    found = _read_statements()
    for name, statement in found.views.items():
        yield [f"### {name}", "", found.comments.get(name, _OWN_ROWS.strip())]
        yield block(statement, "sql")
    yield ["### Functions", "", *items([code(each) for each in found.functions])]


def _write_mongo_view(view: View) -> Iterator[list[str]]:
    yield [f"### {view.name}", "", view.description]
    keys = _list_keys(view.pipeline[-1]["$project"])
    yield items([f"Made of {code(view.collection)}.", f"Its keys: {list_codes([*keys])}."])


def _list_keys(project: Mapping[str, Any]) -> Iterator[str]:
    """What a $project gives: keys as they were, and lists that are made, by their elements'."""
    for name, value in project.items():
        if value == 1:
            yield name
        else:
            yield from (f"{name}[].{own}" for own in value["$map"]["in"])
