"""Rows to CSV, a whole column at a time. RFC 4180 with LF line ends; a value is quoted only where it must be.

Nothing is an empty value, an empty string is `""`; lists, structs and maps are JSON texts; the rest as in `value_texts.py`.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.connectors.json_text import values_of
from runink.connectors.value_texts import texts_of

# What a reader would take for a separator, or might take away: a space at the ends.
_TO_QUOTE: Final = '[",\r\n]|^$|^[ \t]|[ \t]$|^\ufeff'


def header_of(names: list[str]) -> bytes:
    """Return the line with the columns' names."""
    texts = _quoted(pa.array(names, pa.string()))
    return (",".join(texts.to_pylist()) + "\n").encode()


def lines_of(batch: pa.RecordBatch) -> pa.Array:
    """Return each row as a line, with its line end."""
    if not batch.num_columns:
        return pa.array(["\n"] * batch.num_rows, pa.string())
    # An empty line is no row, so a single column with nothing in it is written as a quoted nothing.
    nothing = '""' if batch.num_columns == 1 else ""
    columns = [pc.fill_null(_texts(column), nothing) for column in batch.columns]
    # The last one brings the line end: a separator stands between all that is joined.
    columns[-1] = pc.binary_join_element_wise(columns[-1], "\n", "")
    return pc.binary_join_element_wise(*columns, ",")


def _texts(column: pa.Array) -> pa.Array:
    kind = column.type
    types = pa.types
    if isinstance(column, pa.ExtensionArray):
        return _texts(column.storage)
    if types.is_dictionary(kind):
        return _texts(column.cast(kind.value_type))
    if types.is_null(kind):
        return pa.nulls(len(column), pa.string())
    if types.is_nested(kind):
        text = pc.if_else(pc.is_valid(column), values_of(column), pa.scalar(None, pa.string()))
        return _quoted(text)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return _quoted(column.cast(pa.string()))
    if types.is_binary_view(kind):
        return _texts(column.cast(pa.binary()))
    if types.is_string(kind):
        return _quoted(column)
    text = texts_of(column)
    return _quoted(text) if types.is_binary(kind) else text


def _quoted(text: pa.Array) -> pa.Array:
    must = pc.match_substring_regex(text, _TO_QUOTE)
    if not pc.any(must).as_py():
        return text
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(text, '"', '""'), '"', "")
    return pc.if_else(must, quoted, text)
