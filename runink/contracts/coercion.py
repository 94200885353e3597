"""Columns brought to the type that their contract says, and which of their values are not of it.

A failed cast is a failure of its own, found here: a value that is there in the source and is not accepted. It is never cast to null and
then looked at, because a field that may hold nothing would then take any garbage.

Three steps, cheapest first; what each of them takes is what `scalars.py` takes:
1. a column that has the type already is left alone, and Arrow casts the whole column where it can;
2. where it cannot, because of some of the values, the usual forms are picked out by a regular expression and cast together;
3. what is left goes to Python, each different value once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.contracts import scalars
from runink.contracts.fields import Kind
from runink.contracts.physical import INSTANT
from runink.contracts.scalars import Failed

Cast = Callable[[pa.Array], pa.Array]
_NOT_CAST: Final = (pa.ArrowInvalid, pa.ArrowNotImplementedError)

_DAY: Final = r"[0-9]{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
_HOUR: Final = r"(?:[01][0-9]|2[0-3])"
_CLOCK: Final = rf"[T ]{_HOUR}:[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{{1,6}})?)?"
USUAL_INT: Final = r"\A-?[0-9]{1,18}\z"
USUAL_FLOAT: Final = r"\A[+-]?[0-9]+(?:\.[0-9]+)?\z"
USUAL_DATE: Final = rf"\A{_DAY}\z"
USUAL_INSTANT: Final = rf"\A{_DAY}{_CLOCK}(?:Z|[+-]{_HOUR}:?[0-5][0-9])\z"
USUAL_NAIVE: Final = rf"\A{_DAY}(?:{_CLOCK})?\z"
NINE: Final = ord(
    "9"
)  # no character of a whole number has a higher code, every letter of a hexadecimal has


@dataclass(frozen=True, slots=True)
class Failure:
    """Where a rule is broken: `mask` is true there and never null."""

    rule: str
    mask: pa.Array


@dataclass(frozen=True, slots=True)
class Coerced:
    """A column's values, null where there were none and where there are failures. Whole numbers may still be wider than their field."""

    values: pa.Array
    failures: tuple[Failure, ...] = ()


def coerce(column: pa.Array, kind: Kind, target: pa.DataType) -> Coerced:
    """Take a column of any type for the kind, whose physical type is `target`. The column is `plain`."""
    if pa.types.is_null(column.type):
        return Coerced(pa.nulls(len(column), target))
    coerced = _READERS[kind](column, target)
    return coerced if coerced is not None else _nothing_of(column, target)


def plain(column: pa.Array) -> pa.Array:
    """Return the column without its encoding: what it holds counts, not how. Arrow lacks functions for some encodings, and for views."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    types, kind = pa.types, column.type
    if types.is_dictionary(kind):
        return plain(column.dictionary_decode())
    if types.is_run_end_encoded(kind):
        return plain(pc.run_end_decode(column))
    if types.is_large_string(kind) or types.is_string_view(kind):
        return column.cast(pa.string())
    if (
        types.is_large_binary(kind)
        or types.is_binary_view(kind)
        or types.is_fixed_size_binary(kind)
    ):
        return column.cast(pa.binary())
    return column.cast(pa.float32()) if types.is_float16(kind) else column


def _nothing_of(column: pa.Array, target: pa.DataType) -> Coerced:
    """No value of this type is one of the field's."""
    failures = (Failure(Failed.TYPE.value, column.is_valid()),) if _some(column) else ()
    return Coerced(pa.nulls(len(column), target), failures)


def _some(column: pa.Array) -> bool:
    return bool(column.null_count < len(column))


# One function a kind: the column in the field's type, or nothing if no value of such a column can be.


def _int(column: pa.Array, target: pa.DataType) -> Coerced | None:
    types, kind = pa.types, column.type
    if kind == target:
        return Coerced(column)
    if types.is_string(kind):
        if _highest_byte(column) <= NINE:
            whole = _cast(column, target)
            if whole is not None:
                return Coerced(whole)
        digits = ((_matching(USUAL_INT), _to(pa.int64())),)
        return _pieces(column, digits, scalars.int_of, pa.int64())
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        whole = _cast(column, pa.int64())
        if whole is not None:
            return Coerced(whole)
        usual = ((_is_whole, _to(pa.int64())),) if types.is_floating(kind) else ()
        return _pieces(column, usual, scalars.int_of, pa.int64())
    return None


def _is_whole(column: pa.Array) -> pa.Array:
    small = pc.less(pc.abs(column), 2.0**62)  # false for nan
    return pc.and_(small, pc.equal(pc.floor(column), column))


def _highest_byte(column: pa.Array) -> int:
    """Return the highest byte among a text column's characters (a null's too, which costs a slower way and nothing else)."""
    _, offsets, data = column.buffers()
    if data is None or not len(column):
        return 0
    ends = pa.Array.from_buffers(pa.int32(), len(column) + 1, [None, offsets], offset=column.offset)
    begin, end = ends[0].as_py(), ends[-1].as_py()
    every = pa.Array.from_buffers(pa.uint8(), end - begin, [None, data], offset=begin)
    return pc.max(every).as_py() or 0


def _float(column: pa.Array, target: pa.DataType) -> Coerced | None:
    types, kind = pa.types, column.type
    if types.is_string(kind):
        whole = _cast(column, target)
        if whole is not None:
            return Coerced(whole)
        usual = ((_matching(USUAL_FLOAT), _to(target)),)
        return _pieces(column, usual, scalars.float_of, target)
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return Coerced(column.cast(target, safe=False))
    return None


def _bool(column: pa.Array, target: pa.DataType) -> Coerced | None:
    types, kind = pa.types, column.type
    if types.is_boolean(kind):
        return Coerced(column)
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    if types.is_string(kind) or number:
        return _pieces(column, (), scalars.bool_of, target)
    return None


def _str(column: pa.Array, target: pa.DataType) -> Coerced | None:
    if pa.types.is_string(column.type):
        return Coerced(column)
    if not pa.types.is_binary(column.type):
        return None
    whole = _cast(column, target)
    return _pieces(column, (), scalars.str_of, target) if whole is None else Coerced(whole)


def _bytes(column: pa.Array, target: pa.DataType) -> Coerced | None:
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        return Coerced(column.cast(target))
    return None


def _date(column: pa.Array, target: pa.DataType) -> Coerced | None:
    types, kind = pa.types, column.type
    if types.is_date(kind):
        return _within(column.cast(target), _DATES)
    if types.is_timestamp(kind):
        naive = column.cast(pa.timestamp(kind.unit))
        days = naive.cast(target, safe=False)
        midnight = pc.equal(days.cast(naive.type, safe=False), naive)
        return _also_within(_only(days, midnight), _DATES)
    if types.is_string(kind):
        whole = _cast(column, target)
        if whole is not None:
            return _within(whole, _DATES)
        usual = ((_matching(USUAL_DATE), _to(target)),)
        return _also_within(_pieces(column, usual, scalars.date_of, target), _DATES)
    return None


def _datetime(column: pa.Array, target: pa.DataType) -> Coerced | None:
    types, kind = pa.types, column.type
    if types.is_timestamp(kind):
        return _instants(column)
    if types.is_date(kind):
        return _instants(column.cast(pa.date32()).cast(pa.timestamp("s")))
    if types.is_string(kind):
        whole = _cast(column, target)
        if whole is None:
            whole = _cast(column, pa.timestamp("us"))
        if whole is not None:
            return _within(whole.cast(target), _INSTANTS)
        usual = ((_matching(USUAL_INSTANT), _to(target)), (_matching(USUAL_NAIVE), _naive))
        return _also_within(_pieces(column, usual, scalars.datetime_of, target), _INSTANTS)
    return None


def _naive(column: pa.Array) -> pa.Array:
    return column.cast(pa.timestamp("us")).cast(INSTANT)


def _instants(column: pa.Array) -> Coerced:
    """Bring timestamps of any unit and zone to microseconds of UTC."""
    unit = column.type.unit
    aware = column.cast(pa.timestamp(unit, "UTC"))
    if unit == "ns":
        exact = _cast(aware, INSTANT)
        if exact is None:  # Arrow would cut towards 1970, which moves what was before it
            exact = pc.floor_temporal(aware, unit="microsecond").cast(INSTANT)
        return Coerced(exact)
    bounded = _within(aware, _instant_bounds(unit))
    return Coerced(bounded.values.cast(INSTANT), bounded.failures)


def _time(column: pa.Array, target: pa.DataType) -> Coerced | None:
    if pa.types.is_time(column.type):
        return Coerced(column.cast(target, safe=False))
    if pa.types.is_string(column.type):
        return _pieces(column, (), scalars.time_of, target)
    return None


def _decimal(column: pa.Array, target: pa.DataType) -> Coerced | None:
    types, kind = pa.types, column.type
    parse = scalars.decimal_of(target.precision, target.scale)
    if types.is_floating(kind):
        return _pieces(column, (), parse, target)
    if types.is_integer(kind):
        column = column.cast(pa.decimal128(20, 0))  # the digits of the largest integer
    elif not (types.is_string(kind) or types.is_decimal(kind)):
        return None
    whole = _cast(column, target)
    if whole is not None:
        return Coerced(whole)
    usual: tuple[tuple[Cast, Cast], ...] = ()
    if types.is_string(kind):
        before, behind = max(target.precision - target.scale, 1), max(target.scale, 1)
        if target.precision > target.scale > 0:
            pattern = rf"\A[+-]?[0-9]{{1,{before}}}(?:\.[0-9]{{1,{behind}}})?\z"
            usual = ((_matching(pattern), _to(target)),)
    return _pieces(column, usual, parse, target)


_READERS: Final = {
    Kind.INT: _int,
    Kind.FLOAT: _float,
    Kind.BOOL: _bool,
    Kind.STR: _str,
    Kind.BYTES: _bytes,
    Kind.DATE: _date,
    Kind.DATETIME: _datetime,
    Kind.TIME: _time,
    Kind.DECIMAL: _decimal,
}


# Casting.


def _cast(column: pa.Array, target: pa.DataType) -> pa.Array | None:
    """Return the column in another type, or nothing if one of its values does not fit."""
    try:
        return column.cast(target)
    except _NOT_CAST:
        return None


def _to(target: pa.DataType) -> Cast:
    return lambda column: column.cast(target)


def _matching(pattern: str) -> Cast:
    return lambda column: pc.match_substring_regex(column, pattern)


def _pieces(
    column: pa.Array,
    usual: tuple[tuple[Cast, Cast], ...],
    parse: Callable[[Any], Any],
    target: pa.DataType,
) -> Coerced:
    """Cast the usual forms together (each says which values have it, and how they are cast) and give the others to `parse`."""
    values = pa.nulls(len(column), target)
    left = column.is_valid()
    for has_form, cast in usual:
        mask = pc.and_(left, pc.fill_null(has_form(column), False))
        if mask.true_count:
            values = pc.coalesce(
                values, cast(pc.if_else(mask, column, pa.scalar(None, column.type)))
            )
            left = pc.and_not(left, mask)
    if not left.true_count:
        return Coerced(values)
    encoded = column.filter(left).dictionary_encode()
    outcomes = [parse(value) for value in encoded.dictionary.to_pylist()]
    parsed = [None if isinstance(outcome, Failed) else outcome for outcome in outcomes]
    values = pc.replace_with_mask(values, left, pa.array(parsed, target).take(encoded.indices))
    failures = []
    for member in Failed:
        if member in outcomes:
            failed = pa.array([outcome is member for outcome in outcomes]).take(encoded.indices)
            nowhere = pc.if_else(left, False, False)
            failures.append(Failure(member.value, pc.replace_with_mask(nowhere, left, failed)))
    return Coerced(values, tuple(failures))


# Years: what no calendar of ours holds is rejected, they are 1 to 9999.

Bounds = tuple[pa.Scalar, pa.Scalar]
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799  # of year 1, of year 9999
_PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6}
_DATES: Final = (pa.scalar(date(1, 1, 1), pa.date32()), pa.scalar(date(9999, 12, 31), pa.date32()))


def _instant_bounds(unit: str) -> Bounds:
    factor, kind = _PER_SECOND[unit], pa.timestamp(unit, "UTC")
    return (
        pa.scalar(FIRST_SECOND * factor, kind),
        pa.scalar(LAST_SECOND * factor + factor - 1, kind),
    )


_INSTANTS: Final = _instant_bounds("us")


def _within(column: pa.Array, bounds: Bounds) -> Coerced:
    if not _some(column):
        return Coerced(column)
    low, high = bounds
    extremes = pc.min_max(column)
    if pc.less(extremes["min"], low).as_py() or pc.greater(extremes["max"], high).as_py():
        return _only(column, pc.and_(pc.greater_equal(column, low), pc.less_equal(column, high)))
    return Coerced(column)


def _only(column: pa.Array, mask: pa.Array) -> Coerced:
    """Keep the values where `mask` is true; the others are failures."""
    failed = pc.and_(column.is_valid(), pc.invert(pc.fill_null(mask, False)))
    if not failed.true_count:
        return Coerced(column)
    kept = pc.if_else(failed, pa.scalar(None, column.type), column)
    return Coerced(kept, (Failure(Failed.TYPE.value, failed),))


def _also_within(coerced: Coerced, bounds: Bounds) -> Coerced:
    bounded = _within(coerced.values, bounds)
    return Coerced(bounded.values, (*coerced.failures, *bounded.failures))
