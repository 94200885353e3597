"""The functions of expressions over Arrow values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.expressions import times
from runink.expressions.columns import (
    DURATION,
    INSTANT,
    Value,
    double,
    durations,
    instants,
    is_list,
    is_scalar,
    kind_of,
    nothing_like,
    refused,
)
from runink.expressions.columns import wide as as_wide
from runink.expressions.reading import INT_MAX
from runink.expressions.tree import Function
from runink.expressions.typing import INSTANTS, NUMBERS, Sort
from runink.expressions.value_functions import BLANKS, DOUBLE_TEXT, INT_TEXT

TWO_TO_63: Final = 9.223372036854775808e18
_INT_DIGITS: Final = 18  # so many are 64 bits whatever they are


def called(function: Function, values: list[Value]) -> Value:
    """Return what a function gives for each row. Raises Refused for a sort that it does not take."""
    first = values[0]
    if function is Function.HAS:
        return pc.is_valid(first)
    kind = kind_of(first.type)
    if kind is Sort.NOTHING:
        return nothing_like(*values, kind=_GIVES.get(function, pa.int64()))
    if function is Function.SIZE and is_list(first.type):
        return pc.cast(pc.list_value_length(first), pa.int64())
    takes, apply = _FUNCTIONS[function]
    if kind not in takes:
        raise refused(f"{function.value}() does not take {first.type}")
    return apply(first, *(_plain_text(one, function) for one in values[1:]))


def _plain_text(value: Value, function: Function) -> str:
    text = value.as_py() if is_scalar(value) else None
    if not isinstance(text, str):
        raise refused(f"{function.value}() takes a plain text, which is the same for all rows")
    return text


def _where(mask: Value, value: Value) -> Value:
    """Keep values where the mask is true, and nothing elsewhere."""
    return pc.if_else(mask, value, pa.scalar(None, value.type))


def _as_int(value: Value) -> Value:
    kind = kind_of(value.type)
    if kind is Sort.INT:
        return as_wide(value)
    if kind in INSTANTS:
        return _seconds(instants(value))
    if kind is Sort.TEXT:
        return _int_of_text(value)
    whole = pc.trunc(double(value))
    fits = pc.and_(pc.greater_equal(whole, -TWO_TO_63), pc.less(whole, TWO_TO_63))
    return pc.cast(_where(fits, whole), pa.int64())


def _seconds(value: Value) -> Value:
    """Whole seconds since 1970, downwards: half a second before is -1."""
    microseconds = pc.cast(value, pa.int64())
    whole = pc.divide(microseconds, 1_000_000)
    is_cut = pc.less(microseconds, pc.multiply(whole, 1_000_000))
    return pc.subtract(whole, pc.cast(is_cut, pa.int64()))


def _int_of_text(value: Value) -> Value:
    fits = pc.match_substring_regex(value, rf"\A{INT_TEXT}\z")
    bare = pc.replace_substring_regex(_where(fits, value), r"\A\+?(-?)0*([0-9])", r"\1\2")
    if pc.any(pc.greater(pc.utf8_length(bare), _INT_DIGITS)).as_py() is not True:
        return pc.cast(bare, pa.int64())
    bare = _where(pc.less_equal(pc.utf8_length(bare), len(str(-INT_MAX))), bare)
    exact = pc.cast(bare, pa.decimal128(38, 0))
    low, high = (pc.cast(pa.scalar(one, pa.int64()), exact.type) for one in (-INT_MAX - 1, INT_MAX))
    fits = pc.and_(pc.greater_equal(exact, low), pc.less_equal(exact, high))
    return pc.cast(_where(fits, exact), pa.int64())


def _as_double(value: Value) -> Value:
    if kind_of(value.type) is not Sort.TEXT:
        return double(value)
    return pc.cast(
        _where(pc.match_substring_regex(value, rf"\A{DOUBLE_TEXT}\z"), value), pa.float64()
    )


def _as_string(value: Value) -> Value:
    return pc.cast(value, pa.string())


def _as_instant(value: Value) -> Value:
    if kind_of(value.type) is not Sort.TEXT:
        return instants(value)
    return _read_text(value, Function.TIMESTAMP, times.instant, INSTANT)


def _as_duration(value: Value) -> Value:
    if kind_of(value.type) is not Sort.TEXT:
        return durations(value)
    return _read_text(value, Function.DURATION, times.duration, DURATION)


def _read_text(
    value: Value, function: Function, read: Callable[[str], Any], kind: pa.DataType
) -> Value:
    found = read(_plain_text(value, function))
    return pa.scalar(found, kind)


def _matches(value: Value, pattern: str) -> Value:
    try:
        return pc.match_substring_regex(value, pattern=pattern)
    except pa.ArrowInvalid as error:
        raise refused(f"pattern {pattern!r}: {error}") from None


_BARE: Final = pa.timestamp("us")


def _getter(read: Callable[[Any], Any]) -> tuple[frozenset[Sort], Callable[..., Any]]:
    # Without a zone: Arrow would look for the database of time zones, which a small machine does not have.
    def part(value: Value) -> Value:
        return pc.cast(read(pc.cast(pc.cast(instants(value), pa.int64()), _BARE)), pa.int64())

    return INSTANTS, part


def _day_of_week(value: Value) -> Value:
    return pc.day_of_week(value, count_from_zero=True, week_start=7)


_TEXT: Final = frozenset({Sort.TEXT})
_FUNCTIONS: Final[dict[Function, tuple[frozenset[Sort], Callable[..., Any]]]] = {
    Function.SIZE: (_TEXT, lambda value: pc.cast(pc.utf8_length(value), pa.int64())),
    Function.MATCHES: (_TEXT, _matches),
    Function.STARTS_WITH: (_TEXT, lambda value, part: pc.starts_with(value, pattern=part)),
    Function.ENDS_WITH: (_TEXT, lambda value, part: pc.ends_with(value, pattern=part)),
    Function.CONTAINS: (_TEXT, lambda value, part: pc.match_substring(value, pattern=part)),
    Function.LOWER: (_TEXT, pc.ascii_lower),
    Function.UPPER: (_TEXT, pc.ascii_upper),
    Function.TRIM: (_TEXT, lambda value: pc.utf8_trim(value, characters=BLANKS)),
    Function.TIMESTAMP: (_TEXT | INSTANTS, _as_instant),
    Function.DURATION: (_TEXT | {Sort.DURATION}, _as_duration),
    Function.INT: (NUMBERS | _TEXT | INSTANTS, _as_int),
    Function.DOUBLE: (NUMBERS | _TEXT, _as_double),
    Function.STRING: (_TEXT | {Sort.INT, Sort.BOOLEAN}, _as_string),
    Function.FULL_YEAR: _getter(pc.year),
    Function.MONTH: _getter(lambda value: pc.subtract(pc.month(value), 1)),
    Function.DAY_OF_MONTH: _getter(pc.day),
    Function.DAY_OF_WEEK: _getter(_day_of_week),
    Function.DAY_OF_YEAR: _getter(lambda value: pc.subtract(pc.day_of_year(value), 1)),
    Function.HOURS: _getter(pc.hour),
    Function.MINUTES: _getter(pc.minute),
    Function.SECONDS: _getter(pc.second),
    Function.MILLISECONDS: _getter(pc.millisecond),
}
_GIVES: Final = {
    **dict.fromkeys(
        (Function.STARTS_WITH, Function.ENDS_WITH, Function.CONTAINS, Function.MATCHES), pa.bool_()
    ),
    **dict.fromkeys((Function.LOWER, Function.UPPER, Function.TRIM, Function.STRING), pa.string()),
    Function.TIMESTAMP: INSTANT,
    Function.DURATION: DURATION,
    Function.DOUBLE: pa.float64(),
}
