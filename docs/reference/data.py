"""data.md: every table and collection of both stores, column by column.

Made of the feeds' structs and their docstrings, SQLAlchemy's tables, MongoDB's keys, and the
migrations' views (views.py). Not here: how to ask them (docs/questions.md).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from crypto_platform.analytics import ANALYTICS
from crypto_platform.analytics.computation import Computation
from crypto_platform.feeds import FEEDS, Feed, Record
from crypto_platform.feeds.feed import Field, Index, Projection
from crypto_platform.feeds.meaning import explain_fields
from crypto_platform.migrations.postgres import VERSION_SCHEMA, VERSION_TABLE
from crypto_platform.settings import DEFAULT_SOURCES, SourceSettings
from crypto_platform.sources import DIALECTS
from crypto_platform.sources.base import Source, find_history
from crypto_platform.stores.contents import StoredColumn
from crypto_platform.stores.meaning import MEANINGS
from crypto_platform.stores.mongo.columns import BOOKKEEPING, describe_columns, describe_fields
from crypto_platform.stores.postgres.tables import build_metadata
from docs.reference.markdown import MADE, code, items, join, list_codes, sentence, table
from docs.reference.views import write_views

Meanings = Mapping[str, str]

_TEXT = """
- A feed's records are one table in PostgreSQL and one collection in MongoDB, of the same columns.
  Loads write them; a row is never changed.
- Amounts keep the source's digits: `numeric`, `decimal` (Decimal128), never a float.
- Times are UTC. A BSON date holds milliseconds only, so each time `x` is also `x_us`: microseconds
  since 1970.
- What is unknown is NULL, never 0.
- The last columns of a record say where Kafka first brought it.

How to ask: [Asking the market](../questions.md). How it comes there:
[Exactly once](../exactly-once.md).
"""
_BOOKKEEPING = """
## Bookkeeping

Written by loads, restores and a person's answers, in the transactions that write the data. What is
derived notes there what is still due. `market.currency_alias` is written at each start.
"""
ARRIVAL: Meanings = {
    "arrival_topic_id": "Kafka's own id of the topic that first brought it.",
    "arrival_part": "The partition there.",
    "arrival_offset": "The offset there.",
    "ts_append": "When Kafka took it, which decides the hour of its load.",
}
_HEAD = ("column", "PostgreSQL", "MongoDB", "may be unknown", "meaning")


def write_data() -> str:
    """The page."""
    tables = build_metadata().tables
    sources = list(_open_sources())
    return join(
        ["# Data dictionary", MADE],
        _TEXT,
        ["## What there is", "", *_write_overview()],
        *(part for feed in FEEDS for part in _write_feed(feed, tables, sources)),
        *(part for each in ANALYTICS.values() for part in _write_figures(each, tables)),
        _BOOKKEEPING,
        *(part for name in MEANINGS for part in _write_bookkeeping(name, tables)),
        [
            f"### {VERSION_SCHEMA}.{VERSION_TABLE}",
            "",
            "Alembic's own: the revision the tables are of.",
        ],
        *write_views(),
    )


def _write_overview() -> list[str]:
    rows: list[tuple[str, ...]] = []
    for feed in FEEDS:
        places = (code(f"{feed.schema}.{feed.table}"), code(feed.collection))
        link = f"[{feed.name}](#{feed.name})"
        rows.append((link, code(feed.topic), *places, sentence(feed.description)))
        for each in feed.projections:
            places = (code(f"{each.schema}.{each.table}"), code(each.collection))
            name = each.collection
            rows.append((f"[{name}](#{name})", "", *places, sentence(_purpose(each.state))))
    for each in ANALYTICS.values():
        link = f"[{each.table.place}](#{each.table.place.replace('.', '')})"
        rows.append((link, "", code(each.table.place), "", sentence(each.table.comment)))
    return table(("data", "Kafka", "PostgreSQL", "MongoDB", "what it is"), rows)


def _purpose(struct: type) -> str:
    return (struct.__doc__ or "").partition("\n")[0]


def _write_feed(
    feed: Feed[Record], tables: Mapping[str, sa.Table], sources: Sequence[Source]
) -> Iterator[list[str]]:
    own = tables[f"{feed.schema}.{feed.table}"]
    meanings = {**explain_fields(feed.record), **ARRIVAL}
    yield [f"## {feed.name}", "", sentence(feed.description)]
    yield items(
        [
            f"Kafka: topic {code(feed.topic)}, {_count(feed.partitions, 'partition')}"
            + (", kept for good." if feed.keeps_topic else ", kept `kafka.retention_hours`."),
            f"PostgreSQL: {code(own)}, {_name_partitioning(feed)}; key: {_name_key(own)}.",
            f"MongoDB: {code(feed.collection)}; key: `_id`.",
            _name_retention(feed),
            f"Written to Kafka by {_name_writers(feed, sources)}; to the stores by their loads.",
            *_name_indexes(feed.indexes),
        ]
    )
    keys = _print_keys(describe_columns(feed))
    yield _write_columns(own, keys, meanings, feed.fields)
    for projection in feed.projections:
        yield from _write_states(projection, feed, tables)


def _write_states(
    projection: Projection, feed: Feed[Record], tables: Mapping[str, sa.Table]
) -> Iterator[list[str]]:
    own = tables[f"{projection.schema}.{projection.table}"]
    # a state takes its fields over from its record
    meanings = {**explain_fields(feed.record), **explain_fields(projection.state)}
    yield [f"## {projection.collection}", "", sentence(_purpose(projection.state))]
    parts = projection.parts
    yield items(
        [
            f"PostgreSQL: {code(own)}, in one piece. MongoDB: {code(projection.collection)}.",
            f"Key: {list_codes(projection.key_names)}.",
            f"Written by the loads of {code(feed.name)}, in the transaction that writes its event.",
            *([f"Its {parts.name} are views of the events, see below."] if parts else []),
            *_name_indexes(projection.indexes),
        ]
    )
    keys = _print_keys(describe_fields(projection.fields))
    yield _write_columns(own, keys, meanings, projection.fields)


def _print_keys(stored: Iterable[StoredColumn]) -> Mapping[str, str]:
    """MongoDB's keys of each column, with their types; a name is told where it is another."""
    keys: dict[str, list[str]] = {}
    for key in stored:
        column = key.field or key.name.removesuffix("_us")
        named = key.kind if key.name == column else f"{code(key.name)} {key.kind}"
        keys.setdefault(column, []).append(named)
    return {column: ", ".join(found) for column, found in keys.items()}


def _write_columns(
    own: sa.Table,
    keys: Meanings,
    meanings: Meanings,
    fields: Sequence[Field],
) -> list[str]:
    members = {field.name: list(field.members) for field in fields if field.members}
    rows = [
        (
            code(column.name),
            name_type(column),
            keys[column.name],
            "yes" if column.nullable else "",
            _explain(meanings[column.name], members.get(column.name, ())),
        )
        for column in own.columns
    ]
    return table(_HEAD, rows)


def _explain(meaning: str, members: Sequence[str]) -> str:
    return sentence(meaning) + (f" One of {list_codes(members)}." if members else "")


def name_type(column: sa.Column[Any]) -> str:
    """A column's type as PostgreSQL says it."""
    kind = column.type.compile(postgresql.dialect()).partition(" COLLATE")[0].lower()
    return kind.replace("timestamp with time zone", "timestamptz")


def _name_key(own: sa.Table) -> str:
    return list_codes([column.name for column in own.primary_key])


def _name_partitioning(feed: Feed[Record]) -> str:
    step = feed.partition_step
    return f"a partition for each {step.value} of `ts_event`" if step else "in one piece"


def _name_retention(feed: Feed[Record]) -> str:
    if feed.retention_days is None:
        return "Kept for good."
    return (
        f"Kept for {feed.retention_days} days of event time in both stores "
        f"(`retention_days.{feed.name}`)."
    )


def _name_indexes(indexes: Sequence[Index]) -> Iterator[str]:
    for index in indexes:
        names = [name.removeprefix("-") for name in index.fields]
        texts = (
            f"{code(name)}{' falling' if field.startswith('-') else ''}"
            for name, field in zip(names, index.fields, strict=True)
        )
        where = f" where {code(index.where)}" if index.where else ""
        yield f"Index: {', '.join(texts)}{where}."


def _name_writers(feed: Feed[Record], sources: Sequence[Source]) -> str:
    if feed.owned_by_platform:
        return "the platform, about itself"
    polls = [source.name for source in sources if feed.name in source.feeds]
    if not polls:
        return "`crypto-platform keys`"
    past = [source.name for source in sources if find_history(source, feed.name)]
    history = f", days of the past by `history` of {list_codes(past)}" if past else ""
    return f"polls of {list_codes(polls)}{history}"


def _open_sources() -> Iterator[Source]:
    """Those that are there; nothing is asked."""
    for name, source in DEFAULT_SOURCES.items():
        settings = SourceSettings.model_validate({**source, "key": "none"})
        yield DIALECTS[settings.dialect](name=name, settings=settings)


def _write_figures(computation: Computation, tables: Mapping[str, sa.Table]) -> Iterator[list[str]]:
    own = computation.table
    meanings = {name: origin.meaning for name, origin in computation.columns.items()}
    origins = {name: origin.of for name, origin in computation.columns.items()}
    yield [f"## {own.place}", "", sentence(computation.description)]
    kept = computation.kept_days
    yield items(
        [
            "PostgreSQL only, in one piece.",
            f"Key: {list_codes([column.name for column in own.keys])}.",
            "Kept for good."
            if kept is None
            else f"Kept for {kept} days (`analytics.retention_days.{computation.name}`).",
            f"Written by the asset `analytics/{computation.name}`.",
            f"Made anew where hours of {list_codes(computation.feeds)} changed.",
        ]
    )
    rows = [
        (
            code(column.name),
            name_type(column),
            "yes" if column.nullable else "",
            sentence(meanings.get(column.name, "When the row was written, or last changed.")),
            list_codes(origins.get(column.name, ())),
        )
        for column in tables[own.place].columns
    ]
    yield table(("column", "type", "may be unknown", "meaning", "made of"), rows)


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _write_bookkeeping(name: str, tables: Mapping[str, sa.Table]) -> Iterator[list[str]]:
    [own] = [each for each in tables.values() if each.name == name]
    stored = BOOKKEEPING.get(name, ())
    yield [f"### {own}", "", sentence(own.comment)]
    place = f"PostgreSQL: {code(own)}. " + (f"MongoDB: {code(name)}." if stored else "")
    yield items([place.strip(), f"Key: {_name_key(own)}."])
    keys = _print_keys(stored)
    rows = [
        (
            code(column),
            name_type(own.columns[column]) if column in own.columns else "",
            keys.get(column, ""),
            sentence(meaning),
        )
        for column, meaning in MEANINGS[name].items()
    ]
    yield table(("column", "PostgreSQL", "MongoDB", "meaning"), rows)
