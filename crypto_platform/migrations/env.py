"""What Alembic runs for each command: it gets the connection and the tables, nothing from files.

Here: how revisions are applied and generated. Called by postgres.py only.
"""

import re
from collections.abc import MutableMapping
from typing import Literal

import sqlalchemy as sa
from alembic import context

from crypto_platform.migrations.postgres import VERSION_SCHEMA, VERSION_TABLE
from crypto_platform.stores.postgres.tables import SCHEMAS, build_metadata

PARTITION_NAME = re.compile(r"_[0-9]{4}_[0-9]{2}(_[0-9]{2})?$")
"""As platform.make_partition names them: trade_2026_11, order_book_2026_11_24."""

_ParentName = Literal["schema_name", "table_name", "schema_qualified_table_name"]


def _is_ours(name: str | None, kind: str, parents: MutableMapping[_ParentName, str | None]) -> bool:
    """Leave other schemas alone, and partitions, which come and go with their time."""
    _ = parents
    if kind == "table":
        return name is None or not PARTITION_NAME.search(name)
    return kind != "schema" or name in SCHEMAS


def _run(connection: sa.Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=build_metadata(),
        include_schemas=True,
        include_name=_is_ours,
        version_table=VERSION_TABLE,
        version_table_schema=VERSION_SCHEMA,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


_run(context.config.attributes["connection"])
