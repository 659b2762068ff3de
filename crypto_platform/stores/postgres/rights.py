"""Who may do what in PostgreSQL: the loader writes, the others read, none changes tables.

The analyst reads everything, the API the market and one user's own. Set at every migration, for a
new feed's table has to be covered as well, and a database made from a template keeps the rights of
its tables but not its own. Roles are made outside (by the stack or an administrator); their names
are those in the settings' URLs. Facts never change, so the loader may update nothing in them but
the first arrival, which an incident gets after it was written; states do, and are never removed;
what is derived (schema analytics) can be made anew, so it writes all of that. What an older version
granted and this one does not is taken back.
"""

from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from crypto_platform.errors import ConfigurationError
from crypto_platform.feeds import FEEDS
from crypto_platform.stores.postgres.rows import ARRIVAL_COLUMNS
from crypto_platform.stores.postgres.session import Connection, connect, translated

READER_DEFAULTS = {"default_transaction_read_only": "on", "statement_timeout": "120s"}
"""For readers' sessions; a convenience against accidents, the wall is the missing rights."""

_ARRIVAL = sql.SQL(", ").join(map(sql.Identifier, ARRIVAL_COLUMNS))

_READ_DEFAULTS = """
SELECT coalesce(array_agg(setting), '{}')
FROM pg_db_role_setting AS s CROSS JOIN unnest(s.setconfig) AS setting
WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND s.setrole = (SELECT oid FROM pg_roles WHERE rolname = current_user)
"""

_DATABASE = """
REVOKE ALL ON DATABASE {database} FROM PUBLIC;
"""

_LOADER = """
ALTER DEFAULT PRIVILEGES IN SCHEMA accounts, analytics, market, platform
  REVOKE INSERT ON TABLES FROM {role};
REVOKE INSERT, UPDATE, DELETE, TRUNCATE
  ON ALL TABLES IN SCHEMA accounts, analytics, market, platform FROM {role};
GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {role};
GRANT USAGE ON SCHEMA accounts, analytics, market, platform TO {role};
GRANT SELECT ON ALL TABLES IN SCHEMA accounts, analytics, market, platform TO {role};
GRANT INSERT, UPDATE ON platform.kafka_offset, platform.load_batch, platform.quarantine,
  platform.touched TO {role};
GRANT DELETE ON platform.touched TO {role};
GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA analytics TO {role};
GRANT USAGE ON SEQUENCE platform.touched_version TO {role};
GRANT EXECUTE ON FUNCTION platform.make_partition(text, text, text, timestamptz),
  platform.remove_partition(text, text, timestamptz, text),
  platform.take_removed_over(uuid[], integer[], bigint[], text[], text[], timestamptz[],
    timestamptz[], bigint[], numeric[], numeric[]) TO {role};
ALTER DEFAULT PRIVILEGES IN SCHEMA accounts, analytics, market, platform
  GRANT SELECT ON TABLES TO {role};
"""

_LOADER_FACTS = """
GRANT INSERT, UPDATE ({arrival}) ON {table} TO {role};
"""

_LOADER_STATES = """
GRANT INSERT, UPDATE ON {table} TO {role};
"""

_ANALYST = """
GRANT CONNECT ON DATABASE {database} TO {role};
GRANT USAGE ON SCHEMA accounts, analytics, market, platform TO {role};
GRANT SELECT ON ALL TABLES IN SCHEMA accounts, analytics, market, platform TO {role};
ALTER DEFAULT PRIVILEGES IN SCHEMA accounts, analytics, market, platform
  GRANT SELECT ON TABLES TO {role};
"""

# Of accounts nothing but views that show one user's rows; of the rest nothing that holds a value as
# it came from Kafka (quarantine), for that may be anybody's.
_API = """
REVOKE ALL ON ALL TABLES IN SCHEMA accounts, platform FROM {role};
GRANT CONNECT ON DATABASE {database} TO {role};
GRANT USAGE ON SCHEMA accounts, analytics, market, platform TO {role};
GRANT SELECT ON ALL TABLES IN SCHEMA analytics, market TO {role};
GRANT SELECT ON platform.kafka_offset, platform.touched TO {role};
GRANT SELECT ON accounts.own_event, accounts.own_order, accounts.own_wallet, accounts.own_api_key
  TO {role};
ALTER DEFAULT PRIVILEGES IN SCHEMA analytics, market GRANT SELECT ON TABLES TO {role};
"""


def set_rights(
    *,
    migrator_url: str,
    loader_url: str | None,
    analyst_url: str | None,
    api_url: str | None = None,
) -> None:
    """Grant what each role needs and no more; repeating it changes nothing.

    Raises:
        ConfigurationError: A role does not exist, with the statement that makes it.
        StoreUnavailableError, StoreRefusedError: Not reached; a right of the migrator is missing.
    """
    with translated(), connect(migrator_url, application_name="crypto_platform rights") as owner:
        _execute(owner, _DATABASE, role=None)
        if loader_url:
            # at once, or a load that runs meanwhile would find its rights gone
            with owner.transaction():
                _grant_to_loader(owner, _role_of(loader_url))
        if analyst_url:
            _execute(owner, _ANALYST, role=_role_of(analyst_url))
        if api_url:
            _execute(owner, _API, role=_role_of(api_url))
    for url in (analyst_url, api_url):
        if url:
            _set_reader_defaults(url)


def _grant_to_loader(owner: Connection, role: str) -> None:
    _execute(owner, _LOADER, role=role)
    for feed in FEEDS:
        table = sql.Identifier(feed.schema, feed.table)
        _execute(owner, _LOADER_FACTS, role=role, table=table, arrival=_ARRIVAL)
        for each in feed.projections:
            state = sql.Identifier(each.schema, each.table)
            _execute(owner, _LOADER_STATES, role=role, table=state)


def _execute(
    connection: Connection, statements: LiteralString, *, role: str | None, **names: sql.Composable
) -> None:
    composed = sql.SQL(statements).format(
        database=sql.Identifier(connection.info.dbname), role=sql.Identifier(role or ""), **names
    )
    try:
        connection.execute(composed)
    except psycopg.errors.UndefinedObject as error:
        message = (
            f"PostgreSQL has no role {role!r}, which the settings' URLs name; "
            f"an administrator makes it by: CREATE ROLE {role} LOGIN PASSWORD '...'"
        )
        raise ConfigurationError(message) from error


def _role_of(url: str) -> str:
    user = conninfo_to_dict(url).get("user")
    if not user:
        message = "a PostgreSQL URL in the settings names no role: postgresql://ROLE:...@host/name"
        raise ConfigurationError(message)
    return str(user)


def _set_reader_defaults(url: str) -> None:
    """As the reader: a role may set its own defaults, which for others takes an administrator."""
    with translated(), connect(url, application_name="crypto_platform rights") as reader:
        [(configured,)] = reader.execute(_READ_DEFAULTS).fetchall()
        for name, value in READER_DEFAULTS.items():
            if f"{name}={value}" not in configured:
                reader.execute("SET default_transaction_read_only = off")
                reader.execute(
                    sql.SQL("ALTER ROLE CURRENT_USER IN DATABASE {} SET {} = {}").format(
                        sql.Identifier(reader.info.dbname), sql.Identifier(name), value
                    )
                )
