"""Batches as they leave a source: plain Arrow types, and no more rows or bytes than travel well.

Files hold what the engine that wrote them likes best (string views, dictionaries, large strings, `Etc/UTC`); behind a
source there is one kind of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa

BATCH_ROWS_MAX: Final = 65_536
BATCH_BYTES: Final = 8 << 20  # 1.5 to 8 MB travel best
_UTC_NAMES: Final = frozenset({"Etc/UTC", "Z", "+00:00", "GMT", "Etc/GMT"})


def rows_of(table: pa.Table | pa.RecordBatch) -> int:
    """Return how many of such rows make a batch of at most BATCH_ROWS_MAX rows and about BATCH_BYTES."""
    if table.num_rows == 0:
        return BATCH_ROWS_MAX
    size_bytes = int(table.nbytes)
    return max(1, min(BATCH_ROWS_MAX, BATCH_BYTES * int(table.num_rows) // max(1, size_bytes)))


def pieces(data: pa.Table | pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cut data into plain batches; data without rows gives one batch without rows."""
    table = pa.Table.from_batches([data]) if isinstance(data, pa.RecordBatch) else data
    schema = plain_schema(table.schema)
    if table.num_rows == 0:
        yield pa.RecordBatch.from_arrays(
            [pa.array([], kind) for kind in schema.types], schema=schema
        )
        return
    for batch in table.to_batches(max_chunksize=rows_of(table)):
        yield _plain(batch, schema)


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema in plain types, without metadata of an engine."""
    return pa.schema([_plain_field(field) for field in schema])


def _plain_field(field: pa.Field) -> pa.Field:
    return pa.field(field.name, plain_type(field.type))


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that `kind` travels as."""
    types = pa.types
    if types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_large_binary(kind) or types.is_binary_view(kind):
        return pa.binary()
    if types.is_timestamp(kind) and kind.tz in _UTC_NAMES:
        return pa.timestamp(kind.unit, "UTC")
    if types.is_list(kind) or types.is_large_list(kind):
        return pa.list_(plain_type(kind.value_type))
    if types.is_struct(kind):
        return pa.struct([_plain_field(kind.field(place)) for place in range(kind.num_fields)])
    return kind


def _plain(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if batch.schema.equals(schema, check_metadata=True):
        return batch
    columns = [
        column if column.type == field.type else _storage(column).cast(field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _storage(column: pa.Array) -> pa.Array:
    return column.storage if isinstance(column, pa.ExtensionArray) else column
