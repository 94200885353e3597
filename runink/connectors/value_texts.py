"""Columns as text, a whole column at a time: what JSON lines, JSON and CSV are written from.

    type                        text
    bool                        true, false
    integers                    all digits
    floats                      shortest that reads back the same; whole numbers with .0, so that they stay floats; nan, inf, -inf
    decimals                    all digits of their scale
    dates, times, instants      ISO 8601: 2013-01-01, 05:15:00, 2013-01-01T05:15:00 and with a Z behind it where it has a time zone (in UTC);
                                a fraction only where there is one
    durations                   ISO 8601 in seconds: PT1.500S
    bytes                       base64

Nothing here depends on how rows are cut into batches, so equal rows give equal bytes.
"""

from __future__ import annotations

import base64
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

_TICKS: Final = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_TEN_DIGITS: Final = 1e15  # below, a whole number is written without an exponent


def texts_of(column: pa.Array) -> pa.Array:
    """Return the values as strings, nothing where there is nothing. Only for types that are not nested."""
    kind = column.type
    types = pa.types
    if types.is_string(kind):
        return column
    if types.is_floating(kind):
        return _floats(column)
    if types.is_decimal(kind):
        return _decimals(column)
    if types.is_timestamp(kind):
        return _instants(column)
    if types.is_time(kind) and kind.unit != "s":
        return _without_fraction(column, pa.time32("s"))
    if types.is_date64(kind):
        return column.cast(pa.date32()).cast(pa.string())
    if types.is_duration(kind):
        return _durations(column)
    if types.is_binary(kind) or types.is_fixed_size_binary(kind) or types.is_large_binary(kind):
        coded = [None if value is None else base64.b64encode(value) for value in column.to_pylist()]
        return pa.array(coded, pa.binary()).cast(pa.string())
    return column.cast(pa.string())


def _floats(column: pa.Array) -> pa.Array:
    wide = column.cast(pa.float32()) if pa.types.is_float16(column.type) else column
    text = wide.cast(pa.string())
    is_whole = pc.and_(pc.equal(wide, pc.trunc(wide)), pc.less(pc.abs(wide), _TEN_DIGITS))
    if not pc.any(is_whole).as_py():
        return text
    return pc.if_else(is_whole, pc.binary_join_element_wise(text, ".0", ""), text)


def _decimals(column: pa.Array) -> pa.Array:
    """Write out what Arrow writes with an exponent: a zero, and what is next to it, of seven digits and more behind the point."""
    text = column.cast(pa.string())
    has_exponent = pc.match_substring(text, "E")
    if not pc.any(has_exponent).as_py():
        return text
    odd = column.filter(has_exponent).to_pylist()
    return pc.replace_with_mask(
        text, pc.fill_null(has_exponent, False), pa.array([f"{one:f}" for one in odd], pa.string())
    )


def _instants(column: pa.Array) -> pa.Array:
    """Write each instant once: they are slow to write, and mostly stand in many rows."""
    coded = column.dictionary_encode()
    return _different_instants(coded.dictionary).take(coded.indices)


def _different_instants(column: pa.Array) -> pa.Array:
    kind = column.type
    if kind.tz is None:
        text = _without_fraction(column, pa.timestamp("s"))
    else:
        utc = column.cast(pa.timestamp(kind.unit, "UTC"))
        text = _without_fraction(utc, pa.timestamp("s", "UTC"))
    return pc.replace_substring(text, " ", "T", max_replacements=1)


def _without_fraction(column: pa.Array, seconds: pa.DataType) -> pa.Array:
    """Return times as text, with a fraction only where it is not zero."""
    if column.type == seconds:
        return column.cast(pa.string())
    cut = column.cast(seconds, safe=False)
    is_whole = pc.equal(cut.cast(column.type), column)
    if pc.all(is_whole).as_py():
        return cut.cast(pa.string())
    return pc.if_else(is_whole, cut.cast(pa.string()), column.cast(pa.string()))


def _durations(column: pa.Array) -> pa.Array:
    digits = _TICKS[column.type.unit]
    ticks = column.cast(pa.int64()).cast(pa.decimal128(19, 0))
    if digits:
        unit = pa.array([f"0.{'0' * (digits - 1)}1"]).cast(pa.decimal128(10, digits))[0]
        ticks = pc.multiply(ticks, unit)
    return pc.binary_join_element_wise("PT", ticks.cast(pa.string()), "S", "")
