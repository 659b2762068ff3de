"""`config`: every setting, its value, where it came from, what it is for; secrets stay hidden."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import click
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from crypto_platform.cli.options import data_dir_option, json_option
from crypto_platform.cli.text import format_table
from crypto_platform.settings import (
    ENV_PREFIX,
    ENVIRONMENT_FILE,
    Settings,
    find_settings_file,
    load_settings,
    process_environment,
    read_environment_file,
)

HIDDEN = "(set, hidden)"
NOT_SET = "(not set)"
VALUE_SHOWN_MAX = 60


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting as it is now.

    Attributes:
        path: load.batch_records_max.
        value: As text for JSON; a secret is HIDDEN or None.
        origin: The variable or file it came from, `default` where nobody set it.
    """

    path: str
    value: object
    origin: str
    description: str


@click.command()
@json_option
@data_dir_option
def config_command(*, as_json: bool, data_dir: Path | None) -> None:
    """Show every setting, its value and where it came from; secrets stay hidden.

    Example: crypto-platform config | grep load
    """
    settings = load_settings(data_dir)
    file = find_settings_file(settings.data_dir)
    found = list_settings(settings, find_origins(settings.data_dir, file))
    if as_json:
        rows = [vars(setting) for setting in found]
        document = {"settings_file": str(file), "settings": rows}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    rows = [(s.path, _shorten(s.value), s.origin, s.description) for s in found]
    for line in format_table(("setting", "value", "from", "meaning"), rows):
        click.echo(line)
    click.echo(explain_change(file))


def explain_change(file: Path) -> str:
    """How to change a setting."""
    there = "" if file.exists() else " (not there yet: create it)"
    return (
        f"\nTo change one, write it into {file}{there}:\n"
        "  [load]\n"
        "  batch_records_max = 1000\n"
        "or set it in the environment, which wins: "
        f"{ENV_PREFIX}LOAD__BATCH_RECORDS_MAX=1000\n"
        "Then `crypto-platform down` and `up` again: what runs keeps what it was started with."
    )


def list_settings(settings: Settings, origins: Mapping[str, str]) -> list[Setting]:
    """All settings in declared order, sections unfolded, sources by name.

    Args:
        settings: Checked.
        origins: Path in lower case -> where it was set.
    """
    return [
        Setting(
            path=path,
            value=_reveal(value),
            origin=origins.get(path.lower(), "default"),
            description=field.description or "",
        )
        for path, value, field in _walk("", settings)
    ]


def find_origins(data_dir: Path, file: Path) -> dict[str, str]:
    """Where each setting that somebody set came from; the winner, by path in lower case."""
    origins = dict.fromkeys(_toml_paths(file), file.name)
    written = dict(_variables(read_environment_file(data_dir / ENVIRONMENT_FILE)))
    origins |= dict.fromkeys(written, f"<data>/{ENVIRONMENT_FILE}")
    origins |= dict(_variables(process_environment()))
    return origins | {"data_dir": origins.get("data_dir", "--data-dir or the current folder")}


def _variables(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in environment:
        if name.upper().startswith(ENV_PREFIX):
            yield name[len(ENV_PREFIX) :].lower().replace("__", "."), name


def _toml_paths(file: Path) -> Iterator[str]:
    if file.exists():
        yield from _paths("", tomllib.loads(file.read_text("utf-8")))


def _paths(prefix: str, values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _paths(f"{prefix}{key}.", cast("Mapping[str, Any]", value))
        else:
            yield f"{prefix}{key}".lower()


def _walk(prefix: str, section: BaseModel) -> Iterator[tuple[str, object, FieldInfo]]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _walk(f"{prefix}{name}.", value)
        elif _holds_sections(field):
            for key, item in cast("Mapping[str, BaseModel]", value).items():
                yield from _walk(f"{prefix}{name}.{key}.", item)
        else:
            yield f"{prefix}{name}", value, field


def _holds_sections(field: FieldInfo) -> bool:
    """Whether it is a mapping from names to sections, as `sources` is."""
    items = get_args(field.annotation)
    return bool(items) and isinstance(items[-1], type) and issubclass(items[-1], BaseModel)


def _reveal(value: object) -> object:
    if isinstance(value, SecretStr):
        return HIDDEN
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, tuple):
        return [_reveal(item) for item in cast("tuple[object, ...]", value)]
    return str(value)


def _shorten(value: object) -> str:
    if value is None:
        return NOT_SET
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_SHOWN_MAX else f"{text[: VALUE_SHOWN_MAX - 1]}…"
