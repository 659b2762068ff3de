"""What every asset says about itself: owner, tags, schema, where its columns come from, its code.

Here: metadata that is true before anything has run. Not here: what a run found (load_reports.py,
charts.py), keys (names.py).
"""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import dagster as dg

from crypto_platform.analytics.computation import Origin
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.feed import FieldKind
from crypto_platform.feeds.meaning import explain_fields
from crypto_platform.stores.contents import StoredColumn
from crypto_platform.stores.postgres.analytics_figures import FigureTable, describe_table

_TYPE_OF_KIND = {
    FieldKind.TEXT: "text",
    FieldKind.AMOUNT: "decimal as text",
    FieldKind.AMOUNTS: "list of decimals as text",
    FieldKind.TEXTS: "list of texts",
    FieldKind.TIME_US: "UTC, integer microseconds",
    FieldKind.INTEGER: "integer",
    FieldKind.FLAG: "boolean",
    FieldKind.BYTES: "bytes as base64",
}

_ARRIVAL = "Where Kafka first brought the record."
_MADE = "When the row was written, or last changed."

OWNERS = ["team:data-platform"]

Metadata = Mapping[str, Any]


def describe_record(feed: Feed[Record]) -> Metadata:
    """The schema of a feed's records, as JSON values of a topic."""
    meaning = explain_fields(feed.record)
    columns = [
        dg.TableColumn(
            field.name,
            _TYPE_OF_KIND[field.kind],
            constraints=dg.TableColumnConstraints(
                nullable=field.nullable, unique=field.name == "event_id"
            ),
            description=meaning.get(field.name),
        )
        for field in feed.fields
    ]
    return {"dagster/column_schema": dg.TableSchema(columns)}


def describe_columns(feed: Feed[Record], columns: Sequence[StoredColumn]) -> Metadata:
    """The schema of what a store holds of a feed."""
    meaning = explain_fields(feed.record)
    described = [
        dg.TableColumn(
            column.name,
            column.kind,
            constraints=dg.TableColumnConstraints(
                nullable=column.nullable, unique=column.field == "event_id"
            ),
            description=meaning.get(column.field) if column.field else _ARRIVAL,
        )
        for column in columns
    ]
    return {"dagster/column_schema": dg.TableSchema(described)}


def describe_figures(table: FigureTable, origins: Mapping[str, Origin]) -> Metadata:
    """The schema of a table that is made of others."""
    described = [
        dg.TableColumn(
            column.name,
            column.kind,
            constraints=dg.TableColumnConstraints(nullable=column.nullable),
            description=origins[column.name].meaning if column.name in origins else _MADE,
        )
        for column in describe_table(table)
    ]
    return {"dagster/column_schema": dg.TableSchema(described)}


def trace_fields(feed: Feed[Record], parents: Sequence[dg.AssetKey]) -> Metadata:
    """Each field of a topic comes from the same field of what is published to it."""
    return _trace({field.name: field.name for field in feed.fields}, parents)


def trace_columns(columns: Sequence[StoredColumn], topic: dg.AssetKey) -> Metadata:
    """Each column comes from its field of the topic; where it arrived is no field of it."""
    return _trace({c.name: c.field for c in columns if c.field is not None}, [topic])


def trace_figures(
    origins: Mapping[str, Origin], find_owner: Callable[[str], dg.AssetKey]
) -> Metadata:
    """Each column with all that it is made of.

    Args:
        find_owner: The asset of a feed or a table, by its name.
    """
    deps = {
        column: [
            dg.TableColumnDep(asset_key=find_owner(owner), column_name=name)
            for owner, _, name in (each.rpartition(".") for each in origin.of)
        ]
        for column, origin in origins.items()
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(deps)}


def _trace(field_of: Mapping[str, str], parents: Sequence[dg.AssetKey]) -> Metadata:
    deps = {
        name: [dg.TableColumnDep(asset_key=parent, column_name=field) for parent in parents]
        for name, field in field_of.items()
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(deps)}


def refer_to(**code: object) -> Metadata:
    """Links to the code of an asset: what each is for, and a module, class or function."""
    with warnings.catch_warnings():
        # Dagster calls code references beta; without them nothing else would be lost
        warnings.simplefilter("ignore", dg.BetaWarning)
        value = dg.CodeReferencesMetadataValue(
            code_references=[_refer(label, found) for label, found in code.items()]
        )
    return {"dagster/code_references": value}


def _refer(label: str, found: Any) -> dg.LocalFileCodeReference:  # noqa: ANN401 - whatever inspect takes
    line = 1 if isinstance(found, ModuleType) else inspect.getsourcelines(found)[1]
    return dg.LocalFileCodeReference(
        file_path=inspect.getsourcefile(found) or "",
        line_number=line,
        label=label.replace("_", " "),
    )


def tag(feed: Feed[Record], layer: str, **more: str) -> dict[str, str]:
    """Tags to select by: `tag:crypto_platform/feed=quotes`."""
    tags = {"feed": feed.name, "layer": layer, **more}
    return {f"crypto_platform/{name}": value for name, value in tags.items()}
