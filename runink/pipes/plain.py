"""Plain Arrow: the types that travel between nodes, in batches of a size that travels well.

Engines and files have types of their own for the same values (string views, large strings, dictionaries, halves, `Etc/UTC`).  Behind a source and
behind a step everything is made plain, so that a contract, a pipe or a sink sees one kind of string, whoever made it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa

BATCH_ROWS_MAX: Final = (
    65_536  # 1.5 to 8 MB of usual rows: below, per-batch costs show; above, memory does
)
BATCH_BYTES: Final = 8 << 20  # of wide rows: fewer of them make a batch
_UTC_NAMES: Final = frozenset({"Etc/UTC", "Z", "+00:00", "GMT", "Etc/GMT"})


_ALWAYS_PLAIN: Final = frozenset(
    kind.id
    for kind in (
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
        *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
        *(pa.float32(), pa.float64(), pa.bool_(), pa.string(), pa.binary(), pa.date32()),
    )
)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that `kind` travels as."""
    if kind.id in _ALWAYS_PLAIN:
        return kind
    types = pa.types
    if types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_large_binary(kind) or types.is_binary_view(kind):
        return pa.binary()
    if types.is_float16(kind):
        return pa.float32()  # neither DuckDB nor Arrow's own comparisons know the half
    if types.is_timestamp(kind) and kind.tz in _UTC_NAMES:
        return pa.timestamp(kind.unit, "UTC")
    if types.is_list(kind) or types.is_large_list(kind):
        return pa.list_(plain_type(kind.value_type))
    if types.is_struct(kind):
        return pa.struct([_plain_field(kind.field(place)) for place in range(kind.num_fields)])
    return kind


def _plain_field(field: pa.Field) -> pa.Field:
    return pa.field(field.name, plain_type(field.type))


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema in plain types, nullable, without metadata of an engine."""
    return pa.schema([_plain_field(field) for field in schema])


def _is_plain(schema: pa.Schema) -> bool:
    """Say whether a schema is, at a look, its own plain one; others that are so are found out by making that."""
    if schema.metadata is not None:
        return False
    # Generators, in all() and Arrow's own, are pages that each slice would have copied.
    for field in map(schema.field, range(len(schema))):
        if not (field.nullable and field.metadata is None and field.type.id in _ALWAYS_PLAIN):
            return False
    return True


def plain(batch: pa.RecordBatch, schema: pa.Schema | None = None) -> pa.RecordBatch:
    """Return the batch in plain types; the same object if it is so already. `schema` is its plain one, where the caller has it."""
    if schema is None:
        if _is_plain(batch.schema):
            return batch
        schema = plain_schema(batch.schema)
    if batch.schema.equals(schema, check_metadata=True):
        return batch
    columns = [
        column if column.type == field.type else _storage(column).cast(field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _storage(column: pa.Array) -> pa.Array:
    return column.storage if isinstance(column, pa.ExtensionArray) else column


def empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def pieces(data: pa.RecordBatch | pa.Table) -> Iterator[pa.RecordBatch]:
    """Cut data into plain batches of at most BATCH_ROWS_MAX rows and about BATCH_BYTES; data without rows gives one batch without rows."""
    if isinstance(data, pa.RecordBatch):
        if data.num_rows == 1 or 0 < data.num_rows <= _rows_of(data):  # one row cannot be cut
            yield plain(data)
            return
        data = pa.Table.from_batches([data])
    table = data
    schema = plain_schema(table.schema)
    if table.num_rows == 0:
        yield empty(schema)
        return
    for batch in table.to_batches(max_chunksize=_rows_of(table)):
        yield plain(batch, schema)


def _rows_of(table: pa.Table | pa.RecordBatch) -> int:
    """Return how many of its rows make a batch."""
    size_bytes = max(1, int(table.nbytes))
    return max(1, min(BATCH_ROWS_MAX, BATCH_BYTES * int(table.num_rows) // size_bytes))
