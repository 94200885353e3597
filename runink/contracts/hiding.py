"""Columns as a sink may have them: each field by its mask, and within records and lists only the parts that have one.

What comes to a sink may have been through a query or a function: its columns are brought to their fields' types first, because a mask is of values, not of
how they are laid out.  What is not of its field's type is refused whole; no value of it is shown.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace as changed

from runink.contracts.fields import FieldSpec, Kind
from runink.contracts.hidden import hidden_field
from runink.contracts.masking import masked
from runink.contracts.masks import masked_field, read_mask
from runink.contracts.physical import physical_type
from runink.errors import Refused


def hidden(batch: pa.RecordBatch, fields: Iterable[FieldSpec], key: bytes) -> pa.RecordBatch:
    """Return the batch with these fields' columns as their masks leave them. Columns are found as DuckDB does, without regard to case; one that is not there hides nothing.

    Raises Refused where a column is not of its field's type, or a mask needs a key and there is none.
    """
    by_name = {field.name.lower(): field for field in fields}
    schema = batch.schema
    columns = list(batch.columns)
    for place, name in enumerate(schema.names):
        field = by_name.get(name.lower())
        if field is not None:
            columns[place] = _hidden(columns[place], changed(field, name=name), key)
            schema = schema.set(place, pa.field(name, columns[place].type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _hidden(column: pa.Array, field: FieldSpec, key: bytes) -> pa.Array:
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), physical_type(hidden_field(field)))
    if field.mask:
        if read_mask(field.mask, field.kind).name == "redact" and field.kind is not Kind.STR:
            return pa.nulls(len(column), physical_type(masked_field(field)))
        return masked(_typed(column, field), field, key)
    if field.kind is Kind.RECORD and pa.types.is_struct(column.type):
        return _hidden_record(column, field, key)
    if field.kind is Kind.LIST and (
        pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    ):
        return _hidden_list(column, field, key)
    if field.kind in (Kind.RECORD, Kind.LIST):
        raise _misfit(column, field)
    return column


def _hidden_record(column: pa.Array, field: FieldSpec, key: bytes) -> pa.Array:
    by_name = {inner.name.lower(): inner for inner in field.fields}
    kind, parts = column.type, []
    for place in range(kind.num_fields):
        name, child = kind.field(place).name, column.field(place)
        inner = by_name.get(name.lower())
        if inner is None:
            raise _misfit(column, field)
        # Beneath a record that is not there may lie a value that nobody took away.
        child = child if not column.null_count else pc.if_else(column.is_valid(), child, None)
        parts.append((name, _hidden(child, inner, key)))
    fields = [pa.field(name, part.type) for name, part in parts]
    mask = column.is_null() if column.null_count else None
    return pa.StructArray.from_arrays([part for _, part in parts], fields=fields, mask=mask)


def _hidden_list(column: pa.Array, field: FieldSpec, key: bytes) -> pa.Array:
    assert field.items is not None, "a list says what it holds"
    lengths = pc.fill_null(pc.list_value_length(column), 0)
    items = _hidden(column.flatten(), field.items, key)
    ends = pc.cumulative_sum(lengths.cast(pa.int64()))
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), ends]).cast(pa.int32())
    mask = column.is_null() if column.null_count else None
    return pa.ListArray.from_arrays(offsets, items, mask=mask)


def _typed(column: pa.Array, field: FieldSpec) -> pa.Array:
    """Return the column in its field's own type. A narrow one is widened: what a step has made of the values need not keep the field's bounds."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    target = physical_type(
        FieldSpec(field.name, field.kind, digits=field.digits, scale=field.scale)
    )
    if column.type.equals(target):
        return column
    try:
        return column.cast(target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise _misfit(column, field) from None


def _misfit(column: pa.Array, field: FieldSpec) -> Refused:
    return Refused(
        f"column {field.name} is {column.type}, and cannot be masked as the {field.kind.value} that the contract says",
        code="mask_misfit",
        hint="let a @contract stand in front of the @sink: it gives columns their types",
    )
