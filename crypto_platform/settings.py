"""Settings: one typed object, from TOML and the environment, checked once at start.

Here: every setting with its unit, bound and description; where they are looked for; the errors that
name a wrong one. The only module that reads the environment. Not here: starting servers (stack/).

Order, first wins: the process environment (`CRYPTO_PLATFORM_` + path, nested by `__`), the file
`<data>/environment` (written by `up`: addresses and generated passwords), the settings file
(`CRYPTO_PLATFORM_CONFIG`, else `<data>/settings.toml`), the defaults below.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from crypto_platform import encryption
from crypto_platform.errors import ConfigurationError

ENV_PREFIX = "CRYPTO_PLATFORM_"
ENV_DATA_DIR = f"{ENV_PREFIX}DATA_DIR"
ENV_CONFIG = f"{ENV_PREFIX}CONFIG"
ENVIRONMENT_FILE = "environment"
SETTINGS_FILE = "settings.toml"

CrashPoint = Literal["after_offset_update", "after_copy", "before_commit", "after_commit"]
"""Where a fault test can kill a load; crash_points.py does it."""

IngestCrashPoint = Literal["before_kafka_commit", "after_kafka_commit"]
"""The same for an ingest run: its records are in Kafka's log, its transaction is still open or
just committed."""

CrashBy = Literal["kill", "stop"]

IntervalName = Literal["1m", "5m", "15m", "1h", "6h", "1d"]

CompanyProduct = Literal[
    "BTC-USD",
    "ETH-USD",
    "SOL-USD",
    "XRP-USD",
    "DOGE-USD",
    "ADA-USD",
    "LINK-USD",
    "AVAX-USD",
    "BCH-USD",
    "LTC-USD",
]
"""What the simulated company can trade."""

NamePattern = r"^[a-z][a-z0-9_]{0,30}$"


class _Section(BaseModel):
    """A part of the settings: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def _split_list(value: object) -> object:
    """An environment variable gives a list as `a,b`; TOML gives it as a list."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


class SourceSettings(_Section):
    """One instance of a dialect: where it is, how often it is asked, for what."""

    dialect: str = Field(
        description="Which API it speaks, by its file in sources/: coinbase, ccxt, coingecko."
    )
    ccxt_id: str | None = Field(
        default=None, description="The venue's id in ccxt, for the dialect ccxt: poloniex."
    )
    base_url: str = Field(pattern=r"^https?://", description="Address up to the API's version.")
    simulated: bool = Field(default=False, description="Served by the simulated market.")
    enabled: bool = Field(default=True, description="False leaves this source out.")
    key: SecretStr | None = Field(default=None, description="API key, where the source wants one.")
    key_required: bool = Field(default=False, description="Leave the source out without a key.")
    pace_s: float = Field(default=60.0, ge=0.2, le=3600, description="Seconds between two polls.")
    feeds: Annotated[tuple[str, ...], BeforeValidator(_split_list)] = Field(
        default=(), description="Which of its feeds are asked for; empty asks for all it has."
    )
    paces_s: dict[str, Annotated[float, Field(ge=0.2, le=86_400)]] = Field(
        default_factory=dict,
        description="Seconds between two polls by feed, where pace_s is not meant: {candles = 60}.",
    )
    intervals: Annotated[tuple[IntervalName, ...], BeforeValidator(_split_list)] = Field(
        default=("1m",), description="Lengths of the candles that are asked for."
    )
    depth: int = Field(default=20, ge=1, le=500, description="Levels a side of an order book.")
    quote_currency: str = Field(
        default="USD", pattern=r"^[A-Z0-9]{2,10}$", description="Currency of the prices."
    )
    currency_ids: Annotated[tuple[str, ...], BeforeValidator(_split_list)] = Field(
        default=(), description="The source's own ids to ask for; empty asks for the top ones."
    )
    symbols: Annotated[tuple[str, ...], BeforeValidator(_split_list)] = Field(
        default=(), description="What a venue is asked for, by its own names: BTC-USD,ETH-USD."
    )
    currencies: dict[str, Annotated[str, Field(pattern=r"^([A-Z0-9]{1,20})?$")]] = Field(
        default_factory=dict,
        description="Unified codes by its own currency ids, beside those shipped: "
        '{XXBT = "BTC"}; an empty code leaves an id unmapped.',
    )
    currencies_max: int = Field(
        default=250, ge=1, le=5000, description="How many currencies a poll asks for at most."
    )
    requests_per_minute_max: float = Field(
        default=30.0, gt=0, le=6000, description="The source's budget; live polls use 70 % of it."
    )
    timeout_s: float = Field(default=10.0, gt=0, le=50, description="Longest wait for an answer.")
    body_bytes_max: int = Field(
        default=16 * 1024 * 1024, ge=1024, description="A longer answer is refused."
    )


class KafkaSettings(_Section):
    """Apache Kafka, or None for the embedded one."""

    bootstrap_servers: str | None = Field(default=None, description="host:port[,host:port].")
    topic_prefix: str = Field(
        default="", pattern=r"^([a-z0-9][a-z0-9_-]*\.)?$", description="Before every topic's name."
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="SSL encrypts, SASL logs in; docs/security.md."
    )
    ca_file: Path | None = Field(
        default=None,
        description="PEM file of who signed the brokers' certificates; without, the system's.",
    )
    sasl_mechanism: Literal["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"] = Field(
        default="SCRAM-SHA-256", description="How SASL logs in."
    )
    username: str | None = Field(default=None, description="Who logs in by SASL.")
    password: SecretStr | None = Field(default=None, description="Its password.")
    replication_factor: int = Field(
        default=1,
        ge=1,
        le=9,
        description="Brokers that keep each topic made here; 3 where there are three or more.",
    )
    retention_hours: int = Field(
        default=48,
        ge=1,
        description="How long Kafka keeps records; less than a topic has now is left to a person.",
    )
    request_timeout_s: float = Field(default=10.0, gt=0, le=55, description="Longest wait.")


class PostgresSettings(_Section):
    """The PostgreSQL store, one URL a role; None for the embedded one."""

    migrator_url: SecretStr | None = Field(default=None, description="Role that owns the tables.")
    loader_url: SecretStr | None = Field(default=None, description="Role that loads records.")
    analyst_url: SecretStr | None = Field(default=None, description="Role that only reads.")
    api_url: SecretStr | None = Field(
        default=None,
        description="Role of the HTTP API: reads the market, and of accounts one user's own.",
    )


class MongoSettings(_Section):
    """The MongoDB store (a replica set), one URL a role; None for the embedded one."""

    migrator_url: SecretStr | None = Field(default=None, description="Role that owns collections.")
    loader_url: SecretStr | None = Field(default=None, description="Role that loads records.")
    analyst_url: SecretStr | None = Field(default=None, description="Role that only reads.")
    database: str = Field(
        default="crypto_platform", pattern=r"^[a-z][a-z0-9_]{0,60}$", description="Its name."
    )


class DockerRunSettings(_Section):
    """How runs become containers, where dagster.run_launcher is docker."""

    image: str | None = Field(default=None, description="The one that the code server runs.")
    networks: Annotated[tuple[str, ...], BeforeValidator(_split_list)] = Field(
        default=(), description="Where a run finds the servers and the sources."
    )
    home_volume: str | None = Field(
        default=None,
        description="The volume of DAGSTER_HOME, by which the UI shows a run's own output; None: "
        "that goes with its container.",
    )


class KubernetesRunSettings(_Section):
    """How runs become jobs, where dagster.run_launcher is kubernetes."""

    image: str | None = Field(default=None, description="The one that the code server runs.")
    namespace: str = Field(default="default", description="Where the jobs are made.")
    service_account: str = Field(default="crypto-platform-run", description="As whom they run.")
    config_maps: Annotated[tuple[str, ...], BeforeValidator(_split_list)] = Field(
        default=("crypto-platform",), description="Whose keys are settings: addresses."
    )
    secrets: Annotated[tuple[str, ...], BeforeValidator(_split_list)] = Field(
        default=("crypto-platform-run",), description="Whose keys are settings: URLs, keys."
    )
    ca_config_map: str | None = Field(
        default=None,
        description="Whose key ca.pem is of who signed the servers' certificates; "
        "/etc/crypto_platform/ca.pem in a run.",
    )


class DagsterSettings(_Section):
    """Dagster's own database (postgresql+psycopg2://...), its addresses, and where runs work."""

    postgres_url: SecretStr | None = Field(default=None, description="None for the embedded one.")
    webserver_url: str | None = Field(default=None, description="Where the UI is, written by up.")
    run_launcher: Literal["process", "docker", "kubernetes"] = Field(
        default="process",
        description="Where a run works: beside the code server, in a container, in a job.",
    )
    docker: DockerRunSettings = DockerRunSettings()
    kubernetes: KubernetesRunSettings = KubernetesRunSettings()
    keep_days: float = Field(
        default=3.0,
        ge=0.1,
        description="Dagster's successful runs, their events and logs are deleted at this age.",
    )
    keep_failed_days: float = Field(
        default=30.0, ge=0.1, description="Failed runs are deleted at this age."
    )


class IngestSettings(_Section):
    """How source feeds are polled and published."""

    follow_s: float = Field(
        default=60.0, ge=0, le=900, description="Age at which a run's successor is due."
    )
    transaction_timeout_s: float = Field(
        default=5.0, ge=1, le=60, description="An open Kafka transaction is aborted after this."
    )


class HistorySettings(_Section):
    """How the past is asked for."""

    first_day: date = Field(
        default=date(2026, 1, 1),
        description="The first day that Dagster offers to backfill; the command takes any day.",
    )


class QualitySettings(_Section):
    """What of market data passes for good, docs/quality.md."""

    stale_s: float = Field(
        default=900.0, ge=60, le=86_400, description="A market without anything new is stale then."
    )
    price_difference_pct: float = Field(
        default=5.0, gt=0, le=100, description="Beyond other venues' prices of the same minute."
    )
    candle_difference_pct: float = Field(
        default=0.1, ge=0, le=100, description="Between a venue's candle and the trades in it."
    )
    gap_days: int = Field(
        default=7, ge=1, le=366, description="Days up to yesterday that the gap report looks at."
    )


class LoadSettings(_Section):
    """How records go from Kafka into a store."""

    follow_s: float = Field(
        default=900.0, ge=20, le=3600, description="Age at which a load run's successor is due."
    )
    batch_records_max: int = Field(
        default=10_000, ge=1, le=50_000, description="Records in one store transaction."
    )
    batch_wait_s: float = Field(
        default=0.03, ge=0.001, le=1, description="Longest wait after the first waiting record."
    )
    record_bytes_max: int = Field(
        default=512 * 1024, ge=1024, description="A larger record is quarantined as too_large."
    )
    drift_records_max: int = Field(
        default=1000,
        ge=1,
        description="So many refusals in a row stop a partition: incident source_drift.",
    )
    shards: int = Field(
        default=1,
        ge=1,
        le=8,
        description="Load runs of a store beside each other; partitions are dealt out by number. "
        "Each holds two of dagster.yaml's max_concurrent_runs while it hands over.",
    )
    stall_s: float = Field(
        default=15.0, ge=1, description="Lag without progress for so long asks for another run."
    )


class AnalyticsSettings(_Section):
    """How what is derived of the market is kept up to date."""

    every_s: float = Field(
        default=120.0,
        ge=10,
        le=3600,
        description="Seconds between two runs, where anything changed; a run that goes on for "
        "longer looks for newer changes as often.",
    )
    retention_days: dict[str, Annotated[int, Field(ge=0, le=36_500)]] = Field(
        default_factory=dict,
        description="Age at which figures are removed, by computation, where its own is not meant "
        "(book_metrics 90, the others stay): {book_metrics = 30}; 0 keeps them for good.",
    )


class ServingSettings(_Section):
    """How people and their tools are answered."""

    behind_s_max: float = Field(
        default=60.0,
        ge=1,
        description="A store whose newest record is older than the other's by more does not "
        "answer while that one does.",
    )


class LogFormat(StrEnum):
    """What a line of the logs is."""

    TEXT = "text"
    JSON = "json"


class LoggingSettings(_Section):
    """How our processes and Dagster's log."""

    format: LogFormat = Field(
        default=LogFormat.TEXT,
        description="text, or json: one object a line with timestamp (UTC), level, logger, event, "
        "and run_id where it belongs to a run.",
    )


class AlertSettings(_Section):
    """Messages to people, docs/operations.md; nobody is told where no receiver is set."""

    receivers: dict[Annotated[str, Field(pattern=NamePattern)], SecretStr] = Field(
        default_factory=dict,
        max_length=5,
        description="Where messages go, by names of yours: Apprise's URLs (slack://…, "
        "mailtos://user:password@host, jsons://host/path), which are secrets.",
    )
    after_s: float = Field(
        default=60.0, ge=0, le=86_400, description="What is over sooner is not told."
    )
    remind_s: float = Field(
        default=4 * 3600.0, ge=60, le=7 * 86_400, description="What goes on is told again then."
    )
    timeout_s: float = Field(default=8.0, gt=0, le=8, description="Longest wait for one receiver.")
    runbook_url: str = Field(
        default="docs/runbook.md",
        description="Where messages say what to do: the address of that page at your place.",
    )


class ApiSettings(_Section):
    """The HTTP API: who may ask, and how often."""

    url: str | None = Field(default=None, description="Where it is, written by up.")
    secret: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="Signs tokens and cursors; written by up, a new one ends all sessions.",
    )
    operator_key: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Opens /metrics and /operations; without one they are open on this machine, "
        "and closed where the API listens on another address.",
    )
    token_s: float = Field(
        default=12 * 3600.0, ge=60, le=30 * 86_400, description="How long a token holds."
    )
    requests_per_s: float = Field(
        default=50.0, gt=0, le=100_000, description="Of one client or user, on average."
    )
    burst: int = Field(default=200, ge=1, le=1_000_000, description="Requests of one at once.")
    logins_per_minute: float = Field(
        default=10.0, gt=0, le=6000, description="Of one client; ten times as many for one user."
    )
    streams_max: int = Field(default=20, ge=1, le=10_000, description="Open streams of a client.")
    body_bytes_max: int = Field(
        default=16 * 1024, ge=256, le=1024 * 1024, description="A longer body is refused."
    )
    trusted_proxies: Annotated[tuple[str, ...], BeforeValidator(_split_list)] = Field(
        default=(),
        description="Addresses whose X-Forwarded-For names the client; without, it is the peer.",
    )


class StackSettings(_Section):
    """Ports of the embedded servers; 0 picks a free one, which is then kept."""

    kafka_port: int = Field(default=0, ge=0, le=65535, description="Kafka's listener.")
    kafka_controller_port: int = Field(default=0, ge=0, le=65535, description="KRaft's listener.")
    postgres_port: int = Field(default=0, ge=0, le=65535, description="The store's PostgreSQL.")
    dagster_postgres_port: int = Field(default=0, ge=0, le=65535, description="Dagster's own.")
    mongo_port: int = Field(default=0, ge=0, le=65535, description="mongod.")
    simulation_port: int = Field(default=0, ge=0, le=65535, description="The simulated market.")
    company_port: int = Field(default=0, ge=0, le=65535, description="The simulated company.")
    code_server_port: int = Field(default=0, ge=0, le=65535, description="Dagster's gRPC server.")
    webserver_port: int = Field(default=0, ge=0, le=65535, description="The Dagster UI.")
    api_port: int = Field(default=0, ge=0, le=65535, description="The HTTP API.")
    ready_timeout_s: float = Field(
        default=180.0, ge=1, description="A part not ready by then fails; 10 s are usual."
    )
    log_bytes_max: int = Field(
        default=20 * 1024 * 1024, ge=4096, description="A part's log rotates at this size."
    )
    disk_free_bytes_min: int = Field(
        default=1024**3, ge=0, description="`up` refuses to start with less free space."
    )
    simulation_seed: int = Field(default=7, description="Of the simulated market's prices.")
    started_at: AwareDatetime | None = Field(
        default=None, description="Written by `up`: runs begun before it died with the last stack."
    )


class CompanySettings(_Section):
    """The simulated trading company of the embedded stack: its users and what they do."""

    enabled: bool = Field(default=True, description="False leaves it out of `up`.")
    users: int = Field(default=1000, ge=2, le=999_999, description="How many trade.")
    rate: float = Field(
        default=5.0, ge=0, le=5000, description="Orders a second; 0: nobody trades by himself."
    )
    seed: int = Field(default=7, ge=0, description="Of what users do.")
    products: Annotated[tuple[CompanyProduct, ...], BeforeValidator(_split_list)] = Field(
        default=("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "DOGE-USD"),
        min_length=1,
        description="What trades; what no longer does keeps its orders.",
    )
    reference_url: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="A CoinCap-dialect API up to its version, whose quotes its users follow; None: "
        "the simulated market's own prices.",
    )
    url: str | None = Field(default=None, description="Where it is, written by up.")
    operator_key: SecretStr | None = Field(
        default=None, description="Opens all its accounts, written by up."
    )


_PRODUCTS = ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "DOGE-USD")

_SIMULATED_PRODUCTS = (
    *_PRODUCTS,
    *("ADA-USD", "LINK-USD", "AVAX-USD", "BCH-USD", "LTC-USD"),
    *("XLM-USD", "HBAR-USD", "SUI-USD", "UNI-USD", "SHIB-USD"),
    *("DOT-USD", "NEAR-USD", "ICP-USD", "AAVE-USD", "ETC-USD"),
)

DEFAULT_SOURCES: Mapping[str, Mapping[str, Any]] = {
    "simulated": {
        "dialect": "coincap",
        # `up` puts the real port into <data>/environment
        "base_url": "http://127.0.0.1:8099/v3",
        "simulated": True,
        # Every second would be 40 GB a day in all three servers.
        "pace_s": 5.0,
        "requests_per_minute_max": 600.0,
        "currencies_max": 250,
    },
    "simulated_exchange": {
        "dialect": "coinbase",
        "base_url": "http://127.0.0.1:8099/exchange",
        "simulated": True,
        "pace_s": 1.0,
        # of twenty symbols every second a book each would be 10 GB a day
        "paces_s": {"order_books": 5.0},
        "requests_per_minute_max": 6000.0,
        "symbols": _SIMULATED_PRODUCTS,
    },
    "simulated_ecb": {
        "dialect": "ecb",
        "base_url": "http://127.0.0.1:8099/ecb",
        "simulated": True,
        "requests_per_minute_max": 600.0,
    },
    "company_exchange": {
        "dialect": "coinbase",
        # `up` puts the real port into <data>/environment
        "base_url": "http://127.0.0.1:8098",
        "simulated": True,
        # its trades are few, and their users' halves arrive as account events anyway
        "enabled": False,
        "pace_s": 5.0,
        "requests_per_minute_max": 600.0,
        "symbols": _PRODUCTS,
    },
    "company": {
        "dialect": "company",
        # `up` puts the real port and its operator's key into <data>/environment
        "base_url": "http://127.0.0.1:8098",
        "simulated": True,
        "key_required": True,
        "pace_s": 1.0,
        "requests_per_minute_max": 6000.0,
    },
    "coincap": {
        "dialect": "coincap",
        "base_url": "https://rest.coincap.io/v3",
        "key_required": True,
        "pace_s": 60.0,
    },
    "coingecko": {
        "dialect": "coingecko",
        "base_url": "https://api.coingecko.com/api/v3",
        "pace_s": 60.0,
        "requests_per_minute_max": 5.0,
    },
    "coinbase": {
        "dialect": "coinbase",
        "base_url": "https://api.exchange.coinbase.com",
        "pace_s": 5.0,
        # a book comes whole, some of them with megabytes
        "paces_s": {"order_books": 15.0, "candles": 15.0, "instruments": 3600.0},
        # it allows 10 a second from one address
        "requests_per_minute_max": 600.0,
        "symbols": _PRODUCTS,
    },
    "kraken": {
        "dialect": "kraken",
        "base_url": "https://api.kraken.com/0/public",
        "pace_s": 15.0,
        "paces_s": {"candles": 60.0, "instruments": 3600.0},
        # it wants no more than one a second
        "requests_per_minute_max": 60.0,
        "symbols": ("XXBTZUSD", "XETHZUSD", "SOLUSD"),
    },
    "binance": {
        "dialect": "binance",
        # serves market data only, and no trades older than the newest thousand: hence their pace
        "base_url": "https://data-api.binance.vision/api/v3",
        "pace_s": 5.0,
        "paces_s": {"trades": 2.0, "candles": 15.0, "instruments": 3600.0},
        # it allows a weight of 6,000 a minute, and what is asked here weighs up to 25
        "requests_per_minute_max": 240.0,
        "symbols": ("BTCUSDT", "ETHUSDT", "SOLUSDT"),
    },
    "bitstamp": {
        "dialect": "bitstamp",
        "base_url": "https://www.bitstamp.net/api/v2",
        "pace_s": 5.0,
        # a book comes whole, up to 300 kB each
        "paces_s": {"order_books": 15.0, "candles": 15.0, "instruments": 3600.0},
        # it allows 8,000 in ten minutes
        "requests_per_minute_max": 600.0,
        "symbols": ("btcusd", "ethusd", "xrpusd"),
    },
    "gemini": {
        "dialect": "gemini",
        "base_url": "https://api.gemini.com",
        "pace_s": 15.0,
        "paces_s": {"candles": 60.0, "instruments": 3600.0},
        # it allows 120 and asks for no more than one a second
        "requests_per_minute_max": 60.0,
        "symbols": ("btcusd", "ethusd", "solusd"),
    },
    "ecb": {
        "dialect": "ecb",
        "base_url": "https://www.ecb.europa.eu/stats/eurofxref",
        "requests_per_minute_max": 5.0,
        # all days since 1999 come in one file of some 14 MB
        "timeout_s": 30.0,
        "body_bytes_max": 64 * 1024 * 1024,
    },
}


class Settings(BaseSettings):
    """All settings of one deployment."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        validate_default=True,
        enable_decoding=False,
    )

    data_dir: Path = Field(default=Path("data"), description="Folder of servers, logs and keys.")
    deployment: str = Field(
        default="local", pattern=NamePattern, description="Name in Kafka's transactional ids."
    )
    installed_at: AwareDatetime = Field(
        default=datetime(2026, 1, 1, tzinfo=UTC),
        description="First hour of the load partitions; written once by the first `up`.",
    )
    plain_text_hosts: Annotated[tuple[str, ...], BeforeValidator(_split_list)] = Field(
        default=(),
        description="Hosts beyond this machine whose servers may be talked to without encryption, "
        "for a network that is all your own: kafka,postgres,mongo.",
    )
    crash_at: CrashPoint | IngestCrashPoint | None = Field(
        default=None,
        description="For fault tests only: a load or ingest run kills itself at this point.",
    )
    crash_by: CrashBy = Field(
        default="kill", description="For fault tests only: by SIGKILL, or frozen by SIGSTOP."
    )
    sources: dict[Annotated[str, Field(pattern=NamePattern)], SourceSettings] = Field(
        default_factory=dict, description="What is read, by name."
    )
    kafka: KafkaSettings = KafkaSettings()
    postgres: PostgresSettings = PostgresSettings()
    mongo: MongoSettings = MongoSettings()
    dagster: DagsterSettings = DagsterSettings()
    ingest: IngestSettings = IngestSettings()
    history: HistorySettings = HistorySettings()
    retention_days: dict[str, Annotated[int, Field(ge=0, le=36_500)]] = Field(
        default_factory=dict,
        description="Age of event time at which both stores forget records, by feed, where the "
        "catalogue's is not meant: {trades = 30, order_books = 7}; 0 keeps them for good.",
    )
    quality: QualitySettings = QualitySettings()
    load: LoadSettings = LoadSettings()
    analytics: AnalyticsSettings = AnalyticsSettings()
    serving: ServingSettings = ServingSettings()
    logging: LoggingSettings = LoggingSettings()
    alerts: AlertSettings = AlertSettings()
    api: ApiSettings = ApiSettings()
    stack: StackSettings = StackSettings()
    company: CompanySettings = CompanySettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load_settings` hands in: it has already merged and named the sources."""
        _ = (settings_cls, env_settings, dotenv_settings, file_secret_settings)
        return (init_settings,)


class _MappingEnvSource(EnvSettingsSource):
    """The environment source of pydantic-settings, over a given mapping."""

    def __init__(self, settings_cls: type[BaseSettings], variables: Mapping[str, str]) -> None:
        self._variables = {key.lower(): value for key, value in variables.items()}
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._variables


def find_data_dir(data_dir: Path | None = None) -> Path:
    """The data folder: the one given, else CRYPTO_PLATFORM_DATA_DIR, else ./data."""
    return (data_dir or Path(os.environ.get(ENV_DATA_DIR) or "data")).absolute()


def find_settings_file(data_dir: Path) -> Path:
    """The settings file: CRYPTO_PLATFORM_CONFIG, else settings.toml in the data folder."""
    return Path(os.environ.get(ENV_CONFIG) or data_dir / SETTINGS_FILE).absolute()


def read_environment_file(path: Path) -> dict[str, str]:
    """Read `KEY=value` lines; a missing file is an empty one (nothing was started here yet)."""
    if not path.exists():
        return {}
    pairs = (line.partition("=") for line in path.read_text("utf-8").splitlines() if "=" in line)
    return {key: value for key, _, value in pairs}


def process_environment() -> dict[str, str]:
    """A copy of the process environment, for children that are handed one."""
    return dict(os.environ)


def given_environment(data_dir: Path) -> dict[str, str]:
    """The process environment without what `exec` put there from `<data>/environment`.

    An `up` typed in a shell of `exec` must not take the addresses of its own last run for servers
    that somebody gave it.
    """
    stale = read_environment_file(data_dir / ENVIRONMENT_FILE)
    return {key: value for key, value in process_environment().items() if stale.get(key) != value}


def load_settings(
    data_dir: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    environment_file: bool = True,
) -> Settings:
    """Read, merge and check all settings.

    Args:
        data_dir: As given by `--data-dir`; see `find_data_dir`.
        environment: Stands in for the process environment (`up`, tests).
        environment_file: False leaves out `<data>/environment`: what a person has set, without
            the addresses that the last `up` wrote.

    Raises:
        ConfigurationError: Names the setting, what was found, and what works. Nothing was started.
    """
    folder = find_data_dir(data_dir)
    own = process_environment() if environment_file else given_environment(folder)
    process = dict(own if environment is None else environment)
    variables = process
    if environment_file:
        variables = read_environment_file(folder / ENVIRONMENT_FILE) | process
    _refuse_unknown_variables(variables)
    variables = {k: v for k, v in variables.items() if k not in {ENV_DATA_DIR, ENV_CONFIG}}
    file = find_settings_file(folder)
    values = _merge(
        {"sources": DEFAULT_SOURCES},
        _read_toml(file),
        _MappingEnvSource(Settings, variables)(),
    )
    try:
        settings = Settings(**values, data_dir=folder)
    except ValidationError as error:
        raise ConfigurationError(_explain(error, file)) from None
    _refuse_plain_text(settings, process)
    return settings


def _refuse_plain_text(settings: Settings, environment: Mapping[str, str]) -> None:
    """Passwords, keys and records leave this machine encrypted, or by name of an exception."""
    servers = settings.kafka.bootstrap_servers or ""
    found = [
        (
            "kafka.bootstrap_servers",
            encryption.find_open_kafka(servers, settings.kafka.security_protocol),
            encryption.KAFKA_ADVICE,
        )
    ]
    for name, hosts in encryption.find_open_variables(environment).items():
        found.append((f"{name} in the environment", hosts, encryption.VARIABLES_ADVICE))
    find_open_postgres = partial(
        encryption.find_open_postgres, default_host=environment.get("PGHOST", "")
    )
    for section, find, advice in (
        ("postgres", find_open_postgres, encryption.POSTGRES_ADVICE),
        ("dagster", find_open_postgres, encryption.POSTGRES_ADVICE),
        ("mongo", encryption.find_open_mongo, encryption.MONGO_ADVICE),
    ):
        for name, value in getattr(settings, section):
            if isinstance(value, SecretStr):
                found.append((f"{section}.{name}", find(value.get_secret_value()), advice))
    for name, url in _list_guarded_urls(settings):
        found.append((name, encryption.find_open_http(url), encryption.HTTP_ADVICE))
    refused = [
        f"{name}: the connection to {host} would not be encrypted and checked: {advice}, or name "
        f"{host} in plain_text_hosts where the network between is all your own"
        for name, hosts, advice in found
        for host in hosts
        if host not in settings.plain_text_hosts
    ]
    if refused:
        raise ConfigurationError("\n".join(refused))


def _list_guarded_urls(settings: Settings) -> Iterator[tuple[str, str]]:
    """URLs to which a key goes, or whose answers decide; public prices may come in plain text."""
    for name, source in settings.sources.items():
        if source.key is not None and source.key.get_secret_value().strip():
            yield f"sources.{name}.base_url", source.base_url
    if settings.company.url is not None:
        yield "company.url", settings.company.url
    if settings.dagster.webserver_url is not None:
        yield "dagster.webserver_url", settings.dagster.webserver_url


def _refuse_unknown_variables(variables: Mapping[str, str]) -> None:
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields}
    known |= {ENV_DATA_DIR, ENV_CONFIG}
    for key in variables:
        if key.startswith(ENV_PREFIX) and key.partition("__")[0] not in known:
            message = (
                f"unknown setting {key} in the environment; known are "
                f"{', '.join(sorted(known))} (nested by __, for example "
                f"{ENV_PREFIX}LOAD__BATCH_RECORDS_MAX=1000)"
            )
            raise ConfigurationError(message)


def _read_toml(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {}
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"{file} is not TOML: {error}; mend or move the file, then try again"
        raise ConfigurationError(message) from None
    if "data_dir" in values:
        message = f"data_dir in {file}: the folder is chosen by --data-dir or {ENV_DATA_DIR}"
        raise ConfigurationError(message)
    return values


def _merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Merge mappings deeply, the last one winning."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            if isinstance(value, Mapping):
                below: Any = merged.get(key)
                lower = cast("dict[str, Any]", below) if isinstance(below, dict) else {}
                merged[key] = _merge(lower, cast("Mapping[str, Any]", value))
            else:
                merged[key] = value
    return merged


def _explain(error: ValidationError, file: Path) -> str:
    """One line a wrong setting: its name, what was found, what it is for. Secrets stay hidden."""
    lines = [f"the settings cannot be used ({file} and the environment were read):"]
    for problem in error.errors():
        path = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            lines.append(f"  {path}: no such setting; `crypto-platform config` lists them all")
            continue
        secrets = ("key", "url", "password", "secret", "receivers")
        hidden = any(word in path for word in secrets) and "base_url" not in path
        found = "(hidden)" if hidden else repr(problem.get("input"))
        lines.append(f"  {path}: {problem['msg']}; found {found}{_describe(problem['loc'])}")
    return "\n".join(lines)


def _describe(location: tuple[int | str, ...]) -> str:
    """What the setting is for and its default, to be put behind an error."""
    model: type[BaseModel] = Settings
    for part in location:
        field = model.model_fields.get(str(part))
        if field is None:
            return ""
        if str(part) == "sources":
            return _describe_field(SourceSettings, str(location[-1]))
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
            continue
        return _describe_field(model, str(part))
    return ""


def _describe_field(model: type[BaseModel], name: str) -> str:
    field = model.model_fields.get(name)
    if field is None:
        return ""
    default = "" if field.is_required() else f" (default {field.default!r})"
    return f". {field.description}{default}"


SourcesMode = Literal["auto", "live", "simulated"]
