"""The addresses of one stack: what `<data>/environment` says.

Here: the variables. Not here: reading them back (settings.py), which servers are ours (plan.py),
which sources answer (reachable.py).
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from crypto_platform.settings import ENV_DATA_DIR, ENV_PREFIX, Settings
from crypto_platform.stack.company import OPERATED_DIALECT, make_operator_key
from crypto_platform.stack.dagster import CODE_SERVER_HOST, CODE_SERVER_PORT
from crypto_platform.stack.folder import DAGSTER_FOLDER
from crypto_platform.stack.mongo import REPLICA_SET
from crypto_platform.stack.part import Place
from crypto_platform.stack.plan import API_ROLE, ROLES, is_embedded_company, is_embedded_simulation
from crypto_platform.stack.ports import HOST
from crypto_platform.stack.postgres import DAGSTER_DATABASE, DATABASE


def build_environment(
    place: Place,
    *,
    parts: Collection[str],
    enabled: Mapping[str, bool],
    started_at: datetime,
) -> dict[str, str]:
    """All variables by which other processes find this stack, given servers included.

    Args:
        place: With the settings of a person, without `<data>/environment`.
        parts: Those that run; the addresses of others are left out.
        enabled: Source -> whether it is read.
        started_at: Of this `up`, UTC.
    """
    settings = place.settings
    values: dict[str, str | SecretStr | None] = {
        "KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        **_security_values(settings),
        "DAGSTER__POSTGRES_URL": settings.dagster.postgres_url,
        "POSTGRES__API_URL": settings.postgres.api_url,
        "INSTALLED_AT": place.identity.installed_at.isoformat(),
        "STACK__STARTED_AT": started_at.isoformat(),
        **{f"POSTGRES__{r.upper()}_URL": getattr(settings.postgres, f"{r}_url") for r in ROLES},
        **{f"MONGO__{r.upper()}_URL": getattr(settings.mongo, f"{r}_url") for r in ROLES},
    }
    if "kafka" in parts:
        values["KAFKA__BOOTSTRAP_SERVERS"] = place.address("kafka")
    if "postgres" in parts:
        values |= {f"POSTGRES__{r.upper()}_URL": postgres_url(place, r) for r in (*ROLES, API_ROLE)}
    if "mongo" in parts:
        values |= {f"MONGO__{r.upper()}_URL": mongo_url(place, r) for r in ROLES}
    if "dagster-postgres" in parts:
        values["DAGSTER__POSTGRES_URL"] = _dagster_url(place)
    if "webserver" in parts:
        values["DAGSTER__WEBSERVER_URL"] = f"http://{place.address('webserver')}"
    if "company" in parts:
        values["COMPANY__URL"] = f"http://{place.address('company')}"
        values["COMPANY__OPERATOR_KEY"] = make_operator_key(place.identity.company_secret)
    if "api" in parts:
        values["API__URL"] = f"http://{place.address('api')}"
    values["API__SECRET"] = settings.api.secret or place.identity.api_secret
    values |= _source_values(place, parts=parts, enabled=enabled)
    variables = {f"{ENV_PREFIX}{key}": _reveal(value) for key, value in values.items() if value}
    variables[ENV_DATA_DIR] = str(place.data_dir)
    if values["DAGSTER__POSTGRES_URL"]:
        # Without a database there is no Dagster instance: its home alone would mean SQLite.
        variables["DAGSTER_HOME"] = str(place.data_dir / DAGSTER_FOLDER)
        variables[CODE_SERVER_HOST] = HOST
        variables[CODE_SERVER_PORT] = str(place.ports["code_server"])
    return variables


def postgres_url(place: Place, role: str) -> str:
    """The store's URL for a role."""
    password = quote(place.identity.postgres_passwords[role], safe="")
    return f"postgresql://{role}:{password}@{place.address('postgres')}/{DATABASE}"


def mongo_url(place: Place, role: str) -> str:
    """MongoDB's URL for a role; by set name, so that a client waits out an election."""
    password = quote(place.identity.mongo_passwords[role], safe="")
    options = f"replicaSet={REPLICA_SET}&authSource=admin"
    return (
        f"mongodb://{role}:{password}@{place.address('mongo')}"
        f"/{place.settings.mongo.database}?{options}"
    )


def _dagster_url(place: Place) -> str:
    # The driver is named: plain postgresql:// means psycopg 3 to SQLAlchemy 2.1, with which
    # dagster-postgres cannot listen for events.
    password = quote(place.identity.dagster_passwords["dagster"], safe="")
    address = place.address("dagster_postgres")
    return f"postgresql+psycopg2://dagster:{password}@{address}/{DAGSTER_DATABASE}"


def _source_values(
    place: Place, *, parts: Collection[str], enabled: Mapping[str, bool]
) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, source in place.settings.sources.items():
        variable = f"SOURCES__{name.upper()}"
        # left out of this stack, the company is nowhere
        is_away = is_embedded_company(source) and "company" not in parts
        values[f"{variable}__ENABLED"] = str(enabled[name] and not is_away).lower()
        if "simulation" in parts and is_embedded_simulation(source):
            values[f"{variable}__BASE_URL"] = _move(source.base_url, place.address("simulation"))
        if "company" in parts and is_embedded_company(source):
            values[f"{variable}__BASE_URL"] = _move(source.base_url, place.address("company"))
            if source.dialect == OPERATED_DIALECT:
                values[f"{variable}__KEY"] = make_operator_key(place.identity.company_secret)
    return values


def _move(url: str, address: str) -> str:
    return urlsplit(url)._replace(netloc=address).geturl()


def _security_values(settings: Settings) -> dict[str, str | SecretStr | None]:
    """How given servers are talked to; those of the stack listen on this machine alone."""
    kafka = settings.kafka
    if kafka.security_protocol == "PLAINTEXT":
        return {"PLAIN_TEXT_HOSTS": ",".join(settings.plain_text_hosts)}
    return {
        "KAFKA__SECURITY_PROTOCOL": kafka.security_protocol,
        "KAFKA__CA_FILE": kafka.ca_file and str(kafka.ca_file),
        "KAFKA__SASL_MECHANISM": kafka.sasl_mechanism,
        "KAFKA__USERNAME": kafka.username,
        "KAFKA__PASSWORD": kafka.password,
        "PLAIN_TEXT_HOSTS": ",".join(settings.plain_text_hosts),
    }


def _reveal(value: str | SecretStr | None) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
