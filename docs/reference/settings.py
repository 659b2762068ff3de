"""settings.md: every setting with its variable, type, bounds, default and meaning.

Made of the JSON Schema that pydantic makes of the settings. Not here: what is set on a machine
(`crypto-platform config`).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from crypto_platform.settings import (
    DEFAULT_SOURCES,
    ENV_CONFIG,
    ENV_DATA_DIR,
    ENV_PREFIX,
    Settings,
)
from docs.reference.markdown import MADE, code, join, list_codes, sentence, table

Schema = Mapping[str, Any]

NAME = "NAME"
"""Stands for a name of one's own in a path: sources.NAME.pace_s."""

_TEXT = f"""
Settings stand in `settings.toml` of the data folder (or where `{ENV_CONFIG}` says), or in the
environment, which wins: the variable is named below each key. The data folder is chosen by
`--data-dir` or `{ENV_DATA_DIR}`. In the environment a list is written `a,b`; `{NAME}` stands for a
name of yours. `crypto-platform config` shows what is set, and where it came from. What runs keeps
what it was started with.
"""

_OWN_COLUMNS = ("dialect", "base_url")
_WORDS = {
    "string": "text",
    "boolean": "true or false",
    "integer": "whole number",
    "number": "number",
}
_FORMATS = {
    "path": "path",
    "password": "secret text",
    "date": "date",
    "date-time": "time with its zone",
}


def write_settings() -> str:
    """The page."""
    schema = Settings.model_json_schema()
    sections = dict(_list_sections(schema, schema["$defs"]))
    return join(
        ["# Settings", MADE],
        _TEXT,
        *(part for path, section in sections.items() for part in _write_section(path, *section)),
        ["## The sources that are there", "", "Beside the defaults above, they are set so:"],
        _write_sources(),
    )


def _list_sections(
    schema: Schema, definitions: Schema, path: str = ""
) -> Iterator[tuple[str, tuple[str, list[tuple[str, Schema]]]]]:
    """Each section's path, with what it is for and its own settings."""
    own: list[tuple[str, Schema]] = []
    below: list[tuple[str, Schema]] = []
    for name, each in schema["properties"].items():
        field = _resolve(each, definitions)
        [items] = cast("Schema", field.get("patternProperties", {"": {}})).values()
        if "properties" in field:
            below.append((name, field))
        elif "$ref" in items:
            below.append((f"{name}.{NAME}", _resolve(items, definitions)))
        else:
            own.append((name, field))
    yield path, (schema["description"], own)
    for name, section in below:
        yield from _list_sections(section, definitions, f"{path}.{name}".lstrip("."))


def _resolve(field: Schema, definitions: Schema) -> Schema:
    if "$ref" not in field:
        return field
    named: Schema = definitions[field["$ref"].rpartition("/")[2]]
    return {**named, **field}


def _write_section(
    path: str, purpose: str, settings: Sequence[tuple[str, Schema]]
) -> Iterator[list[str]]:
    if not settings and not path:
        return
    yield [f"## {path or 'At the top'}", "", sentence(purpose)]
    rows = [_describe(f"{path}.{name}".lstrip("."), field) for name, field in settings]
    yield table(("setting, variable", "type", "default", "meaning"), rows)


def _describe(path: str, field: Schema) -> tuple[str, str, str, str]:
    kind, is_by_name = _name_type(field)
    full = f"{path}.{NAME}" if is_by_name else path
    names = f"{code(full)}<br>{code(name_variable(full))}"
    return names, kind, _print_default(field), sentence(field.get("description"))


def name_variable(path: str) -> str:
    """The environment's name of a setting."""
    parts = (part if part == NAME else part.upper() for part in path.split("."))
    return ENV_PREFIX + "__".join(parts)


def _name_type(field: Schema) -> tuple[str, bool]:
    """A field's type and bounds, and whether there is one of it for each of some names."""
    choices = [each for each in field.get("anyOf", [field]) if each.get("type") != "null"]
    values = [value for each in choices for value in each.get("enum", ())]
    if values:
        return f"one of {list_codes(values)}", False
    [only] = choices
    if only["type"] == "array":
        return f"list: {_name_type(only['items'])[0]}", False
    if only["type"] == "object":
        items = only.get("additionalProperties") or next(iter(only["patternProperties"].values()))
        return f"{_name_type(items)[0]}, by name", True
    word = _FORMATS.get(only.get("format", ""), _WORDS[only["type"]])
    return " ".join(filter(None, (word, _name_bounds(only)))), False


def _name_bounds(field: Schema) -> str:
    if "pattern" in field:
        return f"like {code(field['pattern'])}"
    low, above = field.get("minimum"), field.get("exclusiveMinimum")
    bounds = {
        "from": low,
        "above": above,
        "to": field.get("maximum"),
        "of at least": field.get("minLength"),
    }
    words = " ".join(
        f"{word} {_print(bound)}" for word, bound in bounds.items() if bound is not None
    )
    return f"{words} characters" if "minLength" in field else words


def _print_default(field: Schema) -> str:
    if "default" not in field:
        return "" if field.get("type") == "object" else "must be set"
    default = field["default"]
    return "" if default in (None, [], "") else code(_print(default))


def _print(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return ",".join(map(_print, cast("Sequence[object]", value)))
    return json.dumps(value, ensure_ascii=False)


def _write_sources() -> list[str]:
    rows = [
        (
            code(name),
            code(source["dialect"]),
            code(source["base_url"]),
            ", ".join(_list_differences(source)),
        )
        for name, source in DEFAULT_SOURCES.items()
    ]
    return table(("source", "dialect", "address", "and"), rows)


def _list_differences(source: Mapping[str, Any]) -> Iterator[str]:
    for name, value in source.items():
        if isinstance(value, Mapping):
            by_name = cast("Mapping[str, object]", value)
            yield from (code(f"{name}.{key} = {_print(item)}") for key, item in by_name.items())
        elif name not in _OWN_COLUMNS:
            yield code(f"{name} = {_print(value)}")
