"""Which hosts a server's address would be talked to in plain text, or without knowing who answers.

Pure. Encrypted is only what is also checked: a certificate signed by a known authority that names
the host. This machine needs none of it. Not here: refusing (settings.py), how to set it up
(docs/security.md).

Sources: PostgreSQL manual, "Connection Strings" and "SSL Support"; MongoDB, "Connection String
Options"; librdkafka's CONFIGURATION.md.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from contextlib import suppress
from urllib.parse import parse_qsl, unquote, urlsplit

POSTGRES_ADVICE = "add sslmode=verify-full and sslrootcert=/path/of/ca.pem to its options"
MONGO_ADVICE = "add tls=true and tlsCAFile=/path/of/ca.pem to its options"
NO_URL = "what is no URL postgresql://…"
VARIABLES_ADVICE = "unset it, for it leads there whatever the URL of a connection says"
HTTP_ADVICE = "write https://…"
KAFKA_ADVICE = "set kafka.security_protocol to SASL_SSL (or SSL), and kafka.ca_file"

KAFKA_ENCRYPTED = frozenset({"SSL", "SASL_SSL"})
_MONGO_UNCHECKED = ("tlsinsecure", "tlsallowinvalidcertificates", "tlsallowinvalidhostnames")


def is_this_machine(host: str) -> bool:
    """Whether what is said to it stays here: a loopback address, `localhost`, a socket's path."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host in {"", "localhost"} or host.startswith(("/", "@"))


def find_open_http(url: str) -> list[str]:
    """Of a URL http://…; by https every client here checks the certificate."""
    parts = urlsplit(url)
    return [] if parts.scheme == "https" else _list_others([parts.hostname or ""])


def find_open_kafka(servers: str, security_protocol: str) -> list[str]:
    """Of brokers `host:port,host:port`; these name more, see `find_open_brokers`."""
    addresses = [address.rpartition("://")[2].strip() for address in servers.split(",")]
    return find_open_brokers(map(_strip_port, addresses), security_protocol)


def find_open_brokers(hosts: Iterable[str], security_protocol: str) -> list[str]:
    """Of the hosts at which a cluster's brokers say that they are reached."""
    return [] if security_protocol in KAFKA_ENCRYPTED else _list_others(hosts)


def find_open_postgres(url: str, *, default_host: str = "") -> list[str]:
    """Of a URL; what else libpq takes (`host=db dbname=x`, a service) may lead anywhere.

    `verify-ca` is not enough: whoever has any certificate of that authority could answer.

    Args:
        default_host: PGHOST of the environment, which counts where the URL names no host.
    """
    if "://" not in url:
        return [NO_URL]
    options, hosts = _split_url(url)
    if "service" in options:
        return [f"service {options['service']}"]
    if options.get("sslmode") == "verify-full":
        return []
    named = options.get("hostaddr") or options.get("host")
    if not named and not any(hosts):
        named = default_host
    return _list_others(named.split(",") if named else hosts)


def find_open_variables(environment: Mapping[str, str]) -> dict[str, list[str]]:
    """By variable: where libpq would connect to in place of the host that any URL names."""
    address, service = (environment.get(name, "") for name in ("PGHOSTADDR", "PGSERVICE"))
    return {
        "PGHOSTADDR": _list_others(address.split(",")),
        "PGSERVICE": [f"service {service}"] if service else [],
    }


def find_open_mongo(url: str) -> list[str]:
    """Of a URL mongodb://… or mongodb+srv://…, which is encrypted unless it says otherwise."""
    return find_open_members(url, list_mongo_hosts(url))


def list_mongo_hosts(url: str) -> list[str]:
    """Which hosts a URL mongodb://… names; its servers name the others of their replica set."""
    _, hosts = _split_url(url)
    return hosts


def find_open_members(url: str, hosts: Iterable[str]) -> list[str]:
    """Of the members of the replica set that a URL leads to."""
    options, _ = _split_url(url)
    by_default = "true" if url.startswith("mongodb+srv:") else "false"
    encrypted = options.get("tls", options.get("ssl", by_default)) == "true"
    unchecked = any(options.get(name) == "true" for name in _MONGO_UNCHECKED)
    return [] if encrypted and not unchecked else _list_others(hosts)


def _split_url(url: str) -> tuple[Mapping[str, str], list[str]]:
    """Options, their names in lower case, and hosts without ports."""
    parts = urlsplit(url)
    addresses = parts.netloc.rpartition("@")[2].split(",")
    options = {name.lower(): value for name, value in parse_qsl(parts.query)}
    return options, [_strip_port(unquote(address)) for address in addresses]


def _strip_port(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address if address.startswith("/") else address.partition(":")[0]


def _list_others(hosts: Iterable[str]) -> list[str]:
    return [host for host in hosts if not is_this_machine(host)]
