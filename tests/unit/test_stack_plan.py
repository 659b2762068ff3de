"""Which parts an `up` runs, which sources it reads, and what it writes for others to find."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crypto_platform.errors import ConfigurationError
from crypto_platform.settings import Settings, SourceSettings, load_settings
from crypto_platform.stack.environment import build_environment
from crypto_platform.stack.identity import new_identity
from crypto_platform.stack.part import Place
from crypto_platform.stack.plan import PARTS, PORTS, choose_parts
from crypto_platform.stack.reachable import plan_source

NOON = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)
GIVEN_STORE = {
    f"CRYPTO_PLATFORM_POSTGRES__{role}_URL": "postgresql://someone@db.example/x?sslmode=verify-full"
    for role in ("MIGRATOR", "LOADER", "ANALYST")
}
PUBLIC = SourceSettings(dialect="coincap", base_url="https://prices.example/v3")


@dataclass(frozen=True)
class Case:
    """An `up` with these options runs these parts."""

    only: tuple[str, ...] | None
    migrate: bool
    expected: tuple[str, ...]


def settings_of(folder: Path, **variables: str) -> Settings:
    return load_settings(folder, environment=variables, environment_file=False)


@pytest.mark.parametrize(
    "case",
    [
        Case(None, True, PARTS),
        Case(("kafka", "mongo"), True, ("kafka", "mongo")),
        Case(("kafka", "postgres", "mongo"), True, ("kafka", "postgres", "mongo", "migration")),
        Case(("kafka", "postgres", "mongo"), False, ("kafka", "postgres", "mongo")),
        Case(("webserver",), True, ("dagster-postgres", "code-server", "webserver")),
    ],
    ids=str,
)
def test_an_up_runs_what_was_asked_and_what_that_cannot_do_without(
    tmp_path: Path, case: Case
) -> None:
    """A webserver without its database would only be seen to fail after a minute."""
    chosen = choose_parts(
        settings_of(tmp_path), only=case.only, migrate=case.migrate, sources="auto"
    )
    assert chosen == case.expected


def test_a_given_server_is_used_instead_of_the_embedded_one(tmp_path: Path) -> None:
    """Loading into a database in the data folder would look right and be the wrong one."""
    settings = settings_of(tmp_path, **GIVEN_STORE)
    chosen = choose_parts(settings, only=None, migrate=True, sources="auto")
    assert set(PARTS) - set(chosen) == {"postgres", "api"}
    with_api = settings_of(
        tmp_path,
        **GIVEN_STORE,
        CRYPTO_PLATFORM_POSTGRES__API_URL="postgresql://api@db/x?sslmode=verify-full",
    )
    chosen = choose_parts(with_api, only=None, migrate=True, sources="auto")
    assert set(PARTS) - set(chosen) == {"postgres"}


def test_the_addresses_of_the_last_run_are_not_given_servers(tmp_path: Path) -> None:
    """Else the second `up` of a folder would start nothing and wait for servers long gone."""
    lines = "".join(f"{key}={value}\n" for key, value in GIVEN_STORE.items())
    (tmp_path / "environment").write_text(lines, "utf-8")
    settings = load_settings(tmp_path, environment={}, environment_file=False)
    assert choose_parts(settings, only=None, migrate=True, sources="auto") == PARTS


def test_a_shell_of_exec_gives_no_servers_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`exec -- bash`, then `up`: the process environment holds the last run's addresses."""
    lines = "".join(f"{key}={value}\n" for key, value in GIVEN_STORE.items())
    (tmp_path / "environment").write_text(lines, "utf-8")
    for key, value in GIVEN_STORE.items():
        monkeypatch.setenv(key, value)
    settings = load_settings(tmp_path, environment_file=False)
    assert choose_parts(settings, only=None, migrate=True, sources="auto") == PARTS


def test_a_store_with_a_url_for_one_role_only_is_refused(tmp_path: Path) -> None:
    """Loading there and reading here would never agree."""
    variables = {"CRYPTO_PLATFORM_MONGO__LOADER_URL": "mongodb://db.example/x?tls=true"}
    settings = settings_of(tmp_path, **variables)
    with pytest.raises(ConfigurationError, match=r"mongo\.migrator_url, mongo\.analyst_url"):
        choose_parts(settings, only=None, migrate=True, sources="auto")


def test_a_part_that_does_not_exist_is_named_with_those_that_do(tmp_path: Path) -> None:
    """A typing mistake must not start everything, or nothing."""
    with pytest.raises(ConfigurationError, match="no such part: postgre; there are kafka"):
        choose_parts(settings_of(tmp_path), only=("postgre",), migrate=True, sources="auto")


def test_without_simulated_sources_the_simulated_market_does_not_run(tmp_path: Path) -> None:
    """Who asks for live sources wants no invented prices anywhere."""
    chosen = choose_parts(settings_of(tmp_path), only=None, migrate=True, sources="live")
    assert {"simulation", "company"}.isdisjoint(chosen)


def test_the_company_can_be_left_out(tmp_path: Path) -> None:
    """Who reads one elsewhere wants no second one; its sources are then off too."""
    variables = {
        "CRYPTO_PLATFORM_COMPANY__ENABLED": "false",
        "CRYPTO_PLATFORM_SOURCES__COMPANY_EXCHANGE__ENABLED": "true",
    }
    settings = settings_of(tmp_path, **variables)
    chosen = choose_parts(settings, only=None, migrate=True, sources="auto")
    assert set(PARTS) - set(chosen) == {"company"}
    place = Place(
        data_dir=tmp_path,
        settings=settings,
        identity=new_identity(NOON),
        ports=dict.fromkeys((port for part in chosen for port in PORTS.get(part, ())), 21000),
    )
    written = build_environment(
        place, parts=chosen, enabled=dict.fromkeys(settings.sources, True), started_at=NOON
    )
    assert written["CRYPTO_PLATFORM_SOURCES__COMPANY_EXCHANGE__ENABLED"] == "false"
    assert "CRYPTO_PLATFORM_COMPANY__URL" not in written


def test_given_servers_are_talked_to_as_up_was_told(tmp_path: Path) -> None:
    """Who comes from another shell reads the file alone, and is refused plain text as well."""
    variables = {
        "CRYPTO_PLATFORM_KAFKA__BOOTSTRAP_SERVERS": "kafka.example:9093",
        "CRYPTO_PLATFORM_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
        "CRYPTO_PLATFORM_KAFKA__USERNAME": "platform",
        "CRYPTO_PLATFORM_KAFKA__PASSWORD": "p",
        "CRYPTO_PLATFORM_MONGO__LOADER_URL": "mongodb://mongo.example/x",
        "CRYPTO_PLATFORM_PLAIN_TEXT_HOSTS": "mongo.example",
    }
    settings = settings_of(tmp_path, **variables)
    place = Place(data_dir=tmp_path, settings=settings, identity=new_identity(NOON), ports={})
    enabled = dict.fromkeys(settings.sources, False)
    written = build_environment(place, parts=(), enabled=enabled, started_at=NOON)
    found = load_settings(tmp_path, environment=_only_ours(written))
    assert found.kafka.security_protocol == "SASL_SSL"
    assert found.kafka.username == "platform"
    assert found.plain_text_hosts == ("mongo.example",)


def test_a_source_without_its_key_is_left_out_and_says_where_a_key_goes() -> None:
    """`up` must work without a key; the person must learn how to add one."""
    source = PUBLIC.model_copy(update={"key_required": True})
    choice = plan_source("coincap", source, mode="auto", answers=None)
    assert not choice.enabled
    assert "[sources.coincap] in settings.toml" in choice.reason
    assert "CRYPTO_PLATFORM_SOURCES__COINCAP__KEY" in choice.reason


def test_a_public_source_is_read_where_it_answers() -> None:
    """Offline, a source that cannot be reached would only fill the log."""
    assert plan_source("x", PUBLIC, mode="auto", answers=True).enabled
    assert not plan_source("x", PUBLIC, mode="auto", answers=False).enabled
    assert plan_source("x", PUBLIC, mode="live", answers=None).enabled
    assert not plan_source("x", PUBLIC, mode="simulated", answers=None).enabled


def test_the_environment_names_every_server_of_the_stack(tmp_path: Path) -> None:
    """Everything else finds the stack by this file alone."""
    settings = settings_of(tmp_path)
    identity = new_identity(NOON)
    ports = dict.fromkeys(
        (
            *("kafka", "postgres", "mongo", "dagster_postgres", "simulation", "company"),
            *("webserver", "api"),
        ),
        21000,
    )
    place = Place(
        data_dir=tmp_path,
        settings=settings,
        identity=identity,
        ports=ports | {"code_server": 21001},
    )
    enabled = {name: source.simulated for name, source in settings.sources.items()}

    variables = build_environment(place, parts=PARTS, enabled=enabled, started_at=NOON)
    found = load_settings(tmp_path, environment=_only_ours(variables))

    assert found.kafka.bootstrap_servers == "127.0.0.1:21000"
    assert found.sources["simulated"].base_url == "http://127.0.0.1:21000/v3"
    assert found.sources["simulated_exchange"].base_url == "http://127.0.0.1:21000/exchange"
    assert found.sources["simulated_exchange"].enabled
    assert found.sources["company_exchange"].base_url == "http://127.0.0.1:21000"
    assert found.company.url == "http://127.0.0.1:21000"
    assert found.company.operator_key is not None
    assert identity.company_secret not in str(variables)
    assert found.api.url == "http://127.0.0.1:21000"
    assert found.api.secret is not None
    assert not found.sources["coinbase"].enabled
    assert not found.sources["coincap"].enabled
    assert found.installed_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert found.stack.started_at == NOON
    assert found.postgres.loader_url is not None
    assert identity.postgres_passwords["loader"] in found.postgres.loader_url.get_secret_value()
    assert variables["DAGSTER_HOME"] == str(tmp_path / "dagster")
    assert variables["CRYPTO_CODE_SERVER_PORT"] == "21001"


def _only_ours(variables: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in variables.items() if key.startswith("CRYPTO_PLATFORM_")}
