"""What leaves this machine is encrypted, and only for whom it is meant."""

import re
from pathlib import Path

import pytest

from crypto_platform.encryption import (
    NO_URL,
    find_open_http,
    find_open_kafka,
    find_open_mongo,
    find_open_postgres,
)
from crypto_platform.errors import ConfigurationError
from crypto_platform.kafka.connection import client_config
from crypto_platform.settings import ENV_PREFIX, load_settings

CANARY = "canary-2718281828"


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://loader:pw@db.example/x", ["db.example"]),
        ("postgresql://loader:pw@db.example:5432/x?sslmode=require", ["db.example"]),
        ("postgresql://loader:pw@db.example/x?sslmode=verify-ca", ["db.example"]),
        ("postgresql://loader:pw@db.example/x?sslmode=verify-full&sslrootcert=/ca.pem", []),
        ("postgresql+psycopg2://dagster:pw@db.example/x", ["db.example"]),
        ("postgresql://loader:pw@127.0.0.1:5432/x", []),
        ("postgresql://loader:pw@[::1]:5432/x", []),
        ("postgresql://loader:pw@[2001:db8::1]:5432/x", ["2001:db8::1"]),
        ("postgresql://loader:pw@localhost,db.example:5433/x", ["db.example"]),
        ("postgresql:///x", []),
        ("postgresql://%2Fvar%2Frun%2Fpostgresql/x", []),
        ("postgresql:///x?host=db.example", ["db.example"]),
        ("postgresql://localhost/x?hostaddr=10.0.0.7", ["10.0.0.7"]),
        ("host=localhost user=loader password=pw", [NO_URL]),
        ("password='a sslmode=verify-full' host=db.example", [NO_URL]),
        ("postgresql://loader@/x?service=prod", ["service prod"]),
    ],
)
def test_postgresql_is_open_unless_the_host_is_verified(url: str, hosts: list[str]) -> None:
    """`require` encrypts for whoever answers, and a password is then theirs."""
    assert find_open_postgres(url) == hosts


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("mongodb://loader:pw@a.example:27017,127.0.0.1,b.example/x", ["a.example", "b.example"]),
        ("mongodb://loader:pw@a.example/x?replicaSet=r&tls=true&tlsCAFile=/ca.pem", []),
        ("mongodb://a.example/?TLS=true", []),
        ("mongodb://a.example/?ssl=true", []),
        ("mongodb://a.example/?tls=true&tlsAllowInvalidCertificates=true", ["a.example"]),
        ("mongodb://a.example/?tls=true&tlsAllowInvalidHostnames=true", ["a.example"]),
        ("mongodb://a.example/?tls=true&tlsInsecure=true", ["a.example"]),
        ("mongodb+srv://a.example/x", []),
        ("mongodb+srv://a.example/x?tls=false", ["a.example"]),
        ("mongodb://localhost:27017/x", []),
    ],
)
def test_mongodb_is_open_unless_its_certificate_is_checked(url: str, hosts: list[str]) -> None:
    """An option that switches the check off is as good as plain text."""
    assert find_open_mongo(url) == hosts


@pytest.mark.parametrize(
    ("servers", "protocol", "hosts"),
    [
        ("a.example:9092,b.example:9092", "PLAINTEXT", ["a.example", "b.example"]),
        ("a.example:9092", "SASL_PLAINTEXT", ["a.example"]),
        ("a.example:9093", "SASL_SSL", []),
        ("PLAINTEXT://a.example:9092", "PLAINTEXT", ["a.example"]),
        ("127.0.0.1:9092, [::1]:9092", "PLAINTEXT", []),
        ("", "PLAINTEXT", []),
    ],
)
def test_kafka_is_open_unless_its_protocol_encrypts(
    servers: str, protocol: str, hosts: list[str]
) -> None:
    """A password by SASL alone can be read on the way (PLAIN) or tried at home (SCRAM)."""
    assert find_open_kafka(servers, protocol) == hosts


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("https://api.example/v3", []),
        ("http://api.example/v3", ["api.example"]),
        ("HTTP://api.example:8080/v3", ["api.example"]),
        ("http://[2001:db8::1]:80/v3", ["2001:db8::1"]),
        ("http://127.0.0.1:8098", []),
        ("http://[::1]:8098", []),
        ("http://localhost:8098", []),
    ],
)
def test_http_is_open_beyond_this_machine(url: str, hosts: list[str]) -> None:
    """A key in a header is read by everybody on the way."""
    assert find_open_http(url) == hosts


SERVERS = {
    "KAFKA__BOOTSTRAP_SERVERS": "kafka.example:9092",
    "POSTGRES__LOADER_URL": f"postgresql://loader:{CANARY}@db.example/x",
    "DAGSTER__POSTGRES_URL": f"postgresql+psycopg2://dagster:{CANARY}@dagster.example/x",
    "MONGO__ANALYST_URL": f"mongodb://analyst:{CANARY}@mongo.example/x",
}


def variables(**more: str) -> dict[str, str]:
    return {f"{ENV_PREFIX}{name}": value for name, value in (SERVERS | more).items()}


def test_plain_text_to_another_machine_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """Every one of them is told at once, with the option that mends it and without a password."""
    with pytest.raises(ConfigurationError) as refused:
        load_settings(tmp_path, environment=variables())
    kafka, postgres, dagster, mongo = str(refused.value).splitlines()
    assert kafka.startswith("kafka.bootstrap_servers: the connection to kafka.example ")
    assert "SASL_SSL" in kafka
    assert postgres.startswith("postgres.loader_url: the connection to db.example ")
    assert "sslmode=verify-full" in postgres
    assert dagster.startswith("dagster.postgres_url: the connection to dagster.example ")
    assert mongo.startswith("mongo.analyst_url: the connection to mongo.example ")
    assert "tls=true" in mongo
    assert "plain_text_hosts" in mongo
    assert CANARY not in str(refused.value)


def test_a_key_or_a_question_that_counts_goes_nowhere_in_plain_text(tmp_path: Path) -> None:
    """A source's key opens an account there; the company's and Dagster's answers are believed."""
    given = {
        "SOURCES__COINCAP__BASE_URL": "http://coincap.example/v3",
        "SOURCES__COINCAP__KEY": CANARY,
        "SOURCES__KRAKEN__BASE_URL": "http://public.example/0/public",
        "COMPANY__URL": "http://company.example:8098",
        "DAGSTER__WEBSERVER_URL": "http://dagster.example:3000",
    }
    environment = {f"{ENV_PREFIX}{name}": value for name, value in given.items()}
    with pytest.raises(ConfigurationError) as refused:
        load_settings(tmp_path, environment=environment)
    coincap, company, dagster = str(refused.value).splitlines()
    assert coincap == (
        "sources.coincap.base_url: the connection to coincap.example would not be encrypted and "
        "checked: write https://…, or name coincap.example in plain_text_hosts where the network "
        "between is all your own"
    )
    assert company.startswith("company.url: the connection to company.example ")
    assert dagster.startswith("dagster.webserver_url: the connection to dagster.example ")
    assert CANARY not in str(refused.value)
    environment[f"{ENV_PREFIX}PLAIN_TEXT_HOSTS"] = "coincap.example,company.example,dagster.example"
    assert load_settings(tmp_path, environment=environment).company.url == given["COMPANY__URL"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"PGHOSTADDR": "10.0.0.7"}, "PGHOSTADDR in the environment: the connection to 10.0.0.7 "),
        ({"PGHOSTADDR": "::1,10.0.0.7"}, "PGHOSTADDR in the environment: the connection to 10.0"),
        ({"PGSERVICE": "prod"}, "PGSERVICE in the environment: the connection to service prod "),
        ({"PGHOST": "db.example"}, "postgres.loader_url: the connection to db.example "),
        ({"PGHOSTADDR": "127.0.0.1", "PGHOST": "/run/postgresql", "PGSERVICE": ""}, None),
    ],
)
def test_what_leads_libpq_elsewhere_than_the_url_is_refused(
    tmp_path: Path, given: dict[str, str], said: str | None
) -> None:
    """A URL that was judged as this machine's led to another one, by plain text."""
    environment = {
        f"{ENV_PREFIX}POSTGRES__LOADER_URL": "postgresql:///x",
        f"{ENV_PREFIX}POSTGRES__ANALYST_URL": "postgresql://127.0.0.1/x",
        **given,
    }
    if said is None:
        load_settings(tmp_path, environment=environment)
        return
    with pytest.raises(ConfigurationError, match=f"^{re.escape(said)}") as refused:
        load_settings(tmp_path, environment=environment)
    assert "\n" not in str(refused.value)


def test_a_host_named_as_an_exception_is_taken_and_no_other(tmp_path: Path) -> None:
    """A network of one's own (compose) is an exception that somebody has written down."""
    named = "kafka.example,db.example,dagster.example"
    with pytest.raises(ConfigurationError) as refused:
        load_settings(tmp_path, environment=variables(PLAIN_TEXT_HOSTS=named))
    assert str(refused.value).startswith("mongo.analyst_url")
    assert "\n" not in str(refused.value)
    taken = load_settings(
        tmp_path, environment=variables(PLAIN_TEXT_HOSTS=f"{named},mongo.example")
    )
    assert taken.kafka.bootstrap_servers == "kafka.example:9092"


def test_kafkas_client_logs_in_and_checks_who_answers(tmp_path: Path) -> None:
    """A setting that does not reach the client protects nobody."""
    ca_file = tmp_path / "ca.pem"
    ca_file.touch()
    given = {
        "KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA__CA_FILE": str(ca_file),
        "KAFKA__USERNAME": "platform",
        "KAFKA__PASSWORD": CANARY,
        "KAFKA__BOOTSTRAP_SERVERS": "kafka.example:9093",
    }
    environment = {f"{ENV_PREFIX}{name}": value for name, value in given.items()}
    config = client_config(load_settings(tmp_path, environment=environment))
    expected = {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(ca_file),
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "platform",
        "sasl.password": CANARY,
    }
    assert {name: config[name] for name in expected} == expected

    del environment[f"{ENV_PREFIX}KAFKA__PASSWORD"]
    with pytest.raises(ConfigurationError, match=r"set kafka\.username and kafka\.password"):
        client_config(load_settings(tmp_path, environment=environment))

    ca_file.unlink()
    with pytest.raises(ConfigurationError, match=r"kafka\.ca_file: there is no file"):
        client_config(load_settings(tmp_path, environment=environment))
