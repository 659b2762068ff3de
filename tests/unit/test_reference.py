"""docs/reference against the code: each page is today's, and whole."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from fastapi.routing import APIRoute

from crypto_platform.cli import COMMANDS, main
from crypto_platform.cli.config import list_settings
from crypto_platform.feeds import FEEDS, Feed, Record
from crypto_platform.serving.api import account, figures, live, market, operations, reports
from crypto_platform.settings import DEFAULT_SOURCES, load_settings
from crypto_platform.stores import STORES
from crypto_platform.stores.meaning import MEANINGS
from crypto_platform.stores.mongo.columns import BOOKKEEPING
from crypto_platform.stores.mongo.documents import stored_name
from crypto_platform.stores.postgres.tables import build_metadata
from docs.reference import FOLDER, PAGES
from docs.reference.endpoints import read_openapi
from docs.reference.settings import name_variable

ROUTES = [
    route
    for module in (account, figures, live, market, operations, reports)
    for route in module.router.routes
    if isinstance(route, APIRoute) and route.include_in_schema
]


@cache
def read(page: str) -> str:
    return (FOLDER / page).read_text("utf-8")


def path_of(route: APIRoute) -> str:
    """As OpenAPI writes it."""
    return route.path.replace(":path}", "}")


def section(page: str, heading: str) -> str:
    """What stands under a heading, up to the next one of its level."""
    found = re.search(
        rf"^(#+) {re.escape(heading)}$\n(.*?)(?=^\1 |\Z)", read(page), re.MULTILINE | re.DOTALL
    )
    assert found is not None, f"{page} has no heading {heading}"
    return found[2]


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that can be typed, those of groups too."""
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {own}", found) for own, found in command.commands.items())


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_what_the_code_says(page: str) -> None:
    """Whoever reads of a setting that is gone doubts the rest too. `make reference` writes them."""
    assert PAGES[page]() == read(page), f"make reference writes {page} anew"


@pytest.mark.parametrize("page", PAGES)
def test_no_row_is_without_a_meaning(page: str) -> None:
    """A name alone is what the reader knows already."""
    place: int | None = None
    empty: list[str] = []
    for line in read(page).splitlines():
        cells = [cell.strip() for cell in line.replace(r"\|", "").split("|")]
        if not line.startswith("|"):
            place = None
        elif place is None and "meaning" in cells:
            place = cells.index("meaning")
        elif place is not None and not cells[place]:
            empty.append(line)
    assert empty == []


def test_every_setting_is_there_with_its_variable(tmp_path: Path) -> None:
    """`config` finds them by another way: by walking through what is set."""
    settings = load_settings(tmp_path, environment={})
    of_source = re.compile(rf"^sources\.({'|'.join(DEFAULT_SOURCES)})\.")
    for setting in list_settings(settings, {}):
        path = of_source.sub("sources.NAME.", setting.path)
        [row] = re.findall(rf"^\| `{path}(?:\.NAME)?`<br>.*$", read("settings.md"), re.MULTILINE)
        assert f"`{name_variable(path)}" in row
        assert setting.description


def test_every_variable_is_taken_with_the_default_that_is_told(tmp_path: Path) -> None:
    """A name that nobody reads changes nothing, and says nothing either."""
    rows = re.findall(r"<br>`(\w+)` \| [^|]* \| `([^`]*)` \|", read("settings.md"))
    given = {name.replace("__NAME__", "__COINBASE__"): default for name, default in rows}
    data_dir = given.pop("CRYPTO_PLATFORM_DATA_DIR")
    assert (data_dir, len(given) > 70) == ("data", True)
    found = load_settings(tmp_path, environment=given)
    default = load_settings(tmp_path, environment={})
    assert found.model_copy(update={"sources": {}}) == default.model_copy(update={"sources": {}})


@pytest.mark.parametrize("named", list(commands()), ids=lambda named: named[0])
def test_every_command_is_there_with_its_options(named: tuple[str, click.Command]) -> None:
    """What --help says is the page's, in the same words."""
    name, command = named
    text = section("commands.md", name)
    assert f"Usage: crypto-platform {name} " in text
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.opts[0] in text
            assert parameter.help, f"{name} {parameter.opts[0]} says nothing"
            assert " ".join(parameter.help.split()) in " ".join(text.split())


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_every_endpoint_is_there_with_parameters_and_refusals(route: APIRoute) -> None:
    """A program is written by what stands here."""
    [method] = sorted(route.methods or ())
    text = section("endpoints.md", f"{method} {path_of(route)}")
    parts = route.dependant
    asked = [*parts.path_params, *parts.query_params]
    names: list[str] = []
    for each in asked:
        fields = getattr(each.field_info.annotation, "model_fields", None)
        names += [each.alias] if fields is None else [f.alias or n for n, f in fields.items()]
    for name in names:
        assert f"| `{name}` |" in text
    for status in route.responses:
        assert f"| `{status}` |" in text


def test_there_is_no_endpoint_beside_these() -> None:
    """A router that was left out here would be looked for nowhere."""
    listed = re.findall(r"^### (?:GET|POST) (\S+)$", read("endpoints.md"), re.MULTILINE)
    assert sorted(listed) == sorted(map(path_of, ROUTES)) == sorted(read_openapi()["paths"])


@pytest.mark.parametrize("name", sorted(build_metadata().tables))
def test_every_table_is_there_column_by_column(name: str) -> None:
    """An analyst should not have to guess from a name what a number counts."""
    own = build_metadata().tables[name]
    found = re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", read("data.md"), re.MULTILINE | re.DOTALL)
    texts = [text for _, text in found if f"PostgreSQL: `{own}`" in text]
    texts += [text for heading, text in found if heading == str(own)]
    assert texts, f"{own} has no section"
    rows = [line for text in texts for line in text.splitlines()]
    for column in own.columns:
        assert [row for row in rows if row.startswith(f"| `{column.name}` |")], column


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_every_collection_is_there_key_by_key(feed: Feed[Record]) -> None:
    """MongoDB keeps times twice, and the id under a name of its own."""
    text = section("data.md", feed.name)
    assert f"MongoDB: `{feed.collection}`" in text
    for key in STORES["mongo"].columns_of(feed):
        assert f"`{key.name}`" in text
    for projection in feed.projections:
        states = section("data.md", projection.collection)
        assert f"MongoDB: `{projection.collection}`" in states
        for field in projection.fields:
            assert f"`{stored_name(field)}`" in states


def test_the_platforms_own_columns_mean_the_same_in_both_stores() -> None:
    """And each of them means something."""
    for name, meanings in MEANINGS.items():
        [table] = [each for each in build_metadata().tables.values() if each.name == name]
        keys = {key.field for key in BOOKKEEPING.get(name, ()) if key.field is not None}
        assert {column.name for column in table.columns} | keys == set(meanings)
    assert set(BOOKKEEPING) <= set(MEANINGS)
