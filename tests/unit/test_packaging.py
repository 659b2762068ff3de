"""What is handed to strangers: the lock, the compose file and its examples."""

import json
import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from crypto_platform.settings import ENV_PREFIX, DagsterSettings, Settings, load_settings
from crypto_platform.sources import DIALECTS
from crypto_platform.stack.company import Company, make_operator_key
from crypto_platform.stack.home import plan_run_launcher
from crypto_platform.stack.identity import Identity, new_identity
from crypto_platform.stack.part import Place
from crypto_platform.stack.ports import HOST
from crypto_platform.stack.postgres import Cluster, dagster_cluster, store_cluster
from tests.compose_file import (
    COMPOSE,
    EXAMPLE,
    INTERPOLATION,
    NOON,
    ROOT,
    SERVICES,
    environment_of,
    filled_example,
    interpolate,
)

LOCK = (ROOT / "requirements.lock").read_text("utf-8")
DOCS_LOCK = (ROOT / "docs" / "requirements.lock").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

SECRETS = ("PASSWORD", "_SECRET", "_KEY", "_URL")
OPEN_URLS = ("BASE_URL", "COMPANY__URL", "WEBSERVER_URL")
"""Addresses without a password in them."""


def place_of(tmp_path: Path, identity: Identity) -> Place:
    ports = {"postgres": 1, "dagster_postgres": 2}
    return Place(data_dir=tmp_path, settings=Settings(), identity=identity, ports=ports)


@pytest.mark.parametrize("file", ["docker-compose.yml", "deploy/docker-runs.yml"])
def test_the_compose_file_is_valid(file: str) -> None:
    """A misspelt key is ignored by some versions of compose: a health check that never was."""
    checker = Path(sys.executable).with_name("check-jsonschema")
    command = [checker, "--builtin-schema", "vendor.compose-spec", ROOT / file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_secret_has_a_default() -> None:
    """A password that everybody knows is worse than a start that fails with a name."""
    asked: set[str] = set()
    for service in SERVICES:
        for name, value in environment_of(service).items():
            if not name.endswith(SECRETS) or name.endswith(OPEN_URLS):
                continue
            found = INTERPOLATION.findall(value)
            assert found, f"{service}: {name} holds no variable"
            assert {operator for _, operator, _ in found} == {":?"}, f"{service}: {name}"
            asked |= {variable for variable, _, _ in found}
    assert len(asked) == 21
    for variable in asked:
        assert f"\n{variable}=\n" in EXAMPLE, f"{variable} is not in .env.example, or is filled in"


def test_what_compose_asks_for_stands_in_the_example() -> None:
    """Nobody should learn the names one failing start after another."""
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    used = {name for name, _, _ in INTERPOLATION.findall(text)}
    named = set(re.findall(r"^#?([A-Z_]+)=", EXAMPLE, re.MULTILINE)) - {"COMPOSE_PROFILES"}
    assert used | {"PYTHON_IMAGE"} == named


def test_ports_are_published_on_the_loopback_only() -> None:
    """They speak plain HTTP: on all addresses a password is everybody's in the same café."""
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports == {
        "proxy": ["127.0.0.1:${WEBSERVER_PORT:-3000}:3000"],
        "api": ["127.0.0.1:${API_PORT:-8080}:8080"],
        "kafka-ui": ["127.0.0.1:${KAFKA_UI_PORT:-8090}:8080"],
        "pgadmin": ["127.0.0.1:${PGADMIN_PORT:-5050}:5050"],
        "grafana": ["127.0.0.1:${GRAFANA_PORT:-3001}:3000"],
    }


def test_containers_may_do_no_more_than_they_must() -> None:
    """One service without the anchor's lines would run as root, unnoticed."""
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        # these images' programs carry the right to a low port and do not start without it
        carries = name in {"proxy", "pgadmin"}
        assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if carries else []), name
        assert service["read_only"] is (name != "pgadmin"), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name


def test_servers_are_on_a_network_without_a_way_out() -> None:
    """They talk in plain text and hold the data; only the sources' readers need the world."""
    assert COMPOSE["networks"]["servers"] == {"internal": True}
    doors = {"driver_opts": {"com.docker.network.bridge.enable_ip_masquerade": "false"}}
    assert COMPOSE["networks"]["doors"] == doors
    users = {
        network: {name for name, each in SERVICES.items() if network in each.get("networks", ())}
        for network in ("doors", "outside")
    }
    published = {name for name, service in SERVICES.items() if "ports" in service}
    assert users == {"doors": published, "outside": {"code-server"}}


def test_images_are_pinned() -> None:
    """`latest` is another server on another day."""
    for name, service in SERVICES.items():
        [(_, _, image)] = INTERPOLATION.findall(service["image"])
        assert re.fullmatch(r"[a-z0-9/-]+:v?\d+\.\d+(\.\d+)?", image), f"{name}: {image}"
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    assert re.search(r"^ARG PYTHON_IMAGE=python:\d+\.\d+\.\d+-slim", dockerfile, re.MULTILINE)
    assert re.search(r"^USER (?!0|root)", dockerfile, re.MULTILINE)


def test_the_programs_know_every_setting_that_compose_gives_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting that was renamed would stop the containers, at somebody else's place."""
    monkeypatch.delenv(f"{ENV_PREFIX}CONFIG", raising=False)
    values = filled_example()
    for service in ("migrate", "code-server"):
        variables = {k: interpolate(v, values) for k, v in environment_of(service).items()}
        settings = load_settings(tmp_path, environment=variables)
        assert settings.installed_at == datetime(2026, 11, 22, 12, tzinfo=UTC)
        assert settings.kafka.bootstrap_servers == "kafka:9092"
        assert settings.postgres.loader_url is not None
        assert settings.sources["simulated"].enabled is False
        assert settings.sources["simulated_exchange"].enabled is False
        assert settings.sources["simulated_ecb"].enabled is False


def test_composes_api_knows_what_status_knows(tmp_path: Path) -> None:
    """Its /metrics told for months that Kafka was down, for it had no address of it."""
    values = filled_example()
    api, whole = (
        load_settings(
            tmp_path,
            environment={k: interpolate(v, values) for k, v in environment_of(service).items()},
        )
        for service in ("api", "code-server")
    )
    assert api.kafka == whole.kafka
    assert api.deployment == whole.deployment
    assert api.dagster.webserver_url == "http://viewer:3000"
    switches = {name: source.enabled for name, source in whole.sources.items()}
    assert {name: source.enabled for name, source in api.sources.items()} | {
        # without the operator's key they are not asked for either way
        name: switches[name]
        for name in ("company", "company_exchange")
    } == switches
    assert (api.postgres.analyst_url, api.postgres.loader_url) == (None, None)


def test_one_variable_makes_all_of_dagsters_logs_json() -> None:
    """A collector that reads JSON drops the lines of the one that was forgotten."""
    formats = {
        name: words[words.index("--log-format") + 1]
        for name, service in SERVICES.items()
        if (words := service.get("command")) and str(words[0]).startswith("dagster")
    }
    assert formats.keys() == {"code-server", "webserver", "viewer", "daemon"}
    assert {interpolate(each, {"DAGSTER_LOG_FORMAT": "json"}) for each in formats.values()} == {
        "json"
    }
    assert {interpolate(each, {}) for each in formats.values()} == {"colored"}


def test_the_settings_named_in_the_example_exist(tmp_path: Path) -> None:
    """A comment that names a setting is tried out by its reader."""
    named = dict(re.findall(rf"({ENV_PREFIX}[A-Z_]+)=(\S+)", EXAMPLE))
    assert set(named) == {
        "CRYPTO_PLATFORM_SOURCES__SIMULATED__ENABLED",
        "CRYPTO_PLATFORM_SOURCES__SIMULATED_EXCHANGE__ENABLED",
        "CRYPTO_PLATFORM_SOURCES__SIMULATED_ECB__ENABLED",
        "CRYPTO_PLATFORM_SOURCES__COMPANY__ENABLED",
        "CRYPTO_PLATFORM_SOURCES__COMPANY_EXCHANGE__ENABLED",
        "CRYPTO_PLATFORM_COMPANY__USERS",
        "CRYPTO_PLATFORM_COMPANY__RATE",
        "CRYPTO_PLATFORM_DEPLOYMENT",
        "CRYPTO_PLATFORM_SOURCES__COINCAP__KEY",
    }
    assert load_settings(tmp_path, environment=named).deployment == "compose"


def test_only_what_changes_tables_knows_the_migrators_password() -> None:
    """The webserver is what strangers reach first; it must have nothing to give away."""
    holders = {
        name: sorted(role for role in ("MIGRATOR", "LOADER", "ANALYST") if role in json.dumps(env))
        for name in ("migrate", "code-server", "daemon", "webserver", "viewer", "proxy")
        for env in [environment_of(name)]
    }
    assert holders == {
        "migrate": ["ANALYST", "LOADER", "MIGRATOR"],
        "code-server": ["ANALYST", "LOADER"],
        "daemon": [],
        "webserver": [],
        "viewer": [],
        "proxy": [],
    }


def test_runs_in_containers_get_what_the_code_server_has() -> None:
    """They are handed it by the daemon: what is missing there is missing in every run."""
    more = yaml.safe_load((ROOT / "deploy" / "docker-runs.yml").read_text("utf-8"))["services"]
    only_the_servers = {"CRYPTO_CODE_SERVER_HOST", "CRYPTO_CODE_SERVER_PORT"}
    only_the_servers |= {"CRYPTO_PLATFORM_DAGSTER__WEBSERVER_URL", "TINI_KILL_PROCESS_GROUP"}
    expected = {k: v for k, v in environment_of("code-server").items() if k not in only_the_servers}
    assert more["daemon"]["environment"] == expected
    names = plan_run_launcher(
        DagsterSettings.model_validate({"run_launcher": "docker", "docker": {"image": "x:1"}}),
        variables=more["home"]["environment"],
    )
    assert names is not None
    assert names["config"]["env_vars"] == sorted(expected)
    envs = [each.get("env_file") for each in (*more.values(), SERVICES["code-server"])]
    assert envs[1:] == envs[:-1]
    sockets = {name for name, each in more.items() if "docker.sock" in str(each.get("volumes"))}
    assert sockets == {"daemon"}


@pytest.mark.parametrize(
    ("file", "build"), [("store.sql", store_cluster), ("dagster.sql", dagster_cluster)]
)
def test_composes_roles_are_those_of_the_embedded_stack(
    file: str, build: Callable[[Place], Cluster], tmp_path: Path
) -> None:
    """A right given in one place only is found missing, or found too wide, in the other."""
    identity = new_identity(NOON)
    cluster = build(place_of(tmp_path, identity))
    passwords = identity.postgres_passwords | identity.dagster_passwords
    named = {value: f":'{role}_password'" for role, value in passwords.items()}
    expected = "\n".join(line for lines in cluster.statements.values() for line in lines)
    for value, name in named.items():
        expected = expected.replace(f"'{value}'", name)
    text = (ROOT / "deploy" / "postgres" / file).read_text("utf-8")
    statements = [line.rstrip(";") for line in text.splitlines() if re.match(r"[A-Z]", line)]
    assert "\n".join(statements) == expected


def test_composes_mongo_users_are_those_of_the_embedded_stack() -> None:
    """As above, for MongoDB."""
    embedded = (ROOT / "crypto_platform" / "stack" / "mongo.py").read_text("utf-8")
    setup = (ROOT / "deploy" / "mongo" / "setup.js").read_text("utf-8")
    found = re.search(r"^_ROLES[^=]*= \{\n(.*?)^\}", embedded, re.MULTILINE | re.DOTALL)
    copied = re.search(r"^const ROLES = \{\n(.*?)^\}", setup, re.MULTILINE | re.DOTALL)
    assert found
    assert copied
    assert [re.findall(r"\w+", line) for line in copied[1].splitlines()] == [
        re.findall(r"\w+", line) for line in found[1].splitlines()
    ]


def options_of(argv: Sequence[object]) -> dict[str, str]:
    """`python -m module --name value ...`."""
    words = list(map(str, argv[3:]))
    return dict(zip(words[::2], words[1::2], strict=True))


def test_composes_company_is_that_of_the_embedded_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that does not open it, an option it does not know: both show at somebody else's."""
    monkeypatch.delenv(f"{ENV_PREFIX}CONFIG", raising=False)
    values = filled_example()
    ports = {"company": 8098}
    identity = new_identity(NOON)
    place = Place(data_dir=tmp_path, settings=Settings(), identity=identity, ports=ports)
    embedded = Company(place).command()
    service = SERVICES["company"]
    argv = [interpolate(word, values) for word in service["command"]]
    given, expected = options_of(argv), options_of(embedded.argv)
    assert argv[:3] == ["python", *embedded.argv[1:3]]
    assert f"company:{given['--data-dir']}" in service["volumes"]
    given |= {"--host": HOST, "--data-dir": str(tmp_path / "company")}
    assert given == {name: expected[name].removesuffix(".0") for name in given}
    assert set(environment_of("company")) <= set(embedded.environment)

    variables = {k: interpolate(v, values) for k, v in environment_of("code-server").items()}
    settings = load_settings(tmp_path, environment=variables)
    key = make_operator_key(values["COMPANY_SECRET"])
    source, venue = settings.sources["company"], settings.sources["company_exchange"]
    assert (source.enabled, venue.enabled) == (False, False)
    assert (source.key, settings.company.operator_key) == (SecretStr(key), SecretStr(key))
    addresses = {source.base_url, venue.base_url, settings.company.url}
    assert addresses == {f"http://company:{given['--port']}"}


def test_composes_broker_has_the_settings_of_the_embedded_one() -> None:
    """Append time here and create time there would move records between hours."""
    source = (ROOT / "crypto_platform" / "stack" / "kafka.py").read_text("utf-8")
    [block] = re.findall(r"def build_properties.*?^def ", source, re.MULTILINE | re.DOTALL)
    embedded = dict(re.findall(r'"([a-z.]+)": "([^"{]*)",', block))
    given = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in environment_of("kafka").items()
    }
    assert len(embedded) > 20
    assert {name: given.get(name) for name in embedded} == embedded


def test_a_new_env_file_leaves_nothing_empty_and_repeats_no_password() -> None:
    """An empty value would pass for set in other tools than compose."""
    values = filled_example()
    assert all(values.values())
    assert len(set(values.values())) == len(values) == 23
    assert all(re.fullmatch(r"[\w-]{20,}", v) for k, v in values.items() if "PASSWORD" in k)


def test_an_older_env_file_gets_what_it_lacks_and_keeps_what_it_has() -> None:
    """Its servers were made with these passwords; another one would lock everybody out."""
    find_missing = runpy.run_path(str(ROOT / "deploy" / "new_env.py"))["find_missing"]
    older = "API_SECRET=kept\nVIEWER_PASSWORD=kept\n"
    missing = find_missing(EXAMPLE, older).splitlines()
    assert len(missing) == 21
    assert {"OPERATOR_PASSWORD=", "KAFKA_CLUSTER_ID="} < set(missing)
    assert not {"API_SECRET=", "VIEWER_PASSWORD="} & set(missing)
    assert find_missing(EXAMPLE, EXAMPLE) == ""


@pytest.mark.parametrize(("lock", "packages_min"), [(LOCK, 100), (DOCS_LOCK, 20)])
def test_every_package_of_a_lock_has_hashes_and_no_address(lock: str, packages_min: int) -> None:
    """A package without a hash is whatever the network says; an address is some machine's own."""
    entries = re.split(r"^(?=\S)", lock, flags=re.MULTILINE)
    packages = [entry for entry in entries if entry and not entry.startswith("#")]
    assert len(packages) >= packages_min
    for package in packages:
        assert re.match(r"[a-z0-9.-]+==\S+", package), package
        assert "--hash=sha256:" in package, package
    assert "://" not in lock
    assert "--index-url" not in lock
    assert "/tmp" not in lock  # noqa: S108 (looked for, not written to)


def names_of(needs: Sequence[str]) -> set[str]:
    return {re.split(r"[\[<>=~!;]", need, maxsplit=1)[0].strip() for need in needs}


def test_the_lock_has_what_the_project_asks_for() -> None:
    """A dependency added without `make lock` is missing at the next fresh start."""
    asked = list(PROJECT["project"]["dependencies"])
    for extra in PROJECT["project"]["optional-dependencies"].values():
        asked += extra
    missing = {name for name in names_of(asked) | {"setuptools"} if f"\n{name}==" not in LOCK}
    assert missing == set()


def test_what_only_the_documentation_needs_is_installed_for_nobody_else() -> None:
    """Who runs the platform would carry, and have to trust, what writes its pages."""
    names = names_of(PROJECT["dependency-groups"]["docs"])
    assert {name for name in names if f"\n{name}==" not in DOCS_LOCK} == set()
    assert {name for name in names if f"\n{name}==" in LOCK} == set()


def test_dagsters_files_are_for_compose_too() -> None:
    """They read addresses from the environment, under names that compose has to give."""
    wanted: set[str] = set()
    for name in ("dagster.yaml", "workspace.yaml"):
        text = (ROOT / name).read_text("utf-8")
        assert yaml.safe_load(text)
        wanted |= set(re.findall(r"env: (\w+)", text))
    for service in ("code-server", "daemon", "webserver", "viewer"):
        assert wanted <= set(environment_of(service)), service


def test_every_part_of_the_package_has_its_place_in_the_type_check() -> None:
    """A new folder would be checked loosely, and nobody would know."""
    shells = {"assets", "definitions", "jobs", "resources", "schedules", "sensors"}
    strict = {
        path.split("/")[1].removesuffix(".py")
        for path in PROJECT["tool"]["basedpyright"]["strict"]
        if path.startswith("crypto_platform/")
    }
    package = ROOT / "crypto_platform"
    parts = {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}
    parts |= {path.parent.name for path in package.glob("*/__init__.py")}
    assert parts == strict | shells


def test_every_dialect_is_kept_apart_from_the_others() -> None:
    """One that reads another's helpers breaks when that one's venue changes."""
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    [apart] = [each for each in contracts if each["name"] == "No source knows another"]
    assert set(apart["modules"]) == {f"crypto_platform.sources.{name}" for name in DIALECTS}


def test_make_alone_lists_every_target() -> None:
    """A target that is not listed is not there for whoever comes new."""
    text = (ROOT / "Makefile").read_text("utf-8")
    phony = re.findall(r"^\.PHONY: (\S+)$", text, re.MULTILINE)
    command = ["make"]  # nothing else: what somebody types who does not know what there is
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == phony
