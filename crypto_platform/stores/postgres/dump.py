"""A PostgreSQL store as files, and back: pg_dump's folder format, of one snapshot.

Here: running pg_dump, pg_restore and psql with the password in their environment, and the sums of
what the snapshot holds. Offsets lie in the tables, so they are of the same moment. Putting it back
is one transaction: before its end nothing is changed, and no load sees half of it. Not here: the
manifest (delivery/backup.py), where the tools are (handed in).
"""

import contextlib
import os
import subprocess
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from psycopg import sql

from crypto_platform.errors import OutcomeUnknownError, StoreRefusedError
from crypto_platform.feeds import FEEDS
from crypto_platform.stores.dump import Dumped
from crypto_platform.stores.postgres.bookkeeping import SINK
from crypto_platform.stores.postgres.session import Connection, connect, translated
from crypto_platform.stores.sums import Sum

APPLICATION_NAME = "crypto_platform backup"
SCHEMAS = sorted({"analytics", "platform", *(feed.schema for feed in FEEDS)})

_SUM_ALL = """
SELECT count(*), coalesce(sum((content_hash >> 32) & 4294967295), 0),
  coalesce(sum(content_hash & 4294967295), 0)
FROM {table}
"""

_READ_NEXT_OFFSETS = """
SELECT topic, part, next_offset FROM platform.kafka_offset WHERE sink = 'postgres'
ORDER BY topic, topic_id, part
"""

_READ_SIZE = """
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ANY(%s) AND c.relkind IN ('r', 'm')
"""

PIECE_BYTES = 1024 * 1024
CONNECTION_LOST = 2
"""psql's exit status; source: PostgreSQL's manual, psql, "Exit Status"."""

_BEGIN = (
    "BEGIN;\nSET LOCAL client_min_messages = warning;\n"
    f"DROP SCHEMA IF EXISTS {', '.join(SCHEMAS)} CASCADE;\n"
)
_COMMIT = "COMMIT;\n"


class PostgresDumper:
    """See stores.dump.Dumper."""

    sink = SINK
    replaces_at_once = True

    def __init__(self, url: str, find_tool: Callable[[str], Path]) -> None:
        """Nothing is connected yet.

        Args:
            url: Of the role that owns the tables.
            find_tool: The path of pg_dump, pg_restore or psql; raises where there is none.
        """
        self._url = url
        self._find_tool = find_tool

    def read_version(self) -> str:
        """The server's."""
        with translated(), self._connect() as connection:
            [(version,)] = connection.execute("SHOW server_version").fetchall()
        return str(version)

    def estimate_bytes(self) -> int:
        """Tables with their indexes: more than the files will have."""
        with translated(), self._connect() as connection:
            [(size_bytes,)] = connection.execute(_READ_SIZE, [SCHEMAS]).fetchall()
        return int(size_bytes)

    def is_empty(self) -> bool:
        """Whether there is nothing that could be overwritten."""
        query = "SELECT to_regclass('platform.kafka_offset') IS NULL"
        with translated(), self._connect() as connection:
            [(is_missing,)] = connection.execute(query).fetchall()
            if is_missing:
                return True
            [(is_loaded,)] = connection.execute(
                "SELECT EXISTS (SELECT FROM platform.kafka_offset WHERE next_offset > 0)"
            ).fetchall()
        return not is_loaded

    def dump(self, folder: Path, progress: Callable[[str], None]) -> Dumped:
        """Write everything of one moment into a folder that is made for it."""
        with translated(), self._connect() as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            [(snapshot,)] = connection.execute("SELECT pg_export_snapshot()").fetchall()
            [(version,)] = connection.execute("SHOW server_version").fetchall()
            [(revision,)] = connection.execute(
                "SELECT version_num FROM platform.alembic_version"
            ).fetchall()
            offsets = connection.execute(_READ_NEXT_OFFSETS).fetchall()
            progress(f"{self.sink}: pg_dump writes {folder}")
            self._run(
                "pg_dump",
                *("--format=directory", "--jobs=2", "--compress=1", f"--snapshot={snapshot}"),
                *(f"--schema={name}" for name in SCHEMAS),
                *("--no-password", f"--file={folder}"),
            )
            progress(f"{self.sink}: adding up what it holds")
            sums = {feed.name: _sum(connection, feed.schema, feed.table) for feed in FEEDS}
            connection.execute("ROLLBACK")
        return Dumped(
            server_version=str(version),
            revision=str(revision),
            sums=sums,
            next_offsets={f"{topic}/{part}": int(offset) for topic, part, offset in offsets},
        )

    def read_sums(self) -> Mapping[str, Sum]:
        """Of all that is there now, by feed."""
        with translated(), self._connect() as connection:
            return {feed.name: _sum(connection, feed.schema, feed.table) for feed in FEEDS}

    def put_back(
        self, folder: Path, names: Collection[str], progress: Callable[[str], None]
    ) -> None:
        """Replace everything by what a folder holds, in one transaction.

        pg_restore reads what the folder's table of contents names, which are `names`.

        psql is told to commit, once pg_restore has ended well: one that commits at the end of its
        input (--single-transaction) would keep half a store where this process is killed.
        """
        progress(f"{self.sink}: pg_restore reads {len(names)} files of {folder}")
        reader = [self._find_tool("pg_restore"), "--file=-", folder]
        writer = [
            *(self._find_tool("psql"), "--no-psqlrc", "--quiet", "--no-password"),
            *("--set=ON_ERROR_STOP=1", "--file=-"),
            *("--output=/dev/null", self._plain_url()),
        ]
        pipe, environment = subprocess.PIPE, self._environment()
        with (
            subprocess.Popen(reader, stdout=pipe, stderr=pipe) as reading,
            subprocess.Popen(writer, stdin=pipe, stderr=pipe, env=environment) as writing,
        ):
            said = _pass_on(reading, writing)
        if reading.returncode == 0 and writing.returncode == CONNECTION_LOST:
            message = (
                "PostgreSQL: psql lost its connection, and whether it has committed is not known: "
                "the same command again replaces whatever is there"
            )
            raise OutcomeUnknownError(message)
        if reading.returncode != 0 or writing.returncode != 0:
            raise _refused(said, by="pg_restore")

    def _connect(self) -> Connection:
        return connect(self._url, application_name=APPLICATION_NAME, statement_timeout_s=0)

    def _run(self, tool: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._find_tool(tool), *arguments, self._plain_url()],
            env=self._environment(),
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise _refused(done.stderr.decode("utf-8", "replace"), by=tool)

    def _plain_url(self) -> str:
        """Without the password, which everybody would see in the list of processes."""
        parts = urlsplit(self._url)
        user = parts.username or ""
        host = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"{user}@{host}" if user else host).geturl()

    def _environment(self) -> dict[str, str]:
        password = unquote(urlsplit(self._url).password or "")
        return {"PATH": os.defpath, "PGPASSWORD": password, "PGAPPNAME": APPLICATION_NAME}


def _sum(connection: Connection, schema: str, table: str) -> Sum:
    statement = sql.SQL(_SUM_ALL).format(table=sql.Identifier(schema, table))
    [(count, high, low)] = connection.execute(statement).fetchall()
    return Sum(count, int(high), int(low))


def _pass_on(reading: "subprocess.Popen[bytes]", writing: "subprocess.Popen[bytes]") -> str:
    """Give psql what pg_restore writes, in one transaction behind making room; what they said.

    A psql that is not told to commit leaves the server's transaction open, which then rolls back.
    """
    assert reading.stdout is not None
    assert reading.stderr is not None
    assert writing.stdin is not None
    assert writing.stderr is not None
    try:
        writing.stdin.write(_BEGIN.encode())
        while piece := reading.stdout.read(PIECE_BYTES):
            writing.stdin.write(piece)
        if reading.wait() == 0:
            writing.stdin.write(_COMMIT.encode())
        else:
            writing.kill()
        writing.stdin.close()
    except BrokenPipeError:
        reading.kill()
    except BaseException:
        writing.kill()
        reading.kill()
        with contextlib.suppress(OSError):  # what was not sent yet would go to nobody
            writing.stdin.close()
        raise
    said = reading.stderr.read() + writing.stderr.read()
    return said.decode("utf-8", "replace")


def _refused(text: str, *, by: str) -> StoreRefusedError:
    said = " ".join(text.split())[:1000] or "nothing"
    message = f"PostgreSQL: {by} failed, nothing was changed; it said: {said}"
    return StoreRefusedError(message)
