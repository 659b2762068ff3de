"""Everything through TLS, with Kafka asking who is there: a record's whole way, and refusals."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from confluent_kafka.admin import AclOperation
from sqlalchemy.exc import OperationalError

from crypto_platform.errors import ConfigurationError, KafkaUnavailableError, PlatformError
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.kafka.producer import Publisher
from crypto_platform.kafka.reader import PartitionReader
from crypto_platform.kafka.topics import create_topics
from crypto_platform.kafka.watermarks import Part
from crypto_platform.settings import ENV_PREFIX
from crypto_platform.stores import STORES
from crypto_platform.stores.mongo import MongoStore
from tests.fault_steps import assert_whole, page, point_at, poll, quotes_on
from tests.platform_harness import Platform
from tests.scripted_source import run_scripted_source
from tests.tls_harness import (
    ELSEWHERE,
    HAS_POSTGRES,
    EncryptedServers,
    encrypted_servers,
    make_certificates,
    more_rights,
)
from tests.waiting import eventually

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(not HAS_POSTGRES, reason="no PostgreSQL with TLS for this system"),
]


@pytest.fixture(scope="module")
def encrypting() -> Iterator[EncryptedServers]:
    """Servers that take nothing else."""
    with encrypted_servers() as servers:
        yield servers


@pytest.fixture
def secured(encrypting: EncryptedServers, tmp_path: Path) -> Iterator[Platform]:
    """A platform on them."""
    platform = Platform(encrypting, tmp_path)
    yield platform
    platform.close()


def test_records_go_from_source_to_audit_through_encrypted_connections(secured: Platform) -> None:
    """A client of ours that forgot an option would talk in plain text, or not at all."""
    reply = page("bitcoin", "ether", "doge")
    with run_scripted_source() as source:
        source.script(reply)
        point_at(secured, coincap=source.url)
        [report] = poll(secured, "coincap")
    assert report.records == 3
    secured.load_both()
    assert_whole(secured, quotes_on("coincap", reply))


def test_a_second_migration_needs_no_right_more_and_says_what_it_could_do_with_it(
    secured: Platform, encrypting: EncryptedServers
) -> None:
    """Every one but the first failed with the rights that are called enough."""
    settings = secured.reload(**{f"{ENV_PREFIX}KAFKA__RETENTION_HOURS": "72"})

    def is_told(*words: str) -> bool:
        lines: list[str] = []
        create_topics(settings, progress=lines.append)
        return any(all(word in line for word in (*words, secured.topic(QUOTES))) for line in lines)

    assert is_told("kafka.retention_hours = 72", "lacks the right DescribeConfigs")
    with more_rights(encrypting.kafka, AclOperation.DESCRIBE_CONFIGS):
        words = ("could not be changed", "lacks the right AlterConfigs")
        eventually(lambda: is_told(*words), within_s=10)
    rights = (AclOperation.DESCRIBE_CONFIGS, AclOperation.ALTER_CONFIGS)
    with more_rights(encrypting.kafka, *rights):
        eventually(lambda: is_told("records are kept longer now"), within_s=10)
        assert secured.topic_setting(QUOTES, "retention.ms") == str(72 * 3_600_000)


def read_kafka(platform: Platform) -> None:
    platform.watermarks().read_bounds([Part(platform.topic(QUOTES), 0)])


def write_kafka(platform: Platform) -> None:
    Publisher(platform.settings, source="test", feed="refused").open()


def ping_postgres(platform: Platform) -> None:
    platform.store("postgres").ping()


def ping_mongo(platform: Platform) -> None:
    url = platform.variables[f"{ENV_PREFIX}MONGO__LOADER_URL"]
    with closing(MongoStore(url, platform.name, timeout_s=1.0)) as store:
        store.ping()


CLIENTS: dict[Callable[[Platform], None], str] = {
    read_kafka: "kafka.ca_file",
    ping_postgres: "sslrootcert",
    ping_mongo: "tlsCAFile",
}
"""Each with the setting that it says one has to look at."""


def change(platform: Platform, old: str, new: str) -> None:
    """Replace a text wherever it stands in the addresses."""
    sections = tuple(f"{ENV_PREFIX}{name}__" for name in ("KAFKA", *map(str.upper, STORES)))
    changed = {
        name: value.replace(old, new)
        for name, value in platform.variables.items()
        if name.startswith(sections)
    }
    platform.reload(**changed, **{f"{ENV_PREFIX}KAFKA__REQUEST_TIMEOUT_S": "1"})


def test_servers_of_another_authority_are_refused_with_what_to_do(
    secured: Platform, tmp_path: Path
) -> None:
    """It may be anybody, who would now have the password."""
    other = make_certificates(tmp_path / "other")
    change(secured, str(secured.settings.kafka.ca_file), str(other.ca_file))
    for client, setting in CLIENTS.items():
        with pytest.raises(PlatformError, match=rf"(?s)127\.0\.0\.1.* look at {setting}"):
            client(secured)


def test_a_certificate_that_names_another_host_is_refused_with_what_to_do(
    secured: Platform,
) -> None:
    """Any certificate of that authority would do else, a developer's too."""
    change(secured, "127.0.0.1", "localhost")
    for client in CLIENTS:
        said = "(?s)localhost.* whether the certificate names this host"
        with pytest.raises(PlatformError, match=said):
            client(secured)


def ping_as_dagster(platform: Platform) -> None:
    url = platform.variables[f"{ENV_PREFIX}POSTGRES__ANALYST_URL"]
    engine = sa.create_engine(
        url.replace("postgresql://", "postgresql+psycopg2://"), poolclass=sa.NullPool
    )
    with engine.connect() as connection:
        assert connection.scalar(
            sa.text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        )


def test_dagsters_driver_takes_the_same_url_and_checks_the_certificate(
    secured: Platform, tmp_path: Path
) -> None:
    """Its database is reached by another driver than ours, with a libpq of its own."""
    ping_as_dagster(secured)
    other = make_certificates(tmp_path / "other")
    change(secured, str(secured.settings.kafka.ca_file), str(other.ca_file))
    with pytest.raises(OperationalError, match="certificate verify failed"):
        ping_as_dagster(secured)


def create_all_topics(platform: Platform) -> None:
    create_topics(platform.settings, progress=lambda text: None)


def make_reader(platform: Platform) -> None:
    PartitionReader(platform.settings).close()


@pytest.mark.parametrize("client", [create_all_topics, read_kafka, write_kafka, make_reader])
def test_a_broker_that_leads_to_another_machine_in_plain_text_is_refused(
    secured: Platform, encrypting: EncryptedServers, client: Callable[[Platform], None]
) -> None:
    """Its first address was of this machine, and records went over the network."""
    prefix = f"{ENV_PREFIX}KAFKA__"
    own = {"BOOTSTRAP_SERVERS": encrypting.elsewhere, "SECURITY_PROTOCOL": "PLAINTEXT"}
    own |= {"REQUEST_TIMEOUT_S": "20"}
    secured.reload(**{f"{prefix}{name}": value for name, value in own.items()})
    refusal = rf"is reached at {ELSEWHERE} .* or name {ELSEWHERE} in plain_text_hosts"
    with pytest.raises(ConfigurationError, match=refusal):
        client(secured)


def test_a_broker_elsewhere_that_is_named_as_an_exception_is_asked(
    secured: Platform, encrypting: EncryptedServers
) -> None:
    """What fails then is to find it."""
    own = {"BOOTSTRAP_SERVERS": encrypting.elsewhere, "SECURITY_PROTOCOL": "PLAINTEXT"}
    secured.reload(
        **{f"{ENV_PREFIX}KAFKA__{name}": value for name, value in own.items()},
        **{
            f"{ENV_PREFIX}KAFKA__REQUEST_TIMEOUT_S": "1",
            f"{ENV_PREFIX}PLAIN_TEXT_HOSTS": ELSEWHERE,
        },
    )
    with pytest.raises(KafkaUnavailableError):
        read_kafka(secured)


def test_a_password_that_kafka_does_not_know_is_told(secured: Platform) -> None:
    """Its client would tell of a time-out only."""
    change(secured, secured.variables[f"{ENV_PREFIX}KAFKA__PASSWORD"], "wrong")
    with pytest.raises(KafkaUnavailableError, match=r"look at kafka\.username"):
        write_kafka(secured)
