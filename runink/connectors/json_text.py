"""Rows to JSON, a whole column at a time; a row at a time in Python would take ten times as long.

Strings are written as they are (UTF-8), with quotes, backslashes and control characters escaped.  What JSON has no number for (NaN and the infinities) is
null, decimals and all that is no number or boolean is a string (see `value_texts.py`).  Nothing is null.  Lists, structs and maps are arrays and objects.
"""

from __future__ import annotations

import json
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.connectors.value_texts import texts_of

_ESCAPES: Final = {
    "\\": "\\\\",  # first, or it would escape the escapes
    '"': '\\"',
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    **{chr(code): f"\\u{code:04x}" for code in range(0x20) if chr(code) not in "\n\r\t"},
}


def objects_of(batch: pa.RecordBatch, *, before: str = "", behind: str = "") -> pa.Array:
    """Return each row as the text of a JSON object, with something before and behind it."""
    if not batch.num_columns:
        return pa.array([before + "{}" + behind] * batch.num_rows, pa.string())
    return _object(batch.schema.names, batch.columns, before=before, behind=behind)


def values_of(column: pa.Array) -> pa.Array:
    """Return the values as JSON texts, `null` where there is nothing."""
    return pc.fill_null(_values(column), "null")


def _values(column: pa.Array) -> pa.Array:
    kind = column.type
    types = pa.types
    if isinstance(column, pa.ExtensionArray):
        return _values(column.storage)
    if types.is_dictionary(kind):
        return _values(column.cast(kind.value_type))
    if types.is_null(kind):
        return pa.nulls(len(column), pa.string())
    if types.is_struct(kind):
        return _structs(column)
    if types.is_map(kind):
        return _maps(column)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _lists(column)
    if types.is_boolean(kind) or types.is_integer(kind):
        return texts_of(column)
    if types.is_floating(kind):
        return pc.if_else(pc.is_finite(column), texts_of(column), pa.scalar(None, pa.string()))
    text = texts_of(_plain_text(column))
    needs_escapes = types.is_string(text.type) and _may_need_escapes(kind)
    return _quoted(text, needs_escapes=needs_escapes)


def _plain_text(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.string())
    if pa.types.is_binary_view(kind):
        return column.cast(pa.binary())
    return column


def _may_need_escapes(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _quoted(text: pa.Array, *, needs_escapes: bool) -> pa.Array:
    content = _content(text) if needs_escapes else b""
    for mark, escape in _ESCAPES.items():
        if (
            mark.encode() in content
        ):  # a look takes a fiftieth of a replacement, and most marks are absent
            text = pc.replace_substring(text, mark, escape)
    return pc.binary_join_element_wise('"', text, '"', "")


def _content(text: pa.Array) -> bytes:
    """Return the bytes of all its strings, one behind the other."""
    _, offsets, data = text.buffers()
    if data is None or not len(text):
        return b""
    with memoryview(offsets) as raw, raw.cast("i") as ends, memoryview(data) as view:
        return bytes(view[ends[text.offset] : ends[text.offset + len(text)]])


def _object(names: list[str], columns: list[pa.Array], *, before: str, behind: str) -> pa.Array:
    pieces: list[Any] = []
    mark = before + "{"
    for name, column in zip(names, columns, strict=True):
        pieces += [f"{mark}{json.dumps(name, ensure_ascii=False)}:", values_of(column)]
        mark = ","
    return pc.binary_join_element_wise(*pieces, "}" + behind, "")


def _structs(column: pa.Array) -> pa.Array:
    kind = column.type
    if not kind.num_fields:
        text = pa.array(["{}"] * len(column), pa.string())
    else:
        names = [kind.field(place).name for place in range(kind.num_fields)]
        text = _object(names, column.flatten(), before="", behind="")
    return pc.if_else(pc.is_valid(column), text, pa.scalar(None, pa.string()))


def _maps(column: pa.Array) -> pa.Array:
    """Write a map as an object; its keys are strings there, whatever they are."""
    entries = pc.list_flatten(
        column.cast(
            pa.list_(pa.struct([("key", column.type.key_type), ("value", column.type.item_type)]))
        )
    )
    keys, items = entries.flatten()
    text = values_of(keys)
    if not pa.types.is_string(keys.type):
        text = pc.if_else(
            pc.starts_with(text, '"'), text, pc.binary_join_element_wise('"', text, '"', "")
        )
    return _joined(column, pc.binary_join_element_wise(text, ":", values_of(items), ""), "{", "}")


def _lists(column: pa.Array) -> pa.Array:
    return _joined(column, values_of(pc.list_flatten(column)), "[", "]")


def _joined(column: pa.Array, texts: pa.Array, opening: str, closing: str) -> pa.Array:
    """Join the texts of a list's values, list by list."""
    lengths = _lengths(column)
    ends = pc.cumulative_sum(pc.fill_null(lengths, 0).cast(pa.int32()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    lists = pa.ListArray.from_arrays(offsets, texts)
    joined = pc.binary_join_element_wise(opening, pc.binary_join(lists, ","), closing, "")
    return pc.if_else(pc.is_valid(column), joined, pa.scalar(None, pa.string()))


def _lengths(column: pa.Array) -> pa.Array:
    if pa.types.is_map(column.type):
        column = column.cast(
            pa.list_(pa.struct([("key", column.type.key_type), ("value", column.type.item_type)]))
        )
    return pc.list_value_length(column)
