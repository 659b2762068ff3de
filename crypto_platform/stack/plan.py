"""Which parts one `up` runs: pure decisions over settings and options.

Here: the names of parts, what they need, telling given servers from embedded ones. Not here:
building them (up.py), the addresses that come of it (environment.py).
"""

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from crypto_platform.errors import ConfigurationError
from crypto_platform.settings import DEFAULT_SOURCES, Settings, SourceSettings, SourcesMode
from crypto_platform.stack.ports import HOST
from crypto_platform.stack.reachable import plan_source

SERVERS = ("kafka", "postgres", "mongo", "dagster-postgres", "simulation", "company")
PROGRAMS = ("migration", "code-server", "daemon", "webserver", "api")
PARTS = (*SERVERS, *PROGRAMS)
"""Every part, in the order of their start."""

STORES = frozenset({"kafka", "postgres", "mongo"})
ROLES = ("migrator", "loader", "analyst")
API_ROLE = "api"
"""PostgreSQL's alone; a server given by URL need not have it, but the API does not run without."""

PORTS: Mapping[str, Collection[str]] = {
    "kafka": ("kafka", "kafka_controller"),
    "postgres": ("postgres",),
    "mongo": ("mongo",),
    "dagster-postgres": ("dagster_postgres",),
    "simulation": ("simulation",),
    "company": ("company",),
    "code-server": ("code_server",),
    "webserver": ("webserver",),
    "api": ("api",),
}
"""Part -> its ports, named as in `StackSettings` without `_port`."""

_NEEDS: Mapping[str, Collection[str]] = {
    "code-server": ("dagster-postgres",),
    "daemon": ("dagster-postgres", "code-server"),
    "webserver": ("dagster-postgres", "code-server"),
}
_SIMULATED_NETLOC = urlsplit(str(DEFAULT_SOURCES["simulated"]["base_url"])).netloc
_COMPANY_NETLOC = urlsplit(str(DEFAULT_SOURCES["company_exchange"]["base_url"])).netloc


def choose_parts(
    settings: Settings, *, only: Collection[str] | None, migrate: bool, sources: SourcesMode
) -> tuple[str, ...]:
    """Which parts this `up` runs itself, in the order of PARTS.

    Args:
        settings: What a person has set, without `<data>/environment`.
        only: Parts asked for; what they cannot do without is added. None asks for all.
        migrate: Whether the migration runs, where all that it needs is there.
        sources: Without a simulated source the simulated market is left out; with live ones only
            the simulated company is too.

    Raises:
        ConfigurationError: A part that does not exist, a store with some URLs of three, or runs
            that should work where these servers are not reached.
    """
    if settings.dagster.run_launcher != "process":
        message = (
            f"dagster.run_launcher is {settings.dagster.run_launcher}, but `up` listens on "
            f"{HOST}, which no container reaches: leave it out here; docs/deployment.md says "
            f"where it belongs"
        )
        raise ConfigurationError(message)
    unknown = sorted(set(only or ()) - set(PARTS))
    if unknown:
        message = f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}"
        raise ConfigurationError(message)
    given = find_given(settings)
    chosen = set(PARTS if only is None else only)
    for part in tuple(chosen):
        chosen.update(_NEEDS.get(part, ()))
    if migrate and chosen | given >= STORES:
        chosen.add("migration")
    else:
        chosen.discard("migration")
    if only is None and not _reads_simulation(settings, sources):
        chosen.discard("simulation")
    if only is None and (sources == "live" or not settings.company.enabled):
        chosen.discard("company")
    if "postgres" in given and settings.postgres.api_url is None:
        chosen.discard("api")
    return tuple(part for part in PARTS if part in chosen - given)


def find_given(settings: Settings) -> set[str]:
    """Parts whose servers somebody gave by URL.

    Raises:
        ConfigurationError: A store has a URL for one role but not for another.
    """
    given: set[str] = set()
    if settings.kafka.bootstrap_servers is not None:
        given.add("kafka")
    if settings.dagster.postgres_url is not None:
        given.add("dagster-postgres")
    for store, section in (("postgres", settings.postgres), ("mongo", settings.mongo)):
        missing = [role for role in ROLES if getattr(section, f"{role}_url") is None]
        if not missing:
            given.add(store)
        elif len(missing) < len(ROLES):
            names = ", ".join(f"{store}.{role}_url" for role in missing)
            message = (
                f"{names} not set, but others of {store} are: set all three to use a server of "
                f"yours, or none to use the embedded one"
            )
            raise ConfigurationError(message)
    return given


def is_embedded_simulation(source: SourceSettings) -> bool:
    """Whether a source's address is the placeholder for the simulated market of this stack."""
    return urlsplit(source.base_url).netloc == _SIMULATED_NETLOC


def is_embedded_company(source: SourceSettings) -> bool:
    """Whether a source's address is the placeholder for the simulated company of this stack."""
    return urlsplit(source.base_url).netloc == _COMPANY_NETLOC


def _reads_simulation(settings: Settings, sources: SourcesMode) -> bool:
    return any(
        is_embedded_simulation(source)
        and plan_source(name, source, mode=sources, answers=None).enabled
        for name, source in settings.sources.items()
    )
