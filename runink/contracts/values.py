"""The values that a spec carries (bounds, defaults, choices) in their two forms.

In a spec a value is a JSON scalar: dates, times and decimals stand as text, bytes as one character a byte.  To be compared it
becomes the Python value that it stands for.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Final

from runink.contracts.fields import FieldSpec, Kind, Scalar
from runink.contracts.formats import FORMATS
from runink.contracts.patterns import is_match

BOUNDS: Final = ("ge", "gt", "le", "lt")
INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1
DIGITS_MAX: Final = 38  # what Arrow's decimal128 holds
SCALE_DEFAULT: Final = (
    9  # with 38 digits: the NUMERIC of BigQuery, enough for money and for units of it
)


def article(kind: Kind) -> str:
    """Name a kind with its article, to stand in a sentence."""
    return {Kind.INT: "an int", Kind.BYTES: "bytes"}.get(kind, f"a {kind.value}")


def scalar(kind: Kind, value: Any) -> Scalar | None:
    """Return a bound or a default in the form that specs keep (dates, times, decimals and bytes as text), or nothing if it is not of the kind."""
    match kind:
        case Kind.INT:
            whole = type(value) is int and INT64_MIN <= value <= INT64_MAX
            return value if whole else None
        case Kind.FLOAT:
            return float(value) if type(value) in (int, float) and value == value else None  # noqa: PLR0124 - NaN is no bound
        case Kind.BOOL:
            return value if type(value) is bool else None
        case Kind.STR:
            return value if isinstance(value, str) else None
        case Kind.BYTES:
            return value.decode("latin-1") if isinstance(value, bytes) else None
        case _:
            parsed = _parsed(kind, value)
            return (
                None
                if parsed is None
                else str(parsed)
                if kind is Kind.DECIMAL
                else parsed.isoformat()
            )


def _parsed(kind: Kind, value: Any) -> Any:
    """Return a date, datetime (UTC), time or Decimal, from one or from its text; nothing if it is neither."""
    try:
        match kind:
            case Kind.DECIMAL if isinstance(value, (str, Decimal)) or type(value) is int:
                number = Decimal(value)
                return number if number.is_finite() else None
            case Kind.DATE if isinstance(value, str):
                return date.fromisoformat(value)
            case Kind.DATE if type(value) is date:
                return value
            case Kind.DATETIME if isinstance(value, (str, datetime)):
                instant = datetime.fromisoformat(value) if isinstance(value, str) else value
                return instant.replace(tzinfo=instant.tzinfo or UTC).astimezone(UTC)
            case Kind.TIME if isinstance(value, (str, time)):
                moment = time.fromisoformat(value) if isinstance(value, str) else value
                return moment if moment.tzinfo is None else None
    except (ValueError, InvalidOperation, OverflowError):
        pass  # Nothing of the kind; the caller says what was expected.
    return None


def comparable(kind: Kind, value: Scalar) -> Any:
    """Return a spec's scalar as the Python value that it stands for."""
    if kind is Kind.BYTES:
        return str(value).encode("latin-1")
    if kind in (Kind.DATE, Kind.DATETIME, Kind.TIME, Kind.DECIMAL):
        return _parsed(kind, value)
    return value


def is_multiple(kind: Kind, value: Any, step: Scalar) -> bool:
    """Say whether a value is a multiple; a float is taken for the number that its shortest text says, so 0.3 is one of 0.1, and 0.1 + 0.2 is not."""
    if kind is Kind.FLOAT and not math.isfinite(value):
        return False
    exact = Fraction(repr(value)) if kind is Kind.FLOAT else Fraction(value)
    return (exact / Fraction(str(step))).denominator == 1


def broken_rule(spec: FieldSpec, value: Scalar) -> str | None:
    """Name the first rule of the field that a value in the spec's form breaks. A pattern that only RE2 can read is none: a plan looks at it when it is made."""
    own = comparable(spec.kind, value)
    length = len(own) if isinstance(own, (str, bytes)) else 0
    bounds = {
        name: comparable(spec.kind, bound)
        for name in BOUNDS
        if (bound := getattr(spec, name)) is not None
    }
    keeps = {
        "ge": lambda bound: own >= bound,
        "gt": lambda bound: own > bound,
        "le": lambda bound: own <= bound,
        "lt": lambda bound: own < bound,
    }
    for name, bound in bounds.items():
        if not keeps[name](bound):
            return name
    if spec.kind is Kind.DECIMAL and spec.digits is not None and spec.scale is not None:
        if abs(Fraction(own)) >= 10 ** (spec.digits - spec.scale):
            return "digits"
        if (Fraction(own) * 10**spec.scale).denominator != 1:
            return "scale"
    if spec.multiple_of is not None and not is_multiple(spec.kind, own, spec.multiple_of):
        return "multiple_of"
    if spec.choices and own not in [comparable(spec.kind, choice) for choice in spec.choices]:
        return "choices"
    if spec.pattern is not None and is_match(spec.pattern, str(own)) is False:
        return "pattern"
    if spec.format and is_match(FORMATS[spec.format], str(own)) is False:
        return "format"
    if spec.min_length is not None and length < spec.min_length:
        return "min_length"
    return "max_length" if spec.max_length is not None and length > spec.max_length else None


def digits_of(field: FieldSpec) -> tuple[int, int]:
    """Return all digits of a decimal field and those behind its point."""
    if field.digits is None or field.scale is None:
        return DIGITS_MAX, SCALE_DEFAULT
    return field.digits, field.scale


def bits_of(field: FieldSpec) -> int:
    """Return how many bits beside the sign hold each whole number that the field takes: 7, 15, 31 or 63."""
    low: Any = field.ge if field.ge is not None else field.gt
    high: Any = field.le if field.le is not None else field.lt
    if field.choices:
        numbers: Any = field.choices
        low, high = min(numbers), max(numbers)
    if low is None or high is None:
        return 63
    return next((bits for bits in (7, 15, 31) if -(1 << bits) <= low and high < 1 << bits), 63)
