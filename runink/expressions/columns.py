"""Arrow values as expressions see them: of which sort a column is, and the forms in which columns are compared and reckoned with.

Nothing is cast that can stay.  Whole numbers are wide in 64 bits, fractions are doubles (NaN is nothing), instants are microseconds in UTC.
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.errors import Refused
from runink.expressions.reading import INT_MAX
from runink.expressions.typing import Sort

Value = Any  # an Arrow array or scalar: compute functions take and give either
INSTANT: Final = pa.timestamp("us", "UTC")
DURATION: Final = pa.duration("us")
CLOCK: Final = pa.time64("us")
EXACT_MAX: Final = 1 << 53  # up to here every whole number is a double of its own
_EXACT_SCALES: Final = range(
    23
)  # and every power of ten, so that a quotient of both is rounded once
_INT_MAX: Final = pa.scalar(INT_MAX, pa.uint64())
_NO_NUMBER: Final = pa.scalar(None, pa.uint64())


def refused(text: str, *, hint: str = "") -> Refused:
    return Refused(f"condition: {text}", code="expression_failed", hint=hint)


def kind_of(kind: pa.DataType) -> Sort | None:
    """Return of which sort values of an Arrow type are; nothing for lists, records and what has no sort."""
    types = pa.types
    for is_it, sort in (
        (types.is_integer, Sort.INT),
        (types.is_floating, Sort.NUMBER),
        (types.is_string, Sort.TEXT),
        (types.is_boolean, Sort.BOOLEAN),
        (types.is_timestamp, Sort.TIME),
        (types.is_date, Sort.DATE),
        (types.is_large_string, Sort.TEXT),
        (types.is_time, Sort.CLOCK),
        (types.is_duration, Sort.DURATION),
        (types.is_null, Sort.NOTHING),
        (types.is_binary, Sort.BYTES),
        (types.is_large_binary, Sort.BYTES),
        (types.is_fixed_size_binary, Sort.BYTES),
    ):
        if is_it(kind):
            return sort
    return None


def is_list(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def plain(value: Value) -> Value:
    """Return a column in a form that Arrow's functions take: no dictionary, no view, no decimal, no NaN; nothing for a whole number of more than 64 bits."""
    kind = value.type
    if pa.types.is_dictionary(kind):
        return plain(pc.cast(value, kind.value_type))
    if pa.types.is_string_view(kind):
        return pc.cast(value, pa.string())
    if pa.types.is_decimal(kind):
        return _double_of_decimal(value)
    if pa.types.is_floating(kind):
        return without_nan(value)
    if pa.types.is_uint64(kind):
        return pc.cast(pc.if_else(pc.greater(value, _INT_MAX), _NO_NUMBER, value), pa.int64())
    return value


def _double_of_decimal(value: Value) -> Value:
    """Return the doubles next to decimals. Arrow's own cast multiplies by a power of ten that is rounded itself, and misses one in four by a bit."""
    kind = value.type
    if pa.types.is_decimal128(kind) and kind.scale in _EXACT_SCALES:
        digits = pa.decimal128(kind.precision, 0)
        whole = pa.Array.from_buffers(
            digits, len(value), value.buffers(), value.null_count, value.offset
        )
        ends = pc.min_max(whole).as_py()
        if ends["min"] is None or -EXACT_MAX <= ends["min"] <= ends["max"] <= EXACT_MAX:
            return pc.divide(pc.cast(whole, pa.float64(), safe=False), 10.0**kind.scale)
    return pc.cast(pc.cast(value, pa.string()), pa.float64())


def without_nan(value: Value) -> Value:
    """Return fractions with nothing in the place of what is no number."""
    bad = pc.is_nan(value)
    if pc.any(bad).as_py() is not True:
        return value
    return pc.if_else(bad, pa.scalar(None, value.type), value)


def wide(value: Value) -> Value:
    """Return whole numbers in 64 bits."""
    return value if pa.types.is_int64(value.type) else pc.cast(value, pa.int64())


def double(value: Value) -> Value:
    """Return numbers as doubles; a whole number beyond 2^53 is rounded, as everywhere."""
    return value if pa.types.is_float64(value.type) else pc.cast(value, pa.float64(), safe=False)


def instants(value: Value) -> Value:
    """Return days and instants as microseconds in UTC. A day is its midnight; what has no zone is UTC."""
    if value.type.equals(INSTANT):
        return value
    if pa.types.is_date(value.type):
        value = pc.cast(value, pa.timestamp("us"), safe=False)
    return pc.cast(value, INSTANT, safe=False)


def clocks(value: Value) -> Value:
    return value if value.type.equals(CLOCK) else pc.cast(value, CLOCK, safe=False)


def durations(value: Value) -> Value:
    return value if value.type.equals(DURATION) else pc.cast(value, DURATION, safe=False)


def is_scalar(value: Value) -> bool:
    return isinstance(value, pa.Scalar)


def nothing_like(*values: Value, kind: pa.DataType) -> Value:
    """Return nothing, as often as the longest of these values has rows."""
    rows = next((len(one) for one in values if not is_scalar(one)), None)
    return pa.scalar(None, kind) if rows is None else pa.nulls(rows, kind)


def member_of(value: Value, name: str, what: str) -> Value:
    """Return a field of records. Raises Refused if these are none, or have no such field."""
    if pa.types.is_null(value.type):
        return value
    if not pa.types.is_struct(value.type):
        raise refused(f"{what} is {value.type}, which has no fields")
    place = value.type.get_field_index(name)
    if place < 0:
        names = ", ".join(field.name for field in value.type)
        raise refused(f"{what} has no field {name!r}; there are {names}")
    return plain(pc.struct_field(value, [place]))


def item_of(value: Value, at: int, what: str) -> Value:
    """Return an item of each list, or nothing where the list is shorter. Raises Refused if these are no lists."""
    if pa.types.is_null(value.type):
        return value
    if not is_list(value.type):
        raise refused(f"{what} is {value.type}, which has no items")
    items, starts, lengths = opened(value)
    places = pc.if_else(pc.greater(lengths, at), pc.add(starts, at), pa.scalar(None, pa.int64()))
    return plain(items.take(places))


def opened(value: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Return the items of all lists one behind the other, where each list's begin, and how many each has (nothing where there is no list).

    What stands below a list that is nothing is no item of it.
    """
    lengths = pc.cast(pc.list_value_length(value), pa.int64())
    items = pc.list_flatten(value)
    known = pc.fill_null(lengths, 0)
    starts = pc.subtract(pc.cumulative_sum(known), known)
    return items, starts, lengths
