"""Single values as expressions see them: of which sort each is, and in which form it is reckoned with.

A fraction that is no number (NaN) is nothing, a decimal is a double, an instant without a zone is UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from runink.errors import Invalid
from runink.expressions.reading import INT_MAX
from runink.expressions.typing import ListOf, RecordOf, Shape, Sort

Value = Any  # int, float, str, bool, a time, a list, a mapping, or None: what comes from a record


def plain(value: Value) -> Value:
    """Return a value of a record in the form that is reckoned with. Raises Invalid if it is of no sort."""
    match value:
        case None | bool() | str() | time() | timedelta() | bytes() | list() | tuple() | Mapping():
            return value
        case int():
            if -INT_MAX - 1 <= value <= INT_MAX:
                return value
            raise Invalid(f"{value} has more than 64 bits", code="invalid_expression")
        case float() | Decimal():
            found = float(value)
            return found if found == found else None  # noqa: PLR0124 - NaN alone differs from itself
        case datetime():
            return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        case date():
            return value
    raise Invalid(f"{type(value).__name__} is no value of an expression", code="invalid_expression")


def shape_of(value: Value) -> Shape:
    """Return of which sort a plain value is."""
    match value:
        case None:
            return Sort.NOTHING
        case bool():
            return Sort.BOOLEAN
        case int():
            return Sort.INT
        case float():
            return Sort.NUMBER
        case str():
            return Sort.TEXT
        case datetime():
            return Sort.TIME
        case date():
            return Sort.DATE
        case time():
            return Sort.CLOCK
        case timedelta():
            return Sort.DURATION
        case bytes():
            return Sort.BYTES
        case Mapping():
            return RecordOf({})
        case _:
            return ListOf(Sort.UNKNOWN)


def midnight(day: date) -> datetime:
    """Return the instant at which a day begins; an instant as it is."""
    if isinstance(day, datetime):
        return day
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
