"""Values at the edges of what a field takes: where programs break first.

    kind                  edges
    int, float, decimal   the bounds, 0, 1, -1, the largest and the smallest there are, what other types cannot hold
    bool                  both
    date, datetime        the bounds, the calendar's first and last moment, a leap day, both sides of the epoch
    time                  the bounds, midnight, noon, the last microsecond
    str                   the shortest, the longest, blanks, quotes, line ends, what looks like nothing or a number, many scripts
    bytes                 the shortest, the longest
    record, list          those of each field; the fewest items, one more, the most

An edge may break another rule of the field; the check that follows takes those out.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from runink.contracts.fields import FieldSpec, Kind
from runink.contracts.synthesis_texts import Words
from runink.contracts.synthesis_values import (
    EPOCH,
    MICROSECOND,
    as_clock,
    as_instant,
    as_number,
    bounds_of,
    maker_of,
    step_of,
)
from runink.contracts.text_patterns import Chance
from runink.contracts.values import INT64_MAX, INT64_MIN, comparable, digits_of

LONG: Final = 1_000  # characters of a long text where nothing bounds it
MANY: Final = 100  # items of a long list where nothing bounds it
_TEXTS: Final = ("", " ", "a", " a ", "0", "-1", "null", "NaN", "true", 'say "so"', "a,b;c\td", "two\nlines", "a\r\nb", "é", "e\u0301", "ß", "İ", "日本語", "עברית", "😀", "👩‍👩‍👧", "\u200b", "\u202e", "'; DROP TABLE t; --", "=1+1", "\\N")  # fmt: skip


def edges_of(field: FieldSpec, words: Words, chance: Chance) -> list[Any]:
    """Return the values at the edges of what a field takes, the nearest first; nothing is one of them where it may stand."""
    found: list[Any] = [None] if field.nullable else []
    if field.choices:
        return [*found, *(comparable(field.kind, one) for one in field.choices)]
    match field.kind:
        case Kind.INT | Kind.FLOAT | Kind.DECIMAL:
            found += _number_edges(field)
        case Kind.BOOL:
            found += [False, True]
        case Kind.DATE | Kind.DATETIME | Kind.TIME:
            found += _moment_edges(field)
        case Kind.STR:
            found += _text_edges(field)
        case Kind.BYTES:
            found += [text.encode() for text in _lengths(field)]
        case Kind.RECORD:
            usual = maker_of(field, words)(1, chance)[0]
            found += [
                {**usual, inner.name: edge}
                for inner in field.fields
                for edge in edges_of(inner, words, chance)
            ]
        case Kind.LIST:
            assert field.items is not None
            items = maker_of(field.items, words)
            least = field.min_length or 0
            most = field.max_length if field.max_length is not None else least + MANY
            found += [items(length, chance) for length in dict.fromkeys((least, least + 1, most))]
            found += [[edge] * max(least, 1) for edge in edges_of(field.items, words, chance)]
    return found


def _number_edges(field: FieldSpec) -> list[Any]:
    low, high = bounds_of(field)
    step = step_of(field)
    ends = [step * math.ceil(low / step)] if low is not None else []
    ends += [step * math.floor(high / step)] if high is not None else []
    found = [as_number(field, end) for end in (*ends, Fraction(0), Fraction(1), Fraction(-1))]
    match field.kind:
        case Kind.INT:
            found += [INT64_MIN, INT64_MAX, 1 << 31, (1 << 53) + 1]
        case Kind.FLOAT:
            said = [bound for name in ("ge", "le") if (bound := getattr(field, name)) is not None]
            found += [float(bound) for bound in said]
            found += [
                -0.0,
                5e-324,
                1.7976931348623157e308,
                -1.7976931348623157e308,
                0.1,
                1e15,
                1e16,
            ]
            found += [math.nan, math.inf, -math.inf] if field.allow_inf_nan else []
        case _:
            digits, scale = digits_of(field)
            most = Decimal((0, (9,) * digits, -scale))
            found += [most, -most, Decimal((0, (1,), -scale))]
    return found


def _moment_edges(field: FieldSpec) -> list[Any]:
    low, high = bounds_of(field)
    ends = [int(one) for one in (low, high) if one is not None]
    match field.kind:
        case Kind.DATE:
            days = [
                date(1, 1, 1),
                date(9999, 12, 31),
                date(2024, 2, 29),
                date(1970, 1, 1),
                date(1969, 12, 31),
            ]
            return [*(date.fromordinal(end) for end in ends), *days]
        case Kind.TIME:
            return [
                *(as_clock(end) for end in ends),
                time(),
                time(23, 59, 59, 999_999),
                time(12),
            ]
        case _:
            moments = [
                datetime(1, 1, 1, tzinfo=UTC),
                datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC),
                datetime(2024, 2, 29, 12, tzinfo=UTC),
                EPOCH,
                EPOCH - MICROSECOND,
                datetime(2025, 3, 30, 1, 30, tzinfo=UTC),
            ]
            return [*(as_instant(end) for end in ends), *moments]


def _lengths(field: FieldSpec) -> list[str]:
    """Return texts as short and as long as they may be."""
    least = field.min_length or 0
    most = field.max_length if field.max_length is not None else max(LONG, least)
    return ["x" * length for length in dict.fromkeys((least, most))]


def _text_edges(field: FieldSpec) -> list[str]:
    least = field.min_length or 0
    padded = [text.ljust(least, "é") for text in _TEXTS]
    most = field.max_length
    return [*_lengths(field), *(text if most is None else text[:most] for text in padded)]
