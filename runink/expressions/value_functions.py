"""The functions of expressions over single values, none of which is nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from runink.errors import Invalid
from runink.expressions import times
from runink.expressions.kinds import Value, midnight, shape_of
from runink.expressions.reading import INT_MAX
from runink.expressions.tree import Function
from runink.expressions.typing import told

BLANKS: Final = " \t\n\v\f\r"
INT_TEXT: Final = "[+-]?[0-9]{1,100}"  # more digits are no 64-bit number, unless they are zeros
DOUBLE_TEXT: Final = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UPPER: Final = {ord(one): one.upper() for one in "abcdefghijklmnopqrstuvwxyz"}
_LOWER: Final = {ord(one): one.lower() for one in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def called(function: Function, arguments: list[Value]) -> Value:
    """Return what a function gives. Raises Invalid for an argument of a sort that it does not take."""
    first = arguments[0]
    kinds, apply = _FUNCTIONS[function]
    if not isinstance(first, kinds) or (isinstance(first, bool) and bool not in kinds):
        text = f"{function.value}() does not take {told(shape_of(first))}"
        raise Invalid(text, code="invalid_expression")
    try:
        return apply(*arguments)
    except OverflowError:
        return None


def _as_int(value: Value) -> int | None:
    match value:
        case str():
            if not re.fullmatch(INT_TEXT, value):
                return None
            found = int(value)
        case date():
            found = (midnight(value) - EPOCH) // timedelta(seconds=1)
        case _:
            found = int(value)
    return found if -INT_MAX - 1 <= found <= INT_MAX else None


def _as_double(value: Value) -> float | None:
    if isinstance(value, str) and not re.fullmatch(DOUBLE_TEXT, value):
        return None
    return float(value)


def _as_string(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _as_instant(value: Value) -> Value:
    return times.instant(value) if isinstance(value, str) else midnight(value)


def _as_duration(value: Value) -> Value:
    return times.duration(value) if isinstance(value, str) else value


def _matches(text: str, pattern: str) -> bool:
    from runink.expressions.pattern_matching import matches  # noqa: PLC0415 - hardly any expression asks for patterns
    from runink.expressions.patterns import PatternError  # noqa: PLC0415 - as above

    try:
        return matches(text, pattern)
    except PatternError as error:
        text = f"pattern {pattern!r}: {error.text}"
        raise Invalid(text, code="invalid_expression", hint=error.hint) from None


def _getter(part: Callable[[datetime], int]) -> tuple[tuple[type, ...], Callable[..., Any]]:
    return (date,), lambda value: part(midnight(value).astimezone(UTC))


_FUNCTIONS: Final[dict[Function, tuple[tuple[type, ...], Callable[..., Any]]]] = {
    Function.SIZE: ((str, list, tuple), len),
    Function.MATCHES: ((str,), _matches),
    Function.STARTS_WITH: ((str,), str.startswith),
    Function.ENDS_WITH: ((str,), str.endswith),
    Function.CONTAINS: ((str,), lambda text, part: part in text),
    Function.LOWER: ((str,), lambda text: text.translate(_LOWER)),
    Function.UPPER: ((str,), lambda text: text.translate(_UPPER)),
    Function.TRIM: ((str,), lambda text: text.strip(BLANKS)),
    Function.TIMESTAMP: ((str, date), _as_instant),
    Function.DURATION: ((str, timedelta), _as_duration),
    Function.INT: ((int, float, str, date), _as_int),
    Function.DOUBLE: ((int, float, str), _as_double),
    Function.STRING: ((int, str, bool), _as_string),
    # CEL counts months, and days of weeks and years, from 0; getDate counts days of a month from 1.
    Function.FULL_YEAR: _getter(lambda at: at.year),
    Function.MONTH: _getter(lambda at: at.month - 1),
    Function.DAY_OF_MONTH: _getter(lambda at: at.day),
    Function.DAY_OF_WEEK: _getter(lambda at: at.isoweekday() % 7),
    Function.DAY_OF_YEAR: _getter(lambda at: at.timetuple().tm_yday - 1),
    Function.HOURS: _getter(lambda at: at.hour),
    Function.MINUTES: _getter(lambda at: at.minute),
    Function.SECONDS: _getter(lambda at: at.second),
    Function.MILLISECONDS: _getter(lambda at: at.microsecond // 1000),
}
